/**
 * A thread that tells when the next request is due, by sleeping on a cell of shared memory: a timer of the event loop is a
 * millisecond late at will, and what has come due meanwhile would leave in clumps. Started by open-loop.ts alone; ends by
 * itself, or once the cell is 1. Refuses to know what is due.
 */
import { parentPort, workerData } from 'node:worker_threads';

const { perSecond, count, cell } = workerData as { perSecond: number; count: number; cell: Int32Array };
const started = performance.now();
for (let told = 0; told < count && Atomics.load(cell, 0) === 0; told++) {
  const leftMs = started + (told * 1_000) / perSecond - performance.now();
  if (leftMs > 0) Atomics.wait(cell, 0, 0, leftMs);
  parentPort?.postMessage(told);
}
