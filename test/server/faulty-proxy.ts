/** A TCP proxy in front of the server that misbehaves on demand: cuts connections, stops reading. */
import * as net from 'node:net'
import { onTestFinished } from 'vitest'

interface Pair {
  client: net.Socket
  server: net.Socket
}

export class FaultyProxy {
  readonly #server: net.Server
  readonly #pairs = new Set<Pair>()
  /** Where new connections lead; a restarted server has another port. */
  targetPort: number
  #stalled = false

  private constructor(targetPort: number) {
    this.targetPort = targetPort
    this.#server = net.createServer((client) => this.#accept(client))
  }

  static async start(targetPort: number): Promise<FaultyProxy> {
    const proxy = new FaultyProxy(targetPort)
    await new Promise<void>((resolve) => proxy.#server.listen(0, '127.0.0.1', resolve))
    onTestFinished(() => proxy.close())
    return proxy
  }

  get port(): number {
    return (this.#server.address() as net.AddressInfo).port
  }

  /** Resets every connection, in the middle of whatever it carries. */
  cut(): void {
    for (const { client, server } of this.#pairs) {
      client.resetAndDestroy()
      server.resetAndDestroy()
    }
    this.#pairs.clear()
  }

  /** Nothing is read from the server any more, as by a client that hangs. */
  stall(): void {
    this.#stalled = true
    for (const { server } of this.#pairs) server.pause()
  }

  flow(): void {
    this.#stalled = false
    for (const { server } of this.#pairs) server.resume()
  }

  close(): void {
    this.cut()
    this.#server.close()
  }

  #accept(client: net.Socket): void {
    const server = net.connect(this.targetPort, '127.0.0.1')
    const pair = { client, server }
    this.#pairs.add(pair)
    const end = (): void => {
      this.#pairs.delete(pair)
      client.destroy()
      server.destroy()
    }
    for (const socket of [client, server]) {
      socket.on('error', end)
      socket.on('close', end)
    }
    client.on('data', (data) => server.write(data))
    server.on('data', (data) => client.write(data))
    if (this.#stalled) server.pause()
  }
}
