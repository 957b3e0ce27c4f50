/** Just-in-time access as the client feels it, through a real agent: counted from the answer, ended to the second, cut at once. */
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import type { Rest } from '../../scripts/stack/rest.ts';
import { openSql, type SqlSession } from '../../scripts/stack/sql-client.ts';
import { eventually, useStack } from './with-stack.ts';

const running = useStack({});
const WRITE = 'update payments set note = note where id = 1';
const POLICY = {
  requesters: { groups: ['analysts'] },
  resources: { names: ['payments-db'] },
  effects: ['write'],
  approve: { groups: ['dba'] },
  extensions: { times: 2, durationMax: '1h' },
};

interface Request {
  readonly id: string;
  readonly state: string;
  readonly grant: { readonly notBefore: string; readonly notAfter: string } | null;
}

async function ask(carla: Rest, more: object): Promise<Request> {
  const body = { resource: 'payments-db', effects: ['write'], reason: 'a wrong note', ...more };
  return await carla.call<Request>('POST', '/v1/access-requests', body);
}
const approve = (ben: Rest, id: string): Promise<Request> =>
  ben.call<Request>('POST', `/v1/access-requests/${id}/approve`, {});

/** A session that may write, as soon as the agent knows of the grant. */
async function openWriting(): Promise<SqlSession> {
  const { stack } = running();
  return await eventually(async () => {
    const session = await openSql(stack.dev, 'carla');
    try {
      await session.client.query(WRITE);
      return session;
    } catch {
      // Not yet: the bundle is on its way.
      await session.close();
      return undefined;
    }
  }, 10_000);
}
const writes = async (session: SqlSession): Promise<boolean> => {
  try {
    await session.client.query(WRITE);
    return true;
  } catch {
    return false;
  }
};

test('a grant for seconds begins with the answer and ends to the second, for live sessions and for new ones', async () => {
  const { stack, as } = running();
  await stack.admin.call('POST', '/v1/access-policies', { name: 'notes', ...POLICY });
  const [carla, ben] = [await as('carla'), await as('ben')];
  const reader = await openSql(stack.dev, 'carla');
  expect(await writes(reader)).toBe(false);
  await reader.close();
  const { id } = await ask(carla, { duration: '7s' });
  await sleep(2_000);
  const answered = Date.now();
  const { grant } = await approve(ben, id);
  const end = Date.parse(grant!.notAfter);
  expect(end - answered).toBeGreaterThan(6_500);
  const first = await openWriting();
  await sleep(1_500);
  // Connecting again begins nothing anew.
  const second = await openWriting();
  let last = 0;
  while (Date.now() < end + 3_000 && (await writes(second))) {
    last = Date.now();
    await sleep(30);
  }
  expect(last).toBeGreaterThan(end - 1_000);
  expect(last).toBeLessThan(end + 200);
  await eventually(() => first.ended(), 3_000);
  expect(Date.now()).toBeLessThan(end + 4_000);
  const after = await openSql(stack.dev, 'carla');
  expect(await writes(after)).toBe(false);
  await Promise.all([first, second, after].map((session) => session.close()));
});

test('a prolonged grant disturbs no live session, and giving it back or revoking it, by an admin or an approver, cuts them at once', async () => {
  const { stack, as } = running();
  const [carla, ben] = [await as('carla'), await as('ben')];
  for (const way of ['withdraw', 'revoke', 'approver']) {
    const { id } = await ask(carla, { duration: '30m' });
    const { grant } = await approve(ben, id);
    const session = await openWriting();
    const more = await carla.call<Request>('POST', `/v1/access-requests/${id}/extend`, {
      duration: '30m',
      reason: 'more',
    });
    const longer = await approve(ben, more.id);
    expect(Date.parse(longer.grant!.notAfter) - Date.parse(grant!.notAfter)).toBe(30 * 60_000);
    await sleep(500);
    expect(session.ended()).toBeUndefined();
    expect(await writes(session)).toBe(true);
    const started = Date.now();
    if (way === 'withdraw') await carla.call('POST', `/v1/access-requests/${id}/withdraw`, {});
    else if (way === 'revoke') await stack.admin.call('POST', `/v1/grants/jit-${id}/revoke`, {});
    else await ben.call('POST', `/v1/access-requests/${id}/revoke`, { reason: 'It is over.' });
    await eventually(() => session.ended(), 5_000);
    expect(Date.now() - started, way).toBeLessThan(2_500);
    await session.close();
  }
});
