import { appendFileSync, existsSync, readdirSync, readlinkSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { GatewayError, LIMITS } from '@sallyport/core';
import { SessionKey } from '@sallyport/trail';
import { afterAll, describe, expect, test } from 'vitest';
import { drain, finished, Ingest, judged, removeTemporary, SESSION, spoolBench } from './spool.fixture.ts';

afterAll(removeTemporary);

const segmentsIn = (dir: string): string[] => readdirSync(join(dir, 'main')).filter((name) => name.endsWith('.seg'));

describe('a spool', () => {
  test('gives what was recorded to the control plane, in order and readable with the sealed keys', async () => {
    const bench = spoolBench();
    const spool = bench.open();
    const key = new SessionKey(SESSION);
    for (let i = 1; i <= 50; i++) spool.record(judged(i, `select ${i}`), key);
    spool.flush();
    const ingest = new Ingest();
    await drain(spool, ingest, 1000);
    expect(ingest.numbers()).toEqual(Array.from({ length: 50 }, (_, i) => i + 1));
    expect(ingest.events[0]).toMatchObject({ sequence: 1, event: { kind: 'epoch.started', recoveredHead: '' } });
    await spool.close('stopped');
  });
  test('says in its heartbeat what is in the kernel, not what is only recorded', async () => {
    const spool = spoolBench().open();
    const before = spool.heartbeat();
    spool.record(judged(1));
    expect(spool.heartbeat()).toEqual(before);
    spool.flush();
    expect(spool.heartbeat().sequence).toBe(before.sequence + 1);
    await spool.close('stopped');
  });
  test('rotates by size and by age, and deletes a segment only when all of it is acknowledged', async () => {
    const bench = spoolBench();
    const spool = bench.open({ segmentBytesMax: 4000, segmentAgeMsMax: 1000 });
    for (let i = 1; i <= 60; i++) {
      spool.record(judged(i));
      spool.flush();
    }
    expect(segmentsIn(bench.options.dir).length).toBeGreaterThan(2);
    bench.nowMs += 1001;
    spool.tick();
    const files = segmentsIn(bench.options.dir).length;
    const ingest = new Ingest();
    const unacknowledged = [];
    for (let batch = await spool.nextBatch(2000); batch !== undefined; batch = await spool.nextBatch(2000)) {
      ingest.take(batch);
      unacknowledged.push(batch);
    }
    expect(ingest.checkpoints).toBe(files);
    expect(segmentsIn(bench.options.dir).length).toBe(files);
    const used = spool.budget.used;
    for (const batch of unacknowledged.slice(0, -1)) spool.acknowledge(batch.instance, batch.epoch, batch.cursor);
    expect(segmentsIn(bench.options.dir).length).toBe(1);
    expect(spool.budget.used).toBeLessThan(used);
    const last = unacknowledged.at(-1)!;
    spool.acknowledge(last.instance, last.epoch, last.cursor);
    expect(segmentsIn(bench.options.dir)).toEqual([]);
    expect(spool.budget.used).toBe(0);
    await spool.close('stopped');
  });
  test('has one descriptor open, of the segment that is written and sent, and none of those that are closed', async () => {
    const bench = spoolBench();
    const spool = bench.open({ segmentBytesMax: 2500 });
    const opened = (): string[] =>
      readdirSync('/proc/self/fd').flatMap((fd) => {
        try {
          const path = readlinkSync(`/proc/self/fd/${fd}`);
          return path.startsWith(bench.options.dir) && path.endsWith('.seg') ? [path] : [];
        } catch {
          // The listing's own.
          return [];
        }
      });
    const ingest = new Ingest();
    for (let i = 1; i <= 60; i++) {
      spool.record(judged(i));
      spool.flush();
      if (i % 3 === 0) await drain(spool, ingest, 1000);
      if (i % 3 === 0) expect(opened().length).toBeLessThanOrEqual(1);
    }
    expect(ingest.checkpoints).toBeGreaterThan(2);
    expect(ingest.numbers()).toEqual(Array.from({ length: 60 }, (_, i) => i + 1));
    await spool.close('stopped');
    expect(opened()).toEqual([]);
  });
  test('sends again what was not acknowledged when the link was lost', async () => {
    const spool = spoolBench().open();
    for (let i = 1; i <= 10; i++) spool.record(judged(i));
    spool.flush();
    const first = await spool.nextBatch(800);
    const second = await spool.nextBatch(800);
    spool.acknowledge(first!.instance, first!.epoch, first!.cursor);
    spool.rewind();
    expect(await spool.nextBatch(800)).toEqual(second);
    await spool.close('stopped');
  });
  test('gathers small batches for a while and sends a full one at once', async () => {
    const bench = spoolBench();
    const spool = bench.open({ lingerMs: 30 });
    await drain(spool, new Ingest());
    let calls = 0;
    spool.onGrown = () => void calls++;
    for (let i = 1; i <= 5; i++) {
      spool.record(judged(i));
      spool.flush();
    }
    expect(calls).toBe(0);
    expect(await spool.nextBatch()).toBeUndefined();
    await new Promise((resolve) => setTimeout(resolve, 60));
    bench.nowMs += 60;
    expect(calls).toBe(1);
    expect((await spool.nextBatch())?.lastSequence).toBe(6);
    spool.record(judged(6, 'x'.repeat(LIMITS.trailBatchBytesMax)));
    spool.flush();
    expect(calls).toBe(2);
    expect((await spool.nextBatch())?.lastSequence).toBe(7);
    await spool.close('stopped');
  });
  test('neither loses nor skips records when the link is lost while they are read', async () => {
    const spool = spoolBench().open();
    for (let i = 1; i <= 10; i++) spool.record(judged(i));
    spool.flush();
    const first = await spool.nextBatch(800);
    const reading = spool.nextBatch(800);
    spool.rewind();
    await reading;
    expect(await spool.nextBatch(800)).toEqual(first);
    await spool.close('stopped');
  });
  test('ignores an acknowledgement of what it has not sent', async () => {
    const bench = spoolBench();
    const spool = bench.open();
    spool.record(judged(1));
    spool.flush();
    const { instance, epoch } = spool.heartbeat();
    for (const cursor of ['', 'x', `${epoch}.1.999999.1`, `${epoch}.7.1.1`]) spool.acknowledge(instance, epoch, cursor);
    expect(bench.logged.filter((line) => line.includes('names nothing')).length).toBe(4);
    const ingest = new Ingest();
    await drain(spool, ingest);
    expect(ingest.numbers()).toEqual([1]);
    await spool.close('stopped');
  });
  test('belongs to one process', async () => {
    const bench = spoolBench();
    const spool = bench.open();
    expect(() => bench.open()).toThrow(GatewayError);
    await spool.close('stopped');
    await bench.open().close('stopped');
  });
  test('takes a lock over that a dead process left', async () => {
    const bench = spoolBench();
    await bench.open().close('stopped');
    writeFileSync(join(bench.options.dir, 'main', 'lock'), `${process.pid} 1`);
    await bench.open().close('stopped');
  });
  test('with durability strict resolves for all callers and syncs in groups', async () => {
    const spool = spoolBench().open();
    const waits = Array.from({ length: 200 }, (_, i) => {
      spool.record(judged(i + 1));
      return spool.flushStrict();
    });
    await Promise.all(waits);
    expect(spool.heartbeat().sequence).toBe(201);
    await spool.close('stopped');
  });
});

describe('a spool that an earlier process left', () => {
  test('is closed by a checkpoint of this one, and the epochs name each other', async () => {
    const bench = spoolBench();
    const first = bench.open();
    first.record(judged(1));
    first.flush();
    const left = first.heartbeat();
    writeFileSync(join(bench.options.dir, 'main', 'lock'), '999999999 1');
    const second = bench.open();
    const ingest = new Ingest();
    await drain(second, ingest);
    expect(ingest).toMatchObject({ checkpoints: 1, recovered: 1 });
    expect(second.heartbeat().epoch).toBeGreaterThan(left.epoch);
    expect(ingest.events.at(-1)!.event).toMatchObject({
      kind: 'epoch.started',
      recoveredEpoch: left.epoch,
      recoveredSequence: left.sequence,
      recoveredHead: left.head,
    });
    await second.close('stopped');
  });
  test('names its predecessor also when everything was uploaded and deleted', async () => {
    const bench = spoolBench();
    const first = bench.open();
    const ingest = new Ingest();
    await first.close('stopped');
    await drain(first, ingest);
    const left = first.heartbeat();
    expect(segmentsIn(bench.options.dir)).toEqual([]);
    const second = bench.open();
    await drain(second, ingest);
    expect(ingest.events.at(-1)!.event).toMatchObject({ recoveredSequence: left.sequence, recoveredHead: left.head });
    await second.close('stopped');
  });
  test('loses a torn tail and nothing before it', async () => {
    const bench = spoolBench();
    const first = bench.open();
    for (let i = 1; i <= 5; i++) first.record(judged(i));
    first.flush();
    writeFileSync(join(bench.options.dir, 'main', 'lock'), '');
    const path = join(bench.options.dir, 'main', segmentsIn(bench.options.dir)[0]!);
    truncateSync(path, statSync(path).size - 3);
    const second = bench.open();
    const ingest = new Ingest();
    await drain(second, ingest);
    expect(ingest.numbers()).toEqual([1, 2, 3, 4]);
    await second.close('stopped');
  });
  test('keeps evidence of damage that a crash does not explain, and of a file it cannot read', async () => {
    const bench = spoolBench();
    const first = bench.open();
    for (let i = 1; i <= 5; i++) first.record(judged(i));
    first.flush();
    const dir = join(bench.options.dir, 'main');
    writeFileSync(join(dir, 'lock'), '');
    appendFileSync(join(dir, segmentsIn(bench.options.dir)[0]!), Buffer.alloc(300));
    writeFileSync(join(dir, '0000000001-0000000000000001.seg'), 'not a segment');
    const second = bench.open();
    const ingest = new Ingest();
    await drain(second, ingest);
    expect(ingest.numbers()).toEqual([1, 2, 3, 4, 5]);
    expect(readdirSync(dir).filter((name) => name.endsWith('.damaged')).length).toBe(2);
    await second.close('stopped');
  });
  test('in a slot that is not in use any more is sent by another process', async () => {
    const bench = spoolBench();
    const old = bench.open({ instance: 'p7' });
    old.record(judged(1));
    old.flush();
    writeFileSync(join(bench.options.dir, 'p7', 'lock'), '');
    const spool = bench.open();
    const adopted: string[] = [];
    spool.onAdopted = (dir) => void adopted.push(dir);
    bench.nowMs += 60_000;
    spool.tick();
    expect(adopted).toEqual([join(bench.options.dir, 'p7')]);
    const ingest = new Ingest();
    await drain(spool, ingest);
    expect(ingest.numbers()).toEqual([1]);
    expect(ingest.recovered).toBe(1);
    await spool.close('stopped');
    expect(existsSync(join(bench.options.dir, 'p7', 'lock'))).toBe(false);
  });
});

describe('a full spool', () => {
  test('refuses new statements, keeps outcomes, and opens again when space is back', async () => {
    const bench = spoolBench();
    const spool = bench.open({ spoolBytesMax: 20_000, segmentBytesMax: 4000 });
    let accepted = 0;
    const fill = () => {
      for (;;) {
        spool.record(judged(accepted + 1));
        spool.flush();
        accepted++;
      }
    };
    expect(fill).toThrow(expect.objectContaining({ code: 'trail.unavailable' }));
    expect(accepted).toBeGreaterThan(20);
    expect(spool.isOpen).toBe(false);
    spool.recordOutcome(finished(accepted));
    spool.flush();
    const ingest = new Ingest();
    await drain(spool, ingest);
    expect(ingest.numbers().length).toBe(accepted);
    expect(ingest.numbers('statement.finished')).toEqual([accepted]);
    spool.record(judged(accepted + 1));
    spool.flush();
    await spool.close('stopped');
  });
});
