// The one reducer of engine state lives beside the engine, whose recordings are read with it too.
export { applyEvent, EngineStateDraft, findSegment } from '../../engine/apply-event.ts'
