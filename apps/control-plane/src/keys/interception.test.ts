import { execFileSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Database } from '../db/database.ts';
import { type EnrolledAgent, enrollAgent, newAgentKey, TestLink } from '../testing/agent-client.ts';
import { startTestControlPlane, type TestControlPlane } from '../testing/control-plane.ts';
import { CertificateAuthority } from './ca.ts';
import { splitPem } from './keys.ts';

let plane: TestControlPlane;
let agent: EnrolledAgent;
let link: TestLink;
const dir = mkdtempSync(path.join(tmpdir(), 'interception-'));
const at = (name: string): string => path.join(dir, name);

beforeAll(async () => {
  plane = await startTestControlPlane();
  const root = readFileSync(plane.controlPlane.ready.ca, 'utf8');
  const made = await plane.call<{ joinToken: string }>('POST', '/v1/agents/join-tokens', {
    name: 'north',
    names: ['a.example.net'],
  });
  agent = await enrollAgent(plane.controlPlane.ready.enroll, root, made.body.joinToken);
  link = new TestLink(plane.controlPlane.ready.link, root, agent);
  link.hello();
});
afterAll(async () => {
  link.close();
  await plane.stop();
  rmSync(dir, { recursive: true });
});

/** `OK`, or why openssl does not believe a leaf for that name. */
function verified(name: string, key: string, chain: string): string {
  const [issuer, root] = splitPem(chain);
  writeFileSync(at('issuer.pem'), `${issuer}\n`);
  writeFileSync(at('root.pem'), `${root}\n`);
  writeFileSync(at('issuer.key'), key);
  writeFileSync(
    at('ext'),
    `basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\nextendedKeyUsage=serverAuth\nsubjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\nsubjectAltName=${name}\n`,
  );
  const quiet = { encoding: 'utf8', stdio: 'pipe' } as const;
  execFileSync(
    'openssl',
    [
      'req',
      '-new',
      '-newkey',
      'ec',
      '-pkeyopt',
      'ec_paramgen_curve:P-256',
      '-nodes',
      '-subj',
      '/O=x',
      '-keyout',
      at('leaf.key'),
      '-out',
      at('leaf.csr'),
    ],
    quiet,
  );
  execFileSync(
    'openssl',
    [
      'x509',
      '-req',
      '-in',
      at('leaf.csr'),
      '-CA',
      at('issuer.pem'),
      '-CAkey',
      at('issuer.key'),
      '-days',
      '1',
      '-extfile',
      at('ext'),
      '-out',
      at('leaf.pem'),
      '-set_serial',
      '9',
    ],
    quiet,
  );
  try {
    return execFileSync(
      'openssl',
      [
        'verify',
        '-x509_strict',
        '-purpose',
        'sslserver',
        '-CAfile',
        at('root.pem'),
        '-untrusted',
        at('issuer.pem'),
        at('leaf.pem'),
      ],
      quiet,
    )
      .trim()
      .split(': ')[1]!;
  } catch (error) {
    return (error as { stderr: string }).stderr;
  }
}

const issue = async (hosts: readonly string[]) => {
  const key = await newAgentKey();
  const record = {
    id: agent.identity.agentId!,
    projectId: agent.identity.projectId!,
    name: 'north',
    names: ['a.example.net'],
  };
  const { app } = plane.controlPlane;
  const issued = await app
    .get(Database, { strict: false })
    .transaction((tx) =>
      app.get(CertificateAuthority, { strict: false }).issueInterception(tx, record, key.csr, hosts),
    );
  return { chain: issued.chain, key: key.pem };
};

test('an agent’s issuer is good for the hosts it was made for and no others', async () => {
  const { chain, key } = await issue(['api.example.com', 'tools.example.net']);
  const [issuer, root] = splitPem(chain).map((pem) => new X509Certificate(pem));
  expect(issuer!.verify(root!.publicKey)).toBe(true);
  expect(issuer!.keyUsage).toEqual(['1.3.6.1.5.5.7.3.1']);
  expect(verified('DNS:api.example.com', key, chain)).toBe('OK');
  expect(verified('DNS:tools.example.net', key, chain)).toBe('OK');
  for (const name of [
    'DNS:example.com',
    'DNS:xapi.example.com',
    'DNS:api.example.com,DNS:bank.example',
    'IP:127.0.0.1',
    'IP:::1',
  ])
    expect(verified(name, key, chain), name).toMatch(/subtree violation/);
  expect(execFileSync('openssl', ['x509', '-in', at('issuer.pem'), '-noout', '-text'], { encoding: 'utf8' })).toContain(
    'Name Constraints: critical',
  );
});

test('an address that is registered is good, and no other address and no name is', async () => {
  const { chain, key } = await issue(['10.1.2.3', '2001:db8::7']);
  expect(verified('IP:10.1.2.3', key, chain)).toBe('OK');
  expect(verified('IP:2001:db8::7', key, chain)).toBe('OK');
  for (const name of ['IP:10.1.2.4', 'IP:2001:db8::8', 'DNS:api.example.com'])
    expect(verified(name, key, chain), name).toMatch(/subtree violation/);
});

test('it stands apart from the root: who trusts one does not trust the other, and no export of the trail names it', async () => {
  const { chain } = await issue(['api.example.com']);
  const above = new X509Certificate(splitPem(chain)[1]!);
  const root = new X509Certificate(readFileSync(plane.controlPlane.ready.ca));
  expect(above.verify(root.publicKey)).toBe(false);
  expect(above.verify(above.publicKey)).toBe(true);
});

test('while it is off an agent that asks gets none, and its issuer cannot be fetched', async () => {
  link.send({ interceptionKey: { csr: (await newAgentKey()).csr } });
  const { interceptionCertificate } = await link.until(() =>
    link.received.find((message) => message.interceptionCertificate != null),
  );
  expect(interceptionCertificate).toMatchObject({ code: 'interception.off' });
  expect(interceptionCertificate!.chain ?? '').toBe('');
  expect(await plane.call('GET', '/v1/ca/interception', undefined, '')).toMatchObject({
    status: 404,
    body: { code: 'interception.off' },
  });
});
