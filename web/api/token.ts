// The token comes in the address's fragment, is kept for this tab only, and leaves the address bar
// at once, so that neither history nor a copied link carries it.

const KEY = 'restage.token'

/** The token of this tab, or null when the page was opened without one. */
export function takeToken(): string | null {
  const hash = new URLSearchParams(location.hash.replace(/^#/, ''))
  const given = hash.get('token')
  if (given !== null && given !== '') {
    hash.delete('token')
    const rest = hash.toString()
    history.replaceState(null, '', location.pathname + location.search + (rest && `#${rest}`))
    remember(given)
    return given
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
