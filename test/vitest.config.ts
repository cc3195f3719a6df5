import { defineConfig } from 'vitest/config'

/** Unit and integration tests: pure modules, the real engine on real folders, the server by inject. */
export default defineConfig({
  test: {
    include: ['test/**/*.test.ts', 'test/**/*.test.tsx'],
    exclude: ['test/e2e/**', '**/node_modules/**'],
    testTimeout: 30_000,
    hookTimeout: 30_000,
    maxWorkers: 2,
    // Store workers are threads that run built JavaScript.
    globalSetup: ['test/server/global-setup.ts'],
    setupFiles: ['test/support/seed.ts'],
  },
})
