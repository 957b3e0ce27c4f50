/** An admin of a project is no admin of the installation: where their identity providers may stand, by address and by name. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import tls from 'node:tls';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Database } from '../../db/database.ts';
import { startTestControlPlane, type TestControlPlane } from '../../testing/control-plane.ts';
import { addProject, type SecondProject } from '../../testing/second-project.ts';
import { idpMetadataXml } from '../saml/test-idp.fixture.ts';
import { ProviderReach } from './provider-reach.ts';

let plane: TestControlPlane;
let blue: SecondProject;
let certificate = '';
/** Whatever stands on the control plane's host and trusts it. */
let inner: Server;
const came: string[] = [];
const trusted = tls.getCACertificates('default');
beforeAll(async () => {
  plane = await startTestControlPlane({ SALLYPORT_PROJECT_NETWORKS: '10.20.0.0/16' });
  blue = await addProject(plane, 'blue');
  const [key, cert] = [path.join(plane.dir, 'inner-key.pem'), path.join(plane.dir, 'inner.pem')];
  const what = ['-nodes', '-days', '2', '-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost'];
  const files = ['-keyout', key, '-out', cert];
  execFileSync('openssl', ['req', '-x509', '-newkey', 'rsa:2048', ...what, ...files], { stdio: 'ignore' });
  certificate = readFileSync(cert, 'utf8');
  inner = createServer({ cert: certificate, key: readFileSync(key) }, (request, response) => {
    came.push(request.url ?? '');
    response.end('{}');
  });
  await new Promise<void>((resolve) => inner.listen(0, 'localhost', resolve));
}, 60_000);
afterAll(async () => {
  tls.setDefaultCACertificates(trusted);
  inner.closeAllConnections();
  await new Promise((resolve) => inner.close(resolve));
  await plane.stop();
});

const portOf = (): number => (inner.address() as AddressInfo).port;
const add = (kind: 'oidc' | 'saml', name: string, config: object, token?: string) =>
  plane.call<{ code: string; errors: { field: string }[] }>(
    'POST',
    '/v1/identity-providers',
    { name, kind, config: kind === 'oidc' ? { clientId: 'c', clientAuth: 'none', ...config } : config },
    token,
  );
const tried = async (name: string, token?: string) =>
  (
    await plane.call<{ ok: boolean; checks: { detail: string }[] }>(
      'POST',
      `/v1/identity-providers/${name}/test`,
      undefined,
      token,
    )
  ).body;

test('an admin of a project sets up no provider on the control plane’s host, its cloud’s metadata or a network that was not named', async () => {
  const entityId = 'https://idp.example/';
  for (const url of [
    `http://127.0.0.1:${portOf()}`,
    `http://localhost:${portOf()}`,
    'https://127.0.0.1/x',
    'https://[::ffff:127.0.0.1]/x',
    'https://2130706433/x',
    'https://169.254.169.254/latest',
    'https://10.21.0.5/x',
  ]) {
    const saml: [string, object][] = [
      ['metadataUrl', { metadataUrl: url }],
      ['ssoUrl', { ssoUrl: url, certificates: [certificate] }],
      ['metadata', { metadata: idpMetadataXml(entityId, url, [certificate]) }],
    ];
    const oidc = await add('oidc', 'bad', { issuer: url }, blue.token);
    expect(oidc.body, url).toMatchObject({ code: 'request.invalid', errors: [{ field: 'config.issuer' }] });
    for (const [field, config] of saml) {
      const { body } = await add('saml', 'bad', { entityId, ...config }, blue.token);
      expect(body.errors?.[0], `${field} ${url}`).toMatchObject({ field: `config.${field}` });
    }
  }
  expect((await add('oidc', 'named', { issuer: 'https://10.20.0.5/x' }, blue.token)).status).toBe(201);
  const moved = { config: { issuer: 'https://10.21.0.5/x', clientId: 'c', clientAuth: 'none' } };
  expect((await plane.call('PATCH', '/v1/identity-providers/named', moved, blue.token)).status).toBe(400);
  const text = (host: string): string =>
    `kind: IdentityProvider\nname: applied\nconfig: { issuer: "https://${host}/", clientId: c, clientAuth: none }\n`;
  const apply = (host: string) =>
    plane.call<{ errors: { field: string }[] }>(
      'POST',
      '/v1/apply',
      { documents: [{ file: 'p.yaml', text: text(host) }] },
      blue.token,
    );
  expect((await apply('127.0.0.1')).body.errors[0]).toMatchObject({ field: 'config.issuer' });
  expect((await apply('10.20.0.6')).status).toBe(200);
});

test('a name that leads to the control plane’s host is found out where it is asked, by test and by sign-in', async () => {
  const issuer = `https://localhost:${portOf()}`;
  expect((await add('oidc', 'rebound', { issuer }, blue.token)).status).toBe(201);
  const saml = { entityId: 'https://idp.example/', metadataUrl: `${issuer}/metadata` };
  expect((await add('saml', 'rebound-saml', saml, blue.token)).status).toBe(201);
  for (const name of ['rebound', 'rebound-saml']) {
    const { ok, checks } = await tried(name, blue.token);
    expect([ok, checks[0]!.detail]).toEqual([false, expect.stringContaining('an address that is not asked')]);
    const login = await fetch(`${plane.url}/v1/login?project=blue&provider=${name}`, { redirect: 'manual' });
    expect(await login.json()).toMatchObject({ code: 'auth.provider_unavailable' });
  }
  expect(came).toEqual([]);
});

test('an address that a version before this took is not asked, and the project’s other providers are', async () => {
  expect((await add('oidc', 'old', { issuer: 'https://idp.example' }, blue.token)).status).toBe(201);
  const { client } = plane.controlPlane.app.get(Database, { strict: false });
  const { id, config } = await client.identityProvider.findFirstOrThrow({ where: { name: 'old' } });
  const before = { ...(config as object), issuer: `http://127.0.0.1:${portOf()}` };
  await client.identityProvider.update({ where: { id }, data: { config: before } });
  expect((await tried('old', blue.token)).ok).toBe(false);
  // Its other settings can be changed, and it can be switched off.
  const off = await plane.call('PATCH', '/v1/identity-providers/old', { enabled: false }, blue.token);
  expect(off.status).toBe(200);
  const page = await fetch(`${plane.url}/v1/login?project=blue`);
  expect([page.status, await page.text()]).toEqual([200, expect.stringContaining('rebound')]);
  expect(came).toEqual([]);
});

test('a connection that was opened for the installation’s providers serves none of a project', async () => {
  tls.setDefaultCACertificates([...trusted, certificate]);
  const reach = plane.controlPlane.app.get(ProviderReach, { strict: false });
  const url = `https://localhost:${portOf()}/kept`;
  expect((await reach.of(undefined).fetch(url, {})).status).toBe(200);
  await expect(reach.of(blue.id).fetch(url, {})).rejects.toThrow('not asked');
  expect(came).toEqual(['/kept']);
});
