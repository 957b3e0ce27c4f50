/**
 * A SAML identity provider as small as one can be, run by the tour: it knows one person, asks nobody, and signs (RSA-SHA256,
 * exclusive C14N) what it says with a key of its own. Its XML is written in canonical form, so that signing is hashing a text.
 * Refuses to be a real provider: docs/how-to/identity-saml.md has those.
 */
import 'reflect-metadata';
import { createHash, createSign, randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import { inflateRawSync } from 'node:zlib';
import * as x509 from '@peculiar/x509';

const ASSERTION = 'urn:oasis:names:tc:SAML:2.0:assertion';
const PROTOCOL = 'urn:oasis:names:tc:SAML:2.0:protocol';
const DSIG = 'http://www.w3.org/2000/09/xmldsig#';
const C14N = 'http://www.w3.org/2001/10/xml-exc-c14n#';
const RSA = {
  name: 'RSASSA-PKCS1-v1_5',
  hash: 'SHA-256',
  modulusLength: 2048,
  publicExponent: new Uint8Array([1, 0, 1]),
};

export interface SamlPerson {
  readonly name: string;
  readonly displayName: string;
  readonly groups: readonly string[];
}
export interface SamlIdp {
  readonly entityId: string;
  readonly metadata: string;
  close(): Promise<void>;
}

/** Starts it on a free port of this machine. */
export async function startSamlIdp(person: SamlPerson): Promise<SamlIdp> {
  const { certificate, privateKey } = await newKey();
  const server = createServer((request, answer) => {
    const { searchParams } = new URL(request.url ?? '/', 'http://idp');
    const asked = inflateRawSync(Buffer.from(searchParams.get('SAMLRequest') ?? '', 'base64')).toString();
    const part = (pattern: RegExp): string => pattern.exec(asked)?.[1] ?? '';
    const to = part(/AssertionConsumerServiceURL="([^"]+)"/);
    const xml = responseXml(entityId, person, privateKey, {
      to,
      id: part(/ ID="([^"]+)"/),
      audience: part(/Issuer[^>]*>([^<]+)</),
    });
    const field = (name: string, value: string): string => `<input type="hidden" name="${name}" value="${value}">`;
    answer.setHeader('content-type', 'text/html');
    answer.end(
      `<form method="post" action="${to}">${field('SAMLResponse', Buffer.from(xml).toString('base64'))}${field('RelayState', searchParams.get('RelayState') ?? '')}</form>`,
    );
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', () => resolve()));
  const entityId = `http://127.0.0.1:${(server.address() as { port: number }).port}/`;
  return {
    entityId,
    metadata: `<md:EntityDescriptor xmlns:md="urn:oasis:names:tc:SAML:2.0:metadata" entityID="${entityId}"><md:IDPSSODescriptor protocolSupportEnumeration="${PROTOCOL}"><md:KeyDescriptor use="signing"><ds:KeyInfo xmlns:ds="${DSIG}"><ds:X509Data><ds:X509Certificate>${certificate}</ds:X509Certificate></ds:X509Data></ds:KeyInfo></md:KeyDescriptor><md:SingleSignOnService Binding="urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect" Location="${entityId}sso"/></md:IDPSSODescriptor></md:EntityDescriptor>`,
    close: () => new Promise((resolve) => server.close(() => resolve())),
  };
}

/** Attributes stand in the order of their names and no element is empty-tagged: that is the canonical form. */
function responseXml(
  issuer: string,
  person: SamlPerson,
  privateKey: string,
  asked: { readonly to: string; readonly id: string; readonly audience: string },
): string {
  const at = (inMs: number): string => new Date(Date.now() + inMs).toISOString();
  const id = `_${randomUUID()}`;
  const attribute = (name: string, values: readonly string[]): string =>
    `<saml:Attribute Name="${name}">${values.map((value) => `<saml:AttributeValue>${value}</saml:AttributeValue>`).join('')}</saml:Attribute>`;
  const start = `<saml:Assertion xmlns:saml="${ASSERTION}" ID="${id}" IssueInstant="${at(0)}" Version="2.0"><saml:Issuer>${issuer}</saml:Issuer>`;
  const rest = `<saml:Subject><saml:NameID>${person.name}</saml:NameID><saml:SubjectConfirmation Method="urn:oasis:names:tc:SAML:2.0:cm:bearer"><saml:SubjectConfirmationData InResponseTo="${asked.id}" NotOnOrAfter="${at(120_000)}" Recipient="${asked.to}"></saml:SubjectConfirmationData></saml:SubjectConfirmation></saml:Subject><saml:Conditions NotBefore="${at(-30_000)}" NotOnOrAfter="${at(120_000)}"><saml:AudienceRestriction><saml:Audience>${asked.audience}</saml:Audience></saml:AudienceRestriction></saml:Conditions><saml:AuthnStatement AuthnInstant="${at(0)}" SessionIndex="_1"><saml:AuthnContext><saml:AuthnContextClassRef>urn:oasis:names:tc:SAML:2.0:ac:classes:PasswordProtectedTransport</saml:AuthnContextClassRef></saml:AuthnContext></saml:AuthnStatement><saml:AttributeStatement>${attribute('displayName', [person.displayName])}${attribute('groups', person.groups)}</saml:AttributeStatement></saml:Assertion>`;
  const digest = createHash('sha256').update(`${start}${rest}`).digest('base64');
  const method = (name: string, algorithm: string): string => `<ds:${name} Algorithm="${algorithm}"></ds:${name}>`;
  const info = `<ds:SignedInfo xmlns:ds="${DSIG}">${method('CanonicalizationMethod', C14N)}${method('SignatureMethod', 'http://www.w3.org/2001/04/xmldsig-more#rsa-sha256')}<ds:Reference URI="#${id}"><ds:Transforms>${method('Transform', `${DSIG}enveloped-signature`)}${method('Transform', C14N)}</ds:Transforms>${method('DigestMethod', 'http://www.w3.org/2001/04/xmlenc#sha256')}<ds:DigestValue>${digest}</ds:DigestValue></ds:Reference></ds:SignedInfo>`;
  const value = createSign('sha256').update(info).sign(privateKey, 'base64');
  const signature = `<ds:Signature xmlns:ds="${DSIG}">${info}<ds:SignatureValue>${value}</ds:SignatureValue></ds:Signature>`;
  return `<samlp:Response xmlns:samlp="${PROTOCOL}" Destination="${asked.to}" ID="_${randomUUID()}" InResponseTo="${asked.id}" IssueInstant="${at(0)}" Version="2.0"><saml:Issuer xmlns:saml="${ASSERTION}">${issuer}</saml:Issuer><samlp:Status><samlp:StatusCode Value="urn:oasis:names:tc:SAML:2.0:status:Success"/></samlp:Status>${start}${signature}${rest}</samlp:Response>`;
}

async function newKey(): Promise<{ readonly certificate: string; readonly privateKey: string }> {
  x509.cryptoProvider.set(crypto);
  const keys = await crypto.subtle.generateKey(RSA, true, ['sign', 'verify']);
  const made = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: '01',
    name: 'CN=SAML provider of the tour',
    notBefore: new Date(Date.now() - 60_000),
    notAfter: new Date(Date.now() + 86_400_000),
    keys,
    signingAlgorithm: RSA,
  });
  const der = Buffer.from(await crypto.subtle.exportKey('pkcs8', keys.privateKey)).toString('base64');
  return {
    certificate: Buffer.from(made.rawData).toString('base64'),
    privateKey: `-----BEGIN PRIVATE KEY-----\n${der.match(/.{1,64}/g)!.join('\n')}\n-----END PRIVATE KEY-----\n`,
  };
}
