// The left side of the debugger: everything the scheduler decides by, with the age of each number.
import type { ReactNode } from 'react'
import type { SchedulerInfo } from '../../server/protocol.ts'
import { formatAge, formatBytes, formatByteRate, formatCountdown, plural } from '../lib/format.ts'
import { reasonWords, sourceWords } from '../lib/words.ts'
import { useEngineNow } from '../parts/hooks.ts'
import { Panel } from '../parts/panel.tsx'
import { SegmentChips } from '../parts/segment-chip.tsx'
import { Unknown } from '../parts/value.tsx'
import { stageOf, stageText } from '../state/selectors.ts'
import { useApp } from '../state/store.ts'

export function SchedulerState(): ReactNode {
  const engine = useApp((state) => state.engine)
  const nowMs = useEngineNow()
  if (engine === null || nowMs === null) return null
  const { scheduler, debt, penalties } = engine
  const active = scheduler.activePass
  const title =
    active !== null
      ? `Pass ${String(active.passId)} runs: ${sourceWords[active.source]}`
      : `The slot is free, the scheduler is ${scheduler.state}`
  return (
    <Panel id="scheduler" name="Scheduler" title={title}>
      <dl className="facts">
        <dt>policy</dt>
        <dd>
          <code>{scheduler.policy}</code>
        </dd>
        <dt>last reason</dt>
        <dd>{reasonWords[scheduler.lastReason]}</dd>
        <dt>stage</dt>
        <dd>{stageText(stageOf(debt, nowMs))}</dd>
        <dt>queue</dt>
        <dd>
          <SegmentChips ids={debt.queue} max={6} />
        </dd>
      </dl>
      <h3>Timers</h3>
      <Timers scheduler={scheduler} nowMs={nowMs} />
      <h3>Budget and penalties</h3>
      <dl className="facts">
        <dt>write budget</dt>
        <dd>
          {scheduler.budget === null ? (
            'none: rewrites draw on no bucket'
          ) : (
            <>
              {formatBytes(scheduler.budget.tokensBytes)} of{' '}
              {formatBytes(scheduler.budget.capBytes)},{' '}
              {formatByteRate(scheduler.budget.bytesPerSecond)}
            </>
          )}
        </dd>
        <dt>churn</dt>
        <dd>
          {scheduler.churnBytesPerSecond === null ? (
            <Unknown why="measured between two passes that look" />
          ) : (
            formatByteRate(scheduler.churnBytesPerSecond)
          )}
        </dd>
        <dt>penalties</dt>
        <dd data-testid="penalties" data-count={penalties.length}>
          {penalties.length === 0 ? (
            'none'
          ) : (
            <>
              {plural(penalties.length, 'segment')} cooling down:{' '}
              <SegmentChips ids={penalties.map((one) => one.segmentId)} max={4} />
            </>
          )}
        </dd>
        <dt>waiting</dt>
        <dd>{waiting(scheduler)}</dd>
      </dl>
    </Panel>
  )
}

function waiting(scheduler: SchedulerInfo): string {
  const parts: string[] = []
  if (scheduler.checkpointKickPending) parts.push('a kick waits for the slot')
  if (scheduler.deferredPending) parts.push('a due retry waits for the slot')
  return parts.length === 0 ? 'nobody waits for the slot' : parts.join(', ')
}

function Timers({ scheduler, nowMs }: { scheduler: SchedulerInfo; nowMs: number }): ReactNode {
  const rows: [string, number | null][] = [
    ['last plan', scheduler.lastPlanAtMs],
    ['last rewrite', scheduler.lastRewriteAtMs],
    ['last GC', scheduler.lastGcAtMs],
    ['last kick', scheduler.lastCheckpointKickAtMs],
    ['last penalised', scheduler.lastIneffectiveAtMs],
  ]
  const { ageBlockedUntilMs } = scheduler
  return (
    <dl className="facts">
      {rows.map(([name, atMs]) => (
        <div key={name} className="tip-pair">
          <dt>{name}</dt>
          <dd className="num">
            {atMs === null ? (
              <Unknown why="not since the store was opened" />
            ) : (
              `${formatAge(nowMs - atMs)} ago`
            )}
          </dd>
        </div>
      ))}
      <dt>age-blocked</dt>
      <dd className="num">
        {ageBlockedUntilMs === null
          ? 'no'
          : ageBlockedUntilMs > nowMs
            ? `until ${formatCountdown(ageBlockedUntilMs - nowMs)} from now`
            : 'old enough now'}
      </dd>
    </dl>
  )
}
