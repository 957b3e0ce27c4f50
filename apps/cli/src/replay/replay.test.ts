import type { ReplayFrame } from '@sallyport/api-client';
import { expect, test } from 'vitest';
import { collectingTerminal } from '../testing/terminal.fixture.ts';
import { replay } from './replay.ts';

const FRAMES: readonly ReplayFrame[] = [
  { atMs: 100, kind: 'statement', number: 1, text: 'select 1\u001b[2J' },
  { atMs: 150, kind: 'columns', number: 1, columns: ['a', 'b'] },
  { atMs: 160, kind: 'rows', number: 1, rows: [['x', null]] },
  { atMs: 200, kind: 'complete', number: 1, text: 'SELECT 1' },
  { atMs: 60_200, kind: 'cut', number: 2, rows: 7, bytes: 90, digest: 'ab12' },
];

const COPY: readonly ReplayFrame[] = [
  { atMs: 0, kind: 'statement', number: 1, text: 'copy t from stdin' },
  { atMs: 10, kind: 'input', number: 1, rows: [['1\tone\u001b[2J'], ['22\ttwo']] },
  { atMs: 20, kind: 'input_cut', number: 1, rows: 7, bytes: 90 },
  { atMs: 30, kind: 'statement', number: 2, text: 'copy t to stdout' },
  { atMs: 40, kind: 'rows', number: 2, rows: [['1\tone']] },
];

async function* frames(): AsyncGenerator<ReplayFrame> {
  yield* FRAMES;
}

test('a replay shows which way the data of a COPY went', async () => {
  const lines: string[] = [];
  async function* copy(): AsyncGenerator<ReplayFrame> {
    yield* COPY;
  }
  const terminal = collectingTerminal();
  await replay(copy(), { speed: 0, fromMs: 0, pauseMsMax: 0, write: (line) => lines.push(line), terminal });
  expect(lines).toEqual([
    '00:00.0 ❯ copy t from stdin',
    '00:00.0 → 1 one\\x1b[2J',
    '00:00.0 → 22 two',
    '00:00.0 → … 90 bytes that were sent are not in the recording, only their digest (with --clear)',
    '00:00.0 ❯ copy t to stdout',
    '00:00.0   1 one',
  ]);
});

async function play(speed: number, fromMs = 0): Promise<{ lines: string[]; waits: number[] }> {
  const lines: string[] = [];
  const waits: number[] = [];
  await replay(frames(), {
    speed,
    fromMs,
    pauseMsMax: 2000,
    write: (line) => lines.push(line),
    terminal: collectingTerminal(),
    wait: (ms) => {
      waits.push(ms);
      return Promise.resolve();
    },
  });
  return { lines, waits };
}

test('a replay waits as the session did, faster when asked, and never longer than the longest pause', async () => {
  expect((await play(1)).waits).toEqual([50, 10, 40, 2000]);
  expect((await play(2)).waits).toEqual([25, 5, 20, 2000]);
  expect((await play(0)).waits).toEqual([]);
});

test('a replay begins where it is told', async () => {
  const { lines, waits } = await play(1, 200);
  expect(lines).toHaveLength(2);
  expect(waits).toEqual([2000]);
});

test('what was recorded cannot drive the terminal', async () => {
  const { lines } = await play(0);
  expect(lines).toEqual([
    '00:00.1 ❯ select 1\\x1b[2J',
    '00:00.1   a │ b',
    '00:00.1   x │ ∅',
    '00:00.2 ✓ SELECT 1',
    '01:00.2   … 7 more rows (90 bytes) are not in the recording, only their SHA-256 ab12',
  ]);
});
