/** Policies, resources and credentials over HTTP: what is refused at save, revisions, explanations, and secrets that stay in. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Database } from '../db/database.ts';
import { startTestControlPlane, type TestControlPlane } from '../testing/control-plane.ts';

let plane: TestControlPlane;
beforeAll(async () => {
  plane = await startTestControlPlane();
  await plane.call('POST', '/v1/resources', {
    name: 'db',
    type: 'postgres',
    labels: { env: 'prod' },
    postgres: { host: 'x' },
  });
  await plane.call('POST', '/v1/principals', { name: 'bot', kind: 'ai_agent' });
  await plane.call('POST', '/v1/grants', {
    name: 'bot',
    principal: 'bot',
    resource: 'db',
    effects: ['read', 'write', 'ddl'],
  });
}, 60_000);
afterAll(async () => await plane.stop());

const SOURCE = (verdict: string) => `kind: Policy
name: prod
resources: { labels: { env: prod } }
rules:
  - name: no-ddl
    when: sql.effects.exists(e, e == "ddl")
    verdict: ${verdict}
`;

test('a policy is checked when saved: a wrong line is named and nothing is kept', async () => {
  const answer = await plane.call<{ errors: { line: number; field: string }[] }>('POST', '/v1/policies', {
    source: SOURCE('deny').replace('sql.effects', 'sql.efects'),
  });
  expect(answer).toMatchObject({ status: 422, body: { code: 'policy.invalid' } });
  expect(answer.body.errors[0]).toMatchObject({ line: 6, field: 'rules[0].when' });
  expect((await plane.call('GET', '/v1/policies/prod')).status).toBe(404);
});

test('a rule that holds COMMITs is not kept for a resource that answers by ticket', async () => {
  await plane.call('POST', '/v1/resources', {
    name: 'by-ticket',
    type: 'postgres',
    labels: { env: 'tickets' },
    approval: 'ticket',
    postgres: { host: 'x' },
  });
  const source = (env: string): string => `kind: Policy
name: at-commit
resources: { labels: { env: ${env} } }
rules:
  - name: writes
    when: sql.effects.exists(e, e == "write")
    verdict: hold
    approval: { groups: [], at: commit }
`;
  const answer = await plane.call('POST', '/v1/policies', { source: source('tickets') });
  expect(answer).toMatchObject({ status: 422, body: { errors: [{ field: 'resources' }] } });
  expect((await plane.call('POST', '/v1/policies', { source: source('prod') })).status).toBe(201);
  expect((await plane.call('PUT', '/v1/policies/at-commit', { source: source('tickets') })).status).toBe(422);
  expect((await plane.call('DELETE', '/v1/policies/at-commit')).status).toBe(204);
  await plane.call('DELETE', '/v1/resources/by-ticket');
});

test('every revision is kept, with who wrote it', async () => {
  expect((await plane.call('POST', '/v1/policies', { source: SOURCE('deny') })).status).toBe(201);
  expect((await plane.call('POST', '/v1/policies', { source: SOURCE('deny') })).body).toMatchObject({
    code: 'request.conflict',
  });
  expect((await plane.call('PUT', '/v1/policies/prod', { source: SOURCE('allow') })).body).toMatchObject({
    revision: 2,
  });
  const { body } = await plane.call<{ items: { revision: number; source: string; by: string | null }[] }>(
    'GET',
    '/v1/policies/prod/revisions',
  );
  expect(body.items.map((item) => item.revision)).toEqual([2, 1]);
  expect(body.items[1]!.source).toBe(SOURCE('deny'));
  expect(
    (await plane.call('PUT', '/v1/policies/prod', { source: SOURCE('deny').replace('name: prod', 'name: other') }))
      .status,
  ).toBe(422);
  await plane.call('PUT', '/v1/policies/prod', { source: SOURCE('deny') });
});

test.each([
  ['drop table customers', 'deny', 'prod/no-ddl'],
  ['select 1', 'allow', 'grant'],
  ['this is not sql', 'deny', 'none'],
])('explain says how %j would be judged', async (statement, verdict, rule) => {
  const { body, status } = await plane.call<{ verdict: { kind: string; rule: string } }>(
    'POST',
    '/v1/policies/explain',
    { resource: 'db', statement, principal: 'bot' },
  );
  expect(status).toBe(200);
  expect(body.verdict.kind).toBe(verdict);
  if (verdict === 'deny' && rule !== 'none') expect(body.verdict.rule).toBe(rule);
});

test('a member explains for itself alone, and only what it may reach', async () => {
  const { body } = await plane.call<{ token: string }>('POST', '/v1/principals/bot/tokens', { name: 't' });
  expect(
    (await plane.call('POST', '/v1/policies/explain', { resource: 'db', statement: 'select 1' }, body.token)).status,
  ).toBe(200);
  expect(
    (
      await plane.call(
        'POST',
        '/v1/policies/explain',
        { resource: 'db', statement: 'select 1', principal: 'admin' },
        body.token,
      )
    ).status,
  ).toBe(403);
  await plane.call('POST', '/v1/resources', { name: 'hidden', type: 'postgres', postgres: { host: 'x' } });
  expect(
    (await plane.call('POST', '/v1/policies/explain', { resource: 'hidden', statement: 'select 1' }, body.token))
      .status,
  ).toBe(404);
  expect((await plane.call('GET', '/v1/resources/hidden', undefined, body.token)).status).toBe(404);
  const { body: list } = await plane.call<{ items: { name: string; effects: string[]; postgres?: object }[] }>(
    'GET',
    '/v1/resources',
    undefined,
    body.token,
  );
  expect(list.items).toMatchObject([{ name: 'db', effects: ['read', 'write', 'ddl'] }]);
  expect(list.items[0]).not.toHaveProperty('postgres');
});

test('a secret goes in and never out: not in answers, acts, or the database in clear', async () => {
  const made = await plane.call('POST', '/v1/credentials', {
    name: 'app',
    kind: 'stored',
    username: 'app',
    secret: 'hunter2-clear',
  });
  const put = await plane.call('PUT', '/v1/credentials/app/secret', { secret: 'hunter3-clear' });
  const got = await plane.call('GET', '/v1/credentials/app');
  expect(got.body).toMatchObject({ hasSecret: true, version: 2 });
  const database = plane.controlPlane.app.get(Database, { strict: false }).client;
  const acts = await database.$queryRaw<object[]>`select detail::text from control_acts`;
  const rows = await database.$queryRaw<object[]>`select encode(sealed, 'escape') as sealed from credentials`;
  const everything = JSON.stringify([made, put, got, acts, rows, plane.log]);
  expect(everything).not.toMatch(/hunter[23]-clear/);
  expect(
    (
      await plane.call('POST', '/v1/credentials', {
        name: 'e',
        kind: 'env',
        username: 'x',
        reference: 'SALLYPORT_JOIN_TOKEN',
      })
    ).status,
  ).toBe(400);
});

test('a credential in use stays, and a resource with a wrong one is refused', async () => {
  await plane.call('PATCH', '/v1/resources/db', { credential: 'app' });
  expect((await plane.call('DELETE', '/v1/credentials/app')).status).toBe(409);
  expect((await plane.call('PATCH', '/v1/resources/db', { credential: 'none-such' })).body).toMatchObject({
    errors: [{ field: 'credential' }],
  });
});

test.each([
  ['uptime', 'allow', 'grant', ['uptime']],
  ["sudo sh -c 'rm -rf /'", 'deny', 'no-rm/rm', ['sudo sh -c rm -rf /', 'sudo sh rm -rf /']],
  ['ls "', 'deny', 'none', undefined],
])('explain reads the command line %j for an ssh resource', async (statement, kind, rule, commands) => {
  await plane.call('POST', '/v1/resources', {
    name: 'web-1',
    type: 'ssh',
    ssh: { host: 'web-1', logins: ['app'], acceptNewHostKey: true },
  });
  await plane.call('POST', '/v1/grants', {
    name: 'bot-web',
    principal: 'bot',
    resource: 'web-1',
    effects: ['exec', 'write', 'admin'],
  });
  await plane.call('POST', '/v1/policies', {
    source:
      'kind: Policy\nname: no-rm\nrules:\n  - { name: rm, when: \'shell.programs.exists(p, p == "rm")\', verdict: deny }\n',
  });
  const { body } = await plane.call<{ shell: { commands: string[] } | null }>('POST', '/v1/policies/explain', {
    resource: 'web-1',
    statement,
    principal: 'bot',
  });
  expect(body).toMatchObject({ verdict: { kind, rule }, understood: commands !== undefined });
  for (const command of commands ?? []) expect(body.shell?.commands).toContain(command);
});
