/**
 * A user certificate of OpenSSH as a store gives it, and the check that it is the one that was asked for: this key, these
 * principals and no others, no longer than asked. Refuses host certificates and what it cannot read to the last byte.
 * Format: OpenSSH PROTOCOL.certkeys. The signature is for the server to verify: it alone knows which authority it trusts.
 */
import { unavailable } from './source.ts';

/** What a session needs signed. */
export interface SshCertificateAsk {
  /** One line as of an .pub file: `ssh-ed25519 AAAA…`. */
  readonly publicKey: string;
  /** Accounts at the server; at least one. */
  readonly principals: readonly string[];
  readonly ttlMs: number;
}

export interface SshCertificate {
  /** One line as of a -cert.pub file. */
  readonly certificate: string;
  readonly serial: string;
  readonly keyId: string;
  readonly principals: readonly string[];
  /** UTC ms. */
  readonly validAfterMs: number;
  readonly expiresAtMs: number;
  /** By name: `force-command`, `source-address`. */
  readonly criticalOptions: ReadonlyMap<string, string>;
  /** Names: `permit-pty`, … */
  readonly extensions: readonly string[];
  /** Blob of the plain public key inside. */
  readonly publicKey: Buffer;
}

const CERTIFICATE_BYTES_MAX = 16 * 1024;
const PRINCIPALS_MAX = 256;
const USER = 1;
/** Servers' clocks and a store's: certificates begin a little before now. */
const SKEW_MS = 5 * 60_000;
/** Fields of the public key by its plain type. */
const KEY_FIELDS: Readonly<Record<string, number>> = {
  'ssh-ed25519': 1,
  'ssh-rsa': 2,
  'ecdsa-sha2-nistp256': 2,
  'ecdsa-sha2-nistp384': 2,
  'ecdsa-sha2-nistp521': 2,
};

const malformed = (kind: string): Error => unavailable(kind, 'what the store signed is no SSH user certificate');

class Reader {
  readonly #bytes: Buffer;
  readonly #kind: string;
  #at = 0;
  constructor(bytes: Buffer, kind: string) {
    this.#bytes = bytes;
    this.#kind = kind;
  }
  get rest(): number {
    return this.#bytes.length - this.#at;
  }
  #take(length: number): Buffer {
    if (length > this.rest) throw malformed(this.#kind);
    this.#at += length;
    return this.#bytes.subarray(this.#at - length, this.#at);
  }
  uint32 = (): number => this.#take(4).readUInt32BE();
  uint64 = (): bigint => this.#take(8).readBigUInt64BE();
  string = (): Buffer => this.#take(this.uint32());
  text = (): string => this.string().toString('utf8');
}

const lengthed = (bytes: Buffer): Buffer => {
  const length = Buffer.alloc(4);
  length.writeUInt32BE(bytes.length);
  return Buffer.concat([length, bytes]);
};

/** @throws GatewayError `credential.unavailable` */
export function parseSshCertificate(kind: string, line: string): SshCertificate {
  const [type = '', base64 = ''] = line.trim().split(/\s+/);
  const plain = type.replace(/-cert-v01@openssh\.com$/, '');
  const fields = plain === type ? undefined : KEY_FIELDS[plain];
  const blob = Buffer.from(base64, 'base64');
  if (fields === undefined || blob.length > CERTIFICATE_BYTES_MAX) throw malformed(kind);
  const reader = new Reader(blob, kind);
  if (reader.text() !== type) throw malformed(kind);
  reader.string(); // nonce
  const key: Buffer[] = [Buffer.from(plain)];
  for (let field = 0; field < fields; field++) key.push(reader.string());
  const serial = reader.uint64();
  if (reader.uint32() !== USER) throw malformed(kind);
  const keyId = reader.text();
  const principals: string[] = [];
  for (const list = new Reader(reader.string(), kind); list.rest > 0; ) {
    if (principals.length >= PRINCIPALS_MAX) throw malformed(kind);
    principals.push(list.text());
  }
  const [after, before] = [reader.uint64(), reader.uint64()];
  const criticalOptions = options(reader.string(), kind);
  const extensions = [...options(reader.string(), kind).keys()];
  reader.string(); // reserved
  reader.string(); // the authority's key
  if (reader.string().length === 0 || reader.rest !== 0) throw malformed(kind);
  return {
    certificate: `${type} ${base64}`,
    serial: serial.toString(),
    keyId,
    principals,
    validAfterMs: Number(after) * 1000,
    // 2^64 - 1 is "for ever".
    expiresAtMs: Math.min(Number(before) * 1000, Number.MAX_SAFE_INTEGER),
    criticalOptions,
    extensions,
    publicKey: Buffer.concat(key.map(lengthed)),
  };
}

function options(bytes: Buffer, kind: string): ReadonlyMap<string, string> {
  const found = new Map<string, string>();
  for (const reader = new Reader(bytes, kind); reader.rest > 0; ) {
    const name = reader.text();
    const value = reader.string();
    found.set(name, value.length === 0 ? '' : new Reader(value, kind).text());
  }
  return found;
}

/** @throws GatewayError `credential.unavailable` when it is for another key, more accounts, or longer than asked */
export function requireCertificateFor(
  kind: string,
  certificate: SshCertificate,
  wanted: SshCertificateAsk,
  nowMs: number,
): void {
  const [, base64 = ''] = wanted.publicKey.trim().split(/\s+/);
  if (!certificate.publicKey.equals(Buffer.from(base64, 'base64')))
    throw unavailable(kind, 'the store signed another key than the session’s');
  // No principals at all would mean every account.
  const same =
    certificate.principals.length > 0 &&
    certificate.principals.every((name) => wanted.principals.includes(name)) &&
    wanted.principals.every((name) => certificate.principals.includes(name));
  if (!same) throw unavailable(kind, 'the certificate is for other accounts than asked');
  const { validAfterMs, expiresAtMs } = certificate;
  if (validAfterMs > nowMs + SKEW_MS || expiresAtMs <= nowMs || expiresAtMs > nowMs + wanted.ttlMs + SKEW_MS)
    throw unavailable(kind, 'the certificate is not for the time asked');
}
