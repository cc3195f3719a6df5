// Entry: theme first, so that the page does not flash, then the session, then React.
import { StrictMode } from 'react'
import { createRoot } from 'react-dom/client'
import './theme.css'
import './page.css'
import './frame.css'
import { App } from './app.tsx'
import { startSession } from './state/session.ts'
import { applyTheme, uiStore } from './state/ui-store.ts'

applyTheme(uiStore.getState().theme)
startSession()

const root = document.getElementById('root')
if (root !== null) {
  createRoot(root).render(
    <StrictMode>
      <App />
    </StrictMode>,
  )
}
