/** Sign-in by SAML over HTTP on a real database: who asked is who is signed in, once; keys of both sides roll over. */
import { createSign, createVerify, randomBytes } from 'node:crypto';
import { createServer, type Server } from 'node:http';
import { deflateRawSync, inflateRawSync } from 'node:zlib';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { Database } from '../../db/database.ts';
import { startTestControlPlane, type TestControlPlane } from '../../testing/control-plane.ts';
import { addProject } from '../../testing/second-project.ts';
import { NS } from './response-shape.ts';
import { makeKey } from './saml-keys.ts';
import {
  assertionXml,
  base64,
  encrypt,
  idpMetadataXml,
  RSA_SHA256,
  responseXml,
  type Said,
  sign,
  type TestKey,
} from './test-idp.fixture.ts';

const ENTITY = 'https://idp.example/';
let plane: TestControlPlane;
let idp: TestKey;
let next: TestKey;
/** Publishes the provider's metadata; the certificates are the test's business. */
let publisher: Server;
let published: readonly string[] = [];
let reads = 0;
let metadataUrl = '';
beforeAll(async () => {
  plane = await startTestControlPlane();
  const make = async (name: string): Promise<TestKey> => {
    const { certificate, privateKey } = await makeKey(name, new Date());
    return { certificate, privateKey: privateKey.toString() };
  };
  [idp, next] = [await make('idp'), await make('next')];
  published = [idp.certificate];
  publisher = createServer((_, answer) => {
    reads++;
    answer.end(idpMetadataXml(ENTITY, `${metadataUrl}/sso`, published));
  }).listen(0, '127.0.0.1');
  await new Promise((done) => publisher.once('listening', done));
  metadataUrl = `http://127.0.0.1:${(publisher.address() as { port: number }).port}`;
  for (const name of ['dba', 'ops']) await plane.call('POST', '/v1/groups', { name });
  await newProvider('corp', { metadataUrl });
}, 60_000);
// Attempts from one address are limited, which is another test's business.
beforeEach(async () => void (await database().rateWindow.deleteMany()));
afterAll(async () => {
  publisher.close();
  await plane.stop();
});

const database = () => plane.controlPlane.app.get(Database, { strict: false }).client;
async function newProvider(name: string, config: object, token?: string, mapping: object = {}): Promise<void> {
  const body = { name, kind: 'saml', config: { entityId: ENTITY, ...config }, mapping };
  const made = await plane.call('POST', '/v1/identity-providers', body, token);
  expect([made.status, made.body]).toMatchObject([201, { kind: 'saml' }]);
}

interface Asked {
  readonly cookie: string;
  readonly state: string;
  readonly requestId: string;
  readonly request: string;
  readonly url: URL;
}
const pathOf = (provider: string): string => `/v1/saml/${provider}`;
async function ask(provider = 'corp', query = ''): Promise<Asked> {
  const name = provider.split('/').at(-1)!;
  const answer = await fetch(`${plane.url}/v1/login?provider=${name}&return_to=/after${query}`, { redirect: 'manual' });
  expect(answer.status).toBe(302);
  const url = new URL(answer.headers.get('location')!);
  const request = inflateRawSync(Buffer.from(url.searchParams.get('SAMLRequest')!, 'base64')).toString();
  return {
    cookie: answer.headers.get('set-cookie')!.split(';')[0]!,
    state: url.searchParams.get('RelayState')!,
    requestId: / ID="([^"]+)"/.exec(request)![1]!,
    request,
    url,
  };
}
const saidTo = (provider: string, requestId: string | undefined, more: Partial<Said> = {}): Said => ({
  issuer: ENTITY,
  audience: `${plane.url}${pathOf(provider)}/metadata`,
  recipient: `${plane.url}${pathOf(provider)}/acs`,
  requestId,
  nameId: 'ada@example.com',
  attributes: { groups: ['dba'], mail: ['ada@example.com'], displayName: ['Ada'] },
  nowMs: Date.now(),
  ...more,
});
const signed = (said: Said, key = idp): string => sign(responseXml(said, assertionXml(said)), 'Assertion', key);
const post = (provider: string, xml: string, state?: string) =>
  fetch(`${plane.url}${pathOf(provider)}/acs`, {
    method: 'POST',
    redirect: 'manual',
    body: new URLSearchParams({ SAMLResponse: base64(xml), ...(state === undefined ? {} : { RelayState: state }) }),
  });
const goBack = (location: string, cookie: string) =>
  fetch(new URL(location, plane.url), { redirect: 'manual', headers: { cookie } });
/** The whole way, with one thing different perhaps. @returns the status, and the session's token if there is one */
async function signIn(provider = 'corp', more: Partial<Said> = {}, key = idp) {
  const asked = await ask(provider);
  const posted = await post(provider, signed(saidTo(provider, asked.requestId, more), key), asked.state);
  expect(posted.status).toBe(303);
  const back = await goBack(posted.headers.get('location')!, asked.cookie);
  const token = /sallyport_session=([^;]+)/.exec(back.headers.get('set-cookie') ?? '')?.[1];
  return { status: back.status, token, location: back.headers.get('location'), asked };
}
const whoami = async (token: string | undefined) =>
  (await plane.call<{ principal: { name: string }; groups: string[] }>('GET', '/v1/whoami', undefined, token ?? ''))
    .body;

test('a person signs in, with the groups that the mapping gives', async () => {
  const { status, token, location } = await signIn();
  expect([status, location]).toEqual([302, '/after']);
  expect(await whoami(token)).toMatchObject({ principal: { name: 'ada@example.com' }, groups: ['dba'] });
  const session = await database().personSession.findFirstOrThrow({ where: { provider: 'corp' } });
  expect(session).toMatchObject({ subject: 'ada@example.com', providerSession: '_s1' });
  expect(session.acr).toContain('PasswordProtectedTransport');
  expect(session.authTime).not.toBeNull();
  const sources = await database().membership.findMany({ where: { source: 'saml:corp' } });
  expect(sources).toHaveLength(1);
});

test('our request is signed, names us, and asks for a fresh sign-in where a step-up wants one', async () => {
  const { url, request, state } = await ask('corp', '&max_age=0&acr_values=urn:x:mfa');
  expect(request).toContain('ForceAuthn="true"');
  expect(request).toContain('>urn:x:mfa<');
  expect(request).toContain(`>${plane.url}/v1/saml/corp/metadata<`);
  const metadata = await (await fetch(`${plane.url}/v1/saml/corp/metadata`)).text();
  const body = /<ds:X509Certificate>([^<]+)/.exec(metadata)![1]!;
  const certificate = `-----BEGIN CERTIFICATE-----\n${body}\n-----END CERTIFICATE-----`;
  const query = url.search.slice(1).split('&Signature=')[0]!;
  expect(query).toContain('SigAlg=http%3A%2F%2Fwww.w3.org%2F2001%2F04%2Fxmldsig-more%23rsa-sha256');
  const signature = Buffer.from(url.searchParams.get('Signature')!, 'base64');
  expect(createVerify('sha256').update(query).verify(certificate, signature)).toBe(true);
  expect(Buffer.byteLength(state)).toBeLessThanOrEqual(80);
});

test('a step-up is not met by a sign-in of yesterday', async () => {
  const stale = async (authnMs: number) => {
    const asked = await ask('corp', '&max_age=60');
    const posted = await post('corp', signed(saidTo('corp', asked.requestId, { authnMs })), asked.state);
    return (await goBack(posted.headers.get('location')!, asked.cookie)).status;
  };
  expect(await stale(Date.now() - 86_400_000)).toBe(401);
  expect(await stale(Date.now())).toBe(302);
});

test('an answer counts once: not a second time, not in another browser, not without its cookie', async () => {
  const asked = await ask();
  const answer = signed(saidTo('corp', asked.requestId));
  const posted = await post('corp', answer, asked.state);
  const location = posted.headers.get('location')!;
  const other = await ask();
  expect((await goBack(location, other.cookie)).status).toBe(401);
  expect((await goBack(location, '')).status).toBe(401);
  expect((await goBack(location, asked.cookie)).status).toBe(302);
  expect((await goBack(location, asked.cookie)).status).toBe(401);
  expect((await post('corp', answer, asked.state)).status).toBe(401);
  // The same answer for a request of somebody else.
  const again = await post('corp', answer, other.state);
  expect((await goBack(again.headers.get('location')!, other.cookie)).status).toBe(401);
});

test('an assertion is used once, also where two requests would take it', async () => {
  const assertionId = '_once';
  expect((await signIn('corp', { assertionId })).status).toBe(302);
  expect((await signIn('corp', { assertionId })).status).toBe(401);
});

test('two replicas’ worth of the same answer sign in once', async () => {
  // Several rounds: which of the two comes between the other's steps is chance.
  for (let round = 0; round < 8; round++) {
    const asked = await ask();
    const posted = await post('corp', signed(saidTo('corp', asked.requestId)), asked.state);
    const location = posted.headers.get('location')!;
    const both = await Promise.all([goBack(location, asked.cookie), goBack(location, asked.cookie)]);
    expect(both.map((answer) => answer.status).toSorted((a, b) => a - b)).toEqual([302, 401]);
  }
});

test('every failure reads alike', async () => {
  const reasons: (Partial<Said> | TestKey)[] = [
    { audience: 'https://x' },
    { issuer: 'https://x' },
    { requestId: '_x' },
    next,
  ];
  const bodies: unknown[] = [];
  for (const reason of reasons) {
    const asked = await ask();
    const isKey = 'privateKey' in reason;
    const said = saidTo('corp', asked.requestId, isKey ? {} : reason);
    const posted = await post('corp', signed(said, isKey ? reason : idp), asked.state);
    const back = await goBack(posted.headers.get('location')!, asked.cookie);
    bodies.push({ ...((await back.json()) as object), requestId: '' });
  }
  expect(new Set(bodies.map((body) => JSON.stringify(body))).size).toBe(1);
  expect(bodies[0]).toMatchObject({ code: 'auth.failed' });
});

test('an answer that came to another provider’s address is refused', async () => {
  await newProvider('twin', { metadataUrl });
  const asked = await ask('twin');
  const posted = await post('corp', signed(saidTo('corp', asked.requestId)), asked.state);
  expect((await goBack(posted.headers.get('location')!, asked.cookie)).status).toBe(401);
  const second = await ask('twin');
  const toTwin = await post('twin', signed(saidTo('corp', second.requestId)), second.state);
  expect((await goBack(toTwin.headers.get('location')!, second.cookie)).status).toBe(401);
});

test('an answer that nobody asked for is refused, unless the provider may send them, and then once', async () => {
  const unasked = (provider: string, id: string) => signed(saidTo(provider, undefined, { assertionId: id }));
  expect((await post('corp', unasked('corp', '_u1'))).status).toBe(401);
  expect((await post('corp', unasked('corp', '_u2'), 'x'.repeat(43))).status).toBe(401);
  await newProvider('portal', { metadataUrl, idpInitiated: true });
  const done = await post('portal', unasked('portal', '_u3'));
  expect([done.status, done.headers.get('location')]).toEqual([303, '/device']);
  const token = /sallyport_session=([^;]+)/.exec(done.headers.get('set-cookie') ?? '')?.[1];
  expect((await whoami(token)).groups).toEqual(['dba']);
  expect((await post('portal', unasked('portal', '_u3'))).status).toBe(401);
  // One that answers a request is not taken for one that nobody asked for.
  const asked = await ask('portal');
  expect((await post('portal', signed(saidTo('portal', asked.requestId)))).status).toBe(401);
  expect((await signIn('portal')).status).toBe(302);
});

test('the provider rolls its certificate over: both are good, then the new one alone, without a restart', async () => {
  published = [idp.certificate, next.certificate];
  await newProvider('rolling', { metadataUrl });
  expect((await signIn('rolling', {}, idp)).status).toBe(302);
  expect((await signIn('rolling', {}, next)).status).toBe(302);
  published = [idp.certificate];
  await newProvider('late', { metadataUrl });
  expect((await signIn('late', {}, idp)).status).toBe(302);
  published = [next.certificate];
  // Within a minute of the last reading nobody makes us read again.
  const before = reads;
  expect((await signIn('late', {}, next)).status).toBe(401);
  expect(reads).toBe(before);
  plane.clock.offsetMs += 61_000;
  expect((await signIn('late', { nowMs: Date.now() + 61_000 }, next)).status).toBe(302);
  expect((await signIn('late', { nowMs: Date.now() + 61_000 }, idp)).status).toBe(401);
  plane.clock.offsetMs = 0;
  published = [idp.certificate];
});

test('our key rolls over: the new certificate is shown at once and signs later; the old one still opens', async () => {
  await newProvider('sealed', { metadataUrl, encryption: 'required' });
  const certificates = async () => {
    const xml = await (await fetch(`${plane.url}/v1/saml/sealed/metadata`)).text();
    return [...xml.matchAll(/use="encryption".*?<ds:X509Certificate>([^<]+)/g)].map(
      ([, body]) => `-----BEGIN CERTIFICATE-----\n${body!}\n-----END CERTIFICATE-----`,
    );
  };
  const [first] = await certificates();
  const sealedTo = async (certificate: string) => {
    const asked = await ask('sealed');
    const said = saidTo('sealed', asked.requestId);
    const xml = responseXml(said, encrypt(sign(assertionXml(said), 'Assertion', idp), certificate));
    const posted = await post('sealed', xml, asked.state);
    return (await goBack(posted.headers.get('location')!, asked.cookie)).status;
  };
  expect(await sealedTo(first!)).toBe(302);
  const made = await plane.call('POST', '/v1/identity-providers/sealed/saml-keys', { signsAfterSeconds: 3_600 });
  expect(made.status).toBe(201);
  expect((await plane.call('POST', '/v1/identity-providers/sealed/saml-keys', {})).status).toBe(409);
  const both = await certificates();
  expect([both.length, both.includes(first!)]).toEqual([2, true]);
  for (const certificate of both) expect(await sealedTo(certificate)).toBe(302);
  expect((await signIn('sealed')).status).toBe(401);
  const rows = await database().samlKey.findMany();
  expect(JSON.stringify(rows.map((row) => Buffer.from(row.sealed).toString('latin1')))).not.toContain('PRIVATE KEY');
  const acts = await database().controlAct.findMany({ where: { action: { startsWith: 'saml-key.' } } });
  expect(JSON.stringify(acts.map((act) => act.detail))).not.toContain('PRIVATE KEY');
});

test('a provider of another project has an address of its own, and the first one’s answers mean nothing there', async () => {
  const other = await addProject(plane, 'lab', 'boss');
  await newProvider('corp', { metadata: idpMetadataXml(ENTITY, `${ENTITY}sso`, published) }, other.token);
  const login = await fetch(`${plane.url}/v1/login?project=lab&provider=corp`, { redirect: 'manual' });
  const request = inflateRawSync(
    Buffer.from(new URL(login.headers.get('location')!).searchParams.get('SAMLRequest')!, 'base64'),
  ).toString();
  expect(request).toContain('/v1/saml/lab/corp/acs');
  const requestId = / ID="([^"]+)"/.exec(request)![1]!;
  const state = new URL(login.headers.get('location')!).searchParams.get('RelayState')!;
  const cookie = login.headers.get('set-cookie')!.split(';')[0]!;
  const wrong = await post('corp', signed(saidTo('corp', requestId)), state);
  expect((await goBack(wrong.headers.get('location')!, cookie)).status).toBe(401);
  expect((await fetch(`${plane.url}/v1/saml/default/corp/metadata`)).status).toBe(404);
  expect((await fetch(`${plane.url}/v1/saml/none/corp/metadata`)).status).toBe(404);
  expect((await fetch(`${plane.url}/v1/saml/none/metadata`)).status).toBe(404);
});

test('a NameID that changes every time names nobody', async () => {
  const nameIdFormat = 'urn:oasis:names:tc:SAML:2.0:nameid-format:transient';
  expect((await signIn('corp', { nameIdFormat })).status).toBe(401);
  await newProvider('by-attribute', { metadataUrl, subjectAttribute: 'uid', usernameAttribute: 'uid' });
  const done = await signIn('by-attribute', { nameIdFormat, attributes: { uid: ['bob'] } });
  expect((await whoami(done.token)).principal.name).toBe('bob');
  expect((await signIn('by-attribute', { attributes: { uid: ['bob', 'root'] } })).status).toBe(401);
});

test('who left the provider’s group loses it at the next sign-in', async () => {
  await signIn('corp', { nameId: 'gus', attributes: { groups: ['dba', 'ops', 'unknown'] } });
  const { token } = await signIn('corp', { nameId: 'gus', attributes: { groups: 'ops'.split(' ') } });
  expect((await whoami(token)).groups).toEqual(['ops']);
});

/** A logout request of the provider, signed over its query. */
function logoutQuery(
  nameId: string,
  more: { key?: TestKey; index?: string; destination?: string; issuedMs?: number; issuer?: string } = {},
): string {
  const destination = more.destination ?? `${plane.url}${pathOf('corp')}/slo`;
  const index = more.index === undefined ? '' : `<samlp:SessionIndex>${more.index}</samlp:SessionIndex>`;
  const xml = `<samlp:LogoutRequest xmlns:samlp="${NS.protocol}" xmlns:saml="${NS.assertion}" ID="_l${randomBytes(8).toString('hex')}" Version="2.0" IssueInstant="${new Date(more.issuedMs ?? Date.now()).toISOString()}" Destination="${destination}"><saml:Issuer>${more.issuer ?? ENTITY}</saml:Issuer><saml:NameID>${nameId}</saml:NameID>${index}</samlp:LogoutRequest>`;
  const text = `SAMLRequest=${encodeURIComponent(deflateRawSync(xml).toString('base64'))}&RelayState=r1&SigAlg=${encodeURIComponent(RSA_SHA256)}`;
  const signature = createSign('sha256')
    .update(text)
    .sign((more.key ?? idp).privateKey, 'base64');
  return `${text}&Signature=${encodeURIComponent(signature)}`;
}
const logOut = (query: string) => fetch(`${plane.url}${pathOf('corp')}/slo?${query}`, { redirect: 'manual' });

test('the provider ends the sign-in it names, once, and hears so', async () => {
  const one = await signIn('corp', { nameId: 'lou', sessionIndex: '_lou1' });
  const two = await signIn('corp', { nameId: 'lou', sessionIndex: '_lou2' });
  const query = logoutQuery('lou', { index: '_lou1' });
  const answer = await logOut(query);
  expect(answer.status).toBe(303);
  const to = new URL(answer.headers.get('location')!);
  expect([to.origin + to.pathname, to.searchParams.get('RelayState')]).toEqual([`${metadataUrl}/sso/slo`, 'r1']);
  expect(inflateRawSync(Buffer.from(to.searchParams.get('SAMLResponse')!, 'base64')).toString()).toContain(
    'status:Success',
  );
  expect((await plane.call('GET', '/v1/whoami', undefined, one.token)).status).toBe(401);
  expect((await plane.call('GET', '/v1/whoami', undefined, two.token)).status).toBe(200);
  expect((await logOut(query)).status).toBe(401);
  expect((await logOut(logoutQuery('lou'))).status).toBe(303);
  expect((await plane.call('GET', '/v1/whoami', undefined, two.token)).status).toBe(401);
});

test('an order to sign out that is not the provider’s, not for us, old, or changed ends nothing', async () => {
  const { token } = await signIn('corp', { nameId: 'kay' });
  const fine = logoutQuery('kay');
  const orders = [
    logoutQuery('kay', { key: next }),
    logoutQuery('kay', { destination: 'https://other.example/slo' }),
    logoutQuery('kay', { issuedMs: Date.now() - 7 * 60_000 }),
    logoutQuery('kay', { issuer: 'https://other.example/' }),
    fine.replace('RelayState=r1', 'RelayState=r2'),
    fine.replace(/&Signature=.*/, ''),
    fine.replace('rsa-sha256', 'rsa-sha1'),
    `${fine}&SAMLRequest=x`,
    `SAMLRequest=${'A'.repeat(10_000)}`,
    '',
  ];
  for (const order of orders) expect((await logOut(order)).status).toBe(401);
  expect((await plane.call('GET', '/v1/whoami', undefined, token)).status).toBe(200);
});

test('settings are tried, previewed, and refused by field when they do not fit', async () => {
  const tried = await plane.call<{ ok: boolean; checks: { check: string }[] }>(
    'POST',
    '/v1/identity-providers/corp/test',
  );
  expect([tried.body.ok, tried.body.checks.map((one) => one.check)]).toEqual([true, ['metadata', 'our keys']]);
  const preview = await plane.call('POST', '/v1/identity-providers/corp/preview', {
    claims: { NameID: 'ada@example.com', groups: ['dba', 'x'], mail: 'a@x' },
  });
  expect(preview.body).toMatchObject({
    subject: 'ada@example.com',
    groups: ['dba'],
    given: ['dba', 'x'],
    problems: [],
  });
  const nobody = await plane.call<{ problems: string[] }>('POST', '/v1/identity-providers/corp/preview', {
    claims: {},
  });
  expect(nobody.body.problems).not.toEqual([]);
  const refused = async (config: object) =>
    (
      await plane.call<{ errors: { field: string }[] }>('POST', '/v1/identity-providers', {
        name: 'x',
        kind: 'saml',
        config,
      })
    ).body.errors?.[0]?.field;
  expect(await refused({ entityId: ENTITY })).toBe('config.metadataUrl');
  expect(await refused({ entityId: ENTITY, metadataUrl: 'http://idp.example/metadata' })).toBe('config.metadataUrl');
  expect(await refused({ entityId: ENTITY, ssoUrl: 'https://idp.example/sso' })).toBe('config.certificates');
  expect(await refused({ entityId: ENTITY, ssoUrl: 'https://idp.example/sso', certificates: ['x'] })).toBe(
    'config.certificates',
  );
  expect(
    await refused({ entityId: 'https://other', metadata: idpMetadataXml(ENTITY, 'https://x', [idp.certificate]) }),
  ).toBe('config.metadata');
  expect(
    await refused({
      entityId: ENTITY,
      metadata: `<!DOCTYPE x>${idpMetadataXml(ENTITY, 'https://x', [idp.certificate])}`,
    }),
  ).toBe('config.metadata');
  await newProvider('by-hand', { ssoUrl: 'https://idp.example/sso', certificates: [idp.certificate] });
  expect((await ask('by-hand')).url.origin).toBe('https://idp.example');
  await newProvider('by-upload', { metadata: idpMetadataXml(ENTITY, 'https://idp.example/up', [idp.certificate]) });
  expect((await signIn('by-upload')).status).toBe(302);
});

test('a provider that is away is said to be away', async () => {
  await newProvider('away', { metadataUrl: 'http://127.0.0.1:9/metadata' });
  const answer = await fetch(`${plane.url}/v1/login?provider=away`, { redirect: 'manual' });
  expect([answer.status, ((await answer.json()) as { code: string }).code]).toEqual([503, 'auth.provider_unavailable']);
});
