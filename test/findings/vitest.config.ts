import { defineConfig } from 'vitest/config'

/** For a copy of the tree with a defect in it: one test at a time, nothing written beside the copy. */
export default defineConfig({
  cacheDir: '.vite',
  test: {
    include: ['test/**/*.test.ts', 'test/**/*.test.tsx'],
    exclude: ['test/e2e/**', '**/node_modules/**'],
    testTimeout: 60_000,
    hookTimeout: 60_000,
    maxWorkers: 1,
    setupFiles: ['test/support/seed.ts', 'test/findings/setup.ts'],
  },
})
