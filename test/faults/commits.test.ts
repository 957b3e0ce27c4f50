import { expect, test } from 'vitest';
import { openSql, type SqlSession } from '../../scripts/stack/sql-client.ts';
import { eventually, truth, useStack } from './with-stack.ts';

const running = useStack({});
const POLICY = `kind: Policy
name: fault-commits
resources: { names: [payments-db] }
rules:
  - name: writes
    when: sql.relations.exists(r, r.name == "fault_commits" && r.access != "read")
    verdict: hold
    approval: { groups: [dba], at: commit, expires: 1m }
`;
const left = (): Promise<string> => truth(running().stack, 'select count(*) from fault_commits');
/** Locks of somebody else's on the table, and transactions that wait. */
const locks = (): Promise<string> =>
  truth(
    running().stack,
    "select count(*) from pg_locks l join pg_class c on c.oid = l.relation where c.relname = 'fault_commits' and l.pid <> pg_backend_pid()",
  );

async function prepare(): Promise<void> {
  const { stack } = running();
  await truth(
    stack,
    'create table if not exists fault_commits (id int); grant all on fault_commits to payments_app; select 1',
  );
  await truth(stack, 'delete from fault_commits; insert into fault_commits select generate_series(1, 10); select 1');
  const documents = [{ file: 'c.yaml', text: POLICY }];
  await stack.admin.call('POST', '/v1/apply', { documents, dryRun: false, prune: false });
}
/** A session whose COMMIT waits. */
async function holding(): Promise<{ readonly bot: SqlSession; readonly commit: Promise<string>; readonly id: string }> {
  const { stack, as } = running();
  const rest = await as('ana');
  // One of a test before may still be in the inbox: the one that is meant is new.
  const ids = async (): Promise<readonly string[]> =>
    (await rest.call<{ items: { id: string }[] }>('GET', '/v1/approvals?state=pending&answerable=true')).items.map(
      (one) => one.id,
    );
  const before = new Set(await ids());
  const bot = await eventually(async () => {
    const session = await openSql(stack.dev, 'payments-bot');
    // The rule is in force once a write by itself is refused.
    const refused = await session.client.query('delete from fault_commits where id = 0').then(
      () => false,
      () => true,
    );
    if (refused) return session;
    await session.close();
    return undefined;
  }, 15_000);
  await bot.client.query('begin');
  await bot.client.query('delete from fault_commits where id <= 4');
  const commit = bot.client.query('commit').then(
    ({ command }) => command,
    (error: { code?: string }) => error.code ?? 'gone',
  );
  const id = await eventually(async () => (await ids()).find((one) => !before.has(one)), 10_000);
  expect(await left()).toBe('10');
  return { bot, commit, id };
}

test('an agent that dies while a COMMIT waits has committed nothing, and holds no lock', async () => {
  await prepare();
  const { stack } = running();
  const { commit, id } = await holding();
  process.kill(stack.agent().pid, 'SIGKILL');
  expect(await commit).not.toBe('COMMIT');
  await eventually(async () => ((await locks()) === '0' ? true : undefined), 10_000);
  expect(await left()).toBe('10');
  await stack.restartAgent();
  // Nobody holds it any more: it is no request to answer.
  const rest = await running().as('ana');
  const state = () => rest.call<{ state: string; reason: string | null }>('GET', `/v1/approvals/${id}`);
  await eventually(async () => ((await state()).state === 'pending' ? undefined : true), 10_000);
  expect(await state()).toMatchObject({ state: 'lost', votes: [] });
  await expect(rest.call('POST', `/v1/approvals/${id}/approve`, {})).rejects.toThrow(/approval\.answered/);
});

test('a client that hangs up while its COMMIT waits has committed nothing', async () => {
  await prepare();
  const { bot, id } = await holding();
  (bot.client as unknown as { connection: { stream: { destroy(): void } } }).connection.stream.destroy();
  await eventually(async () => ((await locks()) === '0' ? true : undefined), 10_000);
  expect(await left()).toBe('10');
  const rest = await running().as('ana');
  // Told over the link, a moment later.
  await eventually(
    async () =>
      (await rest.call<{ state: string }>('GET', `/v1/approvals/${id}`)).state === 'pending' ? undefined : true,
    10_000,
  );
  const late = await rest.call('POST', `/v1/approvals/${id}/approve`, {}).then(
    () => 'taken',
    () => 'refused',
  );
  expect(late).toBe('refused');
  expect(await left()).toBe('10');
});

test('an agent that is stopped while a COMMIT waits has committed nothing, and says so', async () => {
  await prepare();
  const { stack } = running();
  const { commit } = await holding();
  process.kill(stack.agent().pid, 'SIGTERM');
  expect(await commit).not.toBe('COMMIT');
  await eventually(async () => ((await locks()) === '0' ? true : undefined), 10_000);
  expect(await left()).toBe('10');
  await stack.restartAgent();
});

test('a COMMIT waits on while the control plane is away, and passes once it is back and a person says yes', async () => {
  await prepare();
  const { stack, as } = running();
  const { commit, id } = await holding();
  await stack.controlPlane().stop('SIGKILL');
  expect(await left()).toBe('10');
  await stack.restartControlPlane();
  const rest = await eventually(() => as('ana'), 10_000);
  await eventually(async () => {
    await rest.call('POST', `/v1/approvals/${id}/approve`, {});
    return true;
  }, 10_000);
  expect(await commit).toBe('COMMIT');
  expect(await left()).toBe('6');
});
