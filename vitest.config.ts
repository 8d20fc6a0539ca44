import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['src/**/*.test.ts', 'test/**/*.test.ts', 'recipes/**/*.test.ts'],
    // onnxruntime's binaries phone home unless this stands before they load.
    env: { ORT_DISABLE_TELEMETRY: '1' },
    pool: 'forks',
    // Numeric tests fill a core each; more workers than that only add memory and noise to timeouts.
    maxWorkers: 2,
    testTimeout: 60_000,
    hookTimeout: 120_000,
  },
});
