import { defineConfig } from 'vitest/config'

/** End to end: the built program as a child process, a real browser, real files and sockets. */
export default defineConfig({
  test: {
    include: ['test/e2e/**/*.test.ts'],
    testTimeout: 240_000,
    hookTimeout: 120_000,
    fileParallelism: false,
  },
})
