// The one store of the page: vanilla first, so that the feed can write without React, with the
// hook as a thin binding.
import { useStore } from 'zustand'
import { createStore } from 'zustand/vanilla'
import type { ServerMessage } from '../../server/protocol.ts'
import { initialState, type AppState } from './app-state.ts'
import { applyMessage } from './apply-message.ts'

export const appStore = createStore<AppState>(() => initialState)

/** Applies a frame's worth of messages in one update, so that subscribers run once. */
export function receive(messages: readonly ServerMessage[], receivedAtMs: number): void {
  appStore.setState((state) =>
    messages.reduce((next, message) => applyMessage(next, message, receivedAtMs), state),
  )
}

/** Subscribes a component to the part that `select` returns; it must keep its identity while equal. */
export function useApp<T>(select: (state: AppState) => T): T {
  return useStore(appStore, select)
}
