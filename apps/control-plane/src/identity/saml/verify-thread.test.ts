import { afterEach, expect, test } from 'vitest';
import { VerifyThread, WAITING_MAX } from './verify-thread.ts';
import { XmlRefused } from './xml.ts';

// What it says of real answers is asked in verify-response.test.ts; here the thread is what fails.
const TRUST = {
  config: { signed: 'assertion', encryption: 'optional' },
  certificates: [],
  keys: () => Promise.reject(new Error('nobody asks for keys')),
} as const;
const EXPECTED = { issuer: 'i', audience: 'a', recipient: 'r', requestId: undefined, nowMs: 0, skewMs: 0 };
const FACTS = { id: 'x', nameId: 'n', authTimeMs: 0, attributes: {}, expiresAtMs: 0 };

const made: VerifyThread[] = [];
afterEach(async () => {
  await Promise.all(made.splice(0).map((one) => one.stop()));
});

/** @param body of a handler of one order, in the thread */
function threadOf(body: string, msMax?: number): VerifyThread {
  const code = `import { parentPort } from 'node:worker_threads';
    parentPort.on('message', (order) => { ${body} });
    const facts = (order) => parentPort.postMessage({ id: order.id, kind: 'facts', facts: ${JSON.stringify(FACTS)} });`;
  const thread = new VerifyThread({
    workerUrl: new URL(`data:text/javascript,${encodeURIComponent(code)}`),
    ...(msMax === undefined ? {} : { msMax }),
  });
  made.push(thread);
  return thread;
}
const verify = (thread: VerifyThread, base64: string) => thread.verify(base64, TRUST, EXPECTED);

test('an answer that ends the thread is refused, and those behind it are verified by another one', async () => {
  const thread = threadOf("if (order.base64 === 'bad') process.exit(1); else facts(order);");
  const [bad, good, better] = await Promise.allSettled([
    verify(thread, 'bad'),
    verify(thread, 'good'),
    verify(thread, 'better'),
  ]);
  expect(bad).toMatchObject({ status: 'rejected', reason: expect.any(XmlRefused) });
  expect(good).toMatchObject({ status: 'fulfilled', value: FACTS });
  expect(better).toMatchObject({ status: 'fulfilled', value: FACTS });
});

test('an answer that exhausts the thread’s memory is refused', { timeout: 60_000 }, async () => {
  const thread = threadOf('const kept = []; for (;;) kept.push(new Array(1e6).fill(order.id));');
  await expect(verify(thread, 'large')).rejects.toThrow(XmlRefused);
});

test('an answer that takes too long is refused, and the thread is not left with it', { timeout: 60_000 }, async () => {
  const thread = threadOf("if (order.base64 === 'slow') for (;;); else facts(order);", 2_000);
  await expect(verify(thread, 'slow')).rejects.toThrow(XmlRefused);
  // A fresh thread has to start within its time; on a busy machine the second or third one does.
  const quick = () =>
    verify(thread, 'quick').then(
      (facts) => facts.id,
      () => undefined,
    );
  await expect.poll(quick, { timeout: 30_000 }).toBe(FACTS.id);
});

test('no more than a bounded number of answers wait', async () => {
  const thread = threadOf('', 60_000);
  const waiting = Array.from({ length: WAITING_MAX }, (_, i) => verify(thread, String(i)).catch((error) => error));
  await expect(verify(thread, 'one more')).rejects.toThrow(XmlRefused);
  await thread.stop();
  for (const error of await Promise.all(waiting)) expect(error).toBeInstanceOf(XmlRefused);
});
