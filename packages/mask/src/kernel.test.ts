import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const script = fileURLToPath(new URL('../scripts/build-kernel.ts', import.meta.url));
const run = (...args: string[]) => spawnSync(process.execPath, args, { encoding: 'utf8' });

test('the committed kernels are what their sources compile to', { timeout: 180_000 }, () => {
  expect(run(script, '--check')).toMatchObject({ status: 0 });
});

test('without WebAssembly the reference masks, and gives the same bytes', () => {
  // The first import lets Node load its own WebAssembly, which strips the types.
  const program = (before: string) => `
    await import(${JSON.stringify(new URL('./bytes.ts', import.meta.url).href)});
    ${before};
    const { createRowMasker } = await import(${JSON.stringify(new URL('./index.ts', import.meta.url).href)});
    const row = Buffer.from([68, 0, 0, 0, 13, 0, 1, 0, 0, 0, 3, 97, 98, 99]);
    const { output, rows } = createRowMasker({ columns: [{ typeOid: 25, format: 0, method: 'redact' }], detect: [] }).mask(row);
    process.stdout.write(rows + ' ' + Buffer.from(output).subarray(11).toString());
  `;
  for (const before of ['delete globalThis.WebAssembly', '']) {
    expect(run('--input-type=module', '-e', program(before)).stdout).toBe('1 [redacted]');
  }
});
