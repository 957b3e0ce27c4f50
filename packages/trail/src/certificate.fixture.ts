/**
 * Test-only: makes small X.509 certificates with any purpose, name and validity, which the real issuer would refuse to make.
 * Refuses to be complete: DER for exactly the fields that certificates.ts reads (RFC 5280 section 4.1).
 */
import { createPublicKey, generateKeyPairSync, type KeyObject, sign, X509Certificate } from 'node:crypto';

export interface CertificateRequest {
  readonly subject: string;
  /** Undefined signs itself. */
  readonly issuer?: Issuer;
  readonly privateKey?: KeyObject;
  readonly ca?: boolean;
  readonly usages?: readonly string[];
  readonly uri?: string;
  readonly fromMs?: number;
  readonly toMs?: number;
}
export interface Issuer {
  readonly subject: string;
  readonly privateKey: KeyObject;
  readonly certificate: X509Certificate;
}

let serial = 1;

/** An Ed25519 certificate with its key. */
export function issueCertificate(request: CertificateRequest): Issuer {
  const privateKey = request.privateKey ?? generateKeyPairSync('ed25519').privateKey;
  const signer = request.issuer?.privateKey ?? privateKey;
  const algorithm = sequence(objectId('1.3.101.112'));
  const extensions = [
    sequence(objectId('2.5.29.19'), octets(request.ca === true ? sequence(tlv(0x01, Buffer.of(255))) : sequence())),
    ...(request.usages === undefined
      ? []
      : [sequence(objectId('2.5.29.37'), octets(sequence(...request.usages.map(objectId))))]),
    ...(request.uri === undefined
      ? []
      : [sequence(objectId('2.5.29.17'), octets(sequence(tlv(0x86, Buffer.from(request.uri)))))]),
  ];
  const body = sequence(
    tlv(0xa0, tlv(0x02, Buffer.of(2))),
    tlv(0x02, Buffer.of(1, serial++ & 0x7f)),
    algorithm,
    nameOf(request.issuer?.subject ?? request.subject),
    sequence(time(request.fromMs ?? 0), time(request.toMs ?? Date.UTC(2090, 0))),
    nameOf(request.subject),
    createPublicKey(privateKey).export({ type: 'spki', format: 'der' }),
    tlv(0xa3, sequence(...extensions)),
  );
  const der = sequence(body, algorithm, tlv(0x03, Buffer.concat([Buffer.of(0), sign(null, body, signer)])));
  return { subject: request.subject, privateKey, certificate: new X509Certificate(der) };
}

function tlv(tag: number, ...content: Buffer[]): Buffer {
  const body = Buffer.concat(content);
  const length =
    body.length < 128 ? Buffer.of(body.length) : Buffer.of(0x82, Math.floor(body.length / 256), body.length % 256);
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
  const rest = [arcs[0]! * 40n + arcs[1]!, ...arcs.slice(2)];
  return tlv(0x06, Buffer.from(rest.flatMap(base128)));
}
function base128(arc: bigint): number[] {
  const digits = [Number(arc % 128n)];
  for (let left = arc / 128n; left > 0n; left /= 128n) digits.unshift(Number(left % 128n) + 128);
  return digits;
}
