// Keys and words, one press of "?" away.
import type { ReactNode } from 'react'
import { glossary } from '../lib/glossary.ts'
import { viewNames } from '../lib/route.ts'
import { viewFacts } from '../lib/views.ts'
import { Dialog } from '../parts/dialog.tsx'
import { uiStore, useUi } from '../state/ui-store.ts'

const keys: [string, string][] = [
  ...viewNames.map((name): [string, string] => [
    `g ${viewFacts[name].key}`,
    `${viewFacts[name].name}: ${viewFacts[name].question}`,
  ]),
  ['/', 'filter what the view shows'],
  ['.', 'the next step, where there is one to take'],
  ['d', 'into what is open beside the view, and back'],
  ['Esc', 'close what is open; then drop what is chosen'],
  ['← → ↑ ↓', 'move between segments of the map'],
  ['+ − 0', 'magnify the map, and back; Ctrl and the wheel, or drawing over it, does it too'],
  ['Space', 'add the segment to the choice, or take it out'],
  ['?', 'this help'],
]

export function HelpDialog(): ReactNode {
  const open = useUi((state) => state.helpOpen)
  if (!open) return null
  return (
    <Dialog title="Keys and words" onClose={() => uiStore.setState({ helpOpen: false })}>
      <dl className="help">
        {keys.map(([key, text]) => (
          <div key={key}>
            <dt>
              <kbd>{key}</kbd>
            </dt>
            <dd>{text}</dd>
          </div>
        ))}
      </dl>
      <dl className="help">
        {Object.entries(glossary).map(([word, text]) => (
          <div key={word}>
            <dt>{word}</dt>
            <dd>{text}</dd>
          </div>
        ))}
      </dl>
    </Dialog>
  )
}
