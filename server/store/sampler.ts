/** Takes the points of the time charts: totals now, and rates since the sample before. */
import { latencyBetween, type Engine } from '../engine-door.ts'
import type { EngineGauges, EngineState, MetricSample } from '../protocol.ts'

interface Counted {
  atRealMs: number
  puts: number
  bytesPut: number
  rewriteBytes: number
  latency: ReturnType<Engine['latency']>
}

export class Sampler {
  #last: Counted | null = null
  #lastJson = ''

  /**
   * `realMs` is monotonic real time: rates are per real second even while the engine's clock stands
   * still. undefined when the clock stands still and no fact changed: a chart has no place for it.
   */
  take(
    state: EngineState,
    gauges: EngineGauges,
    latency: Counted['latency'],
    realMs: number,
  ): MetricSample | undefined {
    const now: Counted = {
      atRealMs: realMs,
      puts: gauges.puts,
      bytesPut: gauges.bytesPut,
      rewriteBytes: state.counters.rewriteBytesWritten,
      latency,
    }
    const last = this.#last ?? now
    const seconds = (now.atRealMs - last.atRealMs) / 1000
    const rate = (delta: number): number => (seconds > 0 ? Math.round(delta / seconds) : 0)
    let bytesTotal = 0
    let bytesLive = 0
    let zombies = 0
    for (const segment of state.segments) {
      bytesTotal += segment.bytesTotal
      bytesLive += segment.bytesLive
      if (segment.state === 'zombie') zombies += 1
    }
    const sample: MetricSample = {
      atMs: gauges.nowMs,
      bytesTotal,
      bytesLive,
      bytesStale: bytesTotal - bytesLive,
      queueLength: state.debt.queue.length,
      segments: state.segments.length,
      zombies,
      putsPerSecond: rate(now.puts - last.puts),
      bytesPutPerSecond: rate(now.bytesPut - last.bytesPut),
      rewriteBytesPerSecond: rate(now.rewriteBytes - last.rewriteBytes),
      putLatency: latencyBetween(last.latency.put, latency.put),
      getLatency: latencyBetween(last.latency.get, latency.get),
    }
    this.#last = now
    const json = JSON.stringify(sample)
    if (json === this.#lastJson) return undefined
    this.#lastJson = json
    return sample
  }
}
