// The gates of a pass as a tree of decisions: what was met under each, the way taken out of it, the ways
// not taken and what was not reached in grey. Nested lists, so that it reads in order without a picture.
import type { ReactNode } from 'react'
import { outcomeGlyphs, outcomeWords } from '../lib/words.ts'
import { branchesOf, type Branch, type Told } from '../state/gate-tree.ts'
import { GateList } from './gate-list.tsx'

export function GateTree({ pass }: { pass: Told }): ReactNode {
  if (pass.gates.length === 0) return <p className="muted">This pass met no gate.</p>
  return (
    <ol className="gate-tree" data-testid="gate-tree" aria-label="Decisions in the order taken">
      {branchesOf(pass).map((branch) => (
        <BranchItem key={branch.name} branch={branch} />
      ))}
      {!pass.ahead && (
        <li className="branch branch-end">
          <span aria-hidden="true">{outcomeGlyphs[pass.outcome]} </span>
          {outcomeWords[pass.outcome]}
        </li>
      )}
    </ol>
  )
}

function BranchItem({ branch }: { branch: Branch }): ReactNode {
  const { name, question, gates, taken, others, notReached } = branch
  const missed = notReached !== null
  return (
    <li
      className={missed ? 'branch branch-missed' : 'branch'}
      data-testid="gate-branch"
      data-branch={name}
      data-reached={!missed}
    >
      <p className="branch-question">
        {question}
        {missed && <span> Not reached: {notReached}.</span>}
      </p>
      {gates.length > 0 && <GateList gates={gates} />}
      {taken !== null && (
        <ul className="ways" aria-label="Ways on">
          <li className="way way-taken" data-testid="way-taken">
            <span aria-hidden="true">↳ </span>
            <span className="sr-only">taken: </span>
            {taken}
          </li>
          {others.map((way) => (
            <li key={way} className="way">
              <span className="sr-only">not taken: </span>
              {way}
            </li>
          ))}
        </ul>
      )}
    </li>
  )
}
