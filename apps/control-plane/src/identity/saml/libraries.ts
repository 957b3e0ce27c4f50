/**
 * node-saml, and xmldom, xml-crypto and xml-encryption under it, with the types of what is used of them. Their own types bring
 * the browser's globals into the whole program, where a CryptoKey is another one. Refuses to offer more than this folder needs.
 */
import { createRequire } from 'node:module';

/** The part of the DOM that is read here. */
export interface XmlNode {
  readonly nodeType: number;
  readonly nodeValue: string | null;
  readonly firstChild: XmlNode | null;
  readonly nextSibling: XmlNode | null;
  readonly parentNode: XmlNode | null;
}
export interface XmlAttribute {
  readonly prefix: string | null;
  readonly localName: string | null;
  readonly value: string;
}
export interface XmlElement extends XmlNode {
  readonly localName: string | null;
  readonly namespaceURI: string | null;
  readonly attributes: ArrayLike<XmlAttribute>;
  hasAttribute(name: string): boolean;
  getAttribute(name: string): string | null;
  removeChild(child: XmlNode): void;
  /** @param before null = at the end */
  insertBefore(child: XmlNode, before: XmlNode | null): void;
  /** The element as a text that stands by itself. */
  toString(): string;
}
interface XmlDocument extends XmlNode {
  readonly documentElement: XmlElement | null;
}
type OnProblem = (message: unknown) => void;

export interface SamlOptions {
  readonly issuer: string;
  readonly callbackUrl: string;
  /** PEM. */
  readonly idpCert: string | string[];
  readonly entryPoint?: string;
  readonly privateKey?: string;
  readonly signatureAlgorithm?: 'sha256' | 'sha512';
  readonly generateUniqueId?: () => string;
  readonly identifierFormat?: string | null;
  readonly forceAuthn?: boolean;
  readonly disableRequestedAuthnContext?: boolean;
  readonly authnContext?: string[];
  readonly racComparison?: 'exact' | 'minimum';
}
interface NodeSaml {
  getAuthorizeUrlAsync(relayState: string, host: string | undefined, options: object): Promise<string>;
}
/** A prefix and what it stands for. */
export interface XmlNamespace {
  readonly prefix: string;
  readonly namespaceURI: string;
}
/** Exclusive Canonicalization 1.0, without comments. */
interface Canonicalization {
  process(
    element: XmlElement,
    options: {
      readonly inclusiveNamespacesPrefixList: readonly string[];
      readonly ancestorNamespaces: readonly XmlNamespace[];
    },
  ): string;
}
/** @param options PEM */
type Decrypt = (
  xml: string,
  options: { readonly key: string },
  done: (error: Error | null | undefined, xml?: string) => void,
) => void;

const require = createRequire(import.meta.url);
export const { SAML } = require('@node-saml/node-saml') as { readonly SAML: new (options: SamlOptions) => NodeSaml };
export const { DOMParser } = require('@xmldom/xmldom') as {
  readonly DOMParser: new (options: {
    readonly errorHandler: { readonly warning: OnProblem; readonly error: OnProblem; readonly fatalError: OnProblem };
  }) => { parseFromString(xml: string, type: string): XmlDocument | undefined };
};
export const { ExclusiveCanonicalization } = require('xml-crypto') as {
  readonly ExclusiveCanonicalization: new () => Canonicalization;
};
export const { decrypt } = require('xml-encryption') as { readonly decrypt: Decrypt };
