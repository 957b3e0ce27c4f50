/** The agent's own host key and what it remembers of others', on a real disk; sign-ins by a link, without a browser. */
import { createPublicKey, generateKeyPairSync, randomBytes, sign } from 'node:crypto';
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import type { AgentMessage } from '@sallyport/contract';
import { createLogger, Secret } from '@sallyport/core';
import type { SessionInfo } from '@sallyport/model';
import {
  certificateBlob,
  certificateToSign,
  checkCertificate,
  parseCertificate,
  parsePublicKey,
  publicKeyBlob,
} from '@sallyport/ssh-certificates';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { certifiedBy } from '../credentials/ssh-session-key.ts';
import { LinkSignIns } from '../signin/link-sign-ins.ts';
import { SshHostKey } from './host-key.ts';
import { KnownHosts } from './known-hosts.ts';

const log = createLogger('test', { level: 'error', write: () => undefined, nowMs: () => 0 });
const ca = generateKeyPairSync('ed25519');
let dir: string;
let sent: AgentMessage[];
let nowMs: number;
beforeEach(() => {
  dir = mkdtempSync(path.join(os.tmpdir(), 'sallyport-agent-ssh-'));
  sent = [];
  nowMs = 1_800_000_000_000;
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));
const open = (): SshHostKey =>
  new SshHostKey({ dataDir: dir, nowMs: () => nowMs, log, send: (message) => sent.push(message) > 0 });

function certificateOver(blob: Uint8Array, kind: 'host' | 'user', seconds: number): Buffer {
  const from = nowMs / 1000;
  const toSign = certificateToSign({
    kind,
    publicKey: parsePublicKey(blob),
    ca: publicKeyBlob(ca.publicKey),
    nonce: randomBytes(32),
    serial: 1n,
    keyId: 'x',
    principals: ['agent'],
    validAfter: from,
    validBefore: from + seconds,
  });
  return certificateBlob(toSign, 'ssh-ed25519', sign(null, toSign, ca.privateKey));
}

test('the host key is made once, is the owner’s alone, and outlives the process', () => {
  const first = open().current.key.blob;
  expect(statSync(path.join(dir, 'ssh_host_key.pem')).mode & 0o777).toBe(0o600);
  expect(open().current.key.blob.equals(first)).toBe(true);
});

test('its certificate is asked for, kept, and asked for again before it ends', () => {
  const key = open();
  key.tick();
  expect(sent).toHaveLength(1);
  key.certified(certificateOver(key.current.key.blob, 'host', 3_600));
  expect(key.current.certificate).toBeDefined();
  key.tick();
  expect(sent).toHaveLength(1);
  expect(open().current.certificate).toBeDefined();
  nowMs += 2_700_000;
  key.tick();
  expect(sent).toHaveLength(2);
  nowMs += 1_000_000;
  expect(key.current.certificate).toBeUndefined();
});

test('a certificate over another key, or for users, is not taken', () => {
  const key = open();
  key.certified(certificateOver(publicKeyBlob(generateKeyPairSync('ed25519').publicKey), 'host', 60));
  key.certified(certificateOver(key.current.key.blob, 'user', 60));
  key.certified(Buffer.from('x'));
  expect(key.current.certificate).toBeUndefined();
});

test('the first key of a host is remembered across starts, and another one is not taken for it', () => {
  const [first, second] = [randomBytes(50), randomBytes(50)];
  const at = 'r1 web:22';
  expect(new KnownHosts(dir, log).isKnownOrNew(at, first)).toBe(true);
  const again = new KnownHosts(dir, log);
  expect(again.isKnownOrNew(at, first)).toBe(true);
  expect(again.isKnownOrNew(at, second)).toBe(false);
  expect(again.isKnownOrNew('r1 web:23', second)).toBe(true);
  writeFileSync(path.join(dir, 'ssh_known_hosts.json'), '{"keys":');
  expect(() => new KnownHosts(dir, log)).toThrow();
});

test('a session’s certificate is for its login alone and for minutes, and names who it is for', () => {
  const info = { id: 's1', role: 'deploy', principal: { id: 'p', name: 'ana', kind: 'person' } } as SessionInfo;
  const pem = new Secret(ca.privateKey.export({ type: 'pkcs8', format: 'pem' }) as string);
  const made = certifiedBy(pem, info, { ttl_seconds: '120' }, nowMs);
  const certificate = parseCertificate(Buffer.from(made.ssh?.certificate ?? '', 'base64'));
  const terms = { kind: 'user', cas: [publicKeyBlob(createPublicKey(ca.privateKey))], nowMs } as const;
  expect(checkCertificate(certificate, { ...terms, principal: 'deploy' })).toBeUndefined();
  expect(checkCertificate(certificate, { ...terms, principal: 'root' })).toBeDefined();
  expect(checkCertificate(certificate, { ...terms, principal: 'deploy', nowMs: nowMs + 121_000 })).toBeDefined();
  expect(certificate.keyId).toContain('ana');
  expect(certificate.extensions.has('permit-agent-forwarding')).toBe(false);
});

test('a link is offered by the control plane, its token comes to who asked, and nobody waits without a link', async () => {
  const links = new LinkSignIns((message) => sent.push(message) > 0);
  const asked = links.ask('resource', '10.0.0.1:5');
  const id = sent[0]?.body === 'signInAsk' ? (sent[0].signInAsk.id ?? '') : '';
  links.offered({ id, url: 'https://x/device?code=AB', userCode: 'AB' });
  expect(await asked.link).toEqual({ url: 'https://x/device?code=AB', userCode: 'AB' });
  links.done({ id, accessToken: 'token' });
  expect((await asked.token).reveal()).toBe('token');
  const refused = links.ask('resource', '10.0.0.1:5');
  const other = sent[1]?.body === 'signInAsk' ? (sent[1].signInAsk.id ?? '') : '';
  links.done({ id: other, code: 'auth.failed' });
  await expect(refused.token).rejects.toMatchObject({ code: 'auth.failed' });
  const cut = links.ask('resource', '10.0.0.1:5');
  links.linkClosed();
  await expect(cut.link).rejects.toMatchObject({ code: 'auth.failed' });
  const left = links.ask('resource', '10.0.0.1:5');
  left.cancel();
  expect(sent.at(-1)).toMatchObject({ body: 'signInWithdrawn' });
});
