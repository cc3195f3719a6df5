/**
 * A program with an engine and routes of its own that shows Restage below /restage:
 * `node dist/server/examples/embed.js [FOLDER [PORT]]`, then open the printed address.
 */
import { setImmediate as yieldNow } from 'node:timers/promises'
import fastify from 'fastify'
import { nodeFileSystem, openEngine, StepClock } from '../engine-door.ts'
import { restage } from '../plugin.ts'

const clock = new StepClock({
  wall: Date.now,
  monotonic: () => performance.now(),
  arm: (delayMs, callback) => {
    const timer = setTimeout(callback, delayMs)
    return () => clearTimeout(timer)
  },
})
const [dir = 'data/embedded', port = '3000'] = process.argv.slice(2)
const engine = await openEngine(dir, {}, { clock, fileSystem: nodeFileSystem, yieldNow })

const app = fastify()
app.put<{ Params: { key: string }; Body: string }>('/values/:key', async (request) => {
  await engine.put(Buffer.from(request.params.key), Buffer.from(request.body))
  return { ok: true }
})
app.get<{ Params: { key: string } }>('/values/:key', (request, reply) => {
  const value = engine.get(Buffer.from(request.params.key))
  return value === undefined ? reply.code(404).send() : reply.send(Buffer.from(value))
})
await app.register(restage, { engine, clock, prefix: '/restage' })
app.addHook('onClose', () => engine.close())

const origin = await app.listen({ host: '127.0.0.1', port: Number(port) })
process.stdout.write(`${origin}${app.restage?.pagePath('operator') ?? ''}\n`)
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => void app.close())
