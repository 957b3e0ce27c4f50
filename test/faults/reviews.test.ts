/** Access reviews with the control plane gone: what was decided holds at the agent, by its own clock, from its own disk. */
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { expect, test } from 'vitest';
import { connectionFor, openSql } from '../../scripts/stack/sql-client.ts';
import { eventually, useStack } from './with-stack.ts';

const running = useStack({});
const WRITE = 'update payments set note = note where id = 1';

/** A group of its own for each test, with Carla in it, a grant, and a review whose round ends in `due`. */
async function reviewed(name: string, due: string, afterReview: string, effects = ['read', 'write']): Promise<void> {
  const { admin } = running().stack;
  await admin.call('POST', '/v1/groups', { name });
  await admin.call('PUT', `/v1/groups/${name}/members/carla`);
  await admin.call('POST', '/v1/grants', { name, group: name, resource: 'payments-db', effects });
  const scope = { groups: [name] };
  await admin.call('POST', '/v1/reviews', {
    name,
    scope,
    reviewers: { by: 'group', groups: ['dba'] },
    due,
    afterReview,
  });
}
async function cleaned(name: string): Promise<void> {
  const { admin } = running().stack;
  await admin.call('POST', `/v1/reviews/${name}/end`);
  await admin.call('DELETE', `/v1/grants/${name}`);
  await admin.call('DELETE', `/v1/groups/${name}`);
}
/** A session that may write: the grant has arrived. */
const writer = () =>
  eventually(async () => {
    const session = await openSql(running().stack.dev, 'carla');
    if ((await session.client.query(WRITE).catch(() => undefined)) !== undefined) return session;
    await session.close();
    return undefined;
  }, 10_000);
/** Every agent has the newest bundle, of which its heartbeat tells. */
async function arrived(): Promise<void> {
  const { admin } = running().stack;
  await eventually(async () => {
    const { revision } = await admin.call<{ revision: number }>('GET', '/v1/bundles');
    const { items } = await admin.call<{ items: { bundle: { revision: number } | null }[] }>('GET', '/v1/agents');
    return items.every((agent) => agent.bundle !== null && agent.bundle.revision >= revision) ? true : undefined;
  }, 10_000);
}
/** The round is known at the agent: its deadline came with a bundle. */
async function started(name: string): Promise<number> {
  const review = await running().stack.admin.call<{ round: { deadline: string } }>('POST', `/v1/reviews/${name}/start`);
  await arrived();
  return Date.parse(review.round.deadline);
}
const until = (deadline: number): Promise<void> => sleep(Math.max(0, deadline - Date.now() + 50));

test('a grant that nobody reviewed lapses without the control plane, in a live session, and still after a restart', async () => {
  const { stack } = running();
  await reviewed('lapses', '8s', 'deny');
  const session = await writer();
  const deadline = await started('lapses');
  const later = await connectionFor(stack.dev, 'carla');
  await stack.controlPlane().stop('SIGKILL');
  try {
    await session.client.query(WRITE);
    await until(deadline);
    await expect(session.client.query(WRITE)).rejects.toMatchObject({
      code: '42501',
      detail: expect.stringContaining('"review"'),
    });
    // The reading that another grant gives goes on.
    await session.close();
    process.kill(stack.agent().pid, 'SIGKILL');
    await stack.restartAgent();
    const fresh = new pg.Client(later);
    await fresh.connect();
    expect((await fresh.query('select 1 as one')).rows).toEqual([{ one: 1 }]);
    await expect(fresh.query(WRITE)).rejects.toMatchObject({ code: expect.stringMatching(/42501|25006/) });
    await fresh.end();
  } finally {
    await stack.restartControlPlane();
  }
  await cleaned('lapses');
}, 60_000);

test('where the campaign holds, a lapsed grant waits for a person, and gets none while the control plane is away', async () => {
  const { stack, pending, as } = running();
  await reviewed('holds', '6s', 'hold');
  const session = await writer();
  const deadline = await started('holds');
  await until(deadline);
  const held = session.client.query(WRITE);
  const { id } = await pending('ana');
  await (await as('ana')).call('POST', `/v1/approvals/${id}/approve`, { reason: 'Once more.' });
  expect((await held).rowCount).toBe(1);
  await stack.controlPlane().stop('SIGKILL');
  try {
    const waits = session.client.query(WRITE);
    waits.catch(() => undefined);
    expect(await Promise.race([waits.then(() => 'ran'), sleep(1_500).then(() => 'waits')])).toBe('waits');
  } finally {
    await stack.restartControlPlane();
  }
  // Beyond what a review confirmed, where the campaign holds: an administrator widened the grant, and that waits too.
  await stack.admin.call('POST', '/v1/reviews/holds/start');
  const ben = await as('ben');
  const { items } = await ben.call<{ items: { id: string }[] }>('GET', '/v1/reviews/holds/items?state=open');
  await ben.call('POST', '/v1/reviews/holds/answers', { items: [items[0]!.id], answer: 'keep' });
  await stack.admin.call('PATCH', '/v1/grants/holds', { effects: ['read', 'write', 'ddl'] });
  await arrived();
  const wide = await writer();
  const beyond = wide.client.query('create table reviewed_holds (id int)').then(
    () => 'ran',
    () => 'refused',
  );
  const asked = await eventually(async () => {
    const told = await ben.call<{ items: { id: string; rule: string; statement: string }[] }>(
      'GET',
      '/v1/approvals?state=pending&answerable=true',
    );
    return told.items.find((one) => one.statement.includes('reviewed_holds'));
  }, 15_000);
  expect(asked.rule).toBe('review');
  await ben.call('POST', `/v1/approvals/${asked.id}/deny`, { reason: 'Not reviewed.' });
  expect(await beyond).toBe('refused');
  await wide.close();
  await session.close();
  await cleaned('holds');
}, 90_000);

test('what a review confirmed binds without the control plane, and a revocation by it cuts the session', async () => {
  const { stack, as } = running();
  await reviewed('binds', '14d', 'deny', ['read', 'write', 'ddl']);
  const session = await writer();
  await started('binds');
  const ben = await as('ben');
  const item = async () => (await ben.call<{ items: { id: string }[] }>('GET', '/v1/reviews/binds/items')).items[0]!;
  await ben.call('POST', '/v1/reviews/binds/answers', {
    items: [(await item()).id],
    answer: 'reduce',
    effects: ['read', 'write'],
  });
  // Widened again by an administrator: the grant says so, the review does not.
  await stack.admin.call('PATCH', '/v1/grants/binds', { effects: ['read', 'write', 'ddl'] });
  await eventually(async () => {
    const code = await session.client.query('create table reviewed_binds (id int)').then(
      () => '',
      (e: { detail?: string }) => e.detail ?? '',
    );
    return code.includes('"review"') ? true : undefined;
  }, 5_000);
  await stack.controlPlane().stop('SIGKILL');
  try {
    await expect(session.client.query('create table reviewed_binds (id int)')).rejects.toMatchObject({ code: '42501' });
    await session.client.query(WRITE);
  } finally {
    await stack.restartControlPlane();
  }
  await stack.admin.call('POST', '/v1/reviews/binds/start');
  const again = await as('ben');
  await again.call('POST', '/v1/reviews/binds/answers', { items: [(await item()).id], answer: 'revoke' });
  // How fast is measured by the bench, on a quiet machine.
  await eventually(() => session.ended(), 20_000);
  await cleaned('binds');
}, 60_000);
