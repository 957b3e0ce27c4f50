/** Shares of a budget that two agents lease on two replicas: together never more than the budget. */
import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { BudgetAmounts, BudgetLease } from '@sallyport/contract';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { Links } from '../agents/links.ts';
import { Database } from '../db/database.ts';
import { enrollAgent, TestLink } from '../testing/agent-client.ts';
import { startTestControlPlane, type TestControlPlane } from '../testing/control-plane.ts';
import { BudgetsRepository } from './budgets.repository.ts';

let plane: TestControlPlane;
const links: TestLink[] = [];
let northId = '';
let policyId: string;
let bot: string;
let serial = 0;

const WAIT = { timeout: 20_000, interval: 20 };
const POLICY = `kind: Policy
name: loops
budgets:
  - { name: hourly, per: principal, every: 1h, statements: 100, rows: 5000 }
  - { name: own, per: session, statements: 5 }
`;

beforeAll(async () => {
  plane = await startTestControlPlane();
  const root = readFileSync(plane.controlPlane.ready.ca, 'utf8');
  for (const name of ['north', 'south']) {
    const { body } = await plane.call<{ joinToken: string }>('POST', '/v1/agents/join-tokens', { name });
    const agent = await enrollAgent(plane.controlPlane.ready.enroll, root, body.joinToken);
    if (name === 'north') northId = agent.identity.agentId ?? '';
    const link = new TestLink(plane.controlPlane.ready.link, root, agent);
    link.hello();
    await link.last('welcome');
    links.push(link);
  }
  const made = await plane.call<{ id: string }>('POST', '/v1/policies', { source: POLICY });
  expect(made.status, JSON.stringify(made.body)).toBe(201);
  policyId = made.body.id;
  bot = (await plane.call<{ id: string }>('POST', '/v1/principals', { name: 'bot', kind: 'ai_agent' })).body.id;
});
afterAll(async () => {
  for (const link of links) link.close();
  await plane.stop();
});

async function lease(
  at: number,
  more: {
    budget?: string;
    principalId?: string;
    window?: string;
    back?: BudgetAmounts;
    owed?: BudgetAmounts;
    ends?: boolean;
  } = {},
): Promise<BudgetLease> {
  const id = `ask-${++serial}`;
  links[at]!.send({ budgetAsk: { id, budget: `${policyId}/hourly`, principalId: bot, ...more } });
  return await links[at]!.until(
    () => links[at]!.received.map((message) => message.budgetLease).find((one) => one?.id === id) ?? undefined,
  );
}
const granted = (one: BudgetLease): number => one.granted?.statements ?? 0;

test('the bundle asks for the capability, and only for a policy with budgets', async () => {
  await links[0]!.bundleWith(`policy/${policyId}`);
  expect((await links[0]!.bundle()).manifest.requires).toContain('budget.1');
});

test('shares are tenths, the sum over agents is the budget, and then there is nothing', async () => {
  const all: number[] = [];
  for (let i = 0; i < 12; i++) all.push(granted(await lease(i % 2)));
  expect(all.slice(0, 10)).toEqual(Array.from({ length: 10 }, () => 10));
  expect(all.slice(10)).toEqual([0, 0]);
  const { body } = await plane.call<{ items: Record<string, unknown>[] }>('GET', '/v1/budgets');
  expect(body.items).toMatchObject([
    { budget: 'loops/hourly', principal: 'bot', agents: 2, leased: { statements: 100, rows: 5000 } },
  ]);
  expect(body.items[0]!['left']).toMatchObject({ statements: 0 });
  expect(Object.keys(body.items[0]!['left'] as object).toSorted()).toEqual(
    Object.keys(body.items[0]!['limits'] as object).toSorted(),
  );
  const of = async (who: string) =>
    (await plane.call<{ items: unknown[] }>('GET', `/v1/budgets?principal=${who}`)).body.items.length;
  expect([await of('bot'), await of('admin'), await of('nobody')]).toEqual([1, 0, 0]);
});

test('many at once get no more than there is', async () => {
  const other = (await plane.call<{ id: string }>('POST', '/v1/principals', { name: 'other', kind: 'service' })).body
    .id;
  const all = await Promise.all(Array.from({ length: 30 }, (_, i) => lease(i % 2, { principalId: other })));
  expect(all.reduce((sum, one) => sum + granted(one), 0)).toBe(100);
});

test('what comes back can be leased again, in its window, and not more than was lent', async () => {
  const { window } = await lease(0);
  const give = async (at: number, back: BudgetAmounts, named = window!): Promise<void> => {
    links[at]!.send({
      budgetAsk: { id: '', budget: `${policyId}/hourly`, principalId: bot, window: named, back, ends: true },
    });
    // Asks of one link are answered in their order.
    await lease(at, { budget: `${policyId}/none` });
  };
  await give(0, { statements: 7 }, '12345');
  expect(granted(await lease(1))).toBe(0);
  await give(0, { statements: Number.NaN });
  await give(0, { statements: -50 });
  expect(granted(await lease(1))).toBe(0);
  await give(0, { statements: 7 });
  expect(granted(await lease(1))).toBe(7);
  await give(0, { statements: 1_000_000 });
  const rest: number[] = [];
  for (let i = 0; i < 6; i++) rest.push(granted(await lease(1)));
  // The north held 43 of 50 at that moment; the south's 57 stay lent.
  expect(rest.reduce((sum, one) => sum + one, 0)).toBe(43);
});

test('what was used beyond a share is lent on top of it, as far as there is', async () => {
  const other = (await plane.call<{ id: string }>('POST', '/v1/principals', { name: 'debtor', kind: 'service' })).body
    .id;
  const { window } = await lease(0, { principalId: other });
  expect(granted(await lease(0, { principalId: other, window: window!, owed: { statements: 55 } }))).toBe(65);
  expect(granted(await lease(0, { principalId: other, window: '1', owed: { statements: 55 } }))).toBe(10);
  expect(granted(await lease(0, { principalId: other, window: window!, owed: { statements: 55 } }))).toBe(15);
});

test.each([
  ['a budget that is not there', () => ({ budget: `${policyId}/none` })],
  ['a policy that is not there', () => ({ budget: `${randomUUID()}/hourly` })],
  ['a budget of sessions', () => ({ budget: `${policyId}/own` })],
  ['a principal that is not there', () => ({ principalId: randomUUID() })],
  ['a key that is none', () => ({ budget: "x' or 1=1 --" })],
])('%s is refused', async (_what, more) => {
  expect(await lease(0, more())).toMatchObject({ code: 'request.not_found' });
});

test('a window that has passed begins anew', async () => {
  plane.clock.offsetMs += 3_600_000;
  expect(granted(await lease(1))).toBe(10);
  plane.clock.offsetMs -= 3_600_000;
});

test('a share that is lent when the agent’s link is gone comes back at once', async () => {
  const late = (await plane.call<{ id: string }>('POST', '/v1/principals', { name: 'late', kind: 'service' })).body.id;
  const { app } = plane.controlPlane;
  const [database, repository, known] = [
    app.get(Database, { strict: false }),
    app.get(BudgetsRepository, { strict: false }),
    app.get(Links, { strict: false }),
  ];
  const leased = async (): Promise<number | undefined> =>
    (await plane.call<{ items: { leased: { statements: number } }[] }>('GET', '/v1/budgets?principal=late')).body
      .items[0]?.leased.statements;
  const { projectId } = (await database.client.agent.findFirst({ where: { id: northId } }))!;
  const budget = `${policyId}/hourly`;
  await database.transaction(async (tx) => {
    await repository.lock(tx, { projectId, budget, principalId: late, startedAt: new Date(0) });
    links[0]!.send({ budgetAsk: { id: 'late', budget, principalId: late } });
    await vi.waitUntil(async () => {
      const [row] = await database.client.$queryRaw<{ n: number }[]>`
        select count(*)::int as n from pg_locks where locktype = 'advisory' and not granted`;
      return (row?.n ?? 0) > 0;
    }, WAIT);
    links[0]!.close();
    await vi.waitUntil(() => !known.has(northId), WAIT);
  });
  await vi.waitUntil(async () => (await leased()) === 0, WAIT);
  expect(granted(await lease(1, { principalId: late }))).toBe(10);
});
