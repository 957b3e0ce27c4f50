/** What the grammar costs in memory, in a process of its own: in this one other tests have loaded it. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { expect, test } from 'vitest';
import { withFirstPages } from './baseline-module.ts';

const MB = 1_000_000;
const READS = 30_000;

/** Peak of the process in bytes, and what V8 counts outside its heap. */
function readMany(): { readonly peak: number; readonly external: number } {
  const program = `
    import { readFileSync } from 'node:fs';
    import { loadSqlParser, createFactsCache } from ${JSON.stringify(path.join(import.meta.dirname, 'index.ts'))};
    await loadSqlParser();
    const cache = createFactsCache({ major: 18 });
    for (let i = 0; i < ${READS}; i++) {
      cache.read('select abalance from pgbench_accounts where aid = ' + i);
      if (i % 100 === 0) await new Promise((next) => setTimeout(next, 2));
    }
    const peak = Number(/VmHWM:\\s+(\\d+) kB/.exec(readFileSync('/proc/self/status', 'latin1'))[1]) * 1024;
    console.log(JSON.stringify({ peak, external: process.memoryUsage().external }));`;
  const said = execFileSync(process.execPath, [
    '--disable-warning=ExperimentalWarning',
    '--input-type=module',
    '-e',
    program,
  ]);
  return JSON.parse(said.toString()) as { readonly peak: number; readonly external: number };
}

test('reading statements for long never takes hundreds of megabytes', { timeout: 180_000 }, () => {
  const { peak, external } = readMany();
  expect(peak).toBeLessThan(250 * MB);
  expect(external).toBeLessThan(70 * MB);
});

test('the grammar as it is delivered has a memory section of the known form', () => {
  const wasm = createRequire(import.meta.url)
    .resolve('libpg-query')
    .replace(/[^/]+$/, 'libpg-query.wasm');
  const before = readFileSync(wasm);
  const after = withFirstPages(Buffer.from(before));
  expect(Buffer.compare(before, after)).not.toBe(0);
  expect(after.length).toBe(before.length);
  const { WebAssembly } = globalThis as unknown as { WebAssembly: { validate(bytes: Uint8Array): boolean } };
  expect(WebAssembly.validate(after)).toBe(true);
});

test('a module of another form stays as it is', () => {
  const header = [0, 0x61, 0x73, 0x6d, 1, 0, 0, 0];
  for (const tail of [[], [1, 0], [5, 4, 2, 0, 1, 0], [5, 3, 1, 0, 1], [5, 4, 1, 3, 0x80, 0x10]]) {
    const bytes = Uint8Array.of(...header, ...tail);
    expect(withFirstPages(Uint8Array.from(bytes))).toEqual(bytes);
  }
});
