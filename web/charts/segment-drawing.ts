// Draws the segment map on its canvas. Cells are written as pixels and handed over at once: ten thousand
// rectangles and more were half of the time that an answer took. After a change only the cells that
// changed are drawn again.
import type { SegmentInfo } from '../../server/protocol.ts'
import { segmentLabel } from '../lib/format.ts'
import type { SegmentCanvasProps } from './segment-canvas.tsx'
import type { Paint } from './segment-colour.ts'
import type { SegmentMarks } from './segment-look.ts'
import { cellBox, type GridLayout } from './segment-map-layout.ts'

interface Picture extends SegmentCanvasProps {
  layout: GridLayout
  viewHeight: number
  scrollTop: number
}

/** In pixels of the device, `right` and `bottom` outside. */
interface Box {
  left: number
  top: number
  right: number
  bottom: number
}

interface Cell {
  segment: SegmentInfo
  look: SegmentMarks
  paint: Paint | null
  /** null: without a frame; true: that of the open segment. */
  frame: boolean | null
}

/** A smaller cell has no room for a letter. */
const WORDS_MIN = 12
/** A smaller one none for a name. */
const NAME_MIN = 44

/** True when every cell lies where it lay, and a segment that is the same looks the same. */
function samePlaces(a: Picture, b: Picture): boolean {
  return (
    a.theme === b.theme &&
    a.scrollTop === b.scrollTop &&
    a.layout.count === b.layout.count &&
    a.layout.columns === b.layout.columns &&
    a.layout.cellHeight === b.layout.cellHeight &&
    a.marks === b.marks &&
    a.painter === b.painter
  )
}

// ---------------------------------------------------------------- colours

interface Palette {
  text: Map<string, string>
  /** As a pixel is kept in memory. */
  pixels: Map<string, number>
}

const palettes = new Map<string, Palette>()

/** Colours by token, as they were read under this theme: each reading has the page's styles computed first. */
function paletteOf(theme: string): Palette {
  const key = `${theme} ${String(matchMedia('(prefers-color-scheme: dark)').matches)}`
  let palette = palettes.get(key)
  if (palette === undefined) {
    palettes.set(key, (palette = { text: new Map(), pixels: new Map() }))
  }
  return palette
}

const scratch = new Uint8ClampedArray(4)
const scratchPixel = new Uint32Array(scratch.buffer)

/** Of "#1b4fc4", which is how a canvas says any opaque colour. */
function pixelOf(hex: string): number {
  const value = Number.parseInt(hex.slice(1), 16)
  scratch[0] = value >> 16
  scratch[1] = (value >> 8) & 0xff
  scratch[2] = value & 0xff
  scratch[3] = 0xff
  return scratchPixel[0] ?? 0
}

/** `share` of one colour over another, as the edge of a rectangle within a pixel. */
function mixed(over: number, under: number, share: number): number {
  scratchPixel[0] = under
  const [r = 0, g = 0, b = 0] = scratch
  scratchPixel[0] = over
  scratch[0] = r + ((scratch[0] ?? 0) - r) * share
  scratch[1] = g + ((scratch[1] ?? 0) - g) * share
  scratch[2] = b + ((scratch[2] ?? 0) - b) * share
  return scratchPixel[0]
}

// ---------------------------------------------------------------- drawing

const toDevice = (length: number): number => Math.max(1, Math.floor(length * devicePixelRatio))

export class SegmentDrawing {
  private readonly canvas: HTMLCanvasElement
  private before: Picture | null = null
  /** The segment drawn in each cell; the same object means the same picture, while the rest is the same. */
  private drawn: (SegmentInfo | undefined)[] = []
  /** Cells with a frame around them, and whether it is that of the open segment. */
  private readonly framed = new Map<number, boolean>()
  private palette: Palette = { text: new Map(), pixels: new Map() }
  private image: ImageData | null = null
  private pixels = new Uint32Array(0)

  constructor(canvas: HTMLCanvasElement) {
    this.canvas = canvas
  }

  /** Everything is drawn again next time: the colours have changed. */
  forget(): void {
    this.before = null
  }

  /** Scrolls as little as it takes to show this segment, as it was drawn last. */
  bringIntoSight(id: number, scroller: HTMLElement): void {
    if (this.before === null) return
    const { segments, layout, viewHeight, scrollTop } = this.before
    const index = segments.findIndex((segment) => segment.segmentId === id)
    if (index === -1) return
    const { y, height } = cellBox(layout, index)
    if (y < scrollTop) scroller.scrollTop = y
    else if (y + height > scrollTop + viewHeight) scroller.scrollTop = y + height - viewHeight
  }

  draw(picture: Picture): void {
    if (this.shows(picture)) return
    const context = this.canvas.getContext('2d', { alpha: true })
    if (context === null) return
    const afresh = !this.keeps(picture)
    if (afresh) this.begin(context, picture)
    this.before = picture
    const changed = this.drawCells(context, picture)
    const { image } = this
    if (image === null || changed.length === 0) return
    const { layout } = picture
    const worded = layout.cellWidth >= WORDS_MIN && layout.cellHeight >= WORDS_MIN
    if (afresh || !worded) this.hand(context, boundsOf(changed))
    if (!worded) return
    for (const box of changed) {
      if (!afresh) this.hand(context, box)
      this.drawWords(context, box)
    }
  }

  private hand(context: CanvasRenderingContext2D, { left, top, right, bottom }: Box): void {
    if (this.image === null) return
    context.putImageData(this.image, 0, 0, left, top, right - left, bottom - top)
  }

  /** Writes the pixels of the cells in sight that have changed, and says where they are. */
  private drawCells(context: CanvasRenderingContext2D, picture: Picture): ChangedCell[] {
    const { segments, layout, marks, painter, scrollTop, viewHeight } = picture
    const chosen = new Set(picture.chosen)
    const noFrames = this.framed.size === 0 && chosen.size === 0 && picture.current === null
    const first = Math.floor(scrollTop / layout.cellHeight) * layout.columns
    const last = Math.min(
      layout.count,
      Math.ceil((scrollTop + viewHeight) / layout.cellHeight) * layout.columns,
    )
    const changed: ChangedCell[] = []
    for (let index = first; index < last; index += 1) {
      const segment = segments[index]
      if (segment === undefined) continue
      if (noFrames && this.drawn[index] === segment) continue
      const isCurrent = segment.segmentId === picture.current
      const frame = isCurrent || chosen.has(segment.segmentId) ? isCurrent : null
      if ((this.framed.get(index) ?? null) === frame && this.drawn[index] === segment) continue
      this.drawn[index] = segment
      if (frame === null) this.framed.delete(index)
      else this.framed.set(index, frame)
      const paint = painter.paint?.(segment) ?? null
      const box = this.boxOf(picture, index)
      this.drawCell(context, { segment, look: marks(segment), paint, frame }, box)
      changed.push({ ...box, segment, letter: paint?.letter ?? '' })
    }
    return changed
  }

  private boxOf({ layout, scrollTop }: Picture, index: number): Box {
    const { x, y, width, height } = cellBox(layout, index)
    const scale = devicePixelRatio
    const left = Math.round(x * scale)
    const top = Math.round((y - scrollTop) * scale)
    return {
      left,
      top,
      right: Math.max(left + 1, Math.round((x + width) * scale)),
      bottom: Math.max(top + 1, Math.round((y + height - scrollTop) * scale)),
    }
  }

  /** True when this very picture was drawn last, as after a move of the pointer. */
  private shows(picture: Picture): boolean {
    const { before } = this
    return (
      before !== null &&
      before.segments === picture.segments &&
      before.chosen === picture.chosen &&
      before.current === picture.current &&
      before.viewHeight === picture.viewHeight &&
      before.width === picture.width &&
      this.canvas.width === toDevice(picture.width) &&
      samePlaces(before, picture)
    )
  }

  /** True when what is drawn may stay, apart from some cells. */
  private keeps(picture: Picture): boolean {
    return (
      this.canvas.width === toDevice(picture.width) &&
      this.canvas.height === toDevice(picture.viewHeight) &&
      this.image !== null &&
      this.before !== null &&
      samePlaces(this.before, picture)
    )
  }

  /** Sizes the canvas, and forgets what was drawn. */
  private begin(context: CanvasRenderingContext2D, picture: Picture): void {
    const width = toDevice(picture.width)
    const height = toDevice(picture.viewHeight)
    this.palette = paletteOf(picture.theme)
    this.drawn = []
    this.framed.clear()
    if (this.image?.width === width && this.image.height === height) {
      this.pixels.fill(0)
      context.clearRect(0, 0, width, height)
      return
    }
    this.canvas.width = width
    this.canvas.height = height
    this.image = context.createImageData(width, height)
    this.pixels = new Uint32Array(this.image.data.buffer)
  }

  private colour(token: string): string {
    let value = this.palette.text.get(token)
    if (value === undefined) {
      value = getComputedStyle(this.canvas).getPropertyValue(token).trim()
      this.palette.text.set(token, value)
    }
    return value
  }

  private pixel(context: CanvasRenderingContext2D, token: string): number {
    let value = this.palette.pixels.get(token)
    if (value === undefined) {
      context.fillStyle = this.colour(token)
      value = pixelOf(typeof context.fillStyle === 'string' ? context.fillStyle : '#000000')
      this.palette.pixels.set(token, value)
    }
    return value
  }

  private fill({ left, top, right, bottom }: Box, pixel: number): void {
    const { pixels } = this
    const width = this.image?.width ?? 0
    const from = Math.max(0, left)
    const to = Math.min(width, right)
    const end = Math.min(this.image?.height ?? 0, bottom)
    for (let y = Math.max(0, top); y < end; y += 1) {
      const row = y * width
      for (let x = from; x < to; x += 1) pixels[row + x] = pixel
    }
  }

  private drawCell(context: CanvasRenderingContext2D, cell: Cell, box: Box): void {
    const { segment, look, paint, frame } = cell
    // Every cell is opaque, so that drawing it again covers what it was.
    if (paint !== null) this.fill(box, this.pixel(context, paint.token))
    else if (!look.bytesKnown) this.drawHatch(context, box)
    else this.drawBytes(context, segment, box)
    const height = box.bottom - box.top
    const thin = Math.round(2 * devicePixelRatio)
    // Where a number does not fit, a bar on top is queued; a bar through is being rewritten.
    if (look.queued !== null) {
      const bottom = box.top + Math.max(thin, Math.round(height / 6))
      this.fill({ ...box, bottom }, this.pixel(context, look.staged ? '--staged' : '--queued'))
    }
    if (look.rewriting) {
      const top = box.top + Math.round(height / 2 - thin / 2)
      const bottom = top + Math.max(thin, Math.round(height / 4))
      this.fill({ ...box, top, bottom }, this.pixel(context, '--rewriting'))
    }
    if (frame !== null) {
      const pixel = this.pixel(context, frame ? '--text' : '--accent')
      // Inside of the cell, so that drawing it again leaves nothing of the frame.
      this.fill({ ...box, bottom: box.top + thin }, pixel)
      this.fill({ ...box, top: box.bottom - thin }, pixel)
      this.fill({ ...box, right: box.left + thin }, pixel)
      this.fill({ ...box, left: box.right - thin }, pixel)
    }
  }

  /** Live bytes stand at the bottom, as high as their share. */
  private drawBytes(context: CanvasRenderingContext2D, segment: SegmentInfo, box: Box): void {
    const stale = this.pixel(context, segment.state === 'zombie' ? '--kept' : '--stale')
    const live = this.pixel(context, '--live')
    const share = segment.bytesTotal === 0 ? 0 : segment.bytesLive / segment.bytesTotal
    const edge = box.bottom - share * (box.bottom - box.top)
    const row = Math.floor(edge)
    this.fill({ ...box, bottom: row }, stale)
    if (row >= box.bottom) return
    this.fill({ ...box, top: row, bottom: row + 1 }, mixed(live, stale, row + 1 - edge))
    this.fill({ ...box, top: row + 1 }, live)
  }

  /** Neither live nor stale: what it is, is not known. */
  private drawHatch(context: CanvasRenderingContext2D, box: Box): void {
    this.fill(box, this.pixel(context, '--surface'))
    const line = this.pixel(context, '--line-strong')
    const every = Math.round(5 * devicePixelRatio)
    for (let y = box.top; y < box.bottom; y += 1) {
      const from = box.left + ((box.bottom - 1 - y) % every)
      for (let left = from; left < box.right; left += every) {
        this.fill({ left, top: y, right: left + 1, bottom: y + 1 }, line)
      }
    }
  }

  private drawWords(context: CanvasRenderingContext2D, cell: ChangedCell): void {
    const scale = devicePixelRatio
    const width = (cell.right - cell.left) / scale
    const height = (cell.bottom - cell.top) / scale
    if (width < WORDS_MIN || height < WORDS_MIN) return
    const words = width >= NAME_MIN ? segmentLabel(cell.segment.segmentId) : cell.letter
    if (words === '') return
    const x = (cell.left + cell.right) / 2
    const y = (cell.top + cell.bottom) / 2
    context.font = `${String(11 * scale)}px system-ui, sans-serif`
    context.textAlign = 'center'
    context.textBaseline = 'middle'
    context.lineWidth = 3 * scale
    context.lineJoin = 'round'
    // An outline of the page's ground keeps the letters readable on every colour.
    context.strokeStyle = this.colour('--surface')
    context.strokeText(words, x, y)
    context.fillStyle = this.colour('--text')
    context.fillText(words, x, y)
  }
}

interface ChangedCell extends Box {
  segment: SegmentInfo
  letter: string
}

function boundsOf(boxes: readonly Box[]): Box {
  const bounds = { left: Infinity, top: Infinity, right: 0, bottom: 0 }
  for (const box of boxes) {
    bounds.left = Math.min(bounds.left, box.left)
    bounds.top = Math.min(bounds.top, box.top)
    bounds.right = Math.max(bounds.right, box.right)
    bounds.bottom = Math.max(bounds.bottom, box.bottom)
  }
  return bounds
}
