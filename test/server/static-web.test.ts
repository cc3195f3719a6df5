import * as fs from 'node:fs'
import * as path from 'node:path'
import { beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import { buildApp, type App } from '../../server/app.ts'
import { temporaryFolder, TOKEN, VIEWER_TOKEN, WORKER_URL } from './test-server.ts'

const headers = { host: '127.0.0.1:4810' }

let app: App

beforeEach(async () => {
  const folder = temporaryFolder()
  const webRoot = path.join(folder, 'web')
  fs.mkdirSync(path.join(webRoot, 'assets'), { recursive: true })
  fs.writeFileSync(path.join(webRoot, 'index.html'), '<!doctype html><title>page</title>')
  fs.writeFileSync(path.join(webRoot, 'assets', 'index-a1b2.js'), 'export {}')
  fs.writeFileSync(path.join(folder, 'secret.txt'), 'secret')
  const tokens = { operator: TOKEN, viewer: VIEWER_TOKEN }
  const config = { host: '127.0.0.1', port: 4810, tokens, readOnly: false, logLevel: 'silent' }
  app = await buildApp(
    { ...config, allowRoots: [], allowedOrigins: [], stores: [] },
    { workerUrl: WORKER_URL, webRoot, version: 'test' },
  )
  onTestFinished(() => app.close())
})

describe('static web', () => {
  test('the page is never cached, its assets are for good', async () => {
    const page = await app.inject({ url: '/', headers })
    expect([page.statusCode, page.headers['cache-control']]).toEqual([200, 'no-cache'])
    expect(page.headers['content-type']).toContain('text/html')
    expect(page.headers['content-security-policy']).toContain("script-src 'self'")
    const asset = await app.inject({ url: '/assets/index-a1b2.js', headers })
    expect(asset.headers['cache-control']).toBe('public, max-age=31536000, immutable')
    expect(asset.headers['content-type']).toContain('javascript')
  })

  test.each([
    '/absent.js',
    '/../secret.txt',
    '/%2e%2e/secret.txt',
    '/..%2fsecret.txt',
    '/assets/..%5c..%5csecret.txt',
  ])('%s is not there', async (url) => {
    const answer = await app.inject({ url, headers })
    expect(answer.statusCode).toBeGreaterThanOrEqual(400)
    expect(answer.body).not.toContain('secret\n')
    expect(answer.body).not.toBe('secret')
  })

  test('a foreign host gets no file either', async () => {
    const answer = await app.inject({ url: '/', headers: { host: 'evil.example' } })
    expect(answer.statusCode).toBe(403)
  })
})
