/**
 * Provisioning against live sessions: a person whom a directory deactivates, deletes, or takes out of a group is cut off at
 * the agent within a second. Against the shared stack; what it makes, it takes away.
 */

import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { afterAll, beforeAll, expect, inject, test } from 'vitest';
import { accessToken, restClient } from '../../scripts/stack/rest.ts';

const dev = inject('dev');
const admin = restClient(dev.rest, dev.principals['admin']?.token ?? '');
const WITHIN_MS = 1_000;
let directory = '';
beforeAll(async () => {
  const config = { issuer: 'https://directory.example', clientId: 'x', clientAuth: 'none' };
  await admin.call('POST', '/v1/identity-providers', { name: 'e2e-directory', kind: 'oidc', config });
  await admin.call('POST', '/v1/principals', { name: 'e2e-scim', kind: 'service', roles: ['provisioner'] });
  const input = { name: 'scim', scopes: ['scim:write'], scim: { provider: 'e2e-directory' } };
  directory = (await admin.call<{ token: string }>('POST', '/v1/principals/e2e-scim/tokens', input)).token;
});
afterAll(async () => {
  await admin.call('DELETE', '/v1/grants/e2e-scim-readers');
  await admin.call('DELETE', '/v1/identity-providers/e2e-directory');
  await admin.call('DELETE', '/v1/principals/e2e-scim');
});

async function scim<T = { id: string }>(method: string, path: string, body?: unknown): Promise<T> {
  const response = await fetch(`${dev.rest}/scim/v2/${path}`, {
    method,
    headers: { authorization: `Bearer ${directory}`, 'content-type': 'application/scim+json' },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  if (!response.ok) throw new Error(`${response.status} ${await response.text()}`);
  const text = await response.text();
  return (text === '' ? {} : JSON.parse(text)) as T;
}

/** A person of the directory with an open session at the agent, through a group of the directory. */
async function liveSession(userName: string) {
  const user = await scim('POST', 'Users', { userName });
  const group = await scim('POST', 'Groups', { displayName: `g-${userName}`, members: [{ value: user.id }] });
  const grant = { name: 'e2e-scim-readers', group: `g-${userName}`, resource: 'payments-db', effects: ['read'] };
  await admin.call('DELETE', '/v1/grants/e2e-scim-readers').catch(() => undefined);
  await admin.call('POST', '/v1/grants', grant);
  const { token } = await admin.call<{ token: string }>('POST', `/v1/principals/${user.id}/tokens`, { name: 'e2e' });
  // Long enough for the grant to be in force at the agent.
  await sleep(700);
  const client = new pg.Client({
    host: dev.agent.host,
    port: dev.agent.postgres,
    user: 'payments-db',
    password: await accessToken(dev.rest, token, 'payments-db'),
    database: dev.demo.database,
    ssl: { ca: readFileSync(dev.ca, 'utf8') },
  });
  const ended = new Promise<number>((resolve) => {
    client.on('error', () => undefined);
    client.on('end', () => resolve(Date.now()));
  });
  await client.connect();
  expect((await client.query('select 1 as one')).rows).toEqual([{ one: 1 }]);
  return { user, group, token, ended };
}

test.each<[string, (who: { user: { id: string }; group: { id: string } }) => Promise<unknown>]>([
  [
    'deactivated',
    ({ user }) =>
      scim('PATCH', `Users/${user.id}`, { Operations: [{ op: 'Replace', path: 'active', value: 'False' }] }),
  ],
  [
    'taken out of the group',
    ({ group }) => scim('PATCH', `Groups/${group.id}`, { Operations: [{ op: 'Remove', path: 'members' }] }),
  ],
  ['deleted', ({ user }) => scim('DELETE', `Users/${user.id}`)],
])('a live session ends within a second when its person is %s', async (how, change) => {
  const session = await liveSession(`e2e-${how.replace(/\W/g, '-')}`);
  const startedAt = Date.now();
  await change(session);
  const endedAt = await Promise.race([session.ended, sleep(5_000).then(() => Number.POSITIVE_INFINITY)]);
  expect(endedAt - startedAt).toBeLessThan(WITHIN_MS);
  await expect(accessToken(dev.rest, session.token, 'payments-db')).rejects.toThrow();
  await scim('DELETE', `Groups/${session.group.id}`);
  if (how !== 'deleted') await scim('DELETE', `Users/${session.user.id}`);
});
