/** Every signing key rotated at once, under a real agent: nothing that was signed before or after is refused. */
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import pg from 'pg';
import { expect, test } from 'vitest';
import { ROOT } from '../../scripts/stack/build.ts';
import { apiToken, connectionFor, openSql } from '../../scripts/stack/sql-client.ts';
import { eventually, truth, useStack } from './with-stack.ts';

const running = useStack({});
const WHERE = "status = 'refunded' and id <= 1000";

const kidOf = (token: string): string =>
  (JSON.parse(Buffer.from(token.split('.')[0]!, 'base64url').toString()) as { kid: string }).kid;
const answersTo = async (connection: pg.ClientConfig): Promise<unknown> => {
  const client = new pg.Client(connection);
  await client.connect();
  try {
    return (await client.query('select 1 as one')).rows[0];
  } finally {
    await client.end();
  }
};

// A rotated key signs after a minute, so that everybody knows it by then.
test('tokens, approvals and bundles of the old keys and of the new ones are taken', { timeout: 180_000 }, async () => {
  const { stack, as, pending } = running();
  const { dev, admin } = stack;
  const before = await connectionFor(dev, 'payments-bot');
  const live = await openSql(dev, 'payments-bot');
  const made: Record<string, string> = {};
  for (const purpose of ['access_token', 'approval', 'bundle', 'trail'])
    made[purpose] = (await admin.call<{ id: string }>('POST', '/v1/keys/rotate', { purpose })).id;
  expect(await answersTo(before)).toEqual({ one: 1 });

  const after = await eventually(async () => {
    const connection = await connectionFor(dev, 'payments-bot');
    return kidOf(String(connection.password)) === made['access_token'] ? connection : undefined;
  }, 90_000);
  expect(kidOf(String(before.password))).not.toBe(made['access_token']);
  expect(await answersTo(after)).toEqual({ one: 1 });
  expect(await answersTo(before)).toEqual({ one: 1 });

  // An approval under its new key passes one statement of a session that is older than the key.
  const rows = Number(await truth(stack, `select count(*) from payments where ${WHERE}`));
  const held = live.client.query(`delete from payments where ${WHERE}`);
  held.catch(() => undefined);
  const { id } = await pending('ana');
  await (await as('ana')).call('POST', `/v1/approvals/${id}/approve`, { reason: 'after the rotation' });
  expect((await held).rowCount).toBe(rows);

  // A bundle under its new key comes into force: the grant it takes away ends the session.
  await admin.call('POST', '/v1/grants/bots-write-payments/revoke');
  await eventually(() => live.ended(), 5_000);
  const { items } = await admin.call<{ items: { bundle: { current: boolean; error: string | null } }[] }>(
    'GET',
    '/v1/agents',
  );
  expect(items[0]?.bundle).toMatchObject({ error: null });
});

test('what both keys of the trail signed verifies as one record', async () => {
  const { stack, dir } = running();
  const answer = await fetch(`${stack.dev.rest}/v1/trail/export`, {
    headers: { authorization: `Bearer ${await apiToken(stack.dev, 'admin')}` },
  });
  const file = path.join(dir, 'export.slytrail');
  writeFileSync(file, Buffer.from(await answer.arrayBuffer()));
  const verify = ['trail', 'verify', file, '--root', stack.dev.ca, '--json'];
  const report = JSON.parse(execFileSync(path.join(ROOT, 'sallyport'), verify, { encoding: 'utf8' })) as object;
  expect(report).toMatchObject({ ok: true, findings: [] });
});
