/**
 * A SAML answer from base64 to facts: shape first, then node-saml's check of the signatures, then what the signed bytes
 * say. Nothing is read from what was not signed. Every step refuses; the caller says `auth.failed` whatever it was.
 */
import { LIMITS } from '@sallyport/core';
import { type AssertionFacts, type ExpectedOfAssertion, readAssertion } from './assertion-facts.ts';
import { SAML, type XmlElement } from './libraries.ts';
import { NS, type ResponseShape, requireAssertionShape, requireResponseShape } from './response-shape.ts';
import type { SamlConfig } from './saml-config.ts';
import type { OurKey } from './saml-keys.ts';
import { attribute, childrenNamed, onlyChild, parseXml, textOf, XmlRefused } from './xml.ts';

export interface ResponseTrust {
  readonly config: Pick<SamlConfig, 'signed' | 'encryption'>;
  /** The provider's, any of which may have signed. */
  readonly certificates: readonly string[];
  /** Ours; asked for where something is encrypted to them. */
  readonly keys: () => Promise<{ readonly all: readonly Pick<OurKey, 'privateKey'>[] }>;
}

/** The only signatures that mean something: none of the answer's own statements about requests is asked of node-saml. */
const NO_CACHE = {
  saveAsync: () => Promise.resolve(null),
  getAsync: () => Promise.resolve(null),
  removeAsync: () => Promise.resolve(null),
};
const SUCCESS = 'urn:oasis:names:tc:SAML:2.0:status:Success';

function decode(base64: string): string {
  if (base64.length > LIMITS.samlResponseBytesMax) throw new XmlRefused('it is too long');
  const body = base64.replace(/[\r\n\t ]+/g, '');
  if (!/^[A-Za-z0-9+/]+={0,2}$/.test(body)) throw new XmlRefused('it is no base64');
  return new TextDecoder('utf-8', { fatal: true }).decode(Buffer.from(body, 'base64'));
}

/** @throws Error whatever is wrong */
export async function verifyResponse(
  base64: string,
  trust: ResponseTrust,
  expected: ExpectedOfAssertion,
): Promise<AssertionFacts> {
  const xml = decode(base64);
  const shape = requireResponseShape(parseXml(xml));
  requireEnvelope(shape.response, expected);
  const { signed, encryption } = trust.config;
  if (signed !== 'assertion' && !shape.isResponseSigned) throw new XmlRefused('the answer is not signed');
  if (signed !== 'response' && shape.isAssertionSigned === false) throw new XmlRefused('the assertion is not signed');
  if (!shape.isResponseSigned && shape.isAssertionSigned === false) throw new XmlRefused('nothing is signed');
  if (encryption === 'required' && !shape.isEncrypted) throw new XmlRefused('the assertion is not encrypted');
  const assertionXml = await verifiedAssertion(Buffer.from(xml).toString('base64'), shape, trust, expected);
  const assertion = parseXml(assertionXml);
  requireAssertionShape(assertion);
  return readAssertion(assertion, expected);
}

/**
 * What stands around the assertion is not always signed, so nothing rests on it; but where it says something, it has to be
 * the same. Status is an error of the provider's, told apart for the log alone.
 */
function requireEnvelope(response: XmlElement, expected: ExpectedOfAssertion): void {
  if (attribute(response, 'Version') !== '2.0') throw new XmlRefused('another version');
  const destination = attribute(response, 'Destination');
  if (destination !== undefined && destination !== expected.recipient) throw new XmlRefused('another destination');
  if (attribute(response, 'InResponseTo') !== expected.requestId) throw new XmlRefused('the answer to another request');
  const [issuer] = childrenNamed(response, NS.assertion, 'Issuer');
  if (issuer !== undefined && textOf(issuer) !== expected.issuer) throw new XmlRefused('another issuer');
  const status = onlyChild(onlyChild(response, NS.protocol, 'Status'), NS.protocol, 'StatusCode');
  if (attribute(status, 'Value') !== SUCCESS) throw new XmlRefused('the provider says that it failed');
}

/** The exact bytes of the assertion that a signature covers. */
async function verifiedAssertion(
  base64: string,
  shape: ResponseShape,
  trust: ResponseTrust,
  expected: ExpectedOfAssertion,
): Promise<string> {
  const wantsAssertion = trust.config.signed !== 'response';
  const keys = shape.isEncrypted
    ? (await trust.keys()).all.map((key) => key.privateKey.reveal().toString())
    : [undefined];
  let failure: unknown;
  for (const decryptionPvk of keys) {
    const saml = new SAML({
      issuer: expected.audience,
      audience: expected.audience,
      callbackUrl: expected.recipient,
      idpCert: [...trust.certificates],
      idpIssuer: expected.issuer,
      // A signature that is there has to hold, asked for or not.
      wantAuthnResponseSigned: shape.isResponseSigned,
      wantAssertionsSigned: wantsAssertion || shape.isAssertionSigned === true || !shape.isResponseSigned,
      validateInResponseTo: 'never',
      cacheProvider: NO_CACHE,
      // Times, audience and requests are judged by assertion-facts.ts, by our clock.
      acceptedClockSkewMs: -1,
      ...(decryptionPvk === undefined ? {} : { decryptionPvk }),
    });
    try {
      const { profile } = await saml.validatePostResponseAsync({ SAMLResponse: base64 });
      const xml = profile?.getAssertionXml?.();
      if (xml === undefined) throw new XmlRefused('no assertion');
      return xml;
    } catch (error) {
      // With several keys of ours the first may be the wrong one.
      failure = error;
    }
  }
  throw failure;
}
