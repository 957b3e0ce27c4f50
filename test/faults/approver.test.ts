import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { expect, test } from 'vitest';
import { connectionFor, openSql } from '../../scripts/stack/sql-client.ts';
import { eventually, truth, useStack } from './with-stack.ts';

const running = useStack({});
const DELETE = "delete from payments where status = 'pending' and id <= 2000";
const left = (): Promise<string> =>
  truth(running().stack, "select count(*) from payments where status = 'pending' and id <= 2000");
const open = async (): Promise<string[]> => {
  const rest = await running().as('ana');
  return (await rest.call<{ items: { id: string }[] }>('GET', '/v1/approvals?state=pending&answerable=true')).items.map(
    (item) => item.id,
  );
};

test('a client that hangs up takes its hold with it, and nothing runs', async () => {
  const { stack, pending } = running();
  const before = await left();
  const bot = new pg.Client(await connectionFor(stack.dev, 'payments-bot'));
  bot.on('error', () => undefined);
  await bot.connect();
  bot.query(DELETE).catch(() => undefined);
  const { id } = await pending('ana');
  (bot as unknown as { connection: { stream: { destroy(): void } } }).connection.stream.destroy();
  await eventually(async () => ((await open()).includes(id) ? undefined : true), 10_000);
  expect(await left()).toBe(before);
});

test('a cancel request ends the wait, and the session goes on', async () => {
  const { stack, pending } = running();
  const before = await left();
  const bot = await openSql(stack.dev, 'payments-bot');
  const held = bot.client.query(DELETE);
  held.catch(() => undefined);
  await pending('ana');
  const { processID, secretKey } = bot.client as unknown as { processID: number; secretKey: number };
  const canceller = new pg.Client(await connectionFor(stack.dev, 'payments-bot')) as unknown as {
    connection: { stream: unknown };
    cancel(client: unknown, query: unknown): void;
  };
  expect(typeof processID).toBe('number');
  expect(typeof secretKey).toBe('number');
  canceller.cancel(
    bot.client,
    (bot.client as unknown as { activeQuery?: unknown; _activeQuery?: unknown })._activeQuery ??
      (bot.client as unknown as { activeQuery: unknown }).activeQuery,
  );
  await expect(held).rejects.toMatchObject({ message: expect.stringMatching(/cancel/i) as unknown });
  expect((await bot.client.query('select 1 as one')).rows).toEqual([{ one: 1 }]);
  expect(await left()).toBe(before);
  await bot.close();
});

test('in a transaction the wait is short, because others wait for its locks', async () => {
  const { stack, as } = running();
  const resource = await stack.admin.call<Record<string, unknown>>('GET', '/v1/resources/payments-db');
  expect(resource['name']).toBe('payments-db');
  const bot = await openSql(stack.dev, 'payments-bot');
  await bot.client.query('begin');
  const held = bot.client.query(DELETE);
  held.catch(() => undefined);
  const shown = await eventually(async () => {
    const [id] = await open();
    return id === undefined
      ? undefined
      : ((await (await as('ana')).call('GET', `/v1/approvals/${id}`)) as { expiresAt: string; requestedAt: string });
  }, 10_000);
  expect(new Date(shown.expiresAt).getTime() - new Date(shown.requestedAt).getTime()).toBeLessThanOrEqual(31_000);
  const [id] = await open();
  await (await as('ana')).call('POST', `/v1/approvals/${id}/deny`, { reason: 'not now' });
  await expect(held).rejects.toMatchObject({ code: '42501' });
  await expect(bot.client.query('select 1')).rejects.toMatchObject({ code: '25P02' });
  await bot.client.query('rollback');
  await bot.close();
});

test('silence is a denial: two holds at once expire each for itself', async () => {
  const { stack } = running();
  const text = `kind: Policy
name: faults-expiry
resources: { names: [payments-db] }
rules:
  - name: hold-updates
    when: sql.statements.exists(s, s.kind == "update")
    verdict: hold
    approval: { groups: [dba], count: 1, expires: 2s }
`;
  await stack.admin.call('POST', '/v1/apply', { documents: [{ file: 'p.yaml', text }], dryRun: false, prune: false });
  const sessions = await Promise.all([openSql(stack.dev, 'payments-bot'), openSql(stack.dev, 'payments-bot')]);
  await sleep(300);
  const answers = await Promise.all(
    sessions.map((session) =>
      session.client.query("update payments set note = 'x' where id = 5").then(
        () => 'ran',
        (error: { code: string }) => error.code,
      ),
    ),
  );
  expect(answers).toEqual(['42501', '42501']);
  expect(await truth(stack, "select count(*) from payments where note = 'x'")).toBe('0');
  await Promise.all(sessions.map((session) => session.close()));
  await stack.admin.call('DELETE', '/v1/policies/faults-expiry');
});
