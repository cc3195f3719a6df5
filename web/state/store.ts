// The one store of the page: vanilla first, so that the feed can write without React, with the
// hook as a thin binding.
import { createContext, useContext } from 'react'
import { useStore } from 'zustand'
import { createStore, type StoreApi } from 'zustand/vanilla'
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

/** What components below it read: the page's own store, or one that holds a recorded moment. */
export const AppStoreContext = createContext<StoreApi<AppState>>(appStore)

/** false below a context that holds a recorded moment: nothing there may act, or mix with the present. */
export function useIsLive(): boolean {
  return useContext(AppStoreContext) === appStore
}

/** Subscribes a component to the part that `select` returns; it must keep its identity while equal. */
export function useApp<T>(select: (state: AppState) => T): T {
  return useStore(useContext(AppStoreContext), select)
}
