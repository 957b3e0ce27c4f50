/**
 * A SAML identity provider for tests: writes answers, signs and encrypts them as it is told, wrongly too. A real signer
 * with real keys; what it signs is the test's business. Refuses to be used outside of tests.
 */
import { constants, createCipheriv, publicEncrypt, randomBytes, X509Certificate } from 'node:crypto';
import { createRequire } from 'node:module';
import { NS } from './response-shape.ts';
import { escapeXml } from './xml.ts';

interface Signer {
  addReference(reference: object): void;
  computeSignature(xml: string, options: object): void;
  getSignedXml(): string;
}
const { SignedXml } = createRequire(import.meta.url)('xml-crypto') as {
  readonly SignedXml: new (options: object) => Signer;
};

export const C14N = 'http://www.w3.org/2001/10/xml-exc-c14n#';
export const RSA_SHA256 = 'http://www.w3.org/2001/04/xmldsig-more#rsa-sha256';
const SHA256 = 'http://www.w3.org/2001/04/xmlenc#sha256';
const ENVELOPED = 'http://www.w3.org/2000/09/xmldsig#enveloped-signature';
const BEARER = 'urn:oasis:names:tc:SAML:2.0:cm:bearer';

export interface TestKey {
  /** PEM. */
  readonly certificate: string;
  readonly privateKey: string;
}
export interface Said {
  readonly issuer: string;
  readonly audience: string;
  readonly recipient: string;
  readonly destination?: string;
  readonly requestId?: string | undefined;
  readonly nameId: string;
  readonly nameIdFormat?: string;
  readonly attributes?: Readonly<Record<string, readonly string[]>>;
  readonly nowMs: number;
  readonly notBeforeMs?: number;
  readonly notOnOrAfterMs?: number;
  readonly authnMs?: number;
  readonly issuedMs?: number;
  readonly assertionId?: string;
  readonly sessionIndex?: string;
}

const at = (ms: number): string => new Date(ms).toISOString();

export function assertionXml(said: Said): string {
  const id = said.assertionId ?? `_a${randomBytes(16).toString('hex')}`;
  const from = at(said.notBeforeMs ?? said.nowMs - 60_000);
  const until = at(said.notOnOrAfterMs ?? said.nowMs + 300_000);
  const asked = said.requestId === undefined ? '' : ` InResponseTo="${said.requestId}"`;
  const attributes = Object.entries(said.attributes ?? {}).map(
    ([name, values]) =>
      `<saml:Attribute Name="${escapeXml(name)}">${values
        .map((value) => `<saml:AttributeValue>${escapeXml(value)}</saml:AttributeValue>`)
        .join('')}</saml:Attribute>`,
  );
  return `<saml:Assertion xmlns:saml="${NS.assertion}" ID="${id}" Version="2.0" IssueInstant="${at(said.issuedMs ?? said.nowMs)}"><saml:Issuer>${escapeXml(said.issuer)}</saml:Issuer><saml:Subject><saml:NameID${said.nameIdFormat === undefined ? '' : ` Format="${said.nameIdFormat}"`}>${escapeXml(said.nameId)}</saml:NameID><saml:SubjectConfirmation Method="${BEARER}"><saml:SubjectConfirmationData${asked} Recipient="${escapeXml(said.recipient)}" NotOnOrAfter="${until}"/></saml:SubjectConfirmation></saml:Subject><saml:Conditions NotBefore="${from}" NotOnOrAfter="${until}"><saml:AudienceRestriction><saml:Audience>${escapeXml(said.audience)}</saml:Audience></saml:AudienceRestriction></saml:Conditions><saml:AuthnStatement AuthnInstant="${at(said.authnMs ?? said.nowMs)}" SessionIndex="${said.sessionIndex ?? '_s1'}"><saml:AuthnContext><saml:AuthnContextClassRef>urn:oasis:names:tc:SAML:2.0:ac:classes:PasswordProtectedTransport</saml:AuthnContextClassRef></saml:AuthnContext></saml:AuthnStatement>${attributes.length === 0 ? '' : `<saml:AttributeStatement>${attributes.join('')}</saml:AttributeStatement>`}</saml:Assertion>`;
}

export function responseXml(said: Said, inner: string): string {
  const asked = said.requestId === undefined ? '' : ` InResponseTo="${said.requestId}"`;
  const destination = escapeXml(said.destination ?? said.recipient);
  return `<samlp:Response xmlns:samlp="${NS.protocol}" ID="_r${randomBytes(16).toString('hex')}" Version="2.0" IssueInstant="${at(said.nowMs)}" Destination="${destination}"${asked}><saml:Issuer xmlns:saml="${NS.assertion}">${escapeXml(said.issuer)}</saml:Issuer><samlp:Status><samlp:StatusCode Value="urn:oasis:names:tc:SAML:2.0:status:Success"/></samlp:Status>${inner}</samlp:Response>`;
}

export interface HowSigned {
  readonly algorithm?: string;
  readonly digest?: string;
  readonly transforms?: readonly string[];
  readonly canonicalization?: string;
}
/** Signs the one element of this name, after its Issuer, as SAML Core §5.4 has it. */
export function sign(xml: string, element: 'Response' | 'Assertion', key: TestKey, how: HowSigned = {}): string {
  const xpath = `//*[local-name(.)='${element}']`;
  const signer = new SignedXml({
    privateKey: key.privateKey,
    publicCert: key.certificate,
    signatureAlgorithm: how.algorithm ?? RSA_SHA256,
    canonicalizationAlgorithm: how.canonicalization ?? C14N,
  });
  signer.addReference({
    xpath,
    transforms: how.transforms ?? [ENVELOPED, C14N],
    digestAlgorithm: how.digest ?? SHA256,
  });
  signer.computeSignature(xml, {
    prefix: 'ds',
    location: { reference: `${xpath}/*[local-name(.)='Issuer']`, action: 'after' },
  });
  return signer.getSignedXml();
}

/** Encrypts an assertion to a certificate of ours. */
export function encrypt(
  assertion: string,
  certificate: string,
  method: 'gcm' | 'cbc' = 'gcm',
  transport: 'oaep' | 'pkcs1' = 'oaep',
): string {
  const key = randomBytes(32);
  const isGcm = method === 'gcm';
  const iv = randomBytes(isGcm ? 12 : 16);
  const cipher = createCipheriv(isGcm ? 'aes-256-gcm' : 'aes-256-cbc', key, iv);
  const body = Buffer.concat([cipher.update(assertion), cipher.final()]);
  const tag =
    'getAuthTag' in cipher && isGcm ? (cipher as unknown as { getAuthTag(): Buffer }).getAuthTag() : Buffer.alloc(0);
  const padding = transport === 'oaep' ? constants.RSA_PKCS1_OAEP_PADDING : constants.RSA_PKCS1_PADDING;
  const wrapped = publicEncrypt({ key: new X509Certificate(certificate).publicKey, padding, oaepHash: 'sha1' }, key);
  const algorithm = isGcm
    ? 'http://www.w3.org/2009/xmlenc11#aes256-gcm'
    : 'http://www.w3.org/2001/04/xmlenc#aes256-cbc';
  const transportName = transport === 'oaep' ? 'rsa-oaep-mgf1p' : 'rsa-1_5';
  return `<saml:EncryptedAssertion xmlns:saml="${NS.assertion}"><xenc:EncryptedData xmlns:xenc="${NS.encryption}" Type="http://www.w3.org/2001/04/xmlenc#Element"><xenc:EncryptionMethod Algorithm="${algorithm}"/><ds:KeyInfo xmlns:ds="${NS.signature}"><xenc:EncryptedKey><xenc:EncryptionMethod Algorithm="http://www.w3.org/2001/04/xmlenc#${transportName}"><ds:DigestMethod Algorithm="http://www.w3.org/2000/09/xmldsig#sha1"/></xenc:EncryptionMethod><xenc:CipherData><xenc:CipherValue>${wrapped.toString('base64')}</xenc:CipherValue></xenc:CipherData></xenc:EncryptedKey></ds:KeyInfo><xenc:CipherData><xenc:CipherValue>${Buffer.concat([iv, body, tag]).toString('base64')}</xenc:CipherValue></xenc:CipherData></xenc:EncryptedData></saml:EncryptedAssertion>`;
}

export const base64 = (xml: string): string => Buffer.from(xml).toString('base64');

/** What the provider publishes. */
export const idpMetadataXml = (entityId: string, ssoUrl: string, certificates: readonly string[]): string =>
  `<?xml version="1.0"?><!-- made by hand --><md:EntityDescriptor xmlns:md="${NS.metadata}" entityID="${escapeXml(entityId)}"><md:IDPSSODescriptor protocolSupportEnumeration="${NS.protocol}">${certificates
    .map(
      (pem) =>
        `<md:KeyDescriptor use="signing"><ds:KeyInfo xmlns:ds="${NS.signature}"><ds:X509Data><ds:X509Certificate>${pem.replace(/-----[^-]+-----|\s/g, '')}</ds:X509Certificate></ds:X509Data></ds:KeyInfo></md:KeyDescriptor>`,
    )
    .join(
      '',
    )}<md:SingleLogoutService Binding="urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect" Location="${escapeXml(ssoUrl)}/slo"/><md:SingleSignOnService Binding="urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect" Location="${escapeXml(ssoUrl)}"/></md:IDPSSODescriptor></md:EntityDescriptor>`;
