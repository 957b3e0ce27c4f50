import { defineConfig } from 'vitest/config';

// One runner for everything. Suites that share a running stack start it once in their global set-up.
const suite = (name: string, include: string[], more: Record<string, unknown> = {}) => ({
  extends: true as const,
  test: { name, include, testTimeout: 30_000, hookTimeout: 120_000, ...more },
});

export default defineConfig({
  test: {
    maxWorkers: 2,
    // What is waited for comes soon or never; one second is not enough on a busy machine.
    expect: { poll: { timeout: 10_000 } },
    projects: [
      suite('unit', [
        'packages/*/src/**/*.test.ts',
        'apps/*/src/**/*.test.ts',
        'apps/*/test/**/*.test.ts',
        'scripts/**/*.test.ts',
      ]),
      suite('laws', ['test/*.test.ts']),
      suite('conformance', ['test/conformance/**/*.test.ts']),
      suite('bypass', ['test/bypass/**/*.test.ts'], {
        globalSetup: ['test/wire/stack.setup.ts'],
        fileParallelism: false,
      }),
      suite('leaks', ['test/leaks/**/*.test.ts'], {
        globalSetup: ['test/wire/stack.setup.ts'],
        fileParallelism: false,
      }),
      suite('e2e', ['test/e2e/**/*.test.ts'], {
        globalSetup: ['test/e2e/stack.setup.ts'],
        fileParallelism: false,
        testTimeout: 60_000,
      }),
      suite('faults', ['test/faults/**/*.test.ts'], { fileParallelism: false, testTimeout: 120_000 }),
    ],
  },
});
