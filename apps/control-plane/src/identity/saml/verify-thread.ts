/**
 * Answers of SAML providers, verified in a thread of its own: one costs milliseconds of reading and checking, in which nobody
 * else would be served. What comes out is what verify-response.ts says; a thread that dies or is late has verified nothing.
 * Refuses more than a bounded number that wait.
 */
import { Worker } from 'node:worker_threads';
import type { AssertionFacts, ExpectedOfAssertion } from './assertion-facts.ts';
import type { ResponseTrust } from './verify-response.ts';
import type { Verified, VerifyOrder } from './verify-worker.ts';
import { XmlRefused } from './xml.ts';

/** Answers that wait or are being read; one more is refused. */
export const WAITING_MAX = 256;
/** For one answer, its waiting included. */
const VERIFY_MS_MAX = 10_000;
/** Far more than the largest answer takes. */
const HEAP_MB_MAX = 256;

// Beside this file, compiled or not.
const WORKER = new URL(`./verify-worker.${import.meta.url.endsWith('.ts') ? 'ts' : 'js'}`, import.meta.url);

interface Job {
  readonly order: VerifyOrder;
  readonly answer: (verified: Verified) => void;
  readonly timer: NodeJS.Timeout;
}

export class VerifyThread {
  readonly #workerUrl: URL;
  readonly #msMax: number;
  /** In the order in which the thread takes them. */
  #jobs: Job[] = [];
  #worker: Worker | undefined;
  #nextId = 1;

  /** @param options for tests */
  constructor(options: { readonly workerUrl?: URL; readonly msMax?: number } = {}) {
    this.#workerUrl = options.workerUrl ?? WORKER;
    this.#msMax = options.msMax ?? VERIFY_MS_MAX;
  }

  /** Has the thread ready before the first answer comes. */
  start(): void {
    this.#worker ??= this.#started();
  }

  /** See `verifyResponse`. @throws XmlRefused whatever is wrong, the thread too */
  async verify(base64: string, trust: ResponseTrust, expected: ExpectedOfAssertion): Promise<AssertionFacts> {
    const { config, certificates } = trust;
    const { signed, encryption } = config;
    const asked = { base64, trust: { config: { signed, encryption }, certificates }, expected };
    let verified = await this.#ask({ ...asked, keys: undefined });
    if (verified.kind === 'keys') {
      const { all } = await trust.keys();
      verified = await this.#ask({ ...asked, keys: all.map((key) => key.privateKey.reveal().toString()) });
    }
    if (verified.kind !== 'facts') throw new XmlRefused(verified.kind === 'refused' ? verified.why : 'no keys of ours');
    return verified.facts;
  }

  /** Answers that wait are refused. */
  async stop(): Promise<void> {
    for (const job of this.#jobs.splice(0)) refuse(job, 'we are stopping');
    await this.#discard();
  }

  #ask(asked: Omit<VerifyOrder, 'id'>): Promise<Verified> {
    const order = { ...asked, id: this.#nextId++ };
    if (this.#jobs.length >= WAITING_MAX)
      return Promise.resolve({ id: order.id, kind: 'refused', why: 'too many answers wait to be verified' });
    return new Promise((answer) => {
      const job: Job = { order, answer, timer: setTimeout(() => this.#late(job), this.#msMax) };
      this.#jobs.push(job);
      this.start();
      this.#worker?.postMessage(order);
    });
  }

  #started(): Worker {
    const worker = new Worker(this.#workerUrl, { resourceLimits: { maxOldGenerationSizeMb: HEAP_MB_MAX } });
    worker.unref();
    worker.on('message', (verified: Verified) => this.#settle(verified));
    worker.on('error', () => this.#died(worker));
    worker.on('exit', () => this.#died(worker));
    return worker;
  }

  #settle(verified: Verified): void {
    const at = this.#jobs.findIndex(({ order }) => order.id === verified.id);
    const [job] = at < 0 ? [] : this.#jobs.splice(at, 1);
    clearTimeout(job?.timer);
    job?.answer(verified);
  }

  #late(job: Job): void {
    if (this.#jobs[0] === job) return this.#fail('it took too long');
    this.#jobs = this.#jobs.filter((one) => one !== job);
    refuse(job, 'it waited too long');
  }

  #died(worker: Worker): void {
    if (worker === this.#worker) this.#fail('the thread that verifies ended');
  }

  /** The first was being read: it is refused, and a new thread takes the others. */
  #fail(why: string): void {
    void this.#discard();
    const job = this.#jobs.shift();
    if (job !== undefined) refuse(job, why);
    if (this.#jobs.length === 0) return;
    this.start();
    for (const { order } of this.#jobs) this.#worker?.postMessage(order);
  }

  async #discard(): Promise<void> {
    const ended = this.#worker;
    this.#worker = undefined;
    await ended?.terminate();
  }
}

function refuse({ order, answer, timer }: Job, why: string): void {
  clearTimeout(timer);
  answer({ id: order.id, kind: 'refused', why });
}
