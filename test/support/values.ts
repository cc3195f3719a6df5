/** Keys and values that a seed makes. */
const text = new TextEncoder()

export function key(name: string | number): Uint8Array {
  return text.encode(typeof name === 'number' ? `key/${String(name).padStart(8, '0')}` : name)
}

/** `bytes` long, different for each seed, and much smaller when compressed. */
export function repetitive(seed: number, bytes: number): Uint8Array {
  return new Uint8Array(bytes).map((_, i) => (i % 16 < 2 ? (seed >> (8 * (i % 2))) & 0xff : 0x2e))
}

/** `bytes` long, different for each seed; a compressor gains little. */
export function value(seed: number, bytes: number): Uint8Array {
  const out = new Uint8Array(bytes)
  let state = (seed * 2654435761 + 1) >>> 0
  for (let i = 0; i < bytes; i++) {
    if (i % 2 === 0) state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    out[i] = i % 2 === 0 ? state >>> 24 : seed & 0xff
  }
  return out
}

/** `bytes` long, different for each seed; no compressor gains anything. */
export function noise(seed: number, bytes: number): Uint8Array {
  const out = new Uint8Array(bytes)
  let state = Math.imul(seed, 2654435761) + 1
  for (let i = 0; i < bytes; i++) {
    state = Math.imul(state ^ (state >>> 15), 0x2c1b3c6d) + i
    out[i] = state >>> 24
  }
  return out
}
