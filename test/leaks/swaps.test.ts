/** Every row of rows/swaps.ts: however names change hands, no value comes out. */
import { type Seen } from '@sallyport/testkit';
import { afterAll, beforeAll, expect, inject, test } from 'vitest';
import { gatewayTo, settled } from '../wire/gateway.ts';
import { found, type Secret, secrets } from '../wire/secrets.ts';
import { SWAPS } from './rows/swaps.ts';

const gateway = gatewayTo(inject('dev'), inject('serverLog'));
let all: readonly Secret[] = [];
beforeAll(async () => {
  all = await secrets(gateway);
});
afterAll(() => gateway.close());

const SYNC = 'S'.charCodeAt(0);
const QUERY = 'Q'.charCodeAt(0);

test.each(SWAPS)('$name', async ({ as, steps }) => {
  const before = await gateway.lastFingerprint();
  const wire = await gateway.signedIn(as);
  const said: string[] = [];
  for (const step of steps) {
    const mark = wire.mark();
    await wire.send(...step);
    const readies = step.filter((bytes) => bytes[0] === SYNC || bytes[0] === QUERY).length;
    if (readies === 0) continue;
    const seen: Seen = await wire.until(settled(readies), { mark, ms: 5_000 });
    said.push(`${seen.types} ${seen.errors.map((error) => error.message).join(' ')}`);
    if (!wire.isClosed() && seen.held.length === 0) expect(seen.ready.length, said.join('\n')).toBe(readies);
  }
  const raw = wire.raw();
  wire.destroy();
  expect(found(raw, all), said.join('\n')).toEqual([]);
  expect(await gateway.fingerprint(), 'the database changed').toBe(before);
});
