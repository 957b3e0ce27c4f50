/** Access reviews on a real control plane and PostgreSQL, with the use that a real chain of an agent tells of. */
import { hash, randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { Effect } from '@sallyport/model';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Database } from '../db/database.ts';
import { type EnrolledAgent, enrollAgent, TestLink } from '../testing/agent-client.ts';
import { startTestControlPlane, type TestControlPlane } from '../testing/control-plane.ts';
import { TestTrail, testSession } from '../testing/trail-writer.ts';
import { evidenceRecord } from './answers.service.ts';
import { ReviewKeeper } from './keeper.ts';
import type { ItemView } from './reviews.dto.ts';

interface Items {
  readonly items: readonly ItemView[];
  readonly nextCursor: string | null;
}
interface Made {
  readonly id: string;
  readonly token: string;
}

let plane: TestControlPlane;
let agent: EnrolledAgent;
let link: TestLink;
let trail: TestTrail;
let cursors = 0;
const people = new Map<string, Made>();
const DAY_MS = 86_400_000;

beforeAll(async () => {
  plane = await startTestControlPlane();
  const root = readFileSync(plane.controlPlane.ready.ca, 'utf8');
  const join = await plane.call<{ joinToken: string }>('POST', '/v1/agents/join-tokens', { name: 'north' });
  agent = await enrollAgent(plane.controlPlane.ready.enroll, root, join.body.joinToken);
  link = new TestLink(plane.controlPlane.ready.link, root, agent);
  const epoch = Math.floor(Date.now() / 1000);
  link.hello({ instance: 'main', chainEpoch: epoch });
  const { bodies } = await link.bundle();
  const seal = Buffer.from(bodies.get('settings/all')!['trailSealKey'] as string, 'base64url');
  trail = new TestTrail({ agentId: agent.identity.agentId!, instance: 'main', epoch }, agent.keys.key, seal).start();
  for (const group of ['auditors', 'dba']) await made('/v1/groups', { name: group });
  await person('ada', { roles: ['member'] });
  await person('ben', { roles: ['member'] });
  await person('eva', { roles: ['member'], email: 'eva@example.com' });
  await person('eva-2', { roles: ['member'], email: 'EVA@example.com' });
  await person('zoe', { roles: ['auditor'] });
  await plane.call('PUT', '/v1/groups/dba/members/ben');
  await plane.call('PUT', '/v1/groups/auditors/members/eva');
  await plane.call('PUT', '/v1/groups/auditors/members/eva-2');
}, 60_000);
afterAll(async () => {
  link.close();
  await plane.stop();
});

async function made<T extends object>(path: string, body: object): Promise<T> {
  const answer = await plane.call<T>('POST', path, body);
  expect(answer.status, JSON.stringify(answer.body)).toBe(201);
  return answer.body;
}
async function person(name: string, more: object): Promise<void> {
  const { id } = await made<{ id: string }>('/v1/principals', { name, kind: 'person', ...more });
  const { token } = await made<{ token: string }>(`/v1/principals/${name}/tokens`, {
    name: 't',
    expiresInSeconds: 300 * 86_400,
  });
  people.set(name, { id, token });
}
const resource = (name: string, labels: Record<string, string> = {}) =>
  made<{ id: string }>('/v1/resources', {
    name,
    type: 'postgres',
    labels,
    postgres: { host: 'db.internal' },
  });
const grant = (name: string, more: object) => made<{ id: string }>('/v1/grants', { name, effects: ['read'], ...more });
const tokenOf = (name: string): string => people.get(name)!.token;
const review = (name: string, more: object) =>
  made('/v1/reviews', { name, reviewers: { by: 'group', groups: ['auditors'] }, due: '14d', ...more });
const start = (name: string) => plane.call<Record<string, never>>('POST', `/v1/reviews/${name}/start`);
const itemsOf = async (name: string, query = '', token?: string) =>
  (await plane.call<Items>('GET', `/v1/reviews/${name}/items${query}`, undefined, token)).body.items;
const answer = (name: string, body: object, token = tokenOf('eva')) =>
  plane.call<Items & { code: string }>('POST', `/v1/reviews/${name}/answers`, body, token);
const grantChunk = async (id: string) => (await link.bundleWith(`grant/${id}`)).bodies.get(`grant/${id}`)!;

/** Waits until the newest bundle says so of a grant; undefined = it is not in it. */
async function inBundle(id: string, holds: (body: Record<string, unknown> | undefined) => boolean): Promise<void> {
  for (let i = 0; i < 50; i++) {
    const { bodies } = await link.bundle();
    if (holds(bodies.get(`grant/${id}`))) return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error('the bundle does not say so');
}

interface Use {
  readonly verdict?: 'allow' | 'deny' | 'hold';
  readonly effects: readonly Effect[];
  readonly reached?: readonly string[];
  readonly preparation?: boolean;
}
/** A session of a principal on a resource, judged statement by statement. */
async function used(who: string, target: { id: string; name: string }, uses: readonly Use[], forWhom?: string) {
  const id = randomUUID();
  const ref = (name: string) => ({ id: people.get(name)!.id, name, kind: 'person' as const });
  trail.add(
    {
      kind: 'session.opened',
      session: {
        ...testSession({
          id,
          projectId: agent.identity.projectId!,
          agentId: agent.identity.agentId!,
          principal: ref(who),
        }),
        resourceId: target.id,
        resourceName: target.name,
        onBehalfOf: forWhom === undefined ? undefined : ref(forWhom),
      },
    },
    id,
  );
  for (const [i, { verdict = 'allow', effects, reached, preparation }] of uses.entries())
    trail.add(
      {
        kind: 'statement.judged',
        number: i + 1,
        verdict,
        rule: 'grant',
        code: verdict === 'deny' ? 'policy.denied' : '',
        digest: 'ab'.repeat(32),
        effects,
        text: 'select secret_text',
        parameters: [],
        approvalId: '',
        shadow: [],
        ...(reached === undefined ? {} : { reached }),
        ...(preparation === undefined ? {} : { preparation }),
      },
      id,
    );
  expect(await link.upload(trail.take(String(++cursors)))).toBe('');
}

describe('an item', () => {
  let target: { id: string; name: string };
  let own: { id: string };
  beforeAll(async () => {
    target = { ...(await resource('shop-db', { env: 'prod' })), name: 'shop-db' };
    own = await grant('ada-shop', {
      principal: 'ada',
      resource: 'shop-db',
      effects: ['read', 'write', 'ddl'],
      roles: ['app'],
    });
    await used('ada', target, [
      { effects: ['read'], reached: ['read public.orders'] },
      { effects: ['read'], reached: ['read public.orders', 'read public.items'] },
      { effects: ['write'], reached: ['write public.orders'] },
      { effects: ['ddl'], verdict: 'deny', reached: ['ddl public.orders'] },
      { effects: ['write'], verdict: 'hold', reached: ['write public.orders'] },
      { effects: ['ddl'], reached: ['ddl public.x'], preparation: true },
    ]);
    await review('shop', { scope: { resources: ['shop-db'], labels: { env: 'prod' } } });
    expect((await start('shop')).status).toBe(200);
  });

  test('shows the grant, its source, who has it, what was really used, and where that stands on the trail', async () => {
    const [item] = await itemsOf('shop');
    expect(item).toMatchObject({
      grant: 'ada-shop',
      state: 'open',
      subject: {
        principal: 'ada',
        effects: ['read', 'write', 'ddl'],
        roles: ['app'],
        source: 'manual',
        reaches: ['shop-db'],
      },
      holders: [{ name: 'ada', kind: 'person' }],
      reviewers: [{ kind: 'group', name: 'auditors' }],
    });
    const { evidence } = item!;
    expect([evidence.allowed, evidence.held, evidence.denied]).toEqual([3, 1, 1]);
    expect(evidence.effects.map(({ word, allowed, held, denied }) => [word, allowed, held, denied])).toEqual([
      ['read', 2, 0, 0],
      ['write', 1, 1, 0],
      ['ddl', 0, 0, 1],
    ]);
    expect(evidence.reached.find((one) => one.word === 'read public.orders')?.allowed).toBe(2);
    expect(evidence.reached.map((one) => one.word)).not.toContain('ddl public.x');
    expect(evidence.trail?.chain).toBe(`${trail.identity.agentId}/main/${trail.identity.epoch}`);
    expect(JSON.stringify(item)).not.toContain('secret_text');
  });

  test('proposes to keep what is young, and to reduce to what was used once it is not', async () => {
    expect((await itemsOf('shop'))[0]).toMatchObject({ proposal: 'keep' });
    const { proposalFor } = await import('./evidence.ts');
    const [item] = await itemsOf('shop');
    const old = { effects: ['read', 'write', 'ddl'], kind: 'standing', createdAt: new Date(Date.now() - 100 * DAY_MS) };
    expect(proposalFor(old, item!.evidence)).toMatchObject({ answer: 'reduce', effects: ['read', 'write'] });
    const unused = { ...item!.evidence, allowed: 0, effects: [] };
    expect(proposalFor(old, unused)).toMatchObject({ answer: 'revoke', effects: [] });
    expect(proposalFor({ ...old, kind: 'break_glass' }, unused)).toMatchObject({ answer: 'keep' });
  });

  test('has its deadline in the bundle at once', async () => {
    await inBundle(own.id, (one) => one?.['afterReview'] !== undefined);
    const body = await grantChunk(own.id);
    expect(body['afterReview']).toBe('deny');
    expect(body['reviewedUntil']).toBeGreaterThan(Date.now() + 13 * DAY_MS);
    expect(body['confirmed']).toBeUndefined();
    expect((await link.bundle()).manifest.requires).toContain('review.1');
  });

  test('that is reduced changes the grant, what is confirmed and the trail, and is closed', async () => {
    const [item] = await itemsOf('shop');
    const answered = await answer('shop', { items: [item!.id], answer: 'reduce' });
    expect(answered.status, JSON.stringify(answered.body)).toBe(200);
    expect(answered.body.items[0]).toMatchObject({
      answer: 'reduce',
      answerEffects: ['read', 'write'],
      answeredBy: 'eva',
    });
    expect((await plane.call<{ effects: string[] }>('GET', '/v1/grants/ada-shop')).body.effects).toEqual([
      'read',
      'write',
    ]);
    await inBundle(
      own.id,
      (body) => JSON.stringify(body?.['confirmed']) === '["read","write"]' && body?.['reviewedUntil'] === undefined,
    );
    const [after] = await itemsOf('shop');
    expect(after!.digest).toBe(hash('sha256', evidenceRecord(after!)));
    const acts = await plane.call<Items & { items: { action: string; target: string }[] }>(
      'GET',
      '/v1/trail/events?action=review.answered',
    );
    expect(acts.status).toBe(200);
    expect((await plane.call<{ round: { state: string } }>('GET', '/v1/reviews/shop')).body.round.state).toBe('closed');
    expect((await answer('shop', { items: [item!.id], answer: 'keep' })).body.code).toBe('review.answered');
  });

  test('widened after its review is confirmed no further, and is drift', async () => {
    await plane.call('PATCH', '/v1/grants/ada-shop', { effects: ['read', 'write', 'ddl'] });
    await inBundle(
      own.id,
      (body) =>
        JSON.stringify([body?.['effects'], body?.['confirmed']]) === '[["read","write","ddl"],["read","write"]]',
    );
    const drift = await plane.call<{ items: { kind: string; target: string }[] }>(
      'GET',
      '/v1/drift?kind=granted_beyond_review',
    );
    expect(drift.body.items).toMatchObject([{ target: 'grant/ada-shop' }]);
    // Another right under the same grant is not what was confirmed.
    await plane.call('PATCH', '/v1/grants/ada-shop', { effects: ['read'], roles: ['owner'] });
    await inBundle(own.id, (body) => JSON.stringify(body?.['confirmed']) === '[]');
  });

  test('is exported with the answer’s place on the trail', async () => {
    let exported: { items: { answerOnTrail: { chain: string; sequence: number } | null }[] } | undefined;
    for (let i = 0; i < 50 && exported?.items[0]?.answerOnTrail == null; i++) {
      exported = (
        await plane.call<typeof exported & object>(
          'GET',
          '/v1/reviews/shop/export?format=json',
          undefined,
          tokenOf('zoe'),
        )
      ).body;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    expect(exported!.items[0]!.answerOnTrail).toMatchObject({
      chain: expect.stringContaining('/control-plane/'),
      sequence: expect.any(Number),
    });
    const html = await plane.call<string>('GET', '/v1/reviews/shop/export?format=html');
    expect(html.headers.get('content-disposition')).toBe('attachment; filename="review-shop-1.html"');
    expect((await plane.call('GET', '/v1/reviews/shop/export', undefined, tokenOf('eva'))).status).toBe(403);
  });
});

describe('who may answer', () => {
  let byGroup: ItemView;
  beforeAll(async () => {
    await resource('pay-db', { owner: 'ben', team: 'pay' });
    await resource('hr-db', { owner: 'dba', team: 'hr' });
    await grant('ada-pay', { principal: 'ada', resource: 'pay-db' });
    await grant('ben-pay', { principal: 'ben', resource: 'pay-db' });
    await grant('dba-pay', { group: 'dba', resource: 'pay-db' });
    await grant('ada-hr', { principal: 'ada', resource: 'hr-db' });
    await grant('auditors-pay', { group: 'auditors', resource: 'pay-db' });
    await review('owners', {
      scope: { resources: ['pay-db', 'hr-db'] },
      reviewers: { by: 'owner', groups: ['auditors'] },
    });
    expect((await start('owners')).status).toBe(200);
  });

  test('is the resource’s owner, a person or a group; and never who holds the grant', async () => {
    const by = new Map((await itemsOf('owners')).map((item) => [item.grant, item]));
    byGroup = by.get('ada-hr')!;
    expect(by.get('ada-pay')!.reviewers).toEqual([{ kind: 'principal', name: 'ben' }]);
    expect(byGroup.reviewers).toEqual([{ kind: 'group', name: 'dba' }]);
    // Ben owns it and has it, himself or by his group: the campaign's group answers.
    expect(by.get('ben-pay')!.reviewers).toEqual([{ kind: 'group', name: 'auditors' }]);
    expect(by.get('dba-pay')!.reviewers).toEqual([{ kind: 'group', name: 'auditors' }]);
    const forBen = await itemsOf('owners', '?answerable=true', tokenOf('ben'));
    expect(forBen.map((item) => item.grant)).toEqual(['ada-hr', 'ada-pay', 'auditors-pay']);
    expect((await itemsOf('owners', '', tokenOf('ada'))).length).toBe(0);
    expect((await plane.call('GET', '/v1/reviews', undefined, tokenOf('ada'))).body).toMatchObject({ items: [] });
    expect((await plane.call<Items>('GET', '/v1/reviews', undefined, tokenOf('ben'))).body.items.length).toBe(1);
  });

  test('answers nothing of a group they are in, nor by a second account with their address', async () => {
    const item = (await itemsOf('owners')).find((one) => one.grant === 'auditors-pay')!;
    expect((await answer('owners', { items: [item.id], answer: 'keep' })).status).toBe(404);
    await grant('eva2-pay', { principal: 'eva-2', resource: 'pay-db' });
    await review('twins', { scope: { groups: ['auditors'], resources: ['pay-db'] } });
    await start('twins');
    const items = await itemsOf('twins');
    expect(items.map((one) => one.grant).sort()).toEqual(['auditors-pay', 'eva2-pay']);
    for (const one of items) expect((await answer('twins', { items: [one.id], answer: 'keep' })).status).toBe(404);
    // The administrator sees it, and is told why not.
    expect((await answer('twins', { items: [items[0]!.id], answer: 'keep' }, plane.adminToken)).body.code).toBe(
      'review.not_reviewer',
    );
  });

  test('answers nothing of a second account that an identity ties to them, nor by a token that the holder made', async () => {
    const { client } = plane.controlPlane.app.get(Database, { strict: false });
    await grant('ada-tied', { principal: 'ada', resource: 'pay-db' });
    await review('tied', { scope: { resources: ['pay-db'], principalKinds: ['person'] } });
    await start('tied');
    const item = (await itemsOf('tied')).find((one) => one.grant === 'ada-tied')!;
    const mayEva = async () =>
      (await itemsOf('tied', '?answerable=true', tokenOf('eva'))).some((one) => one.id === item.id);
    expect(await mayEva()).toBe(true);
    const projectId = agent.identity.projectId!;
    const tie = (name: string, subject: string) => ({
      id: randomUUID(),
      projectId,
      principalId: people.get(name)!.id,
      provider: 'okta',
      subject,
    });
    // One address that the provider vouches for, under two accounts there.
    const verifiedEmail = 'one@example.com';
    await client.identity.create({ data: { ...tie('ada', 'a'), verifiedEmail } });
    await client.identity.create({ data: { ...tie('eva', 'e'), verifiedEmail } });
    expect(await mayEva()).toBe(false);
    expect((await answer('tied', { items: [item.id], answer: 'keep' })).status).toBe(404);
    await client.identity.deleteMany({ where: { provider: 'okta' } });
    // Ada makes Eva a token.
    await client.apiToken.updateMany({
      where: { principalId: people.get('eva')!.id },
      data: { lineage: [people.get('ada')!.id] },
    });
    expect(await mayEva()).toBe(false);
    expect((await answer('tied', { items: [item.id], answer: 'keep' })).status).toBe(404);
    await client.apiToken.updateMany({ where: { principalId: people.get('eva')!.id }, data: { lineage: [] } });
    expect((await answer('tied', { items: [item.id], answer: 'keep' })).status).toBe(200);
    await plane.call('POST', '/v1/reviews/tied/end');
    await plane.call('DELETE', '/v1/grants/ada-tied');
  });

  test('is refused as a whole when one item is not theirs, and nothing is answered', async () => {
    const items = await itemsOf('owners');
    const ids = ['ada-pay', 'ben-pay'].map((name) => items.find((item) => item.grant === name)!.id);
    expect((await answer('owners', { items: ids, answer: 'revoke', reason: 'all' }, tokenOf('ben'))).status).toBe(404);
    expect((await itemsOf('owners')).every((item) => item.answer === null)).toBe(true);
  });

  test('gives a reason for a bulk answer', async () => {
    const items = await itemsOf('owners', '?answerable=true', tokenOf('ben'));
    const ids = items.map((item) => item.id);
    expect((await answer('owners', { items: ids, answer: 'keep' }, tokenOf('ben'))).status).toBe(400);
    expect((await answer('owners', { items: ids, answer: 'keep', reason: 'On call.' }, tokenOf('ben'))).status).toBe(
      200,
    );
  });

  test('two answers at once: one stands', async () => {
    const item = (await itemsOf('owners')).find((one) => one.grant === 'ben-pay')!;
    const both = await Promise.all([
      answer('owners', { items: [item.id], answer: 'keep' }),
      answer('owners', { items: [item.id], answer: 'revoke' }),
      answer('owners', { items: [item.id], answer: 'keep' }, tokenOf('eva-2')),
    ]);
    expect(both.map((one) => one.status).toSorted((a, b) => a - b)).toEqual([200, 409, 409]);
  });

  test('by manager it is whom all holders name, by name or address', async () => {
    await plane.call('PATCH', '/v1/principals/ada', { manager: 'eva@example.com' });
    await review('managers', { scope: { resources: ['pay-db'] }, reviewers: { by: 'manager', groups: ['auditors'] } });
    await start('managers');
    const by = new Map((await itemsOf('managers')).map((item) => [item.grant, item.reviewers]));
    expect(by.get('ada-pay')).toMatchObject([{ kind: 'principal', name: expect.stringMatching(/^eva/) }]);
    expect(by.get('dba-pay')).toEqual([{ kind: 'group', name: 'auditors' }]);
  });

  test('a service or an AI agent answers nothing, even as a member of the reviewers', async () => {
    const bot = await made<{ id: string }>('/v1/principals', { name: 'bot', kind: 'ai_agent', roles: ['auditor'] });
    const { token } = await made<{ token: string }>('/v1/principals/bot/tokens', {
      name: 't',
      expiresInSeconds: 86_400,
    });
    await plane.call('PUT', '/v1/groups/auditors/members/bot');
    expect(bot.id).toBeDefined();
    const item = (await itemsOf('managers')).find((one) => one.grant === 'dba-pay')!;
    expect((await answer('managers', { items: [item.id], answer: 'keep' }, token)).body.code).toBe(
      'review.not_reviewer',
    );
  });
});

describe('a campaign', () => {
  test('revoking ends the grant, and writing it anew does not confirm it', async () => {
    await resource('old-db');
    const { id } = await grant('ada-old', { principal: 'ada', resource: 'old-db' });
    await review('old', { scope: { resources: ['old-db'] } });
    await start('old');
    const [item] = await itemsOf('old');
    expect((await answer('old', { items: [item!.id], answer: 'revoke' })).status).toBe(200);
    await inBundle(id, (body) => body === undefined);
    await plane.call('PUT', '/v1/grants/ada-old', {
      name: 'ada-old',
      principal: 'ada',
      resource: 'old-db',
      effects: ['read'],
    });
    await inBundle(id, (body) => JSON.stringify(body?.['confirmed']) === '[]');
    // Ending the campaign unbinds it; its evidence stays.
    expect((await plane.call<{ code: string }>('DELETE', '/v1/reviews/old')).status).toBe(409);
    expect((await plane.call('POST', '/v1/reviews/old/end')).status).toBe(200);
    await inBundle(id, (body) => body !== undefined && body['confirmed'] === undefined);
    expect((await itemsOf('old'))[0]).toMatchObject({ answer: 'revoke' });
    expect((await start('old')).status).toBe(409);
  });

  test('starts by its schedule once, lapses aloud, and never prolongs by starting again', async () => {
    await resource('sched-db');
    const { id } = await grant('ada-sched', { principal: 'ada', resource: 'sched-db' });
    const keeper = plane.controlPlane.app.get(ReviewKeeper, { strict: false });
    const at = new Date(plane.clock.nowMs() + 60_000).toISOString();
    await review('sched', {
      scope: { resources: ['sched-db'] },
      due: '2d',
      every: '1 month',
      nextAt: at,
      afterReview: 'hold',
    });
    await keeper.run();
    expect(await itemsOf('sched')).toEqual([]);
    plane.clock.offsetMs += 120_000;
    await Promise.all([keeper.run(), keeper.run()]);
    expect((await itemsOf('sched')).map((item) => item.grant)).toEqual(['ada-sched']);
    expect((await start('sched')).status).toBe(409);
    await inBundle(id, (body) => body?.['reviewedUntil'] !== undefined);
    const first = Number((await grantChunk(id))['reviewedUntil']);
    plane.clock.offsetMs += 3 * DAY_MS;
    await keeper.run();
    await keeper.run();
    // Told once, though the keeper looked twice, and drift from now on.
    const { client } = plane.controlPlane.app.get(Database, { strict: false });
    const acts = await client.controlAct.findMany({ where: { action: 'review.lapsed', target: 'review/sched' } });
    expect(acts.map((act) => act.detail)).toMatchObject([{ round: 1, unanswered: 1, afterReview: 'hold' }]);
    const drift = await plane.call<{ items: object[] }>('GET', '/v1/drift?kind=review_lapsed');
    expect(drift.body.items).toContainEqual(expect.objectContaining({ target: 'grant/ada-sched' }));
    expect((await plane.call<{ round: { state: string } }>('GET', '/v1/reviews/sched')).body.round.state).toBe(
      'lapsed',
    );
    expect((await start('sched')).status).toBe(200);
    expect((await grantChunk(id))['reviewedUntil']).toBe(first);
    // A late answer makes it good again, until the next turn's own deadline.
    const [item] = await itemsOf('sched', '?state=open');
    expect((await answer('sched', { items: [item!.id], answer: 'keep' })).status).toBe(200);
    await inBundle(id, (body) => Number(body?.['reviewedUntil']) > plane.clock.nowMs() + 20 * DAY_MS);
    plane.clock.offsetMs = 0;
  });

  test('of wrong input is refused by field', async () => {
    const wrong = async (more: object) =>
      (
        await plane.call('POST', '/v1/reviews', {
          name: 'x',
          scope: {},
          reviewers: { by: 'group', groups: ['a'] },
          ...more,
        })
      ).status;
    expect(await wrong({ reviewers: { by: 'group' } })).toBe(400);
    expect(await wrong({ every: '3 fortnights' })).toBe(400);
    expect(await wrong({ due: '2000d' })).toBe(400);
    expect(await wrong({ id: randomUUID() })).toBe(400);
    expect(await wrong({ scope: { everything: true } })).toBe(400);
    await review('empty', { scope: { resources: ['nowhere'] } });
    expect((await start('empty')).status).toBe(400);
  });
});

describe('drift', () => {
  const kinds = async (query = '') =>
    (
      await plane.call<{ items: { kind: string; target: string; what: string; since: string | null }[] }>(
        'GET',
        `/v1/drift${query}`,
      )
    ).body.items;

  test('tells of a group that gained members, of reach that grew, and of what no round has seen', async () => {
    await resource('drift-db', { area: 'drift' });
    await grant('dba-drift', { group: 'dba', labels: { area: 'drift' }, effects: ['read', 'write'] });
    await review('drift', { scope: { labels: { area: 'drift' } }, afterReview: 'hold' });
    await start('drift');
    const [item] = await itemsOf('drift');
    expect((await answer('drift', { items: [item!.id], answer: 'reduce', effects: ['read'] })).status).toBe(200);
    await plane.call('PUT', '/v1/groups/dba/members/ada');
    await resource('drift-db-2', { area: 'drift' });
    await grant('ada-drift', { principal: 'ada', labels: { area: 'drift' } });
    const found = (await kinds()).filter((one) => one.target.endsWith('-drift'));
    expect(found.map((one) => one.kind).sort()).toEqual(['group_gained_members', 'not_reviewed', 'reach_grew']);
    expect(found.find((one) => one.kind === 'group_gained_members')!.what).toContain('ada');
  });

  test('tells of use that no review confirmed, and is told as news once', async () => {
    const target = { ...(await plane.call<{ id: string }>('GET', '/v1/resources/drift-db')).body, name: 'drift-db' };
    await new Promise((resolve) => setTimeout(resolve, 20));
    // Tried and refused is not used.
    await used('ben', target, [{ effects: ['write'], verdict: 'deny' }]);
    expect(await kinds('?kind=used_beyond_review')).toEqual([]);
    await used('ben', target, [{ effects: ['write'] }]);
    await used('ben', target, [{ effects: ['write'], verdict: 'deny' }]);
    const found = await kinds('?kind=used_beyond_review');
    expect(found).toMatchObject([
      { target: 'principal/ben', what: expect.stringContaining('write on drift-db'), since: null },
    ]);
    const keeper = plane.controlPlane.app.get(ReviewKeeper, { strict: false });
    await keeper.lookForDrift();
    const since = (await kinds('?kind=used_beyond_review'))[0]!.since;
    expect(since).not.toBeNull();
    const { client } = plane.controlPlane.app.get(Database, { strict: false });
    const news = () => client.controlAct.findMany({ where: { action: 'drift.found' } });
    const told = await news();
    expect(JSON.stringify(told.map((act) => act.detail))).toContain('write on drift-db');
    await keeper.lookForDrift();
    expect((await kinds('?kind=used_beyond_review'))[0]!.since).toBe(since);
    expect(await news()).toHaveLength(told.length);
  });

  test('use for another counts for both', async () => {
    const target = { ...(await resource('for-db')), name: 'for-db' };
    await grant('eva-for', { principal: 'eva', resource: 'for-db' });
    await grant('ada-for', { principal: 'ada', resource: 'for-db' });
    await used('eva', target, [{ effects: ['read'] }], 'ada');
    await review('for', { scope: { resources: ['for-db'] }, reviewers: { by: 'group', groups: ['dba'] } });
    await start('for');
    expect((await itemsOf('for')).map((item) => [item.grant, item.evidence.allowed])).toEqual([
      ['ada-for', 1],
      ['eva-for', 1],
    ]);
  });

  test('tells of grants that nobody used and credentials that nobody changed', async () => {
    await made('/v1/credentials', { name: 'old', kind: 'stored', username: 'app', secret: 's3cret-value' });
    const database = plane.controlPlane.app.get(Database, { strict: false }).client;
    const rotating = { kind: 'stored', username: 'app', rotateEverySeconds: 86_400, rotationError: 'upstream.auth' };
    const { projectId } = agent.identity;
    await database.credential.create({
      data: { ...rotating, id: randomUUID(), projectId: projectId!, name: 'rotating' },
    });
    plane.clock.offsetMs = 100 * DAY_MS;
    const found = await kinds();
    plane.clock.offsetMs = 0;
    expect(found.filter((one) => one.kind === 'unused_grant').map((one) => one.target)).toContain('grant/ada-hr');
    expect(found.filter((one) => one.kind === 'credential_unchanged').map((one) => one.target)).toContain(
      'credential/old',
    );
    const late = found.find((one) => one.kind === 'credential_past_rotation');
    expect(late).toMatchObject({ target: 'credential/rotating', what: expect.stringContaining('upstream.auth') });
    expect((await kinds()).filter((one) => one.kind.startsWith('credential'))).toEqual([]);
  });
});
