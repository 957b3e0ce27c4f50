import { generateKeyPairSync } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { keySigner, parseTreeHeads, signTreeHead, type TreeHead } from '@sallyport/trail';
import { afterAll, expect, test } from 'vitest';
import { appendHeads, lastHeadSize } from './heads-file.ts';

const dir = mkdtempSync(path.join(tmpdir(), 'sallyport-heads-'));
const file = path.join(dir, 'heads.jsonl');
afterAll(() => rmSync(dir, { recursive: true, force: true }));

const signer = keySigner(generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey);
const head = (size: number): Promise<TreeHead> =>
  signTreeHead(
    { controlPlaneId: '0190b3a4-0000-7000-8000-0000000000cc', size, timeMs: size, root: Buffer.alloc(32, size) },
    { ...signer, sign: async (bytes) => signer.sign(bytes) },
  );
const sizes = (): number[] => parseTreeHeads(readFileSync(file, 'utf8')).map((one) => one.size);

test('the file goes on where its last whole line ended, wherever a crash cut the next one', async () => {
  expect(await lastHeadSize(file)).toBe(0);
  await appendHeads(file, [await head(7), await head(123)]);
  const whole = readFileSync(file);
  expect(await lastHeadSize(file)).toBe(123);
  const second = whole.indexOf('\n') + 1;
  for (const end of [second + 1, second + 10, second + 11, whole.length - 1]) {
    writeFileSync(file, whole);
    truncateSync(file, end);
    expect(await lastHeadSize(file), `cut at ${end}`).toBe(7);
    await appendHeads(file, [await head(123), await head(124)]);
    expect(sizes()).toEqual([7, 123, 124]);
  }
  writeFileSync(file, whole.subarray(0, 5));
  expect(await lastHeadSize(file)).toBe(0);
  await appendHeads(file, [await head(7)]);
  expect(sizes()).toEqual([7]);
});
