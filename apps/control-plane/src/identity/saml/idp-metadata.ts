/**
 * A SAML provider's metadata: where its sign-in is and which certificates it signs by, all of them, so that it can roll
 * them over. Refuses metadata of another entity, past its end, or without what is needed. Its origin is trusted by TLS.
 */
import { X509Certificate } from 'node:crypto';
import { NS } from './response-shape.ts';
import { attribute, childrenNamed, everyElement, parseXml, textOf, XmlRefused } from './xml.ts';

export interface IdpMetadata {
  readonly entityId: string;
  /** HTTP-Redirect. */
  readonly ssoUrl: string;
  /** HTTP-Redirect, where the provider has single logout. */
  readonly sloUrl: string | undefined;
  /** PEM; any of them may sign. */
  readonly certificates: readonly string[];
}

const REDIRECT = 'urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect';
const CERTIFICATES_MAX = 10;

/** @throws XmlRefused for what is no certificate with an RSA key of 2048 bits or more */
export function requireCertificate(text: string): string {
  const body = text.replace(/-----(?:BEGIN|END) CERTIFICATE-----/g, '').replace(/\s+/g, '');
  if (!/^[A-Za-z0-9+/]+={0,2}$/.test(body)) throw new XmlRefused('no certificate');
  let certificate: X509Certificate;
  try {
    certificate = new X509Certificate(Buffer.from(body, 'base64'));
  } catch (cause) {
    throw new XmlRefused('no certificate', { cause });
  }
  const { asymmetricKeyType, asymmetricKeyDetails } = certificate.publicKey;
  if (asymmetricKeyType !== 'rsa' || (asymmetricKeyDetails?.modulusLength ?? 0) < 2048)
    throw new XmlRefused('a certificate without an RSA key of at least 2048 bits');
  return certificate.toString();
}

/** @param xml one EntityDescriptor, or several in an EntitiesDescriptor @throws XmlRefused */
export function parseIdpMetadata(xml: string, entityId: string, nowMs: number): IdpMetadata {
  const root = parseXml(xml, true);
  const entities = everyElement(root).filter(
    (element) => element.localName === 'EntityDescriptor' && element.namespaceURI === NS.metadata,
  );
  const mine = entities.filter((entity) => attribute(entity, 'entityID') === entityId);
  if (mine.length !== 1) throw new XmlRefused('the metadata is not this provider’s');
  const entity = mine[0]!;
  for (const dated of new Set([root, entity])) {
    const until = attribute(dated, 'validUntil');
    if (until !== undefined && !(Date.parse(until) > nowMs)) throw new XmlRefused('the metadata is out of date');
  }
  const roles = childrenNamed(entity, NS.metadata, 'IDPSSODescriptor').filter((role) =>
    (attribute(role, 'protocolSupportEnumeration') ?? '').split(/\s+/).includes(NS.protocol),
  );
  if (roles.length !== 1) throw new XmlRefused('the metadata is of no identity provider');
  const role = roles[0]!;
  const locations = (name: string) =>
    childrenNamed(role, NS.metadata, name)
      .filter((service) => attribute(service, 'Binding') === REDIRECT)
      .map((service) => attribute(service, 'Location'));
  const ssoUrl = locations('SingleSignOnService')[0];
  if (ssoUrl === undefined) throw new XmlRefused('the metadata has no sign-in by HTTP-Redirect');
  const certificates = childrenNamed(role, NS.metadata, 'KeyDescriptor')
    .filter((key) => (attribute(key, 'use') ?? 'signing') === 'signing')
    .flatMap((key) => everyElement(key))
    .filter((element) => element.localName === 'X509Certificate' && element.namespaceURI === NS.signature)
    .map((element) => requireCertificate(textOf(element)));
  const unique = [...new Set(certificates)];
  if (unique.length === 0 || unique.length > CERTIFICATES_MAX)
    throw new XmlRefused('the metadata has no signing certificate');
  return { entityId, ssoUrl, sloUrl: locations('SingleLogoutService')[0], certificates: unique };
}
