// The token comes in the address's fragment, is kept for this tab only, and leaves the address bar
// at once, so that neither history nor a copied link carries it.
import { takeTokenFrom } from '../lib/route.ts'

const KEY = 'restage.token'

/** The token of this tab, or null when the page was opened without one. */
export function takeToken(): string | null {
  const { token, rest } = takeTokenFrom(location.hash)
  if (token !== null) {
    history.replaceState(null, '', location.pathname + location.search + rest)
    remember(token)
    return token
  }
  try {
    return sessionStorage.getItem(KEY)
  } catch {
    return null
  }
}

function remember(token: string): void {
  try {
    sessionStorage.setItem(KEY, token)
  } catch {
    // Storage is switched off: the token then lives as long as the page does.
  }
}
