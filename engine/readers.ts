/**
 * Snapshots and iterators: each has a view of its own and a pin that says what it keeps. What a reader
 * was the last to keep is deleted when it ends; who does that is told by `ended`.
 */
import type { EntryIterator, RangeOptions, Snapshot } from './api.ts'
import { copyOf } from './bytes.ts'
import type { Clock } from './clock.ts'
import { EngineError } from './errors.ts'
import type { Located } from './index/leaf.ts'
import type { ReadView } from './key-space.ts'
import type { Store } from './store.ts'
import type { Pin, SegmentId } from './types.ts'

/** What readers need of the engine. */
export interface ReadersHost {
  readonly clock: Clock
  /** Throws ENGINE_NOT_OPEN when nothing can be read any more. */
  store(): Store
  flushEvents(): void
  isClosed(): boolean
  /** A reader is gone; resolves with the segments that were deleted because of it. */
  ended(label: string): Promise<SegmentId[]>
  /** Nobody waits for it. */
  failed(error: unknown): void
}

/** A copy of an inline value, or the bytes in the log; undefined = no value. */
export function valueOf(
  store: Pick<Store, 'valueLog'>,
  found: Located | undefined,
): Uint8Array | undefined {
  if (found === undefined || found.kind === 'tombstone') return undefined
  if (found.kind === 'inline') return copyOf(found.value)
  return store.valueLog.read(found.pointer)
}

interface Reader {
  store: Store
  view: ReadView
  pin: Pin
}

export class Readers {
  readonly #host: ReadersHost
  #nextPinId = 1
  gets = 0
  openIterators = 0
  /** null = never in this opening. */
  lastReadAtMs: number | null = null

  constructor(host: ReadersHost) {
    this.#host = host
  }

  noteRead(): void {
    this.gets++
    this.lastReadAtMs = this.#host.clock.now()
  }

  snapshot(label?: string): Snapshot {
    const reader = this.#open('snapshot', label)
    const { pin, view } = reader
    this.#host.flushEvents()
    let closed: Promise<SegmentId[]> | null = null
    const needOpen = (): void => {
      if (closed !== null)
        throw new EngineError('ENGINE_NOT_OPEN', `snapshot ${pin.label} is closed`)
    }
    return {
      pinId: pin.pinId,
      get: (key) => {
        needOpen()
        this.noteRead()
        const store = this.#host.store()
        return valueOf(store, store.keySpace.get(view, key))
      },
      iterate: (range = {}) => {
        needOpen()
        return this.iterate(range, undefined, view)
      },
      close: () => (closed ??= this.#close(reader)),
    }
  }

  /** `of`: a view to read the same as; absent = now. */
  iterate(range: RangeOptions, label?: string, of?: ReadView): EntryIterator {
    // A view of its own even inside a snapshot, so that either may be closed first.
    const reader = this.#open('iterator', label, of)
    this.openIterators++
    const entries = reader.store.keySpace.entries(reader.view, range)
    let open = true
    let release: (deleted: Promise<SegmentId[]>) => void = () => undefined
    const released = new Promise<SegmentId[]>((resolve) => (release = resolve))
    released.catch((error: unknown) => this.#host.failed(error))
    const close = (): void => {
      if (!open) return
      open = false
      this.openIterators--
      release(this.#close(reader))
    }
    const iterator: EntryIterator = {
      pinId: reader.pin.pinId,
      released,
      next: () => {
        if (!open) return { done: true, value: undefined }
        const store = this.#host.store()
        this.noteRead()
        const step = entries.next()
        if (step.done === true) {
          close()
          return { done: true, value: undefined }
        }
        const { key, value } = step.value
        return { done: false, value: [key, valueOf(store, value) ?? new Uint8Array(0)] }
      },
      return: () => {
        close()
        return { done: true, value: undefined }
      },
      [Symbol.iterator]: () => iterator,
      close,
    }
    return iterator
  }

  /** A view of now for as long as the work takes. */
  async withView<T>(label: string, work: (view: ReadView) => Promise<T>): Promise<T> {
    const reader = this.#open('snapshot', label)
    try {
      return await work(reader.view)
    } finally {
      await this.#close(reader)
    }
  }

  #open(kind: Pin['kind'], label: string | undefined, of?: ReadView): Reader {
    const store = this.#host.store()
    const view = store.keySpace.openView(of)
    const pinId = this.#nextPinId++
    const sinceMs = this.#host.clock.now()
    const pin = { pinId, kind, label: label ?? `${kind} ${pinId}`, sinceMs }
    store.set.pin({ ...pin, openedSeq: view.seq })
    return { store, view, pin }
  }

  /** Resolves with the segments that this reader was the last to keep. */
  async #close({ store, view, pin }: Reader): Promise<SegmentId[]> {
    if (this.#host.isClosed()) return []
    store.keySpace.closeView(view)
    store.set.unpin(pin.pinId)
    if (pin.kind === 'snapshot') this.#host.flushEvents()
    return this.#host.ended(pin.label)
  }
}
