/** What administrators and approvers do at the command line beside answering: seats, budgets, directories, keys, early ends. */
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, expect, inject, test } from 'vitest';
import { restClient } from '../../scripts/stack/rest.ts';
import { startSamlIdp } from '../../scripts/tour/saml-idp.ts';
import { openCli } from './cli-process.ts';

const dev = inject('dev');
const { home, run, runJson, end } = openCli(dev);
afterAll(end);

/** A file in the program's home. */
const file = (name: string, text: string): string => {
  const where = path.join(home, name);
  writeFileSync(where, text);
  return where;
};
const as = (who: string, ...args: string[]) => run(['--as', who, ...args]);
async function done(who: string, ...args: string[]): Promise<string> {
  const ran = await as(who, ...args);
  expect(ran.code, `${args.join(' ')}: ${ran.err}`).toBe(0);
  return ran.out;
}

test.each([
  ['login', '--provider'],
  ['request', '--reason'],
  ['requests', 'revoke'],
  ['reviews', 'drift'],
  ['grants', 'create'],
  ['credentials', 'rotate'],
  ['leases', 'revoke'],
  ['providers', 'test'],
  ['delegations', 'create'],
  ['budgets', '--principal'],
  ['proposals', 'answer'],
])('%s has help that names %s', async (command, part) => {
  const ran = await run([command, '--help']);
  expect(ran.code).toBe(0);
  expect(ran.out).toContain(part);
});

test.each([
  'requests',
  'reviews',
  'grants',
  'credentials',
  'leases',
  'providers',
  'delegations',
  'budgets',
  'proposals',
])('%s answers in JSON', async (command) => {
  expect(Array.isArray(await runJson(['--as', 'admin', command]))).toBe(true);
});

test('an approver hands their seat over for a time, and either side ends it', async () => {
  expect((await as('ben', 'delegations', 'create', 'carla', '--until', '1h')).code).not.toBe(0);
  expect((await as('ben', 'delegations', 'create', 'ana', '--until', '200d')).code).not.toBe(0);
  await done('ben', 'delegations', 'create', 'ana', '--until', '1h');
  const [one] = await runJson<{ id: string; of: string; to: string }[]>(['--as', 'ana', 'delegations']);
  expect(one).toMatchObject({ of: 'ben', to: 'ana' });
  expect(await done('ana', 'delegations', 'ls')).toContain('in force');
  await done('ana', 'delegations', 'end', one!.id);
  expect(await done('ben', 'delegations')).not.toContain(one!.id);
  expect(await done('ben', 'delegations', 'ls', '--all')).toContain(one!.id);
});

test('what a principal has left of a budget is told, with when it starts anew', async () => {
  const policy = `kind: Policy
name: e2e-budget
resources: { names: [payments-db] }
budgets:
  - { name: loop, per: principal, every: 1h, statements: 100000 }
rules: []
`;
  await done('admin', 'apply', '-f', file('budget.yaml', policy));
  try {
    // The agent leases of it with the first statement after the bundle.
    await expect
      .poll(
        async () => {
          await as('carla', 'sql', 'payments-db', '-c', 'select 1');
          return await runJson<object[]>(['--as', 'admin', 'budgets', '--principal', 'carla']);
        },
        { timeout: 30_000, interval: 300 },
      )
      .toMatchObject([{ budget: 'e2e-budget/loop', principal: 'carla', limits: { statements: 100_000 } }]);
    expect(await done('admin', 'budgets', '--principal', 'carla')).toMatch(/statements \d+ of 100000/);
    expect(await runJson(['--as', 'admin', 'budgets', '--principal', 'ben'])).toEqual([]);
  } finally {
    // Not by --prune: other tests live by the policies of this stack.
    await restClient(dev.rest, dev.principals['admin']!.token!).call('DELETE', '/v1/policies/e2e-budget');
  }
});

test('a SAML provider’s keys are rolled over, and its directory gets a token that is listed and revoked', async () => {
  const idp = await startSamlIdp({ name: 'dana', displayName: 'Dana', groups: [] });
  const document = {
    kind: 'IdentityProvider',
    name: 'e2e-saml',
    type: 'saml',
    config: { entityId: idp.entityId, metadata: idp.metadata },
  };
  await done('admin', 'providers', 'add', file('saml.json', JSON.stringify(document)));
  try {
    expect(await done('admin', 'providers', 'roll-keys', 'e2e-saml', '--signs-after', '2h')).toContain('signs from');
    expect((await as('carla', 'providers', 'roll-keys', 'e2e-saml')).code).toBe(4);
    const made = await runJson<{ id: string; token: string; principal: string }>([
      '--as',
      'admin',
      'providers',
      'scim-token',
      'e2e-saml',
      '--subject',
      'email',
    ]);
    const scim = (token: string) =>
      fetch(`${dev.rest}/scim/v2/Users`, { headers: { authorization: `Bearer ${token}` } });
    expect((await scim(made.token)).status).toBe(200);
    const listed = await runJson<{ id: string; scopes: string[] }[]>([
      '--as',
      'admin',
      'principals',
      'tokens',
      made.principal,
    ]);
    expect(listed).toMatchObject([{ id: made.id, scopes: ['scim:write'] }]);
    await done('admin', 'principals', 'revoke-token', made.id);
    expect((await scim(made.token)).status).toBe(401);
    await done('admin', 'principals', 'rm', made.principal);
  } finally {
    await done('admin', 'providers', 'remove', 'e2e-saml');
    await idp.close();
  }
});

test('an approver ends at the command line what they gave, and a document’s grant says where it is from', async () => {
  const policy = `kind: AccessPolicy
name: e2e-revoke
requesters: { groups: [analysts] }
resources: { names: [payments-db] }
effects: [write]
durationMax: 1h
approve: { groups: [dba] }
`;
  await done('admin', 'apply', '-f', file('access.yaml', policy));
  const asked = ['request', 'payments-db', '--effect', 'write', '--for', '10m', '--reason', 'A note is wrong'];
  const { id } = await runJson<{ id: string }>(['--as', 'carla', ...asked]);
  await done('ana', 'requests', 'approve', id);
  expect((await as('carla', 'requests', 'revoke', id, '--reason', 'x')).code).toBe(4);
  expect((await as('ana', 'requests', 'revoke', id)).code).toBe(2);
  await done('ana', 'requests', 'revoke', id, '--reason', 'It is over');
  const shown = await runJson<{ state: string; answer: string }>(['--as', 'carla', 'requests', 'show', id]);
  expect(shown).toMatchObject({ state: 'revoked', answer: 'It is over' });
  expect((await as('ana', 'requests', 'revoke', id, '--reason', 'again')).code).toBe(6);
  const grants = await runJson<{ name: string; source: string }[]>(['--as', 'admin', 'grants']);
  expect(grants.find((grant) => grant.name === 'analysts-read-prod')?.source).toBe('apply');
  expect(grants.find((grant) => grant.name === `jit-${id}`)?.source).toBe('request');
});
