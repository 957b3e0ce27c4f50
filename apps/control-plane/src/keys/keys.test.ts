/** Keys, certificates and the envelope on a real control plane: chains hold, purposes stay apart, a wrong KEK stops the start. */
import 'reflect-metadata';
import { execFileSync } from 'node:child_process';
import { createHash, createPublicKey, verify, X509Certificate } from 'node:crypto';
import { chmodSync, mkdtempSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import * as x509 from '@peculiar/x509';
import { EKU_AGENT_TRAIL, EKU_BUNDLE_SIGNING, GatewayError, Secret } from '@sallyport/core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Database } from '../db/database.ts';
import { startTestControlPlane, type TestControlPlane } from '../testing/control-plane.ts';
import { CertificateAuthority, isListenerName } from './ca.ts';
import { Envelope } from './envelope.ts';
import { Keys, splitPem } from './keys.ts';

let plane: TestControlPlane;
let keys: Keys;
let ca: CertificateAuthority;
beforeAll(async () => {
  plane = await startTestControlPlane();
  keys = plane.controlPlane.app.get(Keys, { strict: false });
  ca = plane.controlPlane.app.get(CertificateAuthority, { strict: false });
}, 60_000);
afterAll(async () => await plane.stop());

const AGENT = { id: '01a1fc14-19d5-7eb8-8a43-ccc6b5d95ce0', name: 'edge', names: ['db-gate.example', '10.1.2.3'] };
const agent = () => ({ ...AGENT, projectId: keys.controlPlaneId });

async function csr(): Promise<Uint8Array> {
  const pair = await crypto.subtle.generateKey({ name: 'ECDSA', namedCurve: 'P-256' }, true, ['sign', 'verify']);
  const request = await x509.Pkcs10CertificateRequestGenerator.create({
    name: 'CN=evil.example',
    keys: pair,
    signingAlgorithm: { name: 'ECDSA', hash: 'SHA-256' },
    extensions: [new x509.SubjectAlternativeNameExtension([{ type: 'dns', value: 'evil.example' }])],
  });
  return new Uint8Array(request.rawData);
}

const inTransaction = <T>(work: (tx: Parameters<CertificateAuthority['issueListener']>[0]) => Promise<T>): Promise<T> =>
  plane.controlPlane.app.get(Database, { strict: false }).transaction(work);

/** OpenSSL's own opinion of a chain. */
function opensslVerify(chain: string, root: string, purpose: string): string {
  const dir = mkdtempSync(path.join(tmpdir(), 'sallyport-chain-'));
  try {
    const [leaf, ...above] = splitPem(chain);
    writeFileSync(path.join(dir, 'root.pem'), root);
    writeFileSync(path.join(dir, 'above.pem'), `${above.join('\n')}\n`);
    writeFileSync(path.join(dir, 'leaf.pem'), leaf!);
    const args = [
      'verify',
      '-x509_strict',
      '-purpose',
      purpose,
      '-CAfile',
      'root.pem',
      '-untrusted',
      'above.pem',
      'leaf.pem',
    ];
    return execFileSync('openssl', args, { cwd: dir, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] }).trim();
  } catch (error) {
    return `refused: ${(error as { stderr?: string }).stderr ?? ''}`;
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

test('an agent’s identity chains to the root as a client, carries its SPIFFE id and nothing of its request’s names', async () => {
  const request = await csr();
  const issued = await inTransaction((tx) => ca.issueAgentIdentity(tx, agent(), request));
  const leaf = new X509Certificate(issued.chain);
  expect(opensslVerify(issued.chain, await ca.root(), 'sslclient')).toContain('OK');
  expect(leaf.subjectAltName).toContain(`URI:spiffe://sallyport/${keys.controlPlaneId}/agent/${AGENT.id}`);
  expect(leaf.subjectAltName).not.toContain('evil');
  expect(leaf.subject).not.toContain('evil');
  expect(leaf.keyUsage).toContain(EKU_AGENT_TRAIL);
  expect(issued.notAfter.getTime() - Date.now()).toBeLessThanOrEqual(86_400_000);
  const spki = leaf.publicKey.export({ type: 'spki', format: 'der' });
  expect(Buffer.from(issued.keyHash)).toEqual(createHash('sha256').update(spki).digest());
  expect(await keys.history()).toContain(`${splitPem(issued.chain)[0]!}\n`);
});

test('a listener’s certificate has the names of the record and serves no client', async () => {
  const request = await csr();
  const issued = await inTransaction((tx) => ca.issueListener(tx, agent(), request));
  expect(new X509Certificate(issued.chain).subjectAltName).toBe('DNS:db-gate.example, IP Address:10.1.2.3');
  expect(opensslVerify(issued.chain, await ca.root(), 'sslserver')).toContain('OK');
  expect(opensslVerify(issued.chain, await ca.root(), 'sslclient')).toContain('refused');
});

test.each(['control-plane.sallyport.internal', 'x.SALLYPORT.internal', 'a b', '', '-a.example', '*.*.example'])(
  'a listener cannot be named %j',
  (name) => {
    expect(isListenerName(name)).toBe(false);
  },
);

test('a request that is not signed by its own key, or is no request, gets nothing', async () => {
  const broken = await csr();
  broken[broken.length - 5]! ^= 1;
  await expect(inTransaction((tx) => ca.issueAgentIdentity(tx, agent(), broken))).rejects.toMatchObject({
    code: 'enroll.failed',
  });
  await expect(inTransaction((tx) => ca.issueAgentIdentity(tx, agent(), Buffer.from('x')))).rejects.toMatchObject({
    code: 'enroll.failed',
  });
});

test('our own servers prove their name and hold a key that fits', async () => {
  const { chain, key, root } = await ca.serverCertificate();
  expect(opensslVerify(chain, root, 'sslserver')).toContain('OK');
  const leaf = new X509Certificate(chain);
  expect(leaf.checkHost('control-plane.sallyport.internal')).toBeDefined();
  expect(leaf.publicKey.equals(createPublicKey(key))).toBe(true);
});

test('a bundle is signed by a leaf of the signing issuer whose only use that is', async () => {
  const bytes = Buffer.from('manifest');
  const { signature, certificates } = await keys.sign('bundle', bytes);
  const [leaf, issuer] = certificates.map((der) => new X509Certificate(der));
  expect(leaf!.keyUsage).toEqual([EKU_BUNDLE_SIGNING]);
  expect(leaf!.checkIssued(issuer!)).toBe(true);
  expect(issuer!.checkIssued(new X509Certificate(await keys.root()))).toBe(true);
  expect(verify('sha256', bytes, { key: leaf!.publicKey, dsaEncoding: 'ieee-p1363' }, signature)).toBe(true);
});

test('a sealed secret opens only in its context and under its key', () => {
  const envelope = new Envelope(new Secret(Buffer.alloc(32, 1)));
  const box = envelope.seal(Buffer.from('hunter2'), 'credential/a');
  expect(envelope.open(box, 'credential/a').reveal().toString()).toBe('hunter2');
  expect(() => envelope.open(box, 'credential/b')).toThrow(GatewayError);
  expect(() => new Envelope(new Secret(Buffer.alloc(32, 2))).open(box, 'credential/a')).toThrow(GatewayError);
  for (let i = 0; i < box.length; i++) {
    const bent = Uint8Array.from(box);
    bent[i]! ^= 1;
    expect(() => envelope.open(bent, 'credential/a'), `byte ${i}`).toThrow(GatewayError);
  }
});

test('the key-encryption key is made 0600, and without the right one nothing starts', async () => {
  const first = await startTestControlPlane();
  const kek = path.join(first.dir, 'data/kek');
  expect(statSync(kek).mode & 0o777).toBe(0o600);
  expect(statSync(path.join(first.dir, 'data/admin-token')).mode & 0o777).toBe(0o600);
  await first.controlPlane.stop();
  renameSync(kek, `${kek}.away`);
  await expect(startTestControlPlane({}, first.dir)).rejects.toMatchObject({
    code: 'config.invalid',
    detail: { name: 'SALLYPORT_KEK' },
  });
  await expect(
    startTestControlPlane({ SALLYPORT_KEK: Buffer.alloc(32, 7).toString('base64url') }, first.dir),
  ).rejects.toMatchObject({ code: 'config.invalid', detail: { name: 'SALLYPORT_KEK' } });
  renameSync(`${kek}.away`, kek);
  chmodSync(kek, 0o644);
  await expect(startTestControlPlane({}, first.dir)).rejects.toMatchObject({
    code: 'config.invalid',
    detail: { name: 'SALLYPORT_KEK_FILE' },
  });
  chmodSync(kek, 0o600);
  const token = readFileSync(path.join(first.dir, 'data/admin-token'), 'utf8');
  const again = await startTestControlPlane({}, first.dir);
  expect(again.controlPlane.adminTokenFile).toBeUndefined();
  expect(readFileSync(path.join(first.dir, 'data/admin-token'), 'utf8')).toBe(token);
  expect((await again.call('GET', '/v1/whoami')).status).toBe(200);
  await again.stop();
}, 90_000);
