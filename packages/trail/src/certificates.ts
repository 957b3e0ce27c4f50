/**
 * From a certificate to the trusted root, by hand over node:crypto's X509Certificate: signature, validity, purpose, name.
 * Refuses to fetch anything and knows no revocation: an agent's revocation is an event of the control plane's chain.
 * RFC 5280 section 6, narrowed: at most 4 certificates, no name constraints, no policies.
 */
import { type KeyObject, X509Certificate } from 'node:crypto';
import { publicKeyId } from './signer.ts';

/** What a signer's certificate must say. */
export interface Purpose {
  /** Extended key usage that must be there. */
  readonly usage: string;
  /** URI subject alternative name that must be there. */
  readonly uri: string;
  /** When the signature was made, UTC ms. */
  readonly timeMs: number;
  /** How long after its end a certificate's key may still sign. */
  readonly graceMs: number;
}

export type TrustProblem = 'unknown-signer' | 'no-path' | 'wrong-purpose' | 'wrong-name' | 'expired';
export type TrustAnswer =
  | { readonly kind: 'trusted'; readonly key: KeyObject }
  | { readonly kind: 'refused'; readonly problem: TrustProblem };

const DEPTH_MAX = 4;
/** A signer's clock may be behind the issuer's. */
const SKEW_MS = 10 * 60_000;
const URI_SEPARATOR = /,\s*/;

/** All certificates of a PEM text. @throws when one of them cannot be read */
export function parseCertificates(pem: string): readonly X509Certificate[] {
  const found = pem.match(/-----BEGIN CERTIFICATE-----[\s\S]*?-----END CERTIFICATE-----/g) ?? [];
  return found.map((text) => new X509Certificate(text));
}

/** Finds signers by the digest of their key and follows them to one root. Answers are remembered. */
export class TrustStore {
  readonly #root: KeyObject;
  readonly #byKey = new Map<string, X509Certificate[]>();
  readonly #all: readonly X509Certificate[];
  readonly #paths = new Map<X509Certificate, readonly X509Certificate[] | undefined>();
  /** @param root certificate or public key, which came another way than the certificates did */
  constructor(root: X509Certificate | KeyObject, certificates: readonly X509Certificate[]) {
    this.#root = root instanceof X509Certificate ? root.publicKey : root;
    this.#all = certificates;
    for (const certificate of certificates) {
      const id = publicKeyId(certificate.publicKey).toString('hex');
      const known = this.#byKey.get(id);
      if (known === undefined) this.#byKey.set(id, [certificate]);
      else known.push(certificate);
    }
  }

  /** The key with that id, if one of its certificates leads to the root and is fit for the purpose. */
  find(keyId: Buffer, purpose: Purpose): TrustAnswer {
    let problem: TrustProblem = 'unknown-signer';
    for (const certificate of this.#byKey.get(keyId.toString('hex')) ?? []) {
      const found = this.#examine(certificate, purpose);
      if (found === undefined) return { kind: 'trusted', key: certificate.publicKey };
      problem = found;
    }
    return { kind: 'refused', problem };
  }

  #examine(certificate: X509Certificate, purpose: Purpose): TrustProblem | undefined {
    if (certificate.ca || !certificate.keyUsage?.includes(purpose.usage)) return 'wrong-purpose';
    const names = (certificate.subjectAltName ?? '').split(URI_SEPARATOR);
    if (!names.includes(`URI:${purpose.uri}`)) return 'wrong-name';
    const path = this.#pathOf(certificate);
    if (path === undefined) return 'no-path';
    for (const [i, link] of path.entries()) {
      const late = i === 0 ? purpose.graceMs : 0;
      if (
        purpose.timeMs + SKEW_MS < link.validFromDate.getTime() ||
        purpose.timeMs > link.validToDate.getTime() + late
      ) {
        return 'expired';
      }
      // An issuer made for one purpose does not issue for another.
      if (i > 0 && link.keyUsage !== undefined && !link.keyUsage.includes(purpose.usage)) return 'wrong-purpose';
    }
    return undefined;
  }

  #pathOf(certificate: X509Certificate): readonly X509Certificate[] | undefined {
    if (!this.#paths.has(certificate)) this.#paths.set(certificate, this.#search(certificate, DEPTH_MAX));
    return this.#paths.get(certificate);
  }

  /** The certificate and its issuers below the root; the root itself is not among them. */
  #search(certificate: X509Certificate, depth: number): readonly X509Certificate[] | undefined {
    if (depth === 0) return undefined;
    if (certificate.verify(this.#root)) return [certificate];
    for (const issuer of this.#all) {
      if (issuer === certificate || !issuer.ca || !certificate.checkIssued(issuer)) continue;
      if (!certificate.verify(issuer.publicKey)) continue;
      const rest = this.#search(issuer, depth - 1);
      if (rest !== undefined) return [certificate, ...rest];
    }
    return undefined;
  }
}
