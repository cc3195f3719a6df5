// Where each segment is drawn: rows of tiles, width by total bytes. Pure, shared by the DOM map and
// the canvas map, so that a store that grows past the limit of one looks the same in the other.

/** Beyond this many tiles the DOM becomes the bottleneck and the map is drawn on a canvas. */
export const DOM_TILES_MAX = 300

/** A map that is higher scrolls. */
export const VIEW_HEIGHT_MAX = 380

export interface Box {
  x: number
  y: number
  width: number
  height: number
}

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

/** Each step of magnification makes a cell so many times as wide and high; the map then scrolls. */
export const ZOOM_FACTOR = 1.6
/** Wide enough for every mark and the name; a wider tile says no more. */
const TILE_WIDTH_MAX = 160
const TILE_HEIGHT_MAX = 96
/** A segment many times the mean must not take a whole row and hide the rest. */
const GIANT_MAX = 320
/** Room for the names under the tiles. */
const LABEL_GAP = 20
const LABEL_WIDTH_MIN = 36

/** Few segments get big tiles; many are drawn as a grid of equal cells by `layoutGrid`. */
function sizing(count: number): Sizing {
  if (count <= 24) return { meanWidth: 64, minWidth: 28, tileHeight: 56, gap: 4, rowGap: LABEL_GAP }
  if (count <= 80) return { meanWidth: 44, minWidth: 24, tileHeight: 48, gap: 4, rowGap: LABEL_GAP }
  return { meanWidth: 26, minWidth: 16, tileHeight: 28, gap: 3, rowGap: 5 }
}

function magnified(size: Sizing, zoom: number): Sizing {
  if (zoom === 0) return size
  const factor = ZOOM_FACTOR ** zoom
  const meanWidth = Math.min(size.meanWidth * factor, TILE_WIDTH_MAX)
  return {
    meanWidth,
    minWidth: Math.min(size.minWidth * factor, meanWidth / 2),
    tileHeight: Math.round(Math.min(size.tileHeight * factor, TILE_HEIGHT_MAX)),
    gap: 4,
    rowGap: meanWidth >= LABEL_WIDTH_MIN ? LABEL_GAP : size.rowGap,
  }
}

/** Steps of magnification up to tiles of the largest size; 0 where there is nothing to magnify. */
export function tileZoomMax(count: number): number {
  if (count === 0) return 0
  return Math.ceil(Math.log(TILE_WIDTH_MAX / sizing(count).meanWidth) / Math.log(ZOOM_FACTOR))
}

/** Tries this much wider, then narrower in steps, until the rows are no more than without stretching. */
const STRETCH_MAX = 1.5
const STRETCH_STEP = 0.03

/** Rows of tiles; up to a few hundred they are widened a little, where that fills the rows. */
export function layoutTiles(bytesTotal: readonly number[], width: number, zoom = 0): MapLayout {
  const size = sizing(bytesTotal.length)
  const plain = place(bytesTotal, width, size)
  for (let factor = STRETCH_MAX; factor > 1; factor -= STRETCH_STEP) {
    const stretched = { ...size, meanWidth: size.meanWidth * factor }
    const wider = place(bytesTotal, width, stretched)
    if (wider.rowStarts.length > plain.rowStarts.length) continue
    return zoom === 0 ? wider : place(bytesTotal, width, magnified(stretched, zoom))
  }
  return zoom === 0 ? plain : place(bytesTotal, width, magnified(size, zoom))
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
    const widest = Math.min(meanWidth * 3, GIANT_MAX)
    const wanted = Math.min(widest, Math.max(minWidth, (meanWidth * bytes) / mean))
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
/** Wide enough for the name with room around it. */
const PITCH_MAX = 100

function gridPitch(count: number, width: number): number {
  const fit = Math.sqrt((Math.max(1, width) * GRID_HEIGHT) / Math.max(1, count))
  return Math.max(3, Math.min(24, fit * 0.98))
}

export function gridZoomMax(count: number, width: number): number {
  return Math.ceil(Math.log(PITCH_MAX / gridPitch(count, width)) / Math.log(ZOOM_FACTOR))
}

export function layoutGrid(count: number, width: number, zoom: number): GridLayout {
  const room = Math.max(1, width)
  const pitch = Math.min(PITCH_MAX, gridPitch(count, width) * ZOOM_FACTOR ** zoom)
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

export function cellBox(layout: GridLayout, index: number): Box {
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

// ---------------------------------------------------------------- either of them

/** Where the cells lie at one magnification, whichever way they are drawn. */
export interface Places {
  count: number
  height: number
  /** The cell at a point, null between and beside them. */
  at: (x: number, y: number) => number | null
  boxOf: (index: number) => Box
}

const NOWHERE: Box = { x: 0, y: 0, width: 0, height: 0 }

export function tilePlaces(layout: MapLayout): Places {
  return {
    count: layout.tiles.length,
    height: layout.height,
    at: (x, y) => tileAt(layout, x, y)?.index ?? null,
    boxOf: (index) => {
      const tile = layout.tiles[index]
      return tile === undefined ? NOWHERE : { ...tile, height: layout.tileHeight }
    },
  }
}

export function gridPlaces(layout: GridLayout): Places {
  return {
    count: layout.count,
    height: layout.height,
    at: (x, y) => cellAt(layout, x, y),
    boxOf: (index) => cellBox(layout, index),
  }
}

/** Both ends included; in the order of the map. */
export interface CellRange {
  from: number
  to: number
}

/** One box around the cells of each row. */
export function bandsOf(places: Places, { from, to }: CellRange): Box[] {
  const bands: Box[] = []
  for (let index = from; index <= to; index += 1) {
    const box = places.boxOf(index)
    const last = bands.at(-1)
    if (last?.y !== box.y) bands.push(box)
    else last.width = box.x + box.width - last.x
  }
  return bands
}

/** The largest magnification at which all of the range is in sight; never less than `least`. */
export function zoomToShow(
  range: CellRange,
  placesAt: (zoom: number) => Places,
  { viewHeight, least, most }: { viewHeight: number; least: number; most: number },
): number {
  for (let zoom = most; zoom > least; zoom -= 1) {
    const places = placesAt(zoom)
    const last = places.boxOf(range.to)
    if (last.y + last.height - places.boxOf(range.from).y <= viewHeight) return zoom
  }
  return least
}
