/** Topics as bits, so that a set of them is a number: the key under which a frame is made once for all. */
import { EVENT_TOPICS, type EngineEventType, type Topic } from './protocol.ts'

const BITS: Record<Topic, number> = { segments: 1, queue: 2, passes: 4, trace: 8, metrics: 16 }

export const ALL_TOPICS: readonly Topic[] = ['segments', 'queue', 'passes', 'trace', 'metrics']

/** A set of topics. */
export type TopicMask = number

export const ALL_TOPICS_MASK: TopicMask = 31
export const METRICS_BIT: TopicMask = BITS.metrics
export const PASSES_BIT: TopicMask = BITS.passes
/** Every topic that events have. */
export const EVENTS_MASK: TopicMask = ALL_TOPICS_MASK & ~METRICS_BIT

export function maskOf(topics: readonly Topic[]): TopicMask {
  return topics.reduce((mask, topic) => mask | BITS[topic], 0)
}

export function topicsOf(mask: TopicMask): Topic[] {
  return ALL_TOPICS.filter((topic) => (mask & BITS[topic]) !== 0)
}

export function topicBit(type: EngineEventType): number {
  return BITS[EVENT_TOPICS[type]]
}
