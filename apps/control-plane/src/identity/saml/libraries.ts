/**
 * node-saml and xmldom with the types of what is used of them. Their own types bring the browser's globals into the whole
 * program, where a CryptoKey is another one. Refuses to offer more than this folder needs.
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
  readonly localName: string | null;
  readonly value: string;
}
export interface XmlElement extends XmlNode {
  readonly localName: string | null;
  readonly namespaceURI: string | null;
  readonly attributes: ArrayLike<XmlAttribute>;
  hasAttribute(name: string): boolean;
  getAttribute(name: string): string | null;
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
  readonly idpIssuer?: string;
  readonly audience?: string;
  readonly entryPoint?: string;
  readonly privateKey?: string;
  readonly signatureAlgorithm?: 'sha256' | 'sha512';
  readonly decryptionPvk?: string;
  readonly generateUniqueId?: () => string;
  readonly identifierFormat?: string | null;
  readonly forceAuthn?: boolean;
  readonly disableRequestedAuthnContext?: boolean;
  readonly authnContext?: string[];
  readonly racComparison?: 'exact' | 'minimum';
  readonly wantAuthnResponseSigned?: boolean;
  readonly wantAssertionsSigned?: boolean;
  readonly validateInResponseTo?: 'never' | 'ifPresent' | 'always';
  readonly cacheProvider?: object;
  /** Milliseconds; -1 = times are not judged. */
  readonly acceptedClockSkewMs?: number;
}
interface NodeSaml {
  getAuthorizeUrlAsync(relayState: string, host: string | undefined, options: object): Promise<string>;
  validatePostResponseAsync(form: { readonly SAMLResponse: string }): Promise<{
    readonly profile: { readonly getAssertionXml?: () => string } | null;
  }>;
}

const require = createRequire(import.meta.url);
export const { SAML } = require('@node-saml/node-saml') as { readonly SAML: new (options: SamlOptions) => NodeSaml };
export const { DOMParser } = require('@xmldom/xmldom') as {
  readonly DOMParser: new (options: {
    readonly errorHandler: { readonly warning: OnProblem; readonly error: OnProblem; readonly fatalError: OnProblem };
  }) => { parseFromString(xml: string, type: string): XmlDocument | undefined };
};
