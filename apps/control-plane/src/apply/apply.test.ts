/** Documents as code over HTTP: what is created, changed, pruned, and what is refused with file, line and field. */
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Database } from '../db/database.ts';
import { Project } from '../db/project.ts';
import { startTestControlPlane, type TestControlPlane } from '../testing/control-plane.ts';

let plane: TestControlPlane;
beforeAll(async () => {
  plane = await startTestControlPlane();
}, 60_000);
afterAll(async () => await plane.stop());
const database = () => plane.controlPlane.app.get(Database, { strict: false }).client;

interface Applied {
  readonly changes: readonly { kind: string; name: string; action: string; diff: string[]; warnings?: string[] }[];
  readonly errors: readonly { file: string; line: number; field: string; message: string }[];
  readonly code: string;
}
const apply = (text: string, more: object = {}) =>
  plane.call<Applied>('POST', '/v1/apply', { documents: [{ file: 'all.yaml', text }], ...more });
const actions = ({ body }: { body: Applied }) =>
  body.changes.map((change) => `${change.action} ${change.kind}/${change.name}`);

const RESOURCE = `kind: Resource
name: payments-db
type: postgres
labels: { env: prod }
postgres:
  host: db.internal
  databases: [payments]
offline: { sessions: 24h }
`;
const GRANT = `---
kind: Grant
name: dba
group: dba
resource: payments-db
effects: [read, write]
`;
const GROUP = `---
kind: Group
name: dba
description: Database people
members: [admin]
`;
const POLICY = `---
# why: migrations
kind: Policy
name: payments
resources: { labels: { env: prod } }
rules:
  - name: no-ddl
    when: sql.effects.exists(e, e == "ddl")
    verdict: deny
`;
const ALL = RESOURCE + GRANT + GROUP + POLICY;

test('a dry run says what would happen and changes nothing', async () => {
  const answer = await apply(ALL, { dryRun: true });
  expect(actions(answer)).toEqual([
    'create Group/dba',
    'create Resource/payments-db',
    'create Grant/dba',
    'create Policy/payments',
  ]);
  expect((await plane.call('GET', '/v1/resources/payments-db')).status).toBe(404);
});

test('a table of expectations beside its policy is left to `policy test`', async () => {
  const table = '---\nkind: PolicyTest\ncases:\n  - { statement: select 1, expect: allow }\n';
  expect(actions(await apply(table + GROUP, { dryRun: true }))).toEqual(['create Group/dba']);
});

test('applied twice, the second time nothing changes', async () => {
  expect(actions(await apply(ALL))).toEqual([
    'create Group/dba',
    'create Resource/payments-db',
    'create Grant/dba',
    'create Policy/payments',
  ]);
  const revision = async () =>
    (await plane.controlPlane.app.get(Database, { strict: false }).client.bundleState.findFirstOrThrow()).revision;
  const before = await revision();
  expect(actions(await apply(ALL))).toEqual([
    'none Group/dba',
    'none Resource/payments-db',
    'none Grant/dba',
    'none Policy/payments',
  ]);
  expect(await revision()).toBe(before);
});

test('a change shows the fields that differ', async () => {
  const answer = await apply(RESOURCE.replace('24h', '1h').replace('prod', 'test'));
  expect(answer.body.changes[0]).toMatchObject({
    action: 'update',
    diff: ['- labels.env: prod', '+ labels.env: test', '- offline.sessions: 1d', '+ offline.sessions: 1h'],
  });
  expect((await apply(POLICY.replace('deny', 'hold\n    approval: { groups: [dba] }'))).body.changes[0]!.diff).toEqual([
    '-     verdict: deny',
    '+     verdict: hold',
    '+     approval: { groups: [dba] }',
  ]);
});

test('a revoked grant that is still in the documents is in force again', async () => {
  await plane.call('POST', '/v1/grants/dba/revoke');
  expect((await apply(GRANT)).body.changes[0]).toMatchObject({ action: 'update', diff: ['- revoked: true'] });
  expect((await plane.call('GET', '/v1/grants/dba')).body).toMatchObject({ revokedAt: null });
});

test('prune deletes what is not named, among the kinds that are there', async () => {
  await apply(GRANT.replace('name: dba', 'name: other'));
  const answer = await apply(GRANT, { prune: true });
  expect(actions(answer)).toEqual(['none Grant/dba', 'delete Grant/other']);
  expect((await plane.call('GET', '/v1/policies/payments')).status).toBe(200);
});

test('prune leaves what was made by hand, also under the name of something documents once made', async () => {
  const byHand = { group: 'dba', resource: 'payments-db', effects: ['read'] };
  expect((await plane.call('POST', '/v1/grants', { name: 'by-hand', ...byHand })).status).toBe(201);
  await apply(GRANT + GRANT.replace('name: dba', 'name: once'));
  expect((await plane.call('DELETE', '/v1/grants/once')).status).toBe(204);
  expect((await plane.call('POST', '/v1/grants', { name: 'once', ...byHand })).status).toBe(201);
  expect(actions(await apply(GRANT, { prune: true }))).toEqual(['none Grant/dba']);
  // Named by a document once more, it is the documents' own again, though nothing about it changed.
  const taken = GRANT + GRANT.replace('name: dba', 'name: once').replace('[read, write]', '[read]');
  expect(actions(await apply(taken))).toEqual(['none Grant/dba', 'none Grant/once']);
  expect(actions(await apply(GRANT, { prune: true, dryRun: true }))).toEqual(['none Grant/dba', 'delete Grant/once']);
  expect(actions(await apply(GRANT, { prune: true }))).toEqual(['none Grant/dba', 'delete Grant/once']);
  expect((await plane.call('GET', '/v1/grants/by-hand')).status).toBe(200);
});

test.each([
  ['kind: Grant\nname: x\ngroup: dba\nresource: payments-db\neffects: [reed]\n', 5, 'effects.0'],
  ['kind: Grant\nname: x\ngroup: dba\nresource: payments-db\neffects: [read]\nuntil: never\n', 6, 'until'],
  ['kind: Grant\nname: x\ngroup: nobody\nresource: payments-db\neffects: [read]\n', 1, 'group'],
  ['kind: Robot\nname: x\n', 1, 'kind'],
  [`${RESOURCE}---\n${RESOURCE}`, 10, 'name'],
  [RESOURCE.replace('  host: db.internal', '  host: a\n  socket: /b'), 6, 'postgres.host'],
  [
    `${RESOURCE}---\nkind: Policy\nname: p\nrules:\n  - name: a\n    when: sql.nope == 1\n    verdict: deny\n`,
    14,
    'rules[0].when',
  ],
  ['kind: Group\nname: &a x\ndescription: *a\n', 1, ''],
  ['kind: Group\n name: x\n', 1, ''],
])('what is wrong is named by file, line and field (%#)', async (text, line, field) => {
  const answer = await apply(text);
  expect(answer.status).toBe(422);
  expect(answer.body.code).toBe('policy.invalid');
  expect(answer.body.errors[0]).toMatchObject({ file: 'all.yaml', line, field });
});

test('what a document made says so', async () => {
  await apply(`${RESOURCE}${GROUP}${GRANT}`);
  const { body } = await plane.call<{ source: string }>('GET', '/v1/grants/dba');
  expect(body.source).toBe('apply');
});

test('an access review is a document: applied again it changes nothing, its schedule goes on, and prune ends what has answers', async () => {
  const REVIEW = `kind: AccessReview
name: quarterly
scope: { labels: { env: prod } }
reviewers: { by: owner, groups: [dba] }
due: 14d
every: 3 months
nextAt: 2020-01-04T08:00:00Z
`;
  const later = randomUUID;
  expect(actions(await apply(REVIEW, { dryRun: true }))).toEqual(['create AccessReview/quarterly']);
  expect((await plane.call('GET', '/v1/reviews/quarterly')).status).toBe(404);
  expect(actions(await apply(REVIEW.replace('2020-', '2120-')))).toEqual(['create AccessReview/quarterly']);
  const show = async () => (await plane.call<{ nextAt: string; due: string }>('GET', '/v1/reviews/quarterly')).body;
  expect((await show()).nextAt).toBe('2120-01-04T08:00:00.000Z');
  // A turn that lies behind us, as after the first round, leaves the next one.
  expect(actions(await apply(REVIEW))).toEqual(['none AccessReview/quarterly']);
  const shorter = await apply(REVIEW.replace('14d', '7d'));
  expect(shorter.body.changes[0]).toMatchObject({ action: 'update', diff: ['- due: 14d', '+ due: 7d'] });
  expect(await show()).toMatchObject({ nextAt: '2120-01-04T08:00:00.000Z', due: '7d' });
  const wrong = await apply(REVIEW.replace('14d', '14 days'));
  expect(wrong.body.errors[0]).toMatchObject({ line: 5, field: 'due' });

  const OTHER = REVIEW.replace('quarterly', 'other');
  await apply(`${REVIEW}---\n${OTHER}`);
  const { id } = await database().reviewCampaign.findFirstOrThrow({ where: { name: 'quarterly' } });
  const projectId = plane.controlPlane.app.get(Project, { strict: false }).id;
  const now = new Date();
  const round = { id: later(), projectId, campaignId: id, number: 1, startedAt: now, deadline: now, evidenceFrom: now };
  await database().reviewRound.create({ data: round });
  const item = {
    id: later(),
    projectId,
    roundId: round.id,
    grantId: later(),
    grantName: 'g',
    subject: {},
    holders: [],
  };
  const more = { reviewers: [], evidence: {}, proposal: 'keep', proposalReason: '', answer: 'keep' };
  await database().reviewItem.create({ data: { ...item, ...more } });
  const LAST = REVIEW.replace('quarterly', 'last');
  expect(actions(await apply(LAST, { prune: true })).toSorted()).toEqual([
    'create AccessReview/last',
    'delete AccessReview/other',
    'delete AccessReview/quarterly',
  ]);
  expect((await plane.call('GET', '/v1/reviews/other')).status).toBe(404);
  expect((await plane.call<{ endedAt: string | null }>('GET', '/v1/reviews/quarterly')).body.endedAt).not.toBeNull();
  expect((await apply(REVIEW)).body.errors[0]).toMatchObject({ field: 'name' });
});

test('nothing between two marks is no document', async () => {
  expect(actions(await apply(`---\n---\n${GROUP}---\n# the end\n---\n`))).toEqual(['none Group/dba']);
});

test('when one document is refused none is applied', async () => {
  const answer = await apply(
    `kind: Group\nname: new-group\n---\nkind: Grant\nname: y\ngroup: new-group\nresource: missing\neffects: [read]\n`,
  );
  expect(answer.body.errors[0]).toMatchObject({ line: 4, field: 'resource' });
  expect((await plane.call('GET', '/v1/groups/new-group')).status).toBe(404);
});

test('a label that a guard would drop, and characters that turn text round, are refused with their line, in a document and in REST', async () => {
  for (const name of ['__proto__', 'constructor']) {
    const { status, body } = await apply(RESOURCE.replace('env: prod', `env: prod, ${name}: x`));
    expect([status, body.errors[0]?.line, body.errors[0]?.field]).toEqual([422, 4, name]);
    const sent = `{"name":"r7","type":"postgres","postgres":{"host":"h"},"labels":{"env":"prod","${name}":"x"}}`;
    const raw = await fetch(`${plane.url}/v1/resources`, {
      method: 'POST',
      headers: { authorization: `Bearer ${plane.adminToken}`, 'content-type': 'application/json' },
      body: sent,
    });
    expect(raw.status).toBe(400);
    expect(await raw.text()).toContain(name);
  }
  expect((await plane.call('GET', '/v1/resources/r7')).status).toBe(404);
  const turned = await apply(`${RESOURCE}description: "\u202Egnp.exe"\n`);
  expect([turned.status, turned.body.errors[0]?.line]).toEqual([422, 9]);
});

test('two policies that hold the COMMITs of one resource and share no approvers are told of', async () => {
  const policy = (name: string, group: string) =>
    `---\nkind: Policy\nname: ${name}\nresources: { names: [meets] }\nrules:\n  - name: w\n    when: sql.effects.exists(e, e == "write")\n    verdict: hold\n    approval: { groups: [${group}], at: commit, expires: 1m }\n`;
  const both = RESOURCE.replace('payments-db', 'meets') + policy('meet-a', 'dba') + policy('meet-b', 'sre');
  const { status, body } = await apply(both, { dryRun: true });
  expect(status).toBe(200);
  expect(body.changes.flatMap((change) => change.warnings ?? [])).toEqual([
    expect.stringMatching(/^meet-b\/w and meet-a\/w hold COMMITs/),
  ]);
  const alike = await apply(both.replace('[sre]', '[dba, sre]'), { dryRun: true });
  expect(alike.body.changes.flatMap((change) => change.warnings ?? [])).toEqual([]);
});
