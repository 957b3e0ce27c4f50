/**
 * The thread behind verify-thread.ts: one answer after the other, by verify-response.ts. Refuses to hold on to anything: our
 * keys come with the one answer that is encrypted to them.
 */
import { parentPort } from 'node:worker_threads';
import { Secret } from '@sallyport/core';
import type { AssertionFacts, ExpectedOfAssertion } from './assertion-facts.ts';
import { type ResponseTrust, verifyResponse } from './verify-response.ts';

export interface VerifyOrder {
  readonly id: number;
  readonly base64: string;
  readonly trust: Pick<ResponseTrust, 'config' | 'certificates'>;
  readonly expected: ExpectedOfAssertion;
  /** PKCS#8 PEM of ours; undefined until they are asked for. */
  readonly keys: readonly string[] | undefined;
}

export type Verified =
  | { readonly id: number; readonly kind: 'facts'; readonly facts: AssertionFacts }
  | { readonly id: number; readonly kind: 'refused'; readonly why: string }
  /** Something is encrypted to us: to be asked again with our keys. */
  | { readonly id: number; readonly kind: 'keys' };

class KeysWanted extends Error {}

async function verify({ id, base64, trust, expected, keys }: VerifyOrder): Promise<Verified> {
  const ours = (): ReturnType<ResponseTrust['keys']> =>
    keys === undefined
      ? Promise.reject(new KeysWanted())
      : Promise.resolve({ all: keys.map((pem) => ({ privateKey: new Secret(Buffer.from(pem)) })) });
  try {
    return { id, kind: 'facts', facts: await verifyResponse(base64, { ...trust, keys: ours }, expected) };
  } catch (error) {
    if (error instanceof KeysWanted) return { id, kind: 'keys' };
    return { id, kind: 'refused', why: error instanceof Error ? error.message.slice(0, 500) : 'it cannot be read' };
  }
}

let last: Promise<unknown> = Promise.resolve();
parentPort?.on('message', (order: VerifyOrder) => {
  last = last.then(async () => parentPort?.postMessage(await verify(order)));
});
