/**
 * Requests at a fixed rate over kept connections, each begun when its time has come, whether or not others are answered: a
 * service that falls behind is not measured at the pace it can keep. Refuses to count what the client itself was late by.
 */
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { KeptLine, type LineTarget } from './kept-line.ts';

/** Milliseconds of each answer. @param perSecond at most a few thousand: this client is one thread */
export async function openLoop(target: LineTarget, perSecond: number, seconds: number): Promise<readonly number[]> {
  const free: KeptLine[] = await Promise.all(Array.from({ length: 32 }, () => KeptLine.open(target)));
  const opened = [...free];
  const times: number[] = [];
  const waiting: number[] = [];
  let failed: unknown;
  const ask = (line: KeptLine, lateMs: number): void => {
    line.ask().then(
      (ms) => {
        times.push(ms + lateMs);
        const due = waiting.shift();
        if (due === undefined) free.push(line);
        else ask(line, performance.now() - due);
      },
      (error: unknown) => {
        failed ??= error;
        Atomics.store(cell, 0, 1);
      },
    );
  };
  const count = perSecond * seconds;
  const cell = new Int32Array(new SharedArrayBuffer(4));
  const ticker = new Worker(new URL('./ticker.ts', import.meta.url), { workerData: { perSecond, count, cell } });
  try {
    ticker.on('message', () => {
      const line = free.shift();
      // All are at work: it waits for the first that is not, and that counts.
      if (line === undefined) waiting.push(performance.now());
      else ask(line, 0);
    });
    await once(ticker, 'exit');
    if (failed !== undefined) throw failed;
    for (const end = performance.now() + 10_000; times.length < count && performance.now() < end; ) await sleep(5);
    if (failed !== undefined) throw failed;
    if (times.length < count) throw new Error(`${count - times.length} of ${count} requests were not answered`);
    return times;
  } finally {
    Atomics.store(cell, 0, 1);
    for (const line of opened) line.close();
  }
}
