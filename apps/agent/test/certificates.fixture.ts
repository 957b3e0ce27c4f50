/**
 * Test-only: P-256 certificates with any purpose, name and validity. DER for exactly the fields that the agent reads.
 */
import { createPublicKey, generateKeyPairSync, type KeyObject, randomBytes, sign, X509Certificate } from 'node:crypto';

export interface Authority {
  readonly subject: string;
  readonly key: KeyObject;
  readonly certificate: X509Certificate;
}
export interface Wanted {
  readonly subject: string;
  /** Undefined signs itself. */
  readonly issuer?: Authority;
  readonly ca?: boolean;
  /** The subject's public key; a fresh pair when left out. */
  readonly publicKey?: KeyObject;
  readonly usages?: readonly string[];
  readonly dns?: readonly string[];
  readonly ips?: readonly string[];
  readonly uris?: readonly string[];
  readonly fromMs?: number;
  readonly toMs?: number;
}

export const CLIENT_AUTH = '1.3.6.1.5.5.7.3.2';
export const SERVER_AUTH = '1.3.6.1.5.5.7.3.1';

export const newKey = (): KeyObject => generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;

export function issue(wanted: Wanted): Authority {
  const key = newKey();
  const publicKey = wanted.publicKey ?? createPublicKey(key);
  const signer = wanted.issuer?.key ?? key;
  const algorithm = sequence(objectId('1.2.840.10045.4.3.2'));
  const names = [
    ...(wanted.dns ?? []).map((name) => tlv(0x82, Buffer.from(name))),
    ...(wanted.uris ?? []).map((name) => tlv(0x86, Buffer.from(name))),
    ...(wanted.ips ?? []).map((ip) => tlv(0x87, Buffer.from(ip.split('.').map(Number)))),
  ];
  const extensions = [
    sequence(
      objectId('2.5.29.19'),
      tlv(0x01, Buffer.of(255)),
      octets(sequence(...(wanted.ca ? [tlv(0x01, Buffer.of(255))] : []))),
    ),
    ...(wanted.usages === undefined
      ? []
      : [sequence(objectId('2.5.29.37'), octets(sequence(...wanted.usages.map(objectId))))]),
    ...(names.length === 0 ? [] : [sequence(objectId('2.5.29.17'), octets(sequence(...names)))]),
  ];
  const body = sequence(
    tlv(0xa0, tlv(0x02, Buffer.of(2))),
    tlv(0x02, Buffer.concat([Buffer.of(1), randomBytes(8)])),
    algorithm,
    nameOf(wanted.issuer?.subject ?? wanted.subject),
    sequence(time(wanted.fromMs ?? Date.now() - 60_000), time(wanted.toMs ?? Date.now() + 86_400_000)),
    nameOf(wanted.subject),
    publicKey.export({ type: 'spki', format: 'der' }),
    tlv(0xa3, sequence(...extensions)),
  );
  const der = sequence(body, algorithm, tlv(0x03, Buffer.concat([Buffer.of(0), sign('sha256', body, signer)])));
  return { subject: wanted.subject, key, certificate: new X509Certificate(der) };
}

/** The public key of a PKCS #10 request. */
export function requestKey(csr: Buffer): KeyObject {
  const info = inside(inside(csr)[0]!);
  return createPublicKey({ key: info[2]!, format: 'der', type: 'spki' });
}

/** Elements of a constructed value, each whole. */
function inside(der: Buffer): Buffer[] {
  const parts: Buffer[] = [];
  let at = header(der, 0).body;
  while (at < der.length) {
    const { end } = header(der, at);
    parts.push(der.subarray(at, end));
    at = end;
  }
  return parts;
}
function header(der: Buffer, at: number): { body: number; end: number } {
  const first = der[at + 1]!;
  if (first < 128) return { body: at + 2, end: at + 2 + first };
  const size = first & 0x7f;
  const length = der.readUIntBE(at + 2, size);
  return { body: at + 2 + size, end: at + 2 + size + length };
}

function tlv(tag: number, ...content: Buffer[]): Buffer {
  const body = Buffer.concat(content);
  const length = body.length < 128 ? Buffer.of(body.length) : Buffer.of(0x82, body.length >> 8, body.length & 255);
  return Buffer.concat([Buffer.of(tag), length, body]);
}
const sequence = (...content: Buffer[]): Buffer => tlv(0x30, ...content);
const octets = (content: Buffer): Buffer => tlv(0x04, content);
const nameOf = (text: string): Buffer =>
  sequence(tlv(0x31, sequence(objectId('2.5.4.3'), tlv(0x0c, Buffer.from(text)))));
const time = (ms: number): Buffer =>
  tlv(0x18, Buffer.from(`${new Date(ms).toISOString().slice(0, 19).replaceAll(/[-:T]/g, '')}Z`));

function objectId(text: string): Buffer {
  const arcs = text.split('.').map(BigInt);
  return tlv(0x06, Buffer.from([arcs[0]! * 40n + arcs[1]!, ...arcs.slice(2)].flatMap(base128)));
}
function base128(arc: bigint): number[] {
  const digits = [Number(arc % 128n)];
  for (let left = arc / 128n; left > 0n; left /= 128n) digits.unshift(Number(left % 128n) + 128);
  return digits;
}
