/**
 * Reading statements of any size: small ones at once, large ones in a worker thread with a deadline.
 * A worker that is late is ended and its text unknown; one that has read much is replaced, since its memory never shrinks.
 * Limits: LIMITS.inlineParseBytesMax, LIMITS.statementBytesMax, and the two below.
 */
import { Worker } from 'node:worker_threads';
import { LIMITS } from '@sallyport/core';
import { createFactsCache, type FactsCache } from './facts-cache.ts';
import { NEWEST_SERVER_MAJOR } from './majors.ts';
import type { SqlReading } from './reading.ts';

/** Texts waiting or being read; one more is `overloaded`. */
const WAITING_MAX = 64;
const RECYCLE_AFTER_BYTES = 32 * 1024 * 1024;

export interface ParsePool {
  /** At once for texts up to LIMITS.inlineParseBytesMax; otherwise from the worker. `major`: the server's, the newest by default. Never rejects. */
  read(text: string, bytes?: Uint8Array, major?: number): SqlReading | Promise<SqlReading>;
  /** Ends the worker; texts that wait are `timeout`. */
  close(): Promise<void>;
}

export interface ParsePoolOptions {
  /** Where worker.ts lies when the code is bundled; the file beside this one by default. */
  readonly workerUrl?: URL;
  /** Milliseconds for one text, waiting included; 10,000 by default. */
  readonly timeoutMs?: number;
}

interface Job {
  readonly id: number;
  readonly text: string;
  readonly major: number;
  readonly answer: (reading: SqlReading) => void;
  timer?: NodeJS.Timeout;
}

/** The parser must be loaded (loadSqlParser). The worker starts with the first large text. */
export function createParsePool(options: ParsePoolOptions = {}): ParsePool {
  // Facts hang on the major; in most places there is one.
  const caches = new Map<number, FactsCache>();
  const cacheOf = (major: number): FactsCache => {
    const known = caches.get(major);
    if (known !== undefined) return known;
    const cache = createFactsCache({ major });
    caches.set(major, cache);
    return cache;
  };
  const workerUrl = options.workerUrl ?? new URL('./worker.ts', import.meta.url);
  const timeoutMs = options.timeoutMs ?? 10_000;
  const jobs: Job[] = [];
  let worker: Worker | undefined;
  let readBytes = 0;
  let nextId = 1;

  const start = (): Worker => {
    const started = new Worker(workerUrl, { resourceLimits: { maxOldGenerationSizeMb: 1024 } });
    started.unref();
    started.on('message', ({ id, reading }: { id: number; reading: SqlReading }) => settle(started, id, reading));
    // A worker that dies has not understood what it was reading: a deep tree or memory at its limit.
    started.on('error', () => fail(started));
    started.on('exit', () => fail(started));
    return started;
  };
  const next = (): void => {
    const job = jobs[0];
    if (job === undefined) return;
    worker ??= start();
    worker.postMessage({ id: job.id, text: job.text, major: job.major });
  };
  const settle = (from: Worker, id: number, reading: SqlReading): void => {
    if (from !== worker || jobs[0]?.id !== id) return;
    const job = jobs.shift()!;
    clearTimeout(job.timer);
    readBytes += job.text.length;
    if (readBytes > RECYCLE_AFTER_BYTES) void discard();
    job.answer(reading);
    next();
  };
  const fail = (from: Worker): void => {
    if (from !== worker) return;
    void discard();
    const job = jobs.shift();
    clearTimeout(job?.timer);
    job?.answer({ unknown: 'timeout' });
    next();
  };
  const discard = (): Promise<unknown> => {
    const ended = worker;
    worker = undefined;
    readBytes = 0;
    return ended?.terminate() ?? Promise.resolve();
  };
  const late = (job: Job): void => {
    if (jobs[0] === job) {
      if (worker !== undefined) fail(worker);
      return;
    }
    const at = jobs.indexOf(job);
    if (at >= 0) jobs.splice(at, 1);
    job.answer({ unknown: 'timeout' });
  };

  return {
    read(text, given, major = NEWEST_SERVER_MAJOR) {
      const size = given?.length ?? Buffer.byteLength(text);
      if (size <= LIMITS.inlineParseBytesMax) return cacheOf(major).read(text, given);
      if (size > LIMITS.statementBytesMax) return { unknown: 'too_large' };
      if (text.includes('\0')) return { unknown: 'nul' };
      if (jobs.length >= WAITING_MAX) return { unknown: 'overloaded' };
      return new Promise((answer) => {
        const job: Job = { id: nextId++, text, major, answer };
        job.timer = setTimeout(() => late(job), timeoutMs);
        jobs.push(job);
        if (jobs.length === 1) next();
      });
    },
    async close() {
      const waiting = jobs.splice(0);
      for (const job of waiting) {
        clearTimeout(job.timer);
        job.answer({ unknown: 'timeout' });
      }
      await discard();
    },
  };
}
