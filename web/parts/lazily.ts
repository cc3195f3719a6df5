// Parts of the page that come when they are first shown.
import { lazy, type ComponentType, type LazyExoticComponent } from 'react'

const RETRY_MS = 1000

/**
 * A component that comes in a file of its own. While the server is away the file is asked for again and
 * again: a failure would take the whole page down, numbers and all.
 */
export function lazily<Props>(
  load: () => Promise<ComponentType<Props>>,
): LazyExoticComponent<ComponentType<Props>> {
  return lazy(async () => ({ default: await untilLoaded(load) }))
}

/** Exported for its test. */
export async function untilLoaded<T>(load: () => Promise<T>, retryMs = RETRY_MS): Promise<T> {
  for (;;) {
    try {
      return await load()
    } catch {
      await new Promise((resolve) => setTimeout(resolve, retryMs))
    }
  }
}
