/** Real processes that are killed, and real disks that are full. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { drain, finished, Ingest, judged, spoolBench } from './spool.fixture.ts';

const WRITER = join(import.meta.dirname, 'spool-writer.fixture.ts');

interface Written {
  /** Statements that the child would have forwarded. */
  readonly forwarded: number;
  readonly refused: number;
  readonly errors: string;
}

/** Runs the writer until it was killed or ended. */
async function runWriter(
  dir: string,
  options: { killAfterMs?: number; fileBlocks?: number; count?: number },
): Promise<Written> {
  const node = `exec ${process.execPath} ${WRITER} ${dir} ${options.count ?? 1e9}`;
  const limit = options.fileBlocks === undefined ? '' : `ulimit -f ${options.fileBlocks};`;
  const child: ChildProcess = spawn('bash', ['-c', `${limit} ${node}`], { stdio: ['ignore', 'pipe', 'pipe'] });
  let out = '';
  let errors = '';
  child.stdout!.on('data', (chunk: Buffer) => {
    out += chunk.toString();
    if (options.killAfterMs !== undefined && child.exitCode === null && out.length === chunk.length) {
      setTimeout(() => child.kill('SIGKILL'), options.killAfterMs);
    }
  });
  child.stderr!.on('data', (chunk: Buffer) => (errors += chunk.toString()));
  await new Promise((resolve) => child.on('close', resolve));
  const lines = out.split('\n').slice(0, -1);
  const last = (word: string) => Number(lines.findLast((line) => line.startsWith(word))?.split(' ')[1] ?? 0);
  return { forwarded: last('forwarded'), refused: last('refused'), errors };
}

describe('an agent killed in the middle of writing', () => {
  test.each([0, 3, 17, 60, 150])(
    'after %d ms has every statement on its disk that it forwarded',
    async (killAfterMs) => {
      const dir = mkdtempSync(join(tmpdir(), 'spool-'));
      const { forwarded } = await runWriter(dir, { killAfterMs });
      expect(forwarded).toBeGreaterThan(0);
      const spool = spoolBench(dir).open();
      const ingest = new Ingest();
      await drain(spool, ingest);
      const numbers = ingest.numbers();
      expect(numbers.length).toBeGreaterThanOrEqual(forwarded);
      expect(numbers).toEqual(Array.from({ length: numbers.length }, (_, i) => i + 1));
      await spool.close('stopped');
      rmSync(dir, { recursive: true });
    },
  );
});

describe('a disk that takes no more', () => {
  test('in the middle of a batch refuses the whole batch and leaves a chain that holds', async () => {
    const dir = mkdtempSync(join(tmpdir(), 'spool-'));
    const { forwarded, refused, errors } = await runWriter(dir, { fileBlocks: 64, count: 400 });
    expect(errors).toBe('');
    expect(forwarded).toBeGreaterThan(0);
    expect(refused).toBeGreaterThan(0);
    const spool = spoolBench(dir).open();
    const ingest = new Ingest();
    await drain(spool, ingest);
    const numbers = ingest.numbers();
    expect(numbers.filter((number) => number <= forwarded).length).toBe(forwarded);
    await spool.close('stopped');
    rmSync(dir, { recursive: true });
  });

  const mounted = mountSmallDisk();
  test.skipIf(mounted === undefined)(
    '(a real one of 256 KiB) refuses statements, keeps outcomes, and goes on once it was emptied',
    async () => {
      const disk = mounted!;
      try {
        const bench = spoolBench(join(disk, 'spool'));
        const spool = bench.open({ segmentBytesMax: 32_000 });
        let accepted = 0;
        const fill = () => {
          for (;;) {
            spool.record(judged(accepted + 1, 'x'.repeat(1000)));
            spool.flush();
            accepted++;
          }
        };
        expect(fill).toThrow(expect.objectContaining({ code: 'trail.unavailable' }));
        expect(accepted).toBeGreaterThan(100);
        spool.recordOutcome(finished(accepted));
        expect(() => spool.record(judged(accepted + 1))).toThrow(
          expect.objectContaining({ code: 'trail.unavailable' }),
        );
        bench.nowMs += 1000;
        spool.tick();
        const ingest = new Ingest();
        await drain(spool, ingest);
        spool.tick();
        spool.record(judged(accepted + 1));
        spool.flush();
        await drain(spool, ingest);
        expect(ingest.numbers()).toEqual(Array.from({ length: accepted + 1 }, (_, i) => i + 1));
        expect(ingest.numbers('statement.finished')).toEqual([accepted]);
        await spool.close('stopped');
      } finally {
        execFileSync('umount', ['-l', disk]);
        rmSync(disk, { recursive: true, force: true });
      }
    },
  );
});

/** A tmpfs, where this process may mount one. */
function mountSmallDisk(): string | undefined {
  const dir = mkdtempSync(join(tmpdir(), 'disk-'));
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=256k', 'tmpfs', dir], { stdio: 'ignore' });
    mkdirSync(join(dir, 'spool'));
    return dir;
  } catch {
    rmSync(dir, { recursive: true });
    return undefined;
  }
}
