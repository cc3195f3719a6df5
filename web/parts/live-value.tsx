// Numbers that rest on live bytes, of which a damaged folder may not tell: an em dash with the reason
// there, the number everywhere else.
import type { ReactNode } from 'react'
import { useApp } from '../state/store.ts'
import { Bytes, Ratio } from './value.tsx'

interface LiveValueProps {
  value: number | null | undefined
  /** Why there is no number, apart from live bytes that are not known. */
  unknown?: string
  testId?: string
}

export function LiveBytes({ value, unknown, testId }: LiveValueProps): ReactNode {
  const why = useApp((state) => state.liveBytesUnknown)
  return (
    <Bytes
      value={why === null ? value : null}
      unknown={why ?? unknown ?? 'not known'}
      {...(testId === undefined ? {} : { testId })}
    />
  )
}

export function LiveRatio({ value }: { value: number | null | undefined }): ReactNode {
  const why = useApp((state) => state.liveBytesUnknown)
  return <Ratio value={why === null ? value : null} unknown={why ?? 'not known'} />
}
