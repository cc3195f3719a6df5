// Where each segment is drawn: rows of tiles, width by total bytes. Pure, shared by the DOM map and
// the canvas map, so that a store that grows past the limit of one looks the same in the other.

/** Beyond this many tiles the DOM becomes the bottleneck and the map is drawn on a canvas. */
export const DOM_TILES_MAX = 300

export interface Tile {
  index: number
  x: number
  y: number
  width: number
}

export interface MapLayout {
  tiles: Tile[]
  tileHeight: number
  rowHeight: number
  height: number
  /** Index into `tiles` of the first tile of each row. */
  rowStarts: number[]
}

interface Sizing {
  meanWidth: number
  minWidth: number
  tileHeight: number
  gap: number
  rowGap: number
}

/** Few segments get big tiles; many are drawn as a grid of equal cells by `layoutGrid`. */
function sizing(count: number): Sizing {
  if (count <= 24) return { meanWidth: 64, minWidth: 28, tileHeight: 56, gap: 4, rowGap: 20 }
  if (count <= 80) return { meanWidth: 44, minWidth: 24, tileHeight: 48, gap: 4, rowGap: 20 }
  return { meanWidth: 26, minWidth: 16, tileHeight: 28, gap: 3, rowGap: 5 }
}

/** Tries this much wider, then narrower in steps, until the rows are no more than without stretching. */
const STRETCH_MAX = 1.5
const STRETCH_STEP = 0.03

/** Rows of tiles; up to a few hundred they are widened a little, where that fills the rows. */
export function layoutTiles(bytesTotal: readonly number[], width: number): MapLayout {
  const size = sizing(bytesTotal.length)
  const plain = place(bytesTotal, width, size)
  for (let factor = STRETCH_MAX; factor > 1; factor -= STRETCH_STEP) {
    const wider = place(bytesTotal, width, { ...size, meanWidth: size.meanWidth * factor })
    if (wider.rowStarts.length <= plain.rowStarts.length) return wider
  }
  return plain
}

function place(bytesTotal: readonly number[], width: number, size: Sizing): MapLayout {
  const { meanWidth, minWidth, tileHeight, gap, rowGap } = size
  const sum = bytesTotal.reduce((total, bytes) => total + bytes, 0)
  const mean = bytesTotal.length === 0 || sum === 0 ? 1 : sum / bytesTotal.length
  const rowHeight = tileHeight + rowGap
  const tiles: Tile[] = []
  const rowStarts: number[] = []
  let x = 0
  let row = -1
  bytesTotal.forEach((bytes, index) => {
    // A segment many times the mean must not take a whole row and hide the rest.
    const wanted = Math.min(meanWidth * 3, Math.max(minWidth, (meanWidth * bytes) / mean))
    const tileWidth = Math.max(1, Math.min(Math.round(wanted), width))
    if (row === -1 || x + tileWidth > width) {
      row += 1
      x = 0
      rowStarts.push(index)
    }
    tiles.push({ index, x, y: row * rowHeight, width: tileWidth })
    x += tileWidth + gap
  })
  return { tiles, tileHeight, rowHeight, height: Math.max(0, (row + 1) * rowHeight), rowStarts }
}

/** The tile under a point, or null. */
export function tileAt(layout: MapLayout, x: number, y: number): Tile | null {
  const row = Math.floor(y / layout.rowHeight)
  const start = layout.rowStarts[row]
  if (start === undefined || y - row * layout.rowHeight > layout.tileHeight) return null
  const end = layout.rowStarts[row + 1] ?? layout.tiles.length
  for (let index = start; index < end; index += 1) {
    const tile = layout.tiles[index]
    if (tile !== undefined && x >= tile.x && x <= tile.x + tile.width) return tile
  }
  return null
}

/** Index reached from `index` by an arrow key; up and down go to the tile nearest below or above. */
export function moveInMap(layout: MapLayout, index: number, key: string): number | null {
  const last = layout.tiles.length - 1
  switch (key) {
    case 'ArrowLeft':
      return Math.max(0, index - 1)
    case 'ArrowRight':
      return Math.min(last, index + 1)
    case 'Home':
      return 0
    case 'End':
      return last
    case 'ArrowUp':
    case 'ArrowDown': {
      const from = layout.tiles[index]
      if (from === undefined) return null
      const row = Math.round(from.y / layout.rowHeight) + (key === 'ArrowUp' ? -1 : 1)
      const start = layout.rowStarts[row]
      if (start === undefined) return index
      const end = layout.rowStarts[row + 1] ?? layout.tiles.length
      const middle = from.x + from.width / 2
      let best = start
      for (let at = start; at < end; at += 1) {
        const tile = layout.tiles[at]
        const bestTile = layout.tiles[best]
        if (tile === undefined || bestTile === undefined) continue
        const off = Math.abs(tile.x + tile.width / 2 - middle)
        if (off < Math.abs(bestTile.x + bestTile.width / 2 - middle)) best = at
      }
      return best
    }
    default:
      return null
  }
}

// ---------------------------------------------------------------- grid

/** Thousands of equal cells in reading order: where each is follows from its index alone. */
export interface GridLayout {
  count: number
  columns: number
  /** Pitch of a cell in pixels, its gap included. */
  cellWidth: number
  cellHeight: number
  gap: number
  height: number
}

/** Unmagnified, a store of any size fits about this height. */
const GRID_HEIGHT = 340
const ZOOM_FACTOR = 1.6

/** Each step of `zoom` makes a cell 1.6 times as wide and high; the map then scrolls. */
export function layoutGrid(count: number, width: number, zoom: number): GridLayout {
  const room = Math.max(1, width)
  const fit = Math.sqrt((room * GRID_HEIGHT) / Math.max(1, count))
  const pitch = Math.max(3, Math.min(24, fit * 0.98)) * ZOOM_FACTOR ** zoom
  const columns = Math.max(1, Math.floor(room / pitch))
  // What is left over at the right is shared out, on whole pixels where cells are small.
  const cellWidth = room / columns
  const cellHeight = Math.max(3, Math.round(pitch))
  const gap = pitch < 8 ? 1 : 2
  return {
    count,
    columns,
    cellWidth,
    cellHeight,
    gap,
    height: Math.ceil(count / columns) * cellHeight,
  }
}

export function cellAt(layout: GridLayout, x: number, y: number): number | null {
  const column = Math.floor(x / layout.cellWidth)
  const row = Math.floor(y / layout.cellHeight)
  if (column < 0 || column >= layout.columns || row < 0) return null
  const index = row * layout.columns + column
  return index < layout.count ? index : null
}

export function cellBox(
  layout: GridLayout,
  index: number,
): { x: number; y: number; width: number; height: number } {
  const column = index % layout.columns
  const x = Math.round(column * layout.cellWidth)
  return {
    x,
    y: Math.floor(index / layout.columns) * layout.cellHeight,
    width: Math.max(1, Math.round((column + 1) * layout.cellWidth) - x - layout.gap),
    height: Math.max(1, layout.cellHeight - layout.gap),
  }
}

/** Index reached from `index` by an arrow key; null for any other key. */
export function moveInGrid(layout: GridLayout, index: number, key: string): number | null {
  const steps: Record<string, number> = {
    ArrowLeft: -1,
    ArrowRight: 1,
    ArrowUp: -layout.columns,
    ArrowDown: layout.columns,
  }
  if (key === 'Home') return 0
  if (key === 'End') return layout.count - 1
  const step = steps[key]
  if (step === undefined) return null
  const to = index + step
  return to < 0 || to >= layout.count ? index : to
}
