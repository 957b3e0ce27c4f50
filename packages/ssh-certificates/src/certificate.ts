/**
 * OpenSSH certificates (OpenSSH PROTOCOL.certkeys): read, checked, made. The one who signs may be anywhere: what is to be
 * signed and the whole are two steps. Refuses to know whom to trust; `checkCertificate` is told.
 */
import { BlockList, isIP } from 'node:net';
import { ParseError } from '@sallyport/core';
import { parsePublicKey, requireKeyFields, type SshPublicKey, signatureBlob, signatureHolds } from './public-key.ts';
import { WireReader, wireString, wireUint32, wireUint64 } from './wire.ts';

const SUFFIX = '-cert-v01@openssh.com';
const KINDS = { user: 1, host: 2 } as const;
export type CertificateKind = keyof typeof KINDS;
/** OpenSSH takes 256 principals. */
export const PRINCIPALS_MAX = 256;
export const CERTIFICATE_BYTES_MAX = 64 * 1024;

export interface SshCertificate {
  /** The type of the certified key, without the certificate's suffix. */
  readonly type: string;
  readonly publicKey: SshPublicKey;
  readonly kind: CertificateKind;
  readonly serial: bigint;
  readonly keyId: string;
  readonly principals: readonly string[];
  /** Seconds since the epoch; the second is the first at which it is no longer good. */
  readonly validAfter: bigint;
  readonly validBefore: bigint;
  readonly critical: ReadonlyMap<string, string>;
  readonly extensions: ReadonlyMap<string, string>;
  readonly ca: SshPublicKey;
  /** What the CA signed. */
  readonly signed: Buffer;
  readonly signature: Buffer;
}

export const isCertificateType = (type: string): boolean => type.endsWith(SUFFIX);
/** `ssh-ed25519` → `ssh-ed25519-cert-v01@openssh.com`. */
export const certificateType = (keyType: string): string => `${keyType}${SUFFIX}`;

/** Reads; checks nothing but form. @throws ParseError */
export function parseCertificate(blob: Uint8Array): SshCertificate {
  if (blob.length > CERTIFICATE_BYTES_MAX) throw new ParseError('certificate', 'it is too long');
  const reader = new WireReader(blob, 'certificate');
  const full = reader.text();
  if (!isCertificateType(full)) throw new ParseError('certificate', 'it is a plain key');
  const type = full.slice(0, -SUFFIX.length);
  const fields = requireKeyFields(type);
  reader.string(); // nonce
  const keyStart = reader.at;
  for (let i = 0; i < fields; i++) reader.string();
  const publicKey = parsePublicKey(Buffer.concat([wireString(type), reader.between(keyStart, reader.at)]));
  const serial = reader.uint64();
  const kindNumber = reader.uint32();
  const kind = kindNumber === KINDS.user ? 'user' : kindNumber === KINDS.host ? 'host' : undefined;
  if (kind === undefined) throw new ParseError('certificate', 'it is neither a user’s nor a host’s');
  const keyId = reader.text();
  const principals = parsePrincipals(reader.string());
  const [validAfter, validBefore] = [reader.uint64(), reader.uint64()];
  const critical = parseOptions(reader.string(), 'critical');
  const extensions = parseOptions(reader.string(), 'extensions');
  reader.string(); // reserved
  const ca = parsePublicKey(reader.string());
  const signed = Buffer.from(reader.between(0, reader.at));
  const signature = Buffer.from(reader.string());
  reader.end();
  return {
    type,
    publicKey,
    kind,
    serial,
    keyId,
    principals,
    validAfter,
    validBefore,
    critical,
    extensions,
    ca,
    signed,
    signature,
  };
}

function parsePrincipals(bytes: Buffer): readonly string[] {
  const reader = new WireReader(bytes, 'principals');
  const names: string[] = [];
  while (!reader.ended) {
    if (names.length === PRINCIPALS_MAX) throw new ParseError('principals', `there are more than ${PRINCIPALS_MAX}`);
    names.push(reader.text());
  }
  return names;
}

/** Names in lexical order, each once, as the format demands: two readers must see the same. */
function parseOptions(bytes: Buffer, path: string): ReadonlyMap<string, string> {
  const reader = new WireReader(bytes, path);
  const options = new Map<string, string>();
  let last: string | undefined;
  while (!reader.ended) {
    const name = reader.text();
    if (last !== undefined && Buffer.compare(Buffer.from(last), Buffer.from(name)) >= 0)
      throw new ParseError(path, 'the names are not in order');
    last = name;
    const data = reader.string();
    if (data.length === 0) {
      options.set(name, '');
      continue;
    }
    const inner = new WireReader(data, `${path}.${name.slice(0, 60)}`);
    options.set(name, inner.text());
    inner.end();
  }
  return options;
}

export interface CertificateTerms {
  readonly kind: CertificateKind;
  /** Blobs of the CA keys that are trusted for this. */
  readonly cas: readonly Uint8Array[];
  /** One of the certificate's principals; a certificate without any is good for nobody. */
  readonly principal: string;
  /** UTC milliseconds. */
  readonly nowMs: number;
  /** The client's IP address, for `source-address`. */
  readonly address?: string;
}

/** @returns why it is not taken, for the record and never for the client; undefined when it is good */
export function checkCertificate(certificate: SshCertificate, terms: CertificateTerms): string | undefined {
  const { ca, signed, signature } = certificate;
  if (!terms.cas.some((trusted) => ca.blob.equals(trusted))) return 'a certificate of a CA that is not trusted';
  if (!signatureHolds(ca, signed, signature)) return 'a certificate whose signature does not hold';
  if (certificate.kind !== terms.kind) return `a ${certificate.kind} certificate`;
  const nowS = BigInt(Math.floor(terms.nowMs / 1000));
  if (nowS < certificate.validAfter) return 'a certificate that is not good yet';
  if (nowS >= certificate.validBefore) return 'a certificate that has expired';
  if (!certificate.principals.includes(terms.principal)) return 'a certificate for other principals';
  for (const [name, value] of certificate.critical) {
    if (name !== 'source-address' || terms.kind !== 'user')
      return 'a certificate with a critical option not known here';
    if (!isFrom(terms.address ?? '', value)) return 'a certificate for another source address';
  }
  return undefined;
}

/** Comma-separated addresses in CIDR form. Anything that cannot be read matches nothing. */
function isFrom(address: string, list: string): boolean {
  const plain = address.replace(/^::ffff:(?=\d+\.)/i, '');
  const family = isIP(plain);
  if (family === 0) return false;
  const allowed = new BlockList();
  for (const entry of list.split(',')) {
    const [network = '', prefix, rest] = entry.split('/');
    const version = isIP(network);
    if (version === 0 || rest !== undefined) return false;
    const bits = prefix === undefined ? (version === 4 ? 32 : 128) : /^\d{1,3}$/.test(prefix) ? Number(prefix) : -1;
    if (bits < 0 || bits > (version === 4 ? 32 : 128)) return false;
    allowed.addSubnet(network, bits, version === 4 ? 'ipv4' : 'ipv6');
  }
  return allowed.check(plain, family === 4 ? 'ipv4' : 'ipv6');
}

export interface CertificateRequest {
  readonly kind: CertificateKind;
  readonly publicKey: SshPublicKey;
  /** Blob of the key that will sign. */
  readonly ca: Uint8Array;
  /** 32 random bytes. */
  readonly nonce: Uint8Array;
  readonly serial: bigint;
  readonly keyId: string;
  readonly principals: readonly string[];
  /** Seconds since the epoch. */
  readonly validAfter: number;
  readonly validBefore: number;
  readonly critical?: Readonly<Record<string, string>>;
  readonly extensions?: Readonly<Record<string, string>>;
}

const NONCE_BYTES = 32;

/** What the CA signs. @throws ParseError for terms that OpenSSH would not take or would take for more than was meant */
export function certificateToSign(request: CertificateRequest): Buffer {
  const { publicKey, principals, nonce } = request;
  // OpenSSH takes a certificate without principals for anybody's.
  if (principals.length === 0 || principals.length > PRINCIPALS_MAX || principals.includes(''))
    throw new ParseError('principals', `name 1 to ${PRINCIPALS_MAX}`);
  if (nonce.length !== NONCE_BYTES) throw new ParseError('nonce', `give ${NONCE_BYTES} bytes`);
  if (request.validBefore <= request.validAfter) throw new ParseError('validBefore', 'it ends before it begins');
  const head = new WireReader(publicKey.blob, 'key');
  head.string();
  return Buffer.concat([
    wireString(certificateType(publicKey.type)),
    wireString(nonce),
    publicKey.blob.subarray(head.at),
    wireUint64(request.serial),
    wireUint32(KINDS[request.kind]),
    wireString(request.keyId),
    wireString(Buffer.concat(principals.map(wireString))),
    wireUint64(BigInt(request.validAfter)),
    wireUint64(BigInt(request.validBefore)),
    wireString(options(request.critical ?? {})),
    wireString(options(request.extensions ?? {})),
    wireString(''),
    wireString(request.ca),
  ]);
}

const options = (values: Readonly<Record<string, string>>): Buffer =>
  Buffer.concat(
    Object.keys(values)
      .toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)))
      .map((name) => {
        const value = values[name]!;
        return Buffer.concat([wireString(name), wireString(value === '' ? '' : wireString(value))]);
      }),
  );

/**
 * The certificate's blob. @param type of the CA's key
 * @param signature 64 bytes over `signed`: raw Ed25519, or r and s of P-256 (IEEE P1363)
 */
export const certificateBlob = (
  signed: Uint8Array,
  type: 'ssh-ed25519' | 'ecdsa-sha2-nistp256',
  signature: Uint8Array,
): Buffer => Buffer.concat([signed, wireString(signatureBlob(type, signature))]);
