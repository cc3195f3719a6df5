// What a read-only reading found beside the segments: what it could not read, what looked wrong,
// what the journal still holds. One line says why there are no controls.
import type { ReactNode } from 'react'
import { formatCount, plural } from '../lib/format.ts'
import { Panel } from '../parts/panel.tsx'
import { Count, FormatText, Time } from '../parts/value.tsx'
import { act } from '../state/session.ts'
import { useApp } from '../state/store.ts'
import { useUi } from '../state/ui-store.ts'
import { errorSentences } from '../lib/words.ts'

export function AttachmentPanel(): ReactNode {
  const store = useApp((state) => state.store)
  const connected = useApp((state) => state.link.phase === 'live')
  const busy = useUi((state) => state.busy)
  const failure = useUi((state) => state.failure)
  if (store?.mode !== 'attached') return null
  const report = store.attachment
  const issues = report === null ? 0 : report.problems.length + report.unsupported.length
  const title =
    report === null
      ? 'The folder has not been read yet'
      : issues === 0
        ? `Read without a problem${report.keyCount === null ? '' : `: ${plural(report.keyCount, 'key')}`}`
        : [
            report.problems.length > 0 ? plural(report.problems.length, 'problem') : '',
            report.unsupported.length > 0
              ? plural(report.unsupported.length, 'unsupported feature')
              : '',
          ]
            .filter((part) => part !== '')
            .join(', ')
  return (
    <Panel
      id="folder"
      name="Folder"
      title={title}
      aside={
        <button
          type="button"
          data-testid="action-reread"
          disabled={!connected || busy !== null}
          title={connected ? 'Reads the folder again, without writing to it.' : 'Not connected.'}
          onClick={() => void act('reread', {})}
        >
          Read again
        </button>
      }
    >
      <p className="note">
        Attached read-only: there are no controls, because nothing here may change the folder.
      </p>
      {failure?.name === 'reread' && (
        <p className="bad" role="alert">
          ✕{' '}
          {failure.code === 'UNREACHABLE'
            ? 'The server did not answer.'
            : errorSentences[failure.code]}{' '}
          {failure.message}
        </p>
      )}
      {report !== null && (
        <>
          <dl className="facts">
            <dt>folder</dt>
            <dd className="path">{store.engine?.dir ?? store.name}</dd>
            <dt>read at</dt>
            <dd>
              <Time value={report.readAtMs} />
            </dd>
            <dt>commit</dt>
            <dd>
              <Count value={report.commitSeq} unknown="no meta page can be used" />
            </dd>
            <dt>journal</dt>
            <dd>
              {report.journalPending === 0
                ? 'nothing pending'
                : `${plural(report.journalPending, 'record')} after the last checkpoint; shown, not applied`}
            </dd>
            {store.engine !== null && (
              <>
                <dt>format</dt>
                <dd>
                  <FormatText engine={store.engine} />
                </dd>
              </>
            )}
          </dl>
          <Sentences name="Problems" items={report.problems} glyph="✕" kind="bad" />
          <Sentences
            name="Not read by this version"
            items={report.unsupported}
            glyph="?"
            kind="warn"
          />
        </>
      )}
    </Panel>
  )
}

interface SentencesProps {
  name: string
  items: readonly string[]
  glyph: string
  kind: 'bad' | 'warn'
}

function Sentences({ name, items, glyph, kind }: SentencesProps): ReactNode {
  if (items.length === 0) return null
  return (
    <>
      <h3>
        {name} ({formatCount(items.length)})
      </h3>
      <ul className="sentences">
        {items.map((item, index) => (
          <li key={index}>
            <span className={kind} aria-hidden="true">
              {glyph}{' '}
            </span>
            {item}
          </li>
        ))}
      </ul>
    </>
  )
}
