/** Metrics in OpenMetrics form, readiness, and the description of the API. */
import { describe, expect, test } from 'vitest'
import { ACTION_RULES } from '../../server/action-rules.ts'
import { API_BASE, type PassesBody } from '../../server/protocol.ts'
import { startServer, STORE, temporaryFolder, TOKEN, VIEWER_TOKEN } from './test-server.ts'

describe('metrics', () => {
  test('are OpenMetrics, in base units, and agree with the store', async () => {
    const server = await startServer({ dir: temporaryFolder() })
    await server.put('k', 100)
    await server.act('checkpoint', {})
    await server.act('run-pass', { source: 'periodic' })
    const answer = await fetch(`${server.origin}/metrics`, {
      headers: { authorization: `Bearer ${VIEWER_TOKEN}` },
    })
    expect(answer.headers.get('content-type')).toContain('application/openmetrics-text')
    const text = await answer.text()
    expect(text.endsWith('# EOF\n')).toBe(true)
    const value = (line: RegExp): number => Number(line.exec(text)?.[1])
    expect(value(/^restage_puts_total\{store="store"\} (\d+)$/m)).toBe(100)
    const { body } = await server.get<PassesBody>(`/stores/${STORE}/passes`)
    expect(value(/^restage_passes_total\{store="store"\} (\d+)$/m)).toBe(body.passes.length)
    expect(value(/^restage_store_up\{store="store",mode="hosted"\} (\d)$/m)).toBe(1)
    const live = [...text.matchAll(/^restage_segment_live_bytes\{.*\} (\d+)$/gm)]
    const stale = [...text.matchAll(/^restage_segment_stale_bytes\{.*\} (\d+)$/gm)]
    const sum = (found: RegExpMatchArray[]): number =>
      found.reduce((total, match) => total + Number(match[1]), 0)
    const total = value(/^restage_value_log_bytes\{store="store"\} (\d+)$/m)
    expect(total).toBeGreaterThan(100 * 1024)
    expect(sum(live) + sum(stale)).toBe(total)
    expect(text).toMatch(/^restage_feed_events_total\{store="store"\} \d+$/m)
    expect(text).toMatch(/^restage_rewrite_queue_segments\{store="store"\} 0$/m)
    // Every counter ends in _total, no segment is a label.
    for (const name of text.matchAll(/^# TYPE (\S+) counter$/gm)) {
      expect(text).toContain(`\n${name[1] ?? ''}_total`)
    }
    expect(text).not.toContain('segment_id')
    expect((await fetch(`${server.origin}/metrics`)).status).toBe(401)
  })
})

describe('latencies', () => {
  test('are histograms in seconds, whose counts rise to the number of operations', async () => {
    const server = await startServer({ dir: temporaryFolder() })
    for (let i = 0; i < 5; i++) await server.put(`k${i}`, 10)
    for (let i = 0; i < 16; i++) await server.get(`/stores/${STORE}/keys/6b`)
    const headers = { authorization: `Bearer ${VIEWER_TOKEN}` }
    const text = await (await fetch(`${server.origin}/metrics`, { headers })).text()
    expect(text).toContain('# TYPE restage_put_latency_seconds histogram')
    for (const [name, operations] of [
      ['restage_put_latency_seconds', 5],
      ['restage_get_latency_seconds', 1],
    ] as const) {
      const buckets = [...text.matchAll(new RegExp(`^${name}_bucket\\{(.*)\\} (\\d+)$`, 'gm'))]
      const counts = buckets.map((match) => Number(match[2]))
      expect(counts.length).toBeGreaterThan(20)
      expect(counts).toEqual(counts.toSorted((a, b) => a - b))
      expect(buckets[0]?.[1]).toBe('le="0.000001",store="store"')
      expect([name, counts.at(-1)]).toEqual([name, operations])
      expect(buckets.at(-1)?.[1]).toBe('le="+Inf",store="store"')
      expect(text).toMatch(new RegExp(`^${name}_count\\{store="store"\\} ${operations}$`, 'm'))
      expect(text).toMatch(new RegExp(`^${name}_sum\\{store="store"\\} 0\\.\\d+$`, 'm'))
    }
  })

  test('of each second reach the page with the samples, and a second without traffic has none', async () => {
    const server = await startServer({ dir: temporaryFolder() })
    const client = await server.live().hello(STORE)
    await client.find('snapshot')
    await server.put('k', 100)
    const busy = await client.find('frame', ({ samples }) =>
      samples.some((sample) => sample.putLatency !== null),
    )
    const latency = busy.samples.find((sample) => sample.putLatency !== null)?.putLatency
    expect(latency?.count).toBe(1)
    expect(latency?.p50Ms).toBeGreaterThan(0)
    expect(latency?.maxMs).toBeGreaterThanOrEqual(latency?.p99Ms ?? Infinity)
    expect(busy.gauges.latency?.put).toEqual(latency)
    const at = client.messages.indexOf(busy)
    const quiet = await client.find(
      'frame',
      (frame) => client.messages.indexOf(frame) > at && frame.samples.length > 0,
    )
    expect(quiet.samples.map((sample) => sample.putLatency)).toEqual([null])
    expect(quiet.gauges.latency).toEqual({ put: null, get: null })
  })
})

describe('readiness', () => {
  test('tells an opening store from a ready one', async () => {
    const server = await startServer({ dir: temporaryFolder() })
    const ready = await fetch(`${server.origin}/readyz`)
    expect([ready.status, await ready.json()]).toEqual([
      200,
      { status: 'ready', stores: { open: 1, opening: 0, failed: 0 } },
    ])
  })
})

describe('the description of the API', () => {
  test('is made from the schemas that check, and has every action', async () => {
    const server = await startServer({ dir: temporaryFolder() })
    const answer = await fetch(`${server.origin}/docs/json`)
    const description = (await answer.json()) as {
      openapi: string
      paths: Record<string, Record<string, { requestBody?: unknown; tags?: string[] }>>
    }
    expect(description.openapi).toBe('3.1.0')
    for (const name of Object.keys(ACTION_RULES)) {
      const path = description.paths[`${API_BASE}/stores/{storeId}/actions/${name}`]
      expect(path?.['post']?.requestBody).toBeDefined()
      expect(path?.['post']?.tags).toEqual(['actions'])
    }
    expect(JSON.stringify(description)).not.toContain(TOKEN)
  })

  test('has a page to browse whose scripts are files of this server', async () => {
    const server = await startServer({ dir: temporaryFolder() })
    const page = await fetch(`${server.origin}/docs`)
    expect(page.status).toBe(200)
    const html = await page.text()
    const policy = page.headers.get('content-security-policy') ?? ''
    expect(policy).toContain("script-src 'self'")
    expect(policy).not.toContain('unsafe-eval')
    // Nothing inline that the policy would stop.
    expect(html).not.toMatch(/<script(?![^>]*\bsrc=)[^>]*>/)
    const sources = [...html.matchAll(/(?:src|href)="([^"]+)"/g)].map((match) => match[1] ?? '')
    expect(sources.length).toBeGreaterThan(2)
    for (const source of sources) {
      expect(source).not.toMatch(/^(https?:)?\/\//)
      const file = await fetch(new URL(source, `${server.origin}/docs/`))
      // Read to the end: a connection with an unread answer would keep the server from closing.
      expect([source, file.status, (await file.arrayBuffer()).byteLength > 0]).toEqual([
        source,
        200,
        true,
      ])
    }
  })
})
