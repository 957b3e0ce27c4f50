/**
 * Single logout by HTTP-Redirect (SAML Bindings §3.4, Profiles §4.4): messages in the query, signed over the very octets of
 * it. Reads requests of a provider, writes requests and answers of ours. Refuses what is not signed, or not for us, or old.
 */
import { createSign, createVerify, randomBytes } from 'node:crypto';
import { deflateRawSync, inflateRawSync } from 'node:zlib';
import { NS } from './response-shape.ts';
import type { OurKey } from './saml-keys.ts';
import { attribute, childrenNamed, escapeXml, onlyChild, parseXml, textOf, XmlRefused } from './xml.ts';

const RSA: Readonly<Record<string, string>> = {
  'http://www.w3.org/2001/04/xmldsig-more#rsa-sha256': 'sha256',
  'http://www.w3.org/2001/04/xmldsig-more#rsa-sha384': 'sha384',
  'http://www.w3.org/2001/04/xmldsig-more#rsa-sha512': 'sha512',
};
const RSA_SHA256 = 'http://www.w3.org/2001/04/xmldsig-more#rsa-sha256';
const QUERY_CHARS_MAX = 16_384;
const XML_BYTES_MAX = 65_536;
/** How old a request may be: it goes from page to page. */
export const LOGOUT_MS = 5 * 60_000;

export interface LogoutOrder {
  readonly id: string;
  readonly nameId: string;
  /** Empty = every session of the person. */
  readonly sessionIndexes: readonly string[];
  readonly relayState: string | undefined;
}
export interface ExpectedOfLogout {
  readonly issuer: string;
  readonly destination: string;
  readonly certificates: readonly string[];
  readonly nowMs: number;
  readonly skewMs: number;
}

/** @param query as it came, without the `?` @throws Error whatever is wrong */
export function readLogoutRequest(query: string, expected: ExpectedOfLogout): LogoutOrder {
  if (query.length > QUERY_CHARS_MAX) throw new XmlRefused('it is too long');
  const raw = new Map<string, string>();
  for (const pair of query.split('&')) {
    const name = pair.split('=', 1)[0]!;
    if (raw.has(name)) throw new XmlRefused('a field twice');
    raw.set(name, pair);
  }
  const value = (name: string): string | undefined => {
    const pair = raw.get(name);
    return pair === undefined ? undefined : decodeURIComponent(pair.slice(name.length + 1).replaceAll('+', '%20'));
  };
  const hash = RSA[value('SigAlg') ?? ''];
  const signature = value('Signature');
  const message = value('SAMLRequest');
  if (hash === undefined || signature === undefined || message === undefined) throw new XmlRefused('it is not signed');
  const signedText = ['SAMLRequest', 'RelayState', 'SigAlg'].flatMap((name) => raw.get(name) ?? []).join('&');
  const bytes = Buffer.from(signature.replaceAll(' ', '+'), 'base64');
  if (!expected.certificates.some((pem) => createVerify(hash).update(signedText).verify(pem, bytes)))
    throw new XmlRefused('its signature does not hold');
  const deflated = Buffer.from(message.replaceAll(' ', '+'), 'base64');
  const root = parseXml(inflateRawSync(deflated, { maxOutputLength: XML_BYTES_MAX }).toString());
  if (root.localName !== 'LogoutRequest' || root.namespaceURI !== NS.protocol) throw new XmlRefused('no LogoutRequest');
  const id = attribute(root, 'ID');
  const issued = Date.parse(attribute(root, 'IssueInstant') ?? '');
  const until = attribute(root, 'NotOnOrAfter');
  const { nowMs, skewMs } = expected;
  if (id === undefined || attribute(root, 'Version') !== '2.0') throw new XmlRefused('no ID, or another version');
  if (!(Math.abs(nowMs - issued) <= LOGOUT_MS + skewMs)) throw new XmlRefused('it is not of now');
  if (until !== undefined && !(nowMs - skewMs < Date.parse(until))) throw new XmlRefused('it is no longer valid');
  if (attribute(root, 'Destination') !== expected.destination) throw new XmlRefused('another destination');
  if (textOf(onlyChild(root, NS.assertion, 'Issuer')) !== expected.issuer) throw new XmlRefused('another issuer');
  return {
    id,
    nameId: textOf(onlyChild(root, NS.assertion, 'NameID')),
    sessionIndexes: childrenNamed(root, NS.protocol, 'SessionIndex').map(textOf),
    relayState: value('RelayState'),
  };
}

export interface Outgoing {
  readonly destination: string;
  readonly issuer: string;
  readonly key: OurKey;
  readonly nowMs: number;
  readonly relayState?: string | undefined;
}

/** Where to send the browser with our answer to a request. */
export const logoutResponseUrl = (to: Outgoing, requestId: string): URL =>
  signedUrl(
    'SAMLResponse',
    message('LogoutResponse', to, ` InResponseTo="${escapeXml(requestId)}"`) +
      '<samlp:Status><samlp:StatusCode Value="urn:oasis:names:tc:SAML:2.0:status:Success"/></samlp:Status></samlp:LogoutResponse>',
    to,
  );

/** Who of the provider's signs out: what an assertion said, kept sealed with the sign-in. */
export interface SignedInAs {
  readonly nameId: string;
  readonly format: string | undefined;
  readonly sessionIndex: string | undefined;
}

/** Where to send the browser to sign out at the provider. */
export const logoutRequestUrl = (to: Outgoing, who: SignedInAs): URL =>
  signedUrl(
    'SAMLRequest',
    `${message('LogoutRequest', to, '')}<saml:NameID${who.format === undefined ? '' : ` Format="${escapeXml(who.format)}"`}>${escapeXml(who.nameId)}</saml:NameID>${
      who.sessionIndex === undefined ? '' : `<samlp:SessionIndex>${escapeXml(who.sessionIndex)}</samlp:SessionIndex>`
    }</samlp:LogoutRequest>`,
    to,
  );

const message = (name: string, to: Outgoing, more: string): string =>
  `<samlp:${name} xmlns:samlp="${NS.protocol}" xmlns:saml="${NS.assertion}" ID="_${randomBytes(20).toString('hex')}" Version="2.0" IssueInstant="${new Date(to.nowMs).toISOString()}" Destination="${escapeXml(to.destination)}"${more}><saml:Issuer>${escapeXml(to.issuer)}</saml:Issuer>`;

function signedUrl(field: 'SAMLRequest' | 'SAMLResponse', xml: string, to: Outgoing): URL {
  const url = new URL(to.destination);
  const pairs: [string, string][] = [[field, deflateRawSync(xml).toString('base64')]];
  if (to.relayState !== undefined) pairs.push(['RelayState', to.relayState]);
  pairs.push(['SigAlg', RSA_SHA256]);
  const text = pairs.map(([name, value]) => `${name}=${encodeURIComponent(value)}`).join('&');
  const signature = createSign('sha256').update(text).sign(to.key.privateKey.reveal().toString(), 'base64');
  const before = url.search === '' ? '?' : `${url.search}&`;
  return new URL(`${url.origin}${url.pathname}${before}${text}&Signature=${encodeURIComponent(signature)}`);
}
