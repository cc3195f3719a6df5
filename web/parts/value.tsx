// Numbers on the page: rounded for reading, exact in the title and in data attributes, an em dash
// with its reason when there is no number.
import type { ReactNode } from 'react'
import type { EngineInfo } from '../../server/protocol.ts'
import {
  UNKNOWN,
  exactBytes,
  exactTime,
  formatBytes,
  formatCount,
  formatDuration,
  formatRatio,
  formatMoment,
} from '../lib/format.ts'

interface ValueProps {
  /** Why there is no number; read out and shown on hover. */
  unknown?: string
  testId?: string
}

export function Unknown({ why, testId }: { why: string; testId?: string | undefined }): ReactNode {
  return (
    <span className="num unknown" title={why} data-testid={testId}>
      {UNKNOWN}
      <span className="sr-only"> ({why})</span>
    </span>
  )
}

/** Layout and checksum of a folder, each an em dash where nothing in it tells. */
export function FormatText({
  engine: { layout, checksum },
}: {
  engine: Pick<EngineInfo, 'layout' | 'checksum'>
}): ReactNode {
  return (
    <>
      {layout ?? <Unknown why="the folder has neither layout’s folder of values" />} layout,{' '}
      {checksum ?? <Unknown why="nothing in the folder tells it" />} checksum
    </>
  )
}

export function Bytes({
  value,
  unknown = 'not known',
  testId,
}: ValueProps & { value: number | null | undefined }): ReactNode {
  if (value === null || value === undefined) return <Unknown why={unknown} testId={testId} />
  return (
    <span className="num" title={exactBytes(value)} data-bytes={value} data-testid={testId}>
      {formatBytes(value)}
    </span>
  )
}

export function Count({
  value,
  unknown = 'not known',
  testId,
}: ValueProps & { value: number | null | undefined }): ReactNode {
  if (value === null || value === undefined) return <Unknown why={unknown} testId={testId} />
  return (
    <span className="num" data-count={value} data-testid={testId}>
      {formatCount(value)}
    </span>
  )
}

export function Ratio({
  value,
  unknown = 'not known',
}: ValueProps & { value: number | null | undefined }): ReactNode {
  if (value === null || value === undefined) return <Unknown why={unknown} />
  return (
    <span className="num" title={String(value)}>
      {formatRatio(value)}
    </span>
  )
}

export function Duration({
  value,
  unknown = 'not measured',
}: ValueProps & { value: number | null | undefined }): ReactNode {
  if (value === null || value === undefined) return <Unknown why={unknown} />
  return (
    <span className="num" title={`${String(value)} ms`}>
      {formatDuration(value)}
    </span>
  )
}

export function Time({
  value,
  unknown = 'never',
}: ValueProps & { value: number | null | undefined }): ReactNode {
  if (value === null || value === undefined) return <Unknown why={unknown} />
  return (
    <time className="num" title={exactTime(value)} dateTime={new Date(value).toISOString()}>
      {formatMoment(value, Date.now())}
    </time>
  )
}
