/** Front door of the engine: everything another folder may use. No logic. */
export { openEngine } from './engine.ts'
export { MAX_KEY_BYTES } from './write-limits.ts'
export { RECORDING_FOLDER } from './recording/codec.ts'
export { openRecording } from './recording/reader.ts'
export type {
  RecordedEvents,
  RecordedPass,
  RecordedPassEnd,
  RecordedPassEnds,
  RecordedState,
  Recording,
  RecordingDeps,
} from './recording/reader.ts'
export { formatTraceLine, printTraceLine } from './trace-line.ts'
export type { TraceLine, TraceStyle } from './trace-line.ts'
export { eventOfLine, parseTraceLine, traceValue } from './trace-parse.ts'
export type { ParsedTraceLine, TraceRefusal, TraceValue } from './trace-parse.ts'
export { ABSENT_STATS, absentStatsOf, folderStatsOf, STAT_FORMS, statsOf } from './stats.ts'
export type { StatForm, StatsInput } from './stats.ts'
export { latencyBetween, latencyDoublings } from './latency.ts'
export { inspectFolder } from './inspect.ts'
export { rewriteFolder } from './offline-rewrite/rewrite.ts'
export type * from './offline-rewrite/rewrite.ts'
export { findIndex, storeRoot } from './folder.ts'
export { bytesText, countText, durationText, segmentText } from './maintenance/text.ts'
export { datedByFile, gcFolder, planFolder, vacuumFolder } from './folder-outlook.ts'
export { holdingsOf } from './maintenance/gc-survey.ts'
export { applyEvent } from './apply-event.ts'
export { nodeFileSystem } from './file-system.ts'
export { StepClock, manualClock } from './clock.ts'
export { EngineError, ENGINE_ERRORS, isCorruption } from './errors.ts'
export type { EngineErrorCode } from './errors.ts'
export type { Clock } from './clock.ts'
export type { FileSystem, OpenFile, OpenMode, FileStat, FolderLock } from './file-system.ts'
export type * from './api.ts'
export type * from './types.ts'
