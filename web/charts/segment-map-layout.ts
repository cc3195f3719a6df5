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

/** Few segments get big tiles; many shrink until the whole store fits about 360 px of height. */
function sizing(count: number, width: number): Sizing {
  if (count <= 24) return { meanWidth: 64, minWidth: 28, tileHeight: 56, gap: 4, rowGap: 20 }
  if (count <= 80) return { meanWidth: 44, minWidth: 24, tileHeight: 48, gap: 4, rowGap: 20 }
  if (count <= DOM_TILES_MAX)
    return { meanWidth: 26, minWidth: 16, tileHeight: 28, gap: 3, rowGap: 5 }
  const cell = Math.sqrt((Math.max(width, 1) * 360) / count)
  const tileHeight = Math.max(6, Math.min(18, Math.floor(cell * 1.3)))
  const meanWidth = Math.max(3, Math.min(14, Math.floor(cell / 1.35)))
  return { meanWidth, minWidth: 2, tileHeight, gap: 1, rowGap: 1 }
}

/** Tries this much wider, then narrower in steps, until the rows are no more than without stretching. */
const STRETCH_MAX = 1.5
const STRETCH_STEP = 0.03

/** Rows of tiles; up to a few hundred they are widened a little, where that fills the rows. */
export function layoutTiles(bytesTotal: readonly number[], width: number): MapLayout {
  const size = sizing(bytesTotal.length, width)
  const plain = place(bytesTotal, width, size)
  if (bytesTotal.length > DOM_TILES_MAX) return plain
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
