/** What a folder's recording holds, as part of an inspection: from headers and indexes, not from events. */
import { openRecording, type RecordingDeps } from '../recording/reader.ts'
import type { InspectRecording } from './report.ts'
import { errorText } from './findings.ts'

/** undefined: the folder has none. Whatever is wrong with it is said in it, never thrown. */
export async function readRecording(
  root: string,
  deps: RecordingDeps,
): Promise<InspectRecording | undefined> {
  try {
    const { bytes, chunks, openings, problems } = (await openRecording(root, deps)).summary()
    if (chunks === 0 && problems.length === 0) return undefined
    return {
      bytes,
      chunks,
      openings: openings.map((opening) => ({
        opening_id: opening.openingId,
        opened_at_ms: opening.openedAtMs,
        first_seq: opening.firstSeq,
        last_seq: opening.lastSeq,
        first_at_ms: opening.firstAtMs,
        last_at_ms: opening.lastAtMs,
        events: opening.events,
        first_pass_id: opening.firstPassId,
        last_pass_id: opening.lastPassId,
        bytes: opening.bytes,
        closed: opening.closed,
        gaps: opening.gaps.map(({ fromSeq, toSeq, why, text }) => ({
          from_seq: fromSeq,
          to_seq: toSeq,
          why,
          text,
        })),
      })),
      problems,
    }
  } catch (error) {
    if (deps.signal?.aborted === true) throw error
    return { bytes: 0, chunks: 0, openings: [], problems: [errorText(error)] }
  }
}
