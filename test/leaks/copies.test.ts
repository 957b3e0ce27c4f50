/**
 * Every row of rows/copies.ts through the gateway, in a transaction that is taken back; then its recording, viewed in
 * clear by who may: none of the values is there, and what may be there is.
 */
import { frames } from '@sallyport/testkit';
import { afterAll, describe, expect, inject, test } from 'vitest';
import { apiToken } from '../../scripts/stack/sql-client.ts';
import { gatewayTo, settled } from '../wire/gateway.ts';
import { COPIES, type CopyRow } from './rows/copies.ts';

const dev = inject('dev');
const gateway = gatewayTo(dev, inject('serverLog'));
afterAll(() => gateway.close());

interface Frame {
  readonly kind: string;
  readonly text?: string;
  readonly rows?: unknown;
  readonly bytes?: number;
  readonly digest?: string;
}

async function recordingOf(application: string, clear: boolean): Promise<readonly Frame[]> {
  const admin = await gateway.rest('admin');
  const { items } = await admin.call<{ items: { id: string; live: boolean; application: string }[] }>(
    'GET',
    '/v1/sessions?principal=payments-bot&limit=20',
  );
  const session = items.find((item) => item.application === application);
  if (session === undefined || session.live) return [];
  const url = `${dev.rest}/v1/sessions/${session.id}/recording${clear ? '?clear=true' : ''}`;
  const response = await fetch(url, { headers: { authorization: `Bearer ${await apiToken(dev, 'admin')}` } });
  expect(response.status).toBe(200);
  return (await response.text())
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Frame);
}

/** @returns the application name, by which the session is found */
async function run(row: CopyRow, i: number): Promise<string> {
  const application = `copy-${process.pid}-${i}`;
  const wire = await gateway.signedIn('payments-bot', { parameters: { application_name: application } });
  const step = async (bytes: Uint8Array, done = settled()): Promise<void> => {
    const mark = wire.mark();
    await wire.send(bytes);
    await wire.until(done, { mark });
  };
  await step(frames.query('begin'));
  const statement = row.extended === true ? frames.extended(row.sql) : frames.query(row.sql);
  if (row.data === undefined) await step(statement);
  else {
    await step(statement, (seen) => seen.types.includes('G') || settled()(seen));
    const packets = row.apart === true ? row.data : [Buffer.concat(row.data)];
    const last = packets.at(-1)!;
    for (const packet of packets.slice(0, -1)) {
      await wire.send(packet);
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
    await step(row.extended === true ? Buffer.concat([last, frames.sync()]) : last);
  }
  await step(frames.query('rollback'));
  await wire.send(frames.terminate());
  wire.destroy();
  return application;
}

describe('the data of a COPY in the recording', () => {
  for (const [i, row] of COPIES.entries()) {
    test(row.name, async () => {
      const application = await run(row, i);
      await expect
        .poll(async () => (await recordingOf(application, true)).filter((one) => one.kind === 'complete').at(-1)?.text)
        .toBe('ROLLBACK');
      const clear = await recordingOf(application, true);
      const shown = JSON.stringify(clear.filter((frame) => frame.kind !== 'statement'));
      for (const secret of row.secrets) expect(shown).not.toContain(secret);
      if (typeof row.keeps === 'string') expect(shown).toContain(row.keeps);
      else expect(clear.find((frame) => frame.kind === 'input_cut')).toMatchObject(row.keeps);
      const masked = await recordingOf(application, false);
      expect(masked.filter((frame) => frame.kind === 'input_cut').every((frame) => frame.digest === undefined)).toBe(
        true,
      );
      expect(JSON.stringify(masked)).toContain(row.data === undefined ? 'rows' : 'input');
    });
  }
});

test('what is loaded reaches the database as it was sent', async () => {
  const wire = await gateway.signedIn('payments-bot');
  const card = '4111111111111111';
  for (const sql of ['begin', 'copy ledger (id, note, amount) from stdin']) await wire.send(frames.query(sql));
  await wire.until((seen) => seen.types.includes('G'));
  const mark = wire.mark();
  await wire.send(Buffer.concat([frames.copyData(`9001\tx4111111111111111\t1\n`), frames.copyDone()]));
  const loaded = await wire.until(settled(), { mark });
  expect(loaded.errors).toEqual([]);
  const asked = wire.mark();
  await wire.send(frames.query(`select note = 'x' || '${card}' from ledger where id = 9001`));
  expect((await wire.until(settled(), { mark: asked })).rows).toEqual([['t']]);
  wire.destroy();
});
