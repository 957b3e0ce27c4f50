/**
 * A server certificate for one host, made by the agent's own issuer (RFC 5280): ECDSA P-256 with SHA-256, for TLS servers only.
 * Refuses nothing about the host: the issuer's name constraints do, in whatever verifies it. DER by hand keeps the agent small.
 */
import { createHash, createPublicKey, type KeyObject, randomBytes, sign, X509Certificate } from 'node:crypto';
import { isIP } from 'node:net';
import { children, tlv } from '../der.ts';

const hex = (text: string): Buffer => Buffer.from(text, 'hex');
const ECDSA_WITH_SHA256 = hex('300a06082a8648ce3d040302');
const COMMON_NAME = hex('0603550403');
const BASIC_CONSTRAINTS = hex('0603551d13');
const KEY_USAGE = hex('0603551d0f');
const EXTENDED_KEY_USAGE = hex('0603551d25');
const SUBJECT_ALTERNATIVE_NAME = hex('0603551d11');
const SUBJECT_KEY_IDENTIFIER = hex('0603551d0e');
const AUTHORITY_KEY_IDENTIFIER = hex('0603551d23');
const SERVER_AUTH = hex('300a06082b06010505070301');
const TRUE = hex('0101ff');
/** X.520 upper bound of a common name. */
const COMMON_NAME_MAX = 64;
const BACKDATE_MS = 5 * 60_000;

export interface Issuer {
  /** PEM of the issuing certificate. */
  readonly certificate: string;
  readonly key: KeyObject;
}

/**
 * @param host canonical: a DNS name, or an address without brackets
 * @param leafKey whose public half is certified
 * @param notAfter UTC ms; never later than the issuer's own
 * @returns PEM
 */
export function makeLeaf(host: string, issuer: Issuer, leafKey: KeyObject, nowMs: number, notAfter: number): string {
  const above = new X509Certificate(issuer.certificate);
  const until = Math.min(notAfter, above.validToDate.getTime());
  const publicKey = createPublicKey(leafKey).export({ type: 'spki', format: 'der' });
  const name = tlv(
    0x30,
    tlv(0x31, tlv(0x30, COMMON_NAME, tlv(0x0c, Buffer.from(host.length <= COMMON_NAME_MAX ? host : 'host')))),
  );
  const general = isIP(host) === 0 ? tlv(0x82, Buffer.from(host)) : tlv(0x87, addressBytes(host));
  const extensions = tlv(
    0x30,
    extension(BASIC_CONSTRAINTS, tlv(0x30), true),
    extension(KEY_USAGE, hex('03020780'), true),
    extension(EXTENDED_KEY_USAGE, SERVER_AUTH, false),
    extension(SUBJECT_ALTERNATIVE_NAME, tlv(0x30, general), false),
    extension(SUBJECT_KEY_IDENTIFIER, tlv(0x04, keyId(publicKey)), false),
    extension(
      AUTHORITY_KEY_IDENTIFIER,
      tlv(0x30, tlv(0x80, keyId(above.publicKey.export({ type: 'spki', format: 'der' })))),
      false,
    ),
  );
  const body = tlv(
    0x30,
    tlv(0xa0, hex('020102')),
    tlv(0x02, serial()),
    ECDSA_WITH_SHA256,
    subjectOf(above),
    tlv(0x30, time(nowMs - BACKDATE_MS), time(until)),
    name,
    publicKey,
    tlv(0xa3, extensions),
  );
  const signature = sign('sha256', body, { key: issuer.key, dsaEncoding: 'der' });
  const der = tlv(0x30, body, ECDSA_WITH_SHA256, tlv(0x03, Buffer.of(0), signature));
  return `-----BEGIN CERTIFICATE-----\n${der.toString('base64').replace(/.{64}/g, '$&\n').trim()}\n-----END CERTIFICATE-----\n`;
}

const extension = (id: Buffer, value: Buffer, critical: boolean): Buffer =>
  tlv(0x30, id, ...(critical ? [TRUE] : []), tlv(0x04, value));

/** RFC 5280 section 4.2.1.2, method 1: of the key's bits alone. */
function keyId(spki: Buffer): Buffer {
  const bits = children(spki)[1]!;
  // Tag, length, the number of unused bits.
  return createHash('sha1')
    .update(bits.subarray(bits.length - 65))
    .digest();
}

/** Subject of a certificate as it stands in it. */
function subjectOf(certificate: X509Certificate): Buffer {
  const [body] = children(certificate.raw);
  return children(body!)[5]!;
}

/** Positive, 128 bits. */
function serial(): Buffer {
  const bytes = randomBytes(16);
  bytes[0] = (bytes[0]! & 0x3f) | 0x40;
  return bytes;
}

/** UTCTime until 2049, GeneralizedTime after. */
function time(ms: number): Buffer {
  const text = `${new Date(ms).toISOString().replace(/[-:T]|\.\d+/g, '')}`;
  return Number(text.slice(0, 4)) < 2050 ? tlv(0x17, Buffer.from(text.slice(2))) : tlv(0x18, Buffer.from(text));
}

function addressBytes(host: string): Buffer {
  if (!host.includes(':')) return Buffer.from(host.split('.').map(Number));
  const [head = '', tail] = host.split('::');
  const groups = (text: string | undefined): number[] =>
    text === undefined || text === '' ? [] : text.split(':').map((part) => Number.parseInt(part, 16));
  const from = groups(head);
  const to = groups(tail);
  const all = [...from, ...Array.from({ length: 8 - from.length - to.length }, () => 0), ...to];
  return Buffer.from(all.flatMap((group) => [group >> 8, group & 255]));
}
