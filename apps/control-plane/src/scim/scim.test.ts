/** Provisioning over HTTP on a real database, as Okta and Entra ID do it; and what a directory may not reach. */
import { LIMITS } from '@sallyport/core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Database } from '../db/database.ts';
import { type Answer, startTestControlPlane, type TestControlPlane } from '../testing/control-plane.ts';
import { addProject } from '../testing/second-project.ts';
import { ENTERPRISE, GROUP, USER } from './attributes.ts';

interface Resource {
  readonly id: string;
  readonly userName: string;
  readonly displayName: string;
  readonly active: boolean;
  readonly members: readonly { readonly value: string }[];
  readonly meta: { readonly version: string; readonly location: string };
  readonly [key: string]: unknown;
}
interface List {
  readonly totalResults: number;
  readonly startIndex: number;
  readonly itemsPerPage: number;
  readonly Resources: readonly Resource[];
}
interface Refusal {
  readonly status: string;
  readonly scimType?: string;
  readonly schemas: readonly string[];
}

let plane: TestControlPlane;
/** Of provider `okta`, whose people sign in as their userName. */
let okta: string;
let entra: string;
beforeAll(async () => {
  plane = await startTestControlPlane();
  for (const name of ['okta', 'entra']) await makeProvider(name);
  okta = await scimToken('okta');
  entra = await scimToken('entra', 'externalId');
}, 60_000);
afterAll(async () => await plane.stop());

async function makeProvider(name: string, mapping: object = {}, token?: string): Promise<void> {
  const config = { issuer: `https://${name}.example`, clientId: 'c', clientAuth: 'none' };
  const body = { name, kind: 'oidc', config, mapping };
  expect((await plane.call('POST', '/v1/identity-providers', body, token)).status).toBe(201);
}
let serial = 0;
async function scimToken(provider: string, subject = 'userName', admin?: string): Promise<string> {
  const name = `directory-${serial++}`;
  const principal = { name, kind: 'service', roles: ['provisioner'] };
  expect((await plane.call('POST', '/v1/principals', principal, admin)).status).toBe(201);
  const input = { name: 'scim', scopes: ['scim:write'], scim: { provider, subject } };
  const made = await plane.call<{ token: string }>('POST', `/v1/principals/${name}/tokens`, input, admin);
  expect(made.status).toBe(201);
  return made.body.token;
}
async function scim<T = Resource>(
  method: string,
  path: string,
  body?: unknown,
  token = okta,
  headers: Record<string, string> = {},
): Promise<Answer<T>> {
  const response = await fetch(`${plane.url}/scim/v2/${path}`, {
    method,
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/scim+json', ...headers },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const text = await response.text();
  if (text !== '') expect(response.headers.get('content-type')).toMatch(/^application\/(scim|problem)\+json/);
  return { status: response.status, headers: response.headers, body: (text === '' ? {} : JSON.parse(text)) as T };
}
const find = (filter: string, token = okta, kind = 'Users') =>
  scim<List & Refusal>('GET', `${kind}?filter=${encodeURIComponent(filter)}`, undefined, token);
async function newUser(more: object = {}, token = okta): Promise<Resource> {
  const name = `u${serial++}@example.com`;
  const made = await scim('POST', 'Users', { schemas: [USER], userName: name, externalId: name, ...more }, token);
  expect(made.status).toBe(201);
  return made.body;
}
const newGroup = async (displayName: string, members: readonly Resource[] = [], token = okta): Promise<Resource> => {
  const body = { schemas: [GROUP], displayName, members: members.map(({ id }) => ({ value: id })) };
  const made = await scim('POST', 'Groups', body, token);
  expect(made.status).toBe(201);
  return made.body;
};
const database = () => plane.controlPlane.app.get(Database, { strict: false }).client;
const principal = async (id: string) =>
  (
    await plane.call<{
      name: string;
      groups: string[];
      disabledAt: string | null;
      displayName: string;
      email: string;
      roles: string[];
    }>('GET', `/v1/principals/${id}`)
  ).body;
const revocationsOf = (id: string) => database().revocation.count({ where: { kind: 'principal', targetId: id } });

test('a person is created, read, found and shown as a principal', async () => {
  const made = await scim('POST', 'Users', {
    schemas: [USER, ENTERPRISE],
    userName: 'Ada.Lovelace@Example.com',
    externalId: '00u1',
    active: true,
    name: { givenName: 'Ada', familyName: 'Lovelace' },
    emails: [{ value: 'ada@example.com', type: 'work', primary: true }],
    roles: [{ value: 'owner' }],
    password: 'hunter2hunter2',
    [ENTERPRISE]: { department: 'Engines' },
  });
  expect(made.status).toBe(201);
  expect(made.headers.get('location')).toBe(made.body.meta.location);
  expect(made.body).toMatchObject({ userName: 'Ada.Lovelace@Example.com', active: true, externalId: '00u1' });
  expect(JSON.stringify(made.body)).not.toContain('hunter2');
  const who = await principal(made.body.id);
  expect(who).toMatchObject({
    name: 'Ada.Lovelace@Example.com',
    displayName: 'Ada Lovelace',
    email: 'ada@example.com',
  });
  expect(who.roles).toEqual(['member']);
  expect((await scim('GET', `Users/${made.body.id}`)).body).toEqual(made.body);
  for (const filter of [
    'userName eq "ADA.lovelace@example.com"',
    'externalId eq "00u1"',
    `id eq "${made.body.id}"`,
    'emails eq "ada@example.com"',
    'emails[type eq "work"].value eq "Ada@example.com"',
    'emails[type eq "work" and value eq "ada@example.com"]',
    'name.familyName sw "love" and active eq true',
    'userName co "LACE@" and not (userName ew ".org")',
  ]) {
    const { body } = await find(filter);
    expect([filter, body.totalResults, body.Resources?.[0]?.id]).toEqual([filter, 1, made.body.id]);
  }
  const acts = await database().controlAct.findMany({
    where: { target: `principal/${who.name}` },
    orderBy: { id: 'asc' },
  });
  expect(acts.map((act) => act.action)).toEqual(['principal.created', 'principal.provisioned']);
  expect(JSON.stringify(acts.map((act) => act.detail))).not.toContain('hunter2');
});

test('the manager whom a directory names is the principal’s, who reviews what the person may do', async () => {
  const [boss, ada] = [await newUser(), await newUser()];
  const path = `${ENTERPRISE}:manager`;
  await scim('PATCH', `Users/${ada.id}`, { Operations: [{ op: 'Add', path, value: boss.id }] });
  const row = () => database().principal.findUniqueOrThrow({ where: { id: ada.id } });
  expect((await row()).manager).toBe((await principal(boss.id)).name);
  const admin = await plane.call<{ id: string }>('GET', '/v1/principals/admin');
  await scim('PATCH', `Users/${ada.id}`, { Operations: [{ op: 'replace', path, value: { value: admin.body.id } }] });
  expect((await row()).manager).toBe((await principal(boss.id)).name);
});

test('a sign-in of the provider is the person that its directory made', async () => {
  const user = await newUser();
  const identity = await database().identity.findFirst({ where: { provider: 'okta', subject: user.userName } });
  expect(identity?.principalId).toBe(user.id);
  const other = await newUser({ externalId: '0-oid', userName: `e${serial++}@x` }, entra);
  expect((await database().identity.findFirst({ where: { provider: 'entra', subject: '0-oid' } }))?.principalId).toBe(
    other.id,
  );
});

test('a name that is taken is a conflict, whatever its case, and the other provider’s is not', async () => {
  const user = await newUser();
  const again = await scim<Refusal>('POST', 'Users', { userName: user.userName.toUpperCase() });
  expect([again.status, again.body.status, again.body.scimType]).toEqual([409, '409', 'uniqueness']);
  const theirs = await newUser({ userName: user.userName }, entra);
  expect(theirs.id).not.toBe(user.id);
  expect((await principal(theirs.id)).name).not.toBe((await principal(user.id)).name);
  const both = await Promise.all([1, 2].map(() => scim('POST', 'Users', { userName: `race${serial}@x` })));
  expect(both.map((answer) => answer.status).toSorted((a, b) => a - b)).toEqual([201, 409]);
});

test('a directory does not take over the account of somebody it did not make', async () => {
  await plane.call('POST', '/v1/principals', { name: 'grace', kind: 'person', roles: ['admin'] });
  const made = await newUser({ userName: 'grace' });
  expect((await principal(made.id)).name).toMatch(/^grace-[0-9a-f]{4}$/);
  expect((await principal(made.id)).roles).toEqual(['member']);
  expect((await principal('grace')).disabledAt).toBeNull();
});

test.each<[string, string, unknown]>([
  ['Okta', 'PATCH', { Operations: [{ op: 'replace', value: { active: false } }] }],
  ['Entra ID', 'PATCH', { Operations: [{ op: 'Replace', path: 'active', value: 'False' }] }],
  ['PUT', 'PUT', { active: false }],
])('deactivation as %s says it keeps the person out and revokes what is open', async (_, method, body) => {
  const user = await newUser();
  const token = await plane.call<{ token: string }>('POST', `/v1/principals/${user.id}/tokens`, { name: 't' });
  expect((await plane.call('GET', '/v1/whoami', undefined, token.body.token)).status).toBe(200);
  const done = await scim(
    method,
    `Users/${user.id}`,
    method === 'PUT' ? { userName: user.userName, ...(body as object) } : body,
  );
  expect([done.status, done.body.active]).toEqual([200, false]);
  expect((await principal(user.id)).disabledAt).not.toBeNull();
  expect((await plane.call('GET', '/v1/whoami', undefined, token.body.token)).status).toBe(401);
  expect(await revocationsOf(user.id)).toBe(1);
  const back = await scim('PATCH', `Users/${user.id}`, {
    Operations: [{ op: 'replace', path: 'active', value: true }],
  });
  expect(back.body.active).toBe(true);
  expect((await principal(user.id)).disabledAt).toBeNull();
});

test('whom an admin has disabled stays so, whatever the directory says', async () => {
  const user = await newUser();
  await plane.call('PATCH', `/v1/principals/${user.id}`, { disabled: true });
  for (const value of [false, true]) {
    const { body } = await scim('PATCH', `Users/${user.id}`, {
      Operations: [{ op: 'replace', path: 'active', value }],
    });
    expect(body.active).toBe(false);
  }
  expect((await principal(user.id)).disabledAt).not.toBeNull();
});

test('the last admin is not switched off by a directory', async () => {
  const other = await addProject(plane, 'small', 'only');
  await makeProvider('theirs', {}, other.token);
  const token = await scimToken('theirs', 'userName', other.token);
  const user = await newUser({}, token);
  await plane.call('PATCH', `/v1/principals/${user.id}`, { roles: ['admin'] }, other.token);
  await plane.call('PATCH', '/v1/principals/only', { roles: ['member'] }, other.token);
  const refused = await scim(
    'PATCH',
    `Users/${user.id}`,
    { Operations: [{ op: 'replace', path: 'active', value: false }] },
    token,
  );
  expect(refused.status).toBe(409);
});

test('deletion removes the person, ends what is open, and a second one finds nothing', async () => {
  const user = await newUser();
  expect((await scim('DELETE', `Users/${user.id}`)).status).toBe(204);
  expect((await plane.call('GET', `/v1/principals/${user.id}`)).status).toBe(404);
  expect(await revocationsOf(user.id)).toBe(1);
  const again = await scim<Refusal>('DELETE', `Users/${user.id}`);
  expect([again.status, again.body.status]).toEqual([404, '404']);
  expect((await find(`userName eq "${user.userName}"`)).body.totalResults).toBe(0);
});

test('whom another provider knows too stays, without this one’s way in', async () => {
  const user = await newUser();
  const { projectId } = await database().principal.findUniqueOrThrow({ where: { id: user.id } });
  await database().identity.create({
    data: { id: crypto.randomUUID(), projectId, principalId: user.id, provider: 'entra', subject: 's' },
  });
  expect((await scim('DELETE', `Users/${user.id}`)).status).toBe(204);
  expect((await principal(user.id)).disabledAt).toBeNull();
  expect(await database().identity.count({ where: { principalId: user.id } })).toBe(1);
  expect(await revocationsOf(user.id)).toBe(1);
});

test('groups give ours of the same name, made when there is none, and take them back at once', async () => {
  const [ada, bob] = [await newUser(), await newUser()];
  const group = await newGroup('Operators', [ada]);
  expect((await principal(ada.id)).groups).toEqual(['Operators']);
  const operations = [
    { op: 'Add', path: 'members', value: [{ value: bob.id }] },
    { op: 'Remove', path: `members[value eq "${ada.id}"]` },
  ];
  expect((await scim('PATCH', `Groups/${group.id}`, { Operations: operations })).status).toBe(204);
  expect((await principal(ada.id)).groups).toEqual([]);
  expect(await revocationsOf(ada.id)).toBe(1);
  expect(await revocationsOf(bob.id)).toBe(0);
  expect((await scim('GET', `Users/${bob.id}`)).body['groups']).toMatchObject([
    { value: group.id, display: 'Operators' },
  ]);
  expect((await scim('DELETE', `Groups/${group.id}`)).status).toBe(204);
  expect((await principal(bob.id)).groups).toEqual([]);
  expect((await plane.call('GET', '/v1/groups/Operators')).status).toBe(404);
});

test('a group that was here before is joined, and stays when the directory drops its own', async () => {
  await plane.call('POST', '/v1/groups', { name: 'dba' });
  const ada = await newUser();
  const group = await newGroup('dba', [ada]);
  expect((await principal(ada.id)).groups).toEqual(['dba']);
  await plane.call('PUT', `/v1/groups/dba/members/${ada.id}`);
  await scim('DELETE', `Groups/${group.id}`);
  expect((await principal(ada.id)).groups).toEqual(['dba']);
});

test('a group taken by the directory is taken also where a sign-in had given it', async () => {
  const ada = await newUser();
  const group = await newGroup('night-shift', [ada]);
  const row = await database().group.findFirstOrThrow({ where: { name: 'night-shift' } });
  const base = { projectId: row.projectId, groupId: row.id, principalId: ada.id };
  await database().membership.createMany({
    data: [
      { ...base, source: 'oidc:okta' },
      { ...base, source: 'oidc:entra' },
    ],
  });
  await scim('PATCH', `Groups/${group.id}`, { Operations: [{ op: 'remove', path: 'members' }] });
  const left = await database().membership.findMany({ where: { principalId: ada.id } });
  expect(left.map((one) => one.source)).toEqual(['oidc:entra']);
});

test('the provider’s mapping decides what a group gives', async () => {
  await plane.call('POST', '/v1/groups', { name: 'readers' });
  await makeProvider('mapped', { prefix: 'sp-', rules: [{ match: 'read-*', group: 'readers' }], unmapped: 'drop' });
  const token = await scimToken('mapped');
  const ada = await newUser({}, token);
  await newGroup('sp-read-all', [ada], token);
  await newGroup('sp-admins', [ada], token);
  await newGroup('Everyone', [ada], token);
  expect((await principal(ada.id)).groups).toEqual(['readers']);
  expect((await plane.call('GET', '/v1/groups/admins')).status).toBe(404);
  await plane.call('PATCH', '/v1/identity-providers/mapped', { enabled: false });
  const done = await scim(
    'PATCH',
    `Users/${ada.id}`,
    { Operations: [{ op: 'replace', value: { active: false } }] },
    token,
  );
  expect(done.body.active).toBe(false);
});

test('a changed mapping is in force at once, a provider that is switched off gives nothing, and one that goes leaves nothing', async () => {
  await makeProvider('moving', { unmapped: 'drop' });
  const token = await scimToken('moving');
  const ada = await newUser({}, token);
  await newGroup('Engineers', [ada], token);
  const groups = async () => (await principal(ada.id)).groups;
  expect(await groups()).toEqual([]);
  const mapping = { rules: [{ match: 'Eng*', group: 'readers' }], unmapped: 'drop' };
  await plane.call('PATCH', '/v1/identity-providers/moving', { mapping });
  expect(await groups()).toEqual(['readers']);
  await plane.call('PATCH', '/v1/identity-providers/moving', { enabled: false });
  expect(await groups()).toEqual([]);
  expect(await revocationsOf(ada.id)).toBe(1);
  await plane.call('PATCH', '/v1/identity-providers/moving', { enabled: true });
  expect(await groups()).toEqual(['readers']);
  expect((await plane.call('DELETE', '/v1/identity-providers/moving')).status).toBe(204);
  expect(await groups()).toEqual([]);
  expect((await scim('GET', 'Users', undefined, token)).status).toBe(401);
  await makeProvider('moving');
  const later = await scimToken('moving');
  expect((await scim<List>('GET', 'Users', undefined, later)).body.totalResults).toBe(0);
});

test('a renamed group gives what its new name gives', async () => {
  const ada = await newUser();
  const group = await newGroup('east', [ada]);
  await scim('PATCH', `Groups/${group.id}`, {
    Operations: [{ op: 'replace', value: { id: group.id, displayName: 'west' } }],
  });
  expect((await principal(ada.id)).groups).toEqual(['west']);
  expect((await plane.call('GET', '/v1/groups/east')).status).toBe(404);
  expect(await revocationsOf(ada.id)).toBe(1);
});

test('members are users of this directory alone', async () => {
  const theirs = await newUser({}, entra);
  const admin = await plane.call<{ id: string }>('GET', '/v1/principals/admin');
  const group = await newGroup('members-only');
  for (const value of [theirs.id, admin.body.id, group.id, 'x', crypto.randomUUID()]) {
    const body = { Operations: [{ op: 'add', path: 'members', value: [{ value }] }] };
    const refused = await scim<Refusal>('PATCH', `Groups/${group.id}`, body);
    expect([refused.status, refused.body.scimType]).toEqual([400, 'invalidValue']);
  }
});

test('a directory sees and changes nobody but its own', async () => {
  const theirs = await newUser({}, entra);
  const group = await newGroup('entra-only', [theirs], entra);
  const admin = await plane.call<{ id: string }>('GET', '/v1/principals/admin');
  for (const path of [`Users/${theirs.id}`, `Groups/${group.id}`, `Users/${admin.body.id}`]) {
    expect((await scim('GET', path)).status).toBe(404);
    expect(
      (await scim('PATCH', path, { Operations: [{ op: 'replace', path: 'displayName', value: 'x' }] })).status,
    ).toBe(404);
    expect((await scim('PUT', path, { userName: 'x', displayName: 'x' })).status).toBe(404);
    expect((await scim('DELETE', path)).status).toBe(404);
  }
  expect((await find(`id eq "${theirs.id}" or userName pr`)).body.Resources.map((user) => user.id)).not.toContain(
    theirs.id,
  );
  expect((await find('displayName eq "entra-only"', okta, 'Groups')).body.totalResults).toBe(0);
});

test('only a token made for a provider may provision, and it may do nothing else', async () => {
  expect((await scim('GET', 'Users', undefined, plane.adminToken)).status).toBe(403);
  expect((await scim('GET', 'Users', undefined, 'sp_x')).status).toBe(401);
  expect((await plane.call('GET', '/v1/principals', undefined, okta)).status).toBe(403);
  expect((await plane.call('GET', '/v1/grants', undefined, okta)).status).toBe(403);
  const wider = { name: 'w', scopes: ['scim:write', 'grant:read'], scim: { provider: 'okta' } };
  expect((await plane.call('POST', '/v1/principals/admin/tokens', wider)).status).toBe(400);
  const unknown = { name: 'w', scopes: ['scim:write'], scim: { provider: 'none' } };
  expect((await plane.call('POST', '/v1/principals/admin/tokens', unknown)).status).toBe(400);
});

test.each([
  'userName eq "x" or "1" eq "1"',
  "userName eq 'x'",
  'userName eq "x\'; drop table principals; --"',
  'passwordHash eq "x"',
  'principal.disabledAt pr',
  'projectId eq "x"',
  'provider eq "entra"',
  '__proto__ eq "x"',
  'constructor pr',
  'userName eq {"not":null}',
  'emails[value co "@"]',
  'emails[secret eq "x"]',
  'userName eq true',
  'active eq "maybe"',
  'meta.created gt "yesterday"',
  `userName eq "${'x'.repeat(LIMITS.scimFilterCharsMax)}"`,
])('the filter %j is refused or finds nobody', async (filter) => {
  const { status, body } = await find(filter);
  if (status === 200) expect(body.totalResults).toBe(0);
  else expect([status, body.scimType]).toEqual([400, 'invalidFilter']);
  expect(await database().principal.count()).toBeGreaterThan(0);
});

test('signs of LIKE mean themselves', async () => {
  const user = await newUser({ userName: 'a_c%d\\e@x' });
  await newUser({ userName: 'abcXd-e@x' });
  for (const filter of [
    'userName eq "a_c%d\\\\e@x"',
    'userName co "a_c"',
    'userName co "%d"',
    'userName sw "a_"',
    'userName co "d\\\\e"',
  ])
    expect([filter, (await find(filter)).body.Resources?.map((one) => one.id)]).toEqual([filter, [user.id]]);
  expect((await find('userName eq "a_c_d_e@x"')).body.totalResults).toBe(0);
});

test('what is missing is told from what is otherwise', async () => {
  const token = await scimToken('okta');
  const bare = await newUser({ externalId: undefined, displayName: 'only-one' }, token);
  expect((await find('displayName eq "only-one" and not (externalId eq "x")')).body.totalResults).toBe(1);
  expect((await find('displayName eq "only-one" and externalId ne "x"')).body.totalResults).toBe(1);
  expect((await find('displayName eq "only-one" and externalId eq null')).body.totalResults).toBe(1);
  expect((await find('displayName eq "only-one" and externalId pr')).body.totalResults).toBe(0);
  expect((await find('displayName eq "only-one" and userName eq null')).body.totalResults).toBe(0);
  expect((await find('displayName eq "only-one" and userName pr')).body.Resources[0]?.id).toBe(bare.id);
  expect((await find('displayName eq "only-one" and meta.created gt "2020-01-01T00:00:00Z"')).body.totalResults).toBe(
    1,
  );
});

test('lists come in pages, sorted, and with no more than was asked for', async () => {
  await makeProvider('pages');
  const token = await scimToken('pages');
  for (const name of ['c', 'a', 'b']) await newUser({ userName: `${name}@pages` }, token);
  const page = async (query: string) => (await scim<List>('GET', `Users?${query}`, undefined, token)).body;
  const first = await page('sortBy=userName&count=2');
  expect([first.totalResults, first.startIndex, first.itemsPerPage]).toEqual([3, 1, 2]);
  expect(first.Resources.map((one) => one.userName)).toEqual(['a@pages', 'b@pages']);
  const second = await page('sortBy=userName&count=2&startIndex=3');
  expect(second.Resources.map((one) => one.userName)).toEqual(['c@pages']);
  expect((await page('sortBy=userName&sortOrder=descending')).Resources[0]?.userName).toBe('c@pages');
  expect(await page('count=0')).toMatchObject({ totalResults: 3, itemsPerPage: 0, Resources: [] });
  expect(await page('count=-1&startIndex=-5')).toMatchObject({ startIndex: 1, itemsPerPage: 0 });
  expect(Object.keys((await page('attributes=userName')).Resources[0]!).toSorted()).toEqual([
    'id',
    'schemas',
    'userName',
  ]);
  expect((await page('excludedAttributes=userName,meta')).Resources[0]).not.toHaveProperty('userName');
  const search = await scim<List>('POST', 'Users/.search', { filter: 'userName sw "a"', count: 1 }, token);
  expect(search.body.totalResults).toBe(1);
  const group = await newGroup('with-members', [await newUser({}, token)], token);
  const lean = await scim<List>('GET', 'Groups?excludedAttributes=members', undefined, token);
  expect(lean.body.Resources.find((one) => one.id === group.id)).not.toHaveProperty('members');
  expect((await scim('GET', 'Users?sortBy=emails', undefined, token)).status).toBe(400);
  expect((await scim('GET', 'Users?startIndex=x', undefined, token)).status).toBe(400);
});

test('a change against a version that is gone is refused, and an unchanged one is not sent again', async () => {
  const user = await newUser();
  const patch = { Operations: [{ op: 'replace', path: 'title', value: 'Countess' }] };
  const stale = await scim('PATCH', `Users/${user.id}`, patch, okta, { 'if-match': 'W/"99"' });
  expect(stale.status).toBe(412);
  const done = await scim('PATCH', `Users/${user.id}`, patch, okta, { 'if-match': user.meta.version });
  expect(done.status).toBe(200);
  expect(done.body.meta.version).not.toBe(user.meta.version);
  expect(done.headers.get('etag')).toBe(done.body.meta.version);
  const same = await scim('GET', `Users/${user.id}`, undefined, okta, { 'if-none-match': done.body.meta.version });
  expect(same.status).toBe(304);
});

test('two changes of a group at once lose neither', async () => {
  const users = [await newUser(), await newUser(), await newUser(), await newUser()];
  const group = await newGroup('busy');
  const answers = await Promise.all(
    users.map(({ id }) =>
      scim('PATCH', `Groups/${group.id}`, { Operations: [{ op: 'add', path: 'members', value: [{ value: id }] }] }),
    ),
  );
  expect(answers.map((answer) => answer.status)).toEqual([204, 204, 204, 204]);
  expect((await scim('GET', `Groups/${group.id}`)).body.members.map((member) => member.value).toSorted()).toEqual(
    users.map(({ id }) => id).toSorted(),
  );
});

test('somebody who leaves two groups at once that give the same one of ours keeps nothing of it', async () => {
  const rules = ['one', 'two'].map((match) => ({ match, group: 'shared' }));
  await plane.call('POST', '/v1/groups', { name: 'shared' });
  await makeProvider('skewed', { rules, unmapped: 'drop' });
  const token = await scimToken('skewed');
  const ada = await newUser({}, token);
  const both = [await newGroup('one', [ada], token), await newGroup('two', [ada], token)];
  const change = (op: 'add' | 'remove') =>
    Promise.all(
      both.map(({ id }) =>
        scim('PATCH', `Groups/${id}`, { Operations: [{ op, path: 'members', value: [{ value: ada.id }] }] }, token),
      ),
    );
  for (let round = 0; round < 15; round++) {
    expect((await change('remove')).map(({ status }) => status)).toEqual([204, 204]);
    expect((await principal(ada.id)).groups).toEqual([]);
    expect((await change('add')).map(({ status }) => status)).toEqual([204, 204]);
    expect((await principal(ada.id)).groups).toEqual(['shared']);
  }
}, 60_000);

test.each<[string, string, unknown, number, string | undefined]>([
  ['POST', 'Users', {}, 400, 'invalidValue'],
  ['POST', 'Users', { userName: 1, emails: 'x' }, 201, undefined],
  ['POST', 'Users', { userName: ['x'] }, 400, 'invalidValue'],
  ['POST', 'Users', { userName: 'x\u0000y' }, 400, undefined],
  ['POST', 'Groups', { members: [] }, 400, 'invalidValue'],
  ['POST', 'Users', [], 400, 'invalidValue'],
  ['GET', 'Users/not-an-id', undefined, 404, undefined],
  ['GET', 'Bulk', undefined, 404, undefined],
])('%s %s with %j answers %i', async (method, path, body, status, scimType) => {
  if (path === 'Bulk') {
    expect((await plane.call(method, `/scim/v2/${path}`, body, okta)).status).toBe(status);
    return;
  }
  const answer = await scim<Refusal>(method, path, body);
  expect([answer.status, answer.body.scimType]).toEqual([status, scimType]);
});

test('it says what it can do', async () => {
  const config = await scim('GET', 'ServiceProviderConfig');
  expect(config.body).toMatchObject({
    patch: { supported: true },
    bulk: { supported: false },
    etag: { supported: true },
  });
  const types = await scim<List>('GET', 'ResourceTypes');
  expect(types.body.Resources.map((one) => one.id)).toEqual(['User', 'Group']);
  const schemas = await scim<List>('GET', 'Schemas');
  expect(schemas.body.Resources.map((one) => one.id)).toEqual([USER, GROUP, ENTERPRISE]);
  expect((await scim('GET', `Schemas/${ENTERPRISE}`)).body['name']).toBe('EnterpriseUser');
  expect((await scim('GET', 'Schemas/none')).status).toBe(404);
});
