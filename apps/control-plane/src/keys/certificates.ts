/**
 * Making X.509 certificates whose signature comes from the Signer port. Names and usages are arguments; of a request
 * only the key is taken. Refuses to know who asks. ECDSA P-256 with SHA-256; RFC 5280 profile.
 */
import 'reflect-metadata';
import { randomBytes, webcrypto } from 'node:crypto';
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
