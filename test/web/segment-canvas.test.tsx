// @vitest-environment happy-dom
import { act } from 'react'
import { createRoot } from 'react-dom/client'
import { expect, test } from 'vitest'
import { SegmentCanvas } from '../../web/charts/segment-canvas.tsx'
import { gridPlaces, layoutGrid } from '../../web/charts/segment-map-layout.ts'
import { marksOf } from '../../web/charts/segment-look.ts'
import { makeSegment } from './fixtures.ts'

Object.assign(globalThis, { IS_REACT_ACT_ENVIRONMENT: true })

test('the tip of the map is about the cell under the pointer, and goes when the cells move', () => {
  const segments = Array.from({ length: 400 }, (_, index) => makeSegment(index + 1))
  const marks = marksOf({ queue: [], ledger: [], stage: null }, [])
  const box = document.createElement('div')
  document.body.append(box)
  const root = createRoot(box)
  const draw = (zoom: number, shown = segments) => {
    act(() =>
      root.render(
        <SegmentCanvas
          segments={shown}
          marks={marks}
          painter={{ colour: 'live', paint: null }}
          chosen={[]}
          current={null}
          onChoose={() => undefined}
          width={800}
          theme="light"
          zooming={{
            zoom,
            zoomMax: 6,
            onZoom: () => undefined,
            placesAt: (other) => gridPlaces(layoutGrid(shown.length, 800, other)),
            firstIndex: null,
            onFirst: () => undefined,
          }}
        />,
      ),
    )
  }
  const tip = () => box.querySelector('[data-testid="map-tip"]')?.textContent ?? null
  const map = () => box.querySelector('[data-testid="segment-canvas"]')
  const point = () => {
    act(() => {
      map()?.dispatchEvent(new MouseEvent('mousemove', { bubbles: true, clientX: 5, clientY: 5 }))
    })
  }
  draw(0)
  point()
  expect(tip()).toContain('L0-1,')

  // Magnified by a button or a link while the pointer stays.
  draw(1)
  expect(tip()).toBeNull()

  point()
  act(() => {
    map()?.dispatchEvent(new KeyboardEvent('keydown', { bubbles: true, key: 'ArrowRight' }))
  })
  expect(tip()).toBeNull()

  // Another order puts another segment there.
  point()
  expect(tip()).toContain('L0-1,')
  draw(1, segments.toReversed())
  expect(tip()).toBeNull()
  act(() => root.unmount())
})
