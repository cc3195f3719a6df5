/**
 * The server's only import of the engine. Everything in server/ that needs engine code or engine
 * types beyond the wire contract takes it from here, so a change of the front door shows in one file.
 */
import type { inspectFolder } from '../engine/index.ts'

export {
  ABSENT_STATS,
  absentStatsOf,
  bytesText,
  countText,
  durationText,
  EngineError,
  findIndex,
  folderStatsOf,
  datedByFile,
  gcFolder,
  inspectFolder,
  latencyBetween,
  latencyDoublings,
  nodeFileSystem,
  openEngine,
  openRecording,
  planFolder,
  RECORDING_FOLDER,
  rewriteFolder,
  segmentText,
  STAT_FORMS,
  statsOf,
  StepClock,
  storeRoot,
  vacuumFolder,
} from '../engine/index.ts'
export type {
  BatchOperation,
  Clock,
  Engine,
  EngineOptions,
  FileSystem,
  OfflineRewriteProgress,
  OfflineRewriteReport,
  RecordedEvents,
  Recording,
  StatForm,
} from '../engine/index.ts'

export type FolderReading = Awaited<ReturnType<typeof inspectFolder>>
