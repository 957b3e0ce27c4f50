import path from 'node:path';
import { type EmbeddedPostgres, startEmbeddedPostgres } from '@sallyport/embedded-postgres';
import pg from 'pg';
import { expect, test } from 'vitest';
import { connectionFor, openSql } from '../../scripts/stack/sql-client.ts';
import { eventually, truth, useStack } from './with-stack.ts';

let database: EmbeddedPostgres;
let databaseDir = '';
const running = useStack({
  prepare: async (dir) => {
    databaseDir = path.join(dir, 'control-database');
    const { chmodSync } = await import('node:fs');
    chmodSync(dir, 0o711);
    database = await startEmbeddedPostgres({ dir: databaseDir });
    return { controlPlaneEnv: { DATABASE_URL: database.url() } };
  },
  cleanUp: () => database.stop(),
});

test('without the control plane sessions go on, and new ones open from tokens that still hold', async () => {
  const { stack } = running();
  const open = await openSql(stack.dev, 'payments-bot');
  const later = await connectionFor(stack.dev, 'carla');
  await stack.controlPlane().stop('SIGKILL');
  try {
    expect((await open.client.query('select count(*)::int as n from customers')).rows[0].n).toBe(60_000);
    await expect(open.client.query('drop table payments')).rejects.toMatchObject({ code: '42501' });
    const fresh = new pg.Client(later);
    await fresh.connect();
    expect((await fresh.query('select card_number from customers where id = 1')).rows[0].card_number).toMatch(
      /^\*+\d{4}$/,
    );
    await fresh.end();
  } finally {
    await stack.restartControlPlane();
  }
  await open.close();
});

test('what was recorded while the control plane was away is there after its return', async () => {
  const { stack } = running();
  const session = await openSql(stack.dev, 'payments-bot');
  const mark = `offline-${Date.now()}`;
  await stack.controlPlane().stop('SIGKILL');
  await session.client.query(`select '${mark}' as mark`);
  await session.close();
  await stack.restartControlPlane();
  const shown = await eventually(async () => {
    const { items } = await stack.admin.call<{ items: { id: string }[] }>(
      'GET',
      '/v1/sessions?principal=payments-bot&sort=-openedAt',
    );
    for (const { id } of items.slice(0, 5)) {
      const statements = JSON.stringify(await stack.admin.call('GET', `/v1/sessions/${id}/statements`));
      if (statements.includes(mark)) return statements;
    }
    return undefined;
  }, 30_000);
  expect(shown).toContain(mark);
});

test('a hold survives kill -9 of the control plane and is answered afterwards', async () => {
  const { stack, pending, as } = running();
  const bot = await openSql(stack.dev, 'payments-bot');
  const before = Number(await truth(stack, "select count(*) from payments where status = 'refunded' and id <= 1000"));
  expect(before).toBeGreaterThan(0);
  const held = bot.client.query("delete from payments where status = 'refunded' and id <= 1000");
  held.catch(() => undefined);
  await pending('ana');
  await stack.restartControlPlane();
  const { id } = await pending('ana');
  // The answer travels over the link, which the agent opens again by itself.
  await (await as('ana')).call('POST', `/v1/approvals/${id}/approve`, { reason: 'after the restart' });
  expect((await held).rowCount).toBe(before);
  await bot.close();
});

test('without its database the control plane says so, agents keep working, and nothing is lost', async () => {
  const { stack } = running();
  const session = await openSql(stack.dev, 'payments-bot');
  const { port } = database;
  await database.stop();
  try {
    const answer = await fetch(`${stack.dev.rest}/ready`);
    expect(answer.status).toBe(503);
    const read = stack.admin.call('GET', '/v1/resources');
    await expect(read).rejects.toMatchObject({ status: 503, code: 'control_plane.database' });
    const write = stack.admin.call('PUT', '/v1/groups/dba/members/carla');
    await expect(write).rejects.toMatchObject({ status: 503, code: 'control_plane.database' });
    expect((await session.client.query("select 'without-database' as mark")).rows).toHaveLength(1);
  } finally {
    database = await startEmbeddedPostgres({ dir: databaseDir, port });
  }
  await session.close();
  await eventually(async () => ((await fetch(`${stack.dev.rest}/ready`)).ok ? true : undefined), 20_000);
  await eventually(async () => {
    const { items } = await stack.admin.call<{ items: { id: string }[] }>(
      'GET',
      '/v1/sessions?principal=payments-bot&sort=-openedAt',
    );
    const statements = await stack.admin.call('GET', `/v1/sessions/${items[0]?.id}/statements`);
    return JSON.stringify(statements).includes('without-database') ? true : undefined;
  }, 30_000);
});
