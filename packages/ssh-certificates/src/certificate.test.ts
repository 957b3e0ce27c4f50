/** Certificates read, checked and made, held against ssh-keygen's own (openssh-client; installed by `npm test`). */
import { execFileSync } from 'node:child_process';
import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject, randomBytes, sign } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { ParseError } from '@sallyport/core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import {
  type CertificateRequest,
  certificateBlob,
  certificateToSign,
  certificateType,
  checkCertificate,
  parseCertificate,
} from './certificate.ts';
import { opensshPrivateKey } from './private-key.ts';
import {
  fingerprint,
  jwkThumbprint,
  parsePublicKey,
  parsePublicKeyLine,
  publicKeyBlob,
  publicKeyLine,
} from './public-key.ts';
import { wireString } from './wire.ts';

const NOW_MS = Date.UTC(2026, 0, 10, 12);
const NOW_S = NOW_MS / 1000;
let dir: string;
let ca: KeyObject;
let caBlob: Buffer;
beforeAll(() => {
  dir = mkdtempSync(path.join(tmpdir(), 'sallyport-certificates-'));
  ca = generateKeyPairSync('ed25519').privateKey;
  caBlob = publicKeyBlob(createPublicKey(ca));
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

const keygen = (...args: readonly string[]): string =>
  execFileSync('ssh-keygen', [...args], { cwd: dir, encoding: 'utf8', stdio: 'pipe' });
const hasKeygen = existsSync('/usr/bin/ssh-keygen');
const blobOf = (file: string): Buffer =>
  Buffer.from(readFileSync(path.join(dir, file), 'utf8').split(' ')[1]!, 'base64');

function issue(change: Partial<CertificateRequest> = {}, signer: KeyObject = ca): Buffer {
  const subject = generateKeyPairSync('ed25519').publicKey;
  const signed = certificateToSign({
    kind: 'user',
    publicKey: parsePublicKey(publicKeyBlob(subject)),
    ca: caBlob,
    nonce: randomBytes(32),
    serial: 7n,
    keyId: 'session 42',
    principals: ['web-1'],
    validAfter: NOW_S - 60,
    validBefore: NOW_S + 300,
    ...change,
  });
  return certificateBlob(signed, 'ssh-ed25519', sign(null, signed, signer));
}
const why = (blob: Buffer, change: Partial<Parameters<typeof checkCertificate>[1]> = {}): string | undefined =>
  checkCertificate(parseCertificate(blob), {
    kind: 'user',
    cas: [caBlob],
    principal: 'web-1',
    nowMs: NOW_MS,
    address: '10.1.2.3',
    ...change,
  });

test('a certificate of ours is good for its principal, in its time', () => {
  const blob = issue({
    extensions: { 'permit-pty': '', 'token@example': 'abc' },
    critical: { 'source-address': '10.0.0.0/8,::1/128' },
  });
  expect(why(blob)).toBeUndefined();
  expect(why(blob, { address: '::ffff:10.9.9.9' })).toBeUndefined();
  expect(parseCertificate(blob)).toMatchObject({
    serial: 7n,
    keyId: 'session 42',
    principals: ['web-1'],
    kind: 'user',
  });
  expect(parseCertificate(blob).extensions.get('token@example')).toBe('abc');
});

test.each<[string, Partial<CertificateRequest>, Partial<Parameters<typeof checkCertificate>[1]>]>([
  ['another CA', {}, { cas: [publicKeyBlob(generateKeyPairSync('ed25519').publicKey)] }],
  ['no CA at all', {}, { cas: [] }],
  ['a host certificate', { kind: 'host' }, {}],
  ['other principals', { principals: ['web-2', 'WEB-1', 'web-1 '] }, {}],
  ['its time not come', {}, { nowMs: NOW_MS - 61_000 }],
  ['its time over, to the second', {}, { nowMs: NOW_MS + 300_000 }],
  ['a forced command', { critical: { 'force-command': 'id' } }, {}],
  ['an unknown critical option', { critical: { 'x@example': '' } }, {}],
  ['another source address', { critical: { 'source-address': '192.168.0.0/16' } }, {}],
  ['a source address that cannot be read', { critical: { 'source-address': '10.0.0.0/8,any' } }, {}],
  ['an address with a prefix out of range', { critical: { 'source-address': '10.0.0.0/33' } }, {}],
  ['a client whose address is unknown', { critical: { 'source-address': '0.0.0.0/0' } }, { address: '' }],
])('%s is refused', (_, change, terms) => {
  expect(why(issue(change), terms)).toEqual(expect.any(String));
});

test('a certificate signed by another key under the CA’s name is refused', () => {
  expect(why(issue({}, generateKeyPairSync('ed25519').privateKey))).toContain('signature');
});

test('no byte of a certificate can be changed', () => {
  const blob = issue({ extensions: { 'permit-pty': '' } });
  for (let at = 0; at < blob.length; at++) {
    const changed = Buffer.from(blob);
    changed[at]! ^= 1;
    let answer: string | undefined;
    try {
      answer = why(changed);
    } catch (error) {
      expect(error).toBeInstanceOf(ParseError);
      continue;
    }
    expect(answer, `byte ${at}`).toEqual(expect.any(String));
  }
});

test('a certificate cut short or with bytes after it is malformed at every length', () => {
  const blob = issue();
  for (let length = 0; length < blob.length; length++)
    expect(() => parseCertificate(blob.subarray(0, length)), `${length}`).toThrow(ParseError);
  expect(() => parseCertificate(Buffer.concat([blob, Buffer.alloc(1)]))).toThrow(ParseError);
});

test('options out of order or said twice are malformed: two readers must see the same', () => {
  const option = (name: string): Buffer => Buffer.concat([wireString(name), wireString('')]);
  const good = issue({ extensions: { 'permit-pty': '' } });
  const field = wireString(option('permit-pty'));
  const at = good.indexOf(field);
  for (const names of [
    ['permit-pty', 'permit-pty'],
    ['permit-pty', 'a'],
  ]) {
    const other = wireString(Buffer.concat(names.map(option)));
    const blob = Buffer.concat([good.subarray(0, at), other, good.subarray(at + field.length)]);
    expect(() => parseCertificate(blob)).toThrow(ParseError);
  }
});

test('a certificate for nobody, or for no time, is not made', () => {
  for (const change of [
    { principals: [] },
    { principals: [''] },
    { validBefore: NOW_S - 60 },
    { nonce: Buffer.alloc(8) },
  ])
    expect(() => issue(change)).toThrow(ParseError);
});

test('short RSA keys, DSA and foreign curves are not taken', () => {
  const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 }).publicKey.export({ format: 'jwk' });
  const number = (text: string): Buffer => wireString(Buffer.concat([Buffer.alloc(1), Buffer.from(text, 'base64url')]));
  const short = Buffer.concat([wireString('ssh-rsa'), number(rsa.e!), number(rsa.n!)]);
  expect(() => parsePublicKey(short)).toThrow(/3072/);
  expect(() => parsePublicKey(Buffer.concat([wireString('ssh-dss'), wireString('x')]))).toThrow(ParseError);
  expect(() => parsePublicKey(Buffer.concat([wireString('ssh-ed25519'), wireString('short')]))).toThrow(ParseError);
  expect(() => parsePublicKey(Buffer.concat([wireString('constructor'), wireString('x')]))).toThrow(ParseError);
});

test.runIf(hasKeygen)('ssh-keygen reads the private keys we write', () => {
  // The comment's length moves the padding.
  for (const comment of ['', 'a', 'ab', 'abc', 'abcd', 'abcde', 'abcdef', 'abcdefg']) {
    const { privateKey, publicKey } = generateKeyPairSync('ed25519');
    const file = path.join(dir, `private-${comment.length}`);
    writeFileSync(file, opensshPrivateKey(privateKey, comment), { mode: 0o600 });
    expect(parsePublicKeyLine(keygen('-y', '-f', file)).blob).toEqual(publicKeyBlob(publicKey));
  }
});

test.runIf(hasKeygen)('ssh-keygen reads what we make', () => {
  const blob = issue({
    extensions: { 'permit-pty': '', 'permit-port-forwarding': '' },
    critical: { 'source-address': '10.0.0.0/8' },
    principals: ['web-1', 'db-1'],
  });
  writeFileSync(path.join(dir, 'ours-cert.pub'), `${publicKeyLine(certificateType('ssh-ed25519'), blob, 'x')}\n`);
  const said = keygen('-L', '-f', 'ours-cert.pub');
  expect(said).toContain('user certificate');
  expect(said).toContain('Key ID: "session 42"');
  expect(said).toContain(fingerprint(caBlob));
  for (const word of ['web-1', 'db-1', 'permit-pty', 'source-address 10.0.0.0/8']) expect(said).toContain(word);
});

test.runIf(hasKeygen).each([
  ['ed25519', '256', 'ed25519', '256'],
  ['ecdsa', '256', 'ecdsa', '384'],
  ['ecdsa', '384', 'ecdsa', '521'],
  ['ecdsa', '521', 'rsa', '3072'],
  ['rsa', '3072', 'ecdsa', '256'],
])('we take what ssh-keygen makes: %s %s certified by %s %s', (type, bits, caType, caBits) => {
  const [subject, authority] = [`u-${type}-${bits}-${caType}`, `ca-${caType}-${caBits}-${type}`];
  keygen('-q', '-t', type, '-b', bits, '-N', '', '-f', subject);
  keygen('-q', '-t', caType, '-b', caBits, '-N', '', '-f', authority);
  keygen('-q', '-s', authority, '-I', 'id', '-n', 'web-1,other', '-V', '-1m:+5m', '-z', '9', `${subject}.pub`);
  const certificate = parseCertificate(blobOf(`${subject}-cert.pub`));
  const terms = { kind: 'user', cas: [blobOf(`${authority}.pub`)], principal: 'web-1', nowMs: Date.now() } as const;
  expect(checkCertificate(certificate, terms)).toBeUndefined();
  expect(certificate.serial).toBe(9n);
  expect(certificate.publicKey.blob).toEqual(blobOf(`${subject}.pub`));
  expect(keygen('-l', '-f', `${subject}.pub`)).toContain(fingerprint(certificate.publicKey.blob));
});

test('a P-256 CA certifies as an Ed25519 one does, whatever its numbers begin with', () => {
  const authority = generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
  const blob = publicKeyBlob(authority.publicKey);
  // Enough signatures for r and s with a high bit set, and with leading zeros now and then.
  for (let round = 0; round < 300; round++) {
    const signed = certificateToSign({
      kind: 'host',
      publicKey: parsePublicKey(caBlob),
      ca: blob,
      nonce: randomBytes(32),
      serial: BigInt(round),
      keyId: 'agent',
      principals: ['agent-1'],
      validAfter: NOW_S,
      validBefore: NOW_S + 1,
    });
    const signature = sign('sha256', signed, { key: authority.privateKey, dsaEncoding: 'ieee-p1363' });
    const made = certificateBlob(signed, 'ecdsa-sha2-nistp256', signature);
    expect(why(made, { kind: 'host', cas: [blob], principal: 'agent-1' })).toBeUndefined();
  }
});

test('the golden certificate is read as it was', () => {
  // Made once by this code; its bytes are what agents and hosts of any year are shown.
  const seed = (byte: number): KeyObject =>
    createPrivateKey({
      key: Buffer.concat([Buffer.from('302e020100300506032b657004220420', 'hex'), Buffer.alloc(32, byte)]),
      format: 'der',
      type: 'pkcs8',
    });
  const [subject, authority] = [seed(1), seed(2)];
  const signed = certificateToSign({
    kind: 'user',
    publicKey: parsePublicKey(publicKeyBlob(createPublicKey(subject))),
    ca: publicKeyBlob(createPublicKey(authority)),
    nonce: Buffer.alloc(32, 3),
    serial: 4n,
    keyId: 'golden',
    principals: ['web-1'],
    validAfter: 1_767_225_600,
    validBefore: 1_767_225_900,
    critical: { 'source-address': '10.0.0.0/8' },
    extensions: { 'permit-pty': '', 'access-token@sallyport': 'eyJ' },
  });
  expect(
    publicKeyLine(
      certificateType('ssh-ed25519'),
      certificateBlob(signed, 'ssh-ed25519', sign(null, signed, authority)),
    ),
  ).toBe(readFileSync(path.join(import.meta.dirname, 'golden-cert.pub'), 'utf8').trim());
  expect(jwkThumbprint(createPublicKey(subject))).toBe('UDDReOZl1ipXAfp9wYsm13sDBMK5og--QWdBjzuf6o4');
});

test('a public-key line is read as OpenSSH writes it, and nothing else is', () => {
  const line = publicKeyLine('ssh-ed25519', caBlob, 'ca of prod');
  expect(parsePublicKeyLine(`${line}\n`).blob).toEqual(caBlob);
  for (const bad of ['', 'ssh-ed25519', `ssh-rsa ${caBlob.toString('base64')}`, `no-pty ${line}`, 'ssh-ed25519 !!!'])
    expect(() => parsePublicKeyLine(bad)).toThrow(ParseError);
});
