/** Every row of rows/messages.ts in a session of its own; and afterwards another session goes on as if nothing happened. */
import { frames } from '@sallyport/testkit';
import { afterAll, expect, inject, test } from 'vitest';
import { expectSeen, ran } from '../wire/attempt.ts';
import { gatewayTo, settled } from '../wire/gateway.ts';
import { MESSAGES } from './rows/messages.ts';

const gateway = gatewayTo(inject('dev'), inject('serverLog'));
afterAll(() => gateway.close());

for (const row of MESSAGES) {
  test(`${row.name}: ${row.expect}`, async () => {
    const before = await gateway.lastFingerprint();
    const wire = await gateway.signedIn(row.as ?? 'payments-bot');
    const from = gateway.logPosition();
    const mark = wire.mark();
    await wire.send(...row.send);
    if (row.data !== undefined) {
      expect((await wire.until((seen) => seen.types.includes('G'), { mark })).types).toContain('G');
      await wire.send(...row.data);
    }
    const enough = row.expect === 'ended' ? () => false : settled(row.readies);
    const seen = await wire.until(enough, { mark, ms: row.expect === 'ended' ? 5_000 : 10_000 });
    const closed = wire.isClosed();
    wire.destroy();
    expectSeen(row, seen, closed);
    if (row.ready !== undefined) expect(seen.ready).toBe(row.ready);
    const log = await gateway.serverRan(from);
    for (const text of row.never ?? []) expect(ran(log, text), `the server ran: ${text}`).toBe(false);
    expect(await gateway.fingerprint(), 'the database changed').toBe(before);
  });
}

test('none of it has hurt a session that was there before', async () => {
  const wire = await gateway.signedIn('payments-bot');
  const bad = await gateway.signedIn('payments-bot');
  await bad.send(frames.frame('Q', 'x', -5));
  await bad.until(() => false, { ms: 2_000 });
  const mark = wire.mark();
  await wire.send(frames.query('select 42'));
  expect((await wire.until(settled(), { mark })).rows).toEqual([['42']]);
  wire.end();
});
