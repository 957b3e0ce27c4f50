/**
 * Making X.509 certificates whose signature comes from the Signer port. Names and usages are arguments; of a request
 * only the key is taken. Refuses to know who asks. ECDSA P-256 with SHA-256; RFC 5280 profile.
 */
import 'reflect-metadata';
import { randomBytes, webcrypto } from 'node:crypto';
import { isIP, isIPv6 } from 'node:net';
import * as x509 from '@peculiar/x509';
import { GatewayError } from '@sallyport/core';
import type { PublicJwk } from './signer.ts';

const ECDSA = { name: 'ECDSA', namedCurve: 'P-256' } as const;

export interface SubjectNames {
  readonly dns?: readonly string[];
  readonly ip?: readonly string[];
  readonly uri?: readonly string[];
}

export interface CertificateRequestInput {
  readonly subject: string;
  readonly publicKey: webcrypto.CryptoKey;
  readonly notBefore: Date;
  readonly notAfter: Date;
  readonly usages: readonly string[];
  readonly names?: SubjectNames;
  /** Undefined = a leaf; else how many CAs may stand below. */
  readonly pathLength?: number;
  /** Of a CA: the only hosts that what stands below may be for. */
  readonly onlyHosts?: readonly string[];
  readonly issuer: {
    readonly subject: string;
    readonly publicKey: webcrypto.CryptoKey;
    sign(bytes: Uint8Array): Promise<Uint8Array<ArrayBuffer>>;
  };
}

export const importPublic = (jwk: PublicJwk): Promise<webcrypto.CryptoKey> =>
  webcrypto.subtle.importKey('jwk', { ...jwk }, ECDSA, true, ['verify']);

/** @returns PEM of the certificate */
export async function makeCertificate(input: CertificateRequestInput): Promise<string> {
  const isCa = input.pathLength !== undefined;
  const { dns = [], ip = [], uri = [] } = input.names ?? {};
  const names: x509.JsonGeneralNames = [
    ...dns.map((value) => ({ type: 'dns' as const, value })),
    ...ip.map((value) => ({ type: 'ip' as const, value })),
    ...uri.map((value) => ({ type: 'url' as const, value })),
  ];
  const serial = randomBytes(16);
  serial[0] = (serial[0]! & 0x3f) | 0x40;
  // The generator asks its crypto provider to sign with `signingKey`: a provider whose `sign` is the port, and a
  // public key standing in for the private one that never is in this process when a KMS holds it.
  const subtle = new Proxy(webcrypto.subtle, {
    get: (target, property) => {
      if (property === 'sign')
        return async (_a: unknown, _k: unknown, data: ArrayBuffer) =>
          (await input.issuer.sign(new Uint8Array(data))).buffer;
      const value = Reflect.get(target, property) as unknown;
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
  const provider = { subtle, getRandomValues: webcrypto.getRandomValues.bind(webcrypto) } as never;
  const certificate = await x509.X509CertificateGenerator.create(
    {
      serialNumber: serial.toString('hex'),
      subject: input.subject,
      issuer: input.issuer.subject,
      notBefore: input.notBefore,
      notAfter: input.notAfter,
      publicKey: input.publicKey,
      signingKey: input.issuer.publicKey,
      signingAlgorithm: { name: 'ECDSA', hash: 'SHA-256' },
      extensions: [
        new x509.BasicConstraintsExtension(isCa, input.pathLength, true),
        new x509.KeyUsagesExtension(
          isCa ? x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign : x509.KeyUsageFlags.digitalSignature,
          true,
        ),
        ...(input.usages.length > 0 ? [new x509.ExtendedKeyUsageExtension([...input.usages], false)] : []),
        ...(input.onlyHosts === undefined ? [] : [nameConstraints(input.onlyHosts)]),
        ...(names.length > 0 ? [new x509.SubjectAlternativeNameExtension(names)] : []),
        await x509.SubjectKeyIdentifierExtension.create(input.publicKey),
        await x509.AuthorityKeyIdentifierExtension.create(input.issuer.publicKey),
      ],
    },
    provider,
  );
  return certificate.toString('pem');
}

/**
 * The key of a PKCS #10 request whose self-signature holds. Everything else in it is ignored.
 * @param csr DER
 * @throws GatewayError `enroll.failed` when it is malformed, unsigned, or not P-256
 */
export async function requestKey(csr: Uint8Array): Promise<webcrypto.CryptoKey> {
  try {
    const request = new x509.Pkcs10CertificateRequest(Uint8Array.from(csr));
    if (!(await request.verify(webcrypto as never))) throw new Error('bad signature');
    const key = await request.publicKey.export(ECDSA, ['verify'], webcrypto as never);
    return key as unknown as webcrypto.CryptoKey;
  } catch (cause) {
    throw new GatewayError('enroll.failed', { reason: 'request' }, { cause });
  }
}

/** DER of each certificate of a PEM chain, in order. */
export const derOf = (pemChain: string): Buffer[] => x509.PemConverter.decode(pemChain).map((der) => Buffer.from(der));

const NAME_CONSTRAINTS = '2.5.29.30';
const ANY_V4 = Buffer.alloc(8);
const ANY_V6 = Buffer.alloc(32);

/**
 * RFC 5280 section 4.2.1.10, critical. A form of name that nothing is permitted of would be free: it is excluded whole.
 * Mail addresses and URIs are no server's: the usage forbids them. A DNS name permits the names below it as well; the
 * standard knows no other way.
 */
function nameConstraints(hosts: readonly string[]): x509.Extension {
  const dns = hosts.filter((host) => isIP(host) === 0);
  const addresses = hosts.filter((host) => isIP(host) !== 0);
  const permitted = [
    ...dns.map((host) => [2, Buffer.from(host)] as const),
    ...addresses.map((host) => [7, addressRange(host)] as const),
  ];
  const excluded: (readonly [number, Buffer])[] = [
    ...(dns.length === 0 ? [[2, Buffer.alloc(0)] as const] : []),
    ...(addresses.some((host) => !isIPv6(host)) ? [] : [[7, ANY_V4] as const]),
    ...(addresses.some(isIPv6) ? [] : [[7, ANY_V6] as const]),
  ];
  const subtrees = (tag: number, names: readonly (readonly [number, Buffer])[]): Buffer =>
    names.length === 0
      ? Buffer.alloc(0)
      : der(0xa0 | tag, ...names.map(([form, bytes]) => der(0x30, der(0x80 | form, bytes))));
  return new x509.Extension(NAME_CONSTRAINTS, true, der(0x30, subtrees(0, permitted), subtrees(1, excluded)));
}

/** Address and mask of one host. */
function addressRange(host: string): Buffer {
  if (!isIPv6(host)) return Buffer.from([...host.split('.').map(Number), 255, 255, 255, 255]);
  const [head = '', tail] = host.split('::');
  const groups = (text: string | undefined): number[] =>
    text === undefined || text === '' ? [] : text.split(':').map((part) => Number.parseInt(part, 16));
  const from = groups(head);
  const to = groups(tail);
  const all = [...from, ...Array.from({ length: 8 - from.length - to.length }, () => 0), ...to];
  return Buffer.concat([Buffer.from(all.flatMap((group) => [group >> 8, group & 255])), Buffer.alloc(16, 255)]);
}

function der(tag: number, ...content: readonly Uint8Array[]): Buffer {
  const body = Buffer.concat(content);
  const { length } = body;
  const size =
    length < 0x80
      ? [length]
      : length < 0x1_00
        ? [0x81, length]
        : length < 0x1_00_00
          ? [0x82, length >> 8, length & 255]
          : [0x83, length >> 16, (length >> 8) & 255, length & 255];
  return Buffer.concat([Buffer.from([tag, ...size]), body]);
}
