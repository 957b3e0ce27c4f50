/** Statements and parameters that are too large: refused with a reason, never cut, never passed on; the session goes on. */
import { frames } from '@sallyport/testkit';
import { afterAll, expect, inject, test } from 'vitest';
import { gatewayTo, settled } from '../wire/gateway.ts';

const gateway = gatewayTo(inject('dev'), inject('serverLog'));
afterAll(() => gateway.close());
const MIB = 1024 * 1024;
const { bind, describe, execute, parse, query, sync } = frames;

/** A drop behind a comment of this size: what is not read must not run. */
const hidden = (bytes: number): string => `/*${'x'.repeat(bytes - 21)}*/ drop table ledger`;

const ROWS: readonly { readonly name: string; readonly send: () => Uint8Array; readonly sqlstate: string }[] = [
  { name: 'a statement of 9 MiB', send: () => query(hidden(9 * MIB)), sqlstate: '54000' },
  { name: 'a statement of 8 MiB and a byte', send: () => query(hidden(8 * MIB + 1)), sqlstate: '54000' },
  { name: 'a statement a few bytes under 64 MiB', send: () => query(hidden(64 * MIB - 64)), sqlstate: '54000' },
  { name: 'a statement of 7 MiB', send: () => query(hidden(7 * MIB)), sqlstate: '42501' },
  {
    name: 'a prepared statement of 9 MiB',
    send: () => Buffer.concat([parse(hidden(9 * MIB)), bind(), execute(), sync()]),
    sqlstate: '54000',
  },
  {
    name: 'a prepared statement of 60 MiB',
    send: () => Buffer.concat([parse(hidden(60 * MIB)), bind(), execute(), sync()]),
    sqlstate: '54000',
  },
  {
    name: 'a parameter of 17 MiB',
    send: () =>
      Buffer.concat([
        parse('select length($1::text)'),
        bind({ values: ['x'.repeat(17 * MIB)] }),
        describe('P'),
        execute(),
        sync(),
      ]),
    sqlstate: '54000',
  },
];

for (const row of ROWS) {
  test(`${row.name}: ${row.sqlstate}, and the session goes on`, async () => {
    const from = gateway.logPosition();
    const wire = await gateway.signedIn('payments-bot');
    const mark = wire.mark();
    await wire.send(row.send());
    const seen = await wire.until(settled(), { mark, ms: 20_000 });
    expect(seen.errors[0]?.sqlstate, JSON.stringify(seen.errors)).toBe(row.sqlstate);
    const next = wire.mark();
    await wire.send(query('select 42'));
    expect((await wire.until(settled(), { mark: next })).rows).toEqual([['42']]);
    wire.end();
    expect((await gateway.serverRan(from)).includes('drop table ledger')).toBe(false);
  });
}

test('a message of more than 64 MiB ends the session before it has come', async () => {
  const wire = await gateway.signedIn('payments-bot');
  const mark = wire.mark();
  await wire.send(frames.frame('Q', 'x', 64 * MIB + 5));
  const seen = await wire.until(() => false, { mark, ms: 5_000 });
  expect(wire.isClosed()).toBe(true);
  expect(seen.errors[0]?.sqlstate).toBe('08P01');
});

test('a large statement of one session does not hold up another', async () => {
  const busy = await gateway.signedIn('payments-bot');
  const quick = await gateway.signedIn('carla');
  const mark = quick.mark();
  const started = performance.now();
  const sending = busy.send(query(`select ${Array.from({ length: 60_000 }, (_, i) => `${i} as c${i}`).join(', ')}`));
  await quick.send(query('select 1'));
  const seen = await quick.until(settled(), { mark });
  expect(seen.rows).toEqual([['1']]);
  expect(performance.now() - started).toBeLessThan(3_000);
  await sending;
  busy.destroy();
  quick.end();
});
