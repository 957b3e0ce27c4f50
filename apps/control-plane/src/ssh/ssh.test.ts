/** SSH certificates over REST and over the link, on a real database; ssh-keygen is the second reader where it is there. */
import { execFileSync } from 'node:child_process';
import { createPublicKey, generateKeyPairSync, type KeyObject, randomUUID } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { ControlMessage } from '@sallyport/contract';
import type { PrincipalRef } from '@sallyport/model';
import {
  checkCertificate,
  jwkThumbprint,
  parseCertificate,
  parsePublicKeyLine,
  publicKeyBlob,
  publicKeyLine,
} from '@sallyport/ssh-certificates';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Database } from '../db/database.ts';
import { DeviceFlow } from '../identity/device-flow.ts';
import { Keys } from '../keys/keys.ts';
import { type EnrolledAgent, enrollAgent, TestLink } from '../testing/agent-client.ts';
import { startTestControlPlane, type TestControlPlane } from '../testing/control-plane.ts';
import { AgentSignIns } from './agent-sign-ins.ts';
import { TOKEN_EXTENSION } from './ssh-certificates.service.ts';

const EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange';
const API_TOKEN = 'urn:ietf:params:oauth:token-type:access_token';
let plane: TestControlPlane;
let key: KeyObject;
let line: string;
let root: string;
let ready: EnrolledAgent;
const links: TestLink[] = [];

const whoami = async (): Promise<PrincipalRef> =>
  (await plane.call<{ principal: PrincipalRef }>('GET', '/v1/whoami')).body.principal;

beforeAll(async () => {
  plane = await startTestControlPlane();
  root = readFileSync(plane.controlPlane.ready.ca, 'utf8');
  const made = await plane.call('POST', '/v1/resources', {
    name: 'web-1',
    type: 'postgres',
    labels: { env: 'prod' },
    postgres: { host: '127.0.0.1', tls: 'disable', auth: ['trust'] },
  });
  expect(made.status, JSON.stringify(made.body)).toBe(201);
  const me = await whoami();
  const granted = await plane.call('POST', '/v1/grants', {
    name: 'mine',
    principal: me.name,
    resource: 'web-1',
    effects: ['read'],
  });
  expect(granted.status, JSON.stringify(granted.body)).toBe(201);
  key = generateKeyPairSync('ed25519').publicKey;
  line = publicKeyLine('ssh-ed25519', publicKeyBlob(key), 'me@laptop');
  const join = await plane.call<{ joinToken: string }>('POST', '/v1/agents/join-tokens', {
    name: 'north',
    names: ['ssh.example.net', '10.0.0.7'],
  });
  ready = await enrollAgent(plane.controlPlane.ready.enroll, root, join.body.joinToken);
}, 60_000);
afterAll(async () => {
  for (const link of links) link.close();
  await plane.stop();
});

async function accessToken(more: Record<string, string> = { cnf_jkt: jwkThumbprint(key) }): Promise<string> {
  const answer = await plane.oauth<{ access_token: string }>({
    grant_type: EXCHANGE,
    subject_token: plane.adminToken,
    subject_token_type: API_TOKEN,
    resource: 'web-1',
    ...more,
  });
  expect(answer.status, JSON.stringify(answer.body)).toBe(200);
  return answer.body.access_token;
}
const certify = (accessTokenText: string, publicKey = line, token?: string) =>
  plane.call<{ certificate: string; expiresAt: string; code: string }>(
    'POST',
    '/v1/ssh/certificates',
    { publicKey, accessToken: accessTokenText },
    token,
  );
const blobOf = (certificateLine: string): Buffer => Buffer.from(certificateLine.split(' ')[1]!, 'base64');

test('a key becomes a certificate that carries its token and ends with it', async () => {
  const token = await accessToken();
  const answer = await certify(token);
  expect(answer.status, JSON.stringify(answer.body)).toBe(200);
  const certificate = parseCertificate(blobOf(answer.body.certificate));
  const keys = await plane.controlPlane.app.get(Keys, { strict: false }).verificationKeys();
  const cas = keys
    .filter(({ use }) => use === 'ssh_user')
    .map(({ jwk }) => publicKeyBlob(createPublicKey({ key: { ...jwk }, format: 'jwk' })));
  expect(cas).toHaveLength(1);
  const terms = { kind: 'user', cas, principal: 'web-1', nowMs: plane.clock.nowMs() } as const;
  expect(checkCertificate(certificate, terms)).toBeUndefined();
  expect(checkCertificate(certificate, { ...terms, principal: 'web-2' })).toEqual(expect.any(String));
  expect(certificate.extensions.get(TOKEN_EXTENSION)).toBe(token);
  expect(certificate.publicKey.blob).toEqual(publicKeyBlob(key));
  const claims = JSON.parse(Buffer.from(token.split('.')[1]!, 'base64url').toString()) as { exp: number; jti: string };
  expect([certificate.validBefore, certificate.keyId]).toEqual([BigInt(claims.exp), claims.jti]);
  expect(Date.parse(answer.body.expiresAt)).toBe(claims.exp * 1000);
  const acts = await plane.call<{ items: { action: string; target: string }[] }>(
    'GET',
    '/v1/acts?action=ssh.certified',
  );
  expect(acts.body.items[0], JSON.stringify(acts.body)).toMatchObject({
    action: 'ssh.certified',
    target: 'resource/web-1',
  });
  if (!existsSync('/usr/bin/ssh-keygen')) return;
  const file = path.join(plane.dir, 'id-cert.pub');
  writeFileSync(file, `${answer.body.certificate}\n`);
  expect(execFileSync('ssh-keygen', ['-L', '-f', file], { encoding: 'utf8' })).toContain('user certificate');
});

test('a token that is bound to another key, to none, or is no good certifies nothing, and all read alike', async () => {
  const other = generateKeyPairSync('ed25519').publicKey;
  const good = await accessToken();
  const [head, body, signature] = good.split('.');
  const none = `${Buffer.from('{"alg":"none","typ":"at+jwt"}').toString('base64url')}.${body}.`;
  const bad = [
    await accessToken({ cnf_jkt: jwkThumbprint(other) }),
    await accessToken({}),
    none,
    `${head}.${body}.${signature!.slice(0, -4)}AAAA`,
    'x',
  ];
  for (const token of bad) expect(await certify(token)).toMatchObject({ status: 401, body: { code: 'auth.failed' } });
});

test('a token of somebody else certifies nothing, though the key is right', async () => {
  await plane.call('POST', '/v1/principals', { name: 'eve', kind: 'service' });
  const made = await plane.call<{ token: string }>('POST', '/v1/principals/eve/tokens', { name: 'x' });
  expect(made.status, JSON.stringify(made.body)).toBe(201);
  expect(await certify(await accessToken(), line, made.body.token)).toMatchObject({ status: 401 });
});

test('a key that is no key, or too weak, is refused with its field', async () => {
  const token = await accessToken();
  for (const bad of ['ssh-ed25519 AAAA', 'ssh-dss AAAAB3NzaC1kc3M=', `no-pty ${line}`])
    expect(await certify(token, bad)).toMatchObject({ status: 400, body: { errors: [{ field: 'publicKey' }] } });
});

test('an agent’s host key is certified with the names of its record, by who /v1/ssh/authorities names', async () => {
  const link = new TestLink(plane.controlPlane.ready.link, root, ready);
  links.push(link);
  link.hello();
  await link.bundle();
  const host = generateKeyPairSync('ed25519').publicKey;
  link.send({ sshHostKey: { publicKey: publicKeyBlob(host) } });
  const made = await link.until(() => link.received.find((message) => message.sshHostCertificate != null));
  const certificate = parseCertificate(made.sshHostCertificate!.certificate!);
  const authorities = await plane.call<{ hosts: string[]; knownHosts: string }>(
    'GET',
    '/v1/ssh/authorities',
    undefined,
    '',
  );
  expect(authorities.status).toBe(200);
  const cas = authorities.body.hosts.map((text) => parsePublicKeyLine(text).blob);
  const terms = { kind: 'host', cas, nowMs: plane.clock.nowMs() } as const;
  for (const principal of ['ssh.example.net', '10.0.0.7'])
    expect(checkCertificate(certificate, { ...terms, principal })).toBeUndefined();
  expect(checkCertificate(certificate, { ...terms, principal: 'elsewhere' })).toEqual(expect.any(String));
  expect(authorities.body.knownHosts).toBe(`@cert-authority * ${authorities.body.hosts[0]!}\n`);
  // What is no key leaves the link as it is.
  link.send({ sshHostKey: { publicKey: Buffer.from('x') } });
  link.send({ sshHostKey: { publicKey: publicKeyBlob(host) } });
  await link.until(() => link.received.filter((message) => message.sshHostCertificate != null)[1]);
});

test('a client without a token gets a link to confirm, and the agent an access token', async () => {
  const link = new TestLink(plane.controlPlane.ready.link, root, ready);
  links.push(link);
  link.hello();
  await link.bundle();
  const resource = await plane.call<{ id: string }>('GET', '/v1/resources/web-1');
  const id = randomUUID();
  link.send({ signInAsk: { id, resourceId: resource.body.id, clientAddress: '10.1.2.3' } });
  const { signInOffer } = await link.until(() => link.received.find((message) => message.signInOffer?.id === id));
  expect(signInOffer!.url).toContain(signInOffer!.userCode);
  const devices = plane.controlPlane.app.get(DeviceFlow, { strict: false });
  const attempt = await devices.pending(signInOffer!.userCode!);
  expect(attempt!.provider).toBe('ssh web-1 from 10.1.2.3');
  const me = await whoami();
  const caller = {
    projectId: attempt!.projectId,
    projectName: 'default',
    principal: { ...me },
    permissions: new Set<never>(),
    tokenId: '',
    requestId: 'test',
  };
  expect(await devices.answer(signInOffer!.userCode!, caller, true, 'test')).toBe(true);
  const { signInDone } = await link.until(() => link.received.find((message) => message.signInDone?.id === id), 15_000);
  expect(signInDone!.code ?? '').toBe('');
  const claims = JSON.parse(Buffer.from(signInDone!.accessToken!.split('.')[1]!, 'base64url').toString()) as {
    aud: string;
  };
  expect(claims.aud).toBe(resource.body.id);
});

test('a sign-in that is refused, or for no resource of this project, ends without a word why', async () => {
  const link = new TestLink(plane.controlPlane.ready.link, root, ready);
  links.push(link);
  link.hello();
  await link.bundle();
  const unknown = randomUUID();
  link.send({ signInAsk: { id: unknown, resourceId: randomUUID(), clientAddress: 'x' } });
  // A link all the same: who asks does not learn which names there are.
  const alike = await link.until(() => link.received.find((message) => message.signInOffer?.id === unknown));
  const resource = await plane.call<{ id: string }>('GET', '/v1/resources/web-1');
  const id = randomUUID();
  link.send({ signInAsk: { id, resourceId: resource.body.id, clientAddress: '10.1.2.3' } });
  const { signInOffer } = await link.until(() => link.received.find((message) => message.signInOffer?.id === id));
  const devices = plane.controlPlane.app.get(DeviceFlow, { strict: false });
  const attempt = await devices.pending(signInOffer!.userCode!);
  const caller = {
    projectId: attempt!.projectId,
    projectName: 'default',
    principal: { id: randomUUID(), name: 'nobody', kind: 'person' as const },
    permissions: new Set<never>(),
    tokenId: '',
    requestId: 'test',
  };
  const me = { ...caller, principal: { ...(await whoami()) } };
  expect((await devices.pending(alike.signInOffer!.userCode!))!.provider).toBe('ssh from an unknown address');
  expect(await devices.answer(alike.signInOffer!.userCode!, me, true, 'test')).toBe(true);
  expect(await devices.answer(signInOffer!.userCode!, caller, false, 'test')).toBe(true);
  const none = await link.until(() => link.received.find((message) => message.signInDone?.id === unknown), 15_000);
  const refused = await link.until(() => link.received.find((message) => message.signInDone?.id === id), 15_000);
  expect([none.signInDone!.code, refused.signInDone!.code]).toEqual(['auth.failed', 'auth.failed']);
});

test('of sign-ins asked for all at once no more are open than an agent may have, and a client that left gets no offer', async () => {
  const signIns = plane.controlPlane.app.get(AgentSignIns, { strict: false });
  const resource = await plane.call<{ id: string }>('GET', '/v1/resources/web-1');
  const { projectId } = await plane.controlPlane.app
    .get(Database, { strict: false })
    .client.agent.findFirstOrThrow({ select: { projectId: true } });
  const agent = { id: randomUUID(), projectId };
  const said: ControlMessage[] = [];
  const ask = (id: string) =>
    signIns.ask(agent, { id, resourceId: resource.body.id, clientAddress: '10.1.2.3' }, (message) => {
      said.push(message);
      return true;
    });
  const gone = randomUUID();
  const asked = [ask(gone), ...Array.from({ length: 101 }, () => ask(randomUUID()))];
  signIns.withdraw(agent.id, gone);
  await Promise.all(asked);
  signIns.withdrawAll(agent.id);
  expect(said.filter(({ signInOffer }) => signInOffer != null)).toHaveLength(99);
  expect(said.filter(({ signInDone }) => signInDone?.code === 'auth.failed')).toHaveLength(3);
  expect(said.find(({ signInDone }) => signInDone?.id === gone)).toBeDefined();
});
