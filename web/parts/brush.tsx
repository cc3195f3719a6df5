// Time chosen by drawing over a chart. Wraps the chart and draws the choice above it, so that nothing of the
// chart is drawn again on the way. With the keyboard the buttons of time-choice.tsx do the same.
import { useRef, useState, type PointerEvent, type ReactNode } from 'react'
import { formatTime } from '../lib/format.ts'
import { SPAN_MIN_MS, type Span } from '../lib/time-span.ts'

interface BrushProps extends Span {
  /** Pixels between the edges of the wrapper and those of the time axis. */
  left: number
  right: number
  onChoose: (span: Span) => void
  children: ReactNode
}

/** A press that moves less is a click. */
const MOVES_PX = 5

export function Brush({ fromMs, toMs, left, right, onChoose, children }: BrushProps): ReactNode {
  const box = useRef<HTMLDivElement>(null)
  const start = useRef<number | null>(null)
  const [drawn, setDrawn] = useState<{ from: number; to: number } | null>(null)
  const placeOf = (event: PointerEvent): number => {
    const rect = box.current?.getBoundingClientRect()
    if (rect === undefined) return left
    return Math.max(left, Math.min(event.clientX - rect.left, rect.width - right))
  }
  const timeAt = (x: number): number => {
    const plot = Math.max(1, (box.current?.clientWidth ?? 0) - left - right)
    return Math.round(fromMs + ((x - left) / plot) * (toMs - fromMs))
  }
  const end = () => {
    start.current = null
    setDrawn(null)
  }
  const range =
    drawn === null
      ? null
      : { at: Math.min(drawn.from, drawn.to), width: Math.abs(drawn.to - drawn.from) }
  return (
    <div
      ref={box}
      className={drawn === null ? 'brush' : 'brush brush-drawn'}
      data-testid="brush"
      onPointerDown={(event) => {
        // A finger scrolls the page; buttons in the picture keep their press.
        if (event.button !== 0 || event.pointerType === 'touch') return
        if ((event.target as Element).closest('button, .tip') !== null) return
        start.current = placeOf(event)
      }}
      onPointerMove={(event) => {
        const from = start.current
        if (from === null) return
        const to = placeOf(event)
        if (drawn === null && Math.abs(to - from) < MOVES_PX) return
        // Once it is drawn, letting go over a bar must not open its pass.
        if (drawn === null) event.currentTarget.setPointerCapture(event.pointerId)
        setDrawn({ from, to })
      }}
      onPointerUp={() => {
        if (range !== null) {
          const span = { fromMs: timeAt(range.at), toMs: timeAt(range.at + range.width) }
          if (span.toMs - span.fromMs >= SPAN_MIN_MS) onChoose(span)
        }
        end()
      }}
      onPointerCancel={end}
    >
      {children}
      {range !== null && (
        <div className="brush-range" style={{ left: range.at, width: range.width }}>
          <span className="num">
            {formatTime(timeAt(range.at))} to {formatTime(timeAt(range.at + range.width))}
          </span>
        </div>
      )}
    </div>
  )
}
