// Keys and words, one press of "?" away.
import type { ReactNode } from 'react'
import { Dialog } from '../parts/dialog.tsx'
import { uiStore, useUi } from '../state/ui-store.ts'

const keys: [string, string][] = [
  ['?', 'this help'],
  ['/', 'filter the trace'],
  ['Esc', 'close what is open'],
  ['← → ↑ ↓', 'move between segments of the map'],
  ['Space', 'add the segment to the choice, or take it out'],
]

const words: [string, string][] = [
  ['live bytes', 'bytes of records that a key still points to, counted whole with their checksum'],
  ['stale bytes', 'bytes that no key points to; live + stale = total, for every segment'],
  ['rewrite', 'copying a segment’s live records elsewhere, so that its file can be deleted'],
  ['rewrite debt', 'the queue of segments worth rewriting, with their price in the ledger'],
  ['staged', 'queued, but waiting for the confirm delay before anything is copied'],
  ['restage', 'after one segment was rewritten, staging the rest again with a new delay'],
  ['checkpoint kick', 'the pass that a checkpoint wakes; it rewrites one segment at most'],
  ['zombie', 'a dead segment whose file something still keeps: a snapshot, a root, the journal'],
  ['gate', 'a condition a pass has to meet; the first that blocks ends the pass'],
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
        {words.map(([word, text]) => (
          <div key={word}>
            <dt>{word}</dt>
            <dd>{text}</dd>
          </div>
        ))}
      </dl>
    </Dialog>
  )
}
