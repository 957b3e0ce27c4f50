/**
 * A SAML answer from base64 to facts: shape first, then the signatures, all that there are, then what the signed bytes say.
 * Nothing is read from what was not signed. Every step refuses; the caller says `auth.failed` whatever it was.
 */
import { LIMITS } from '@sallyport/core';
import { type AssertionFacts, type ExpectedOfAssertion, readAssertion } from './assertion-facts.ts';
import { decrypt, type XmlElement } from './libraries.ts';
import { NS, type ResponseShape, requireAssertionShape, requireResponseShape } from './response-shape.ts';
import type { SamlConfig } from './saml-config.ts';
import type { OurKey } from './saml-keys.ts';
import { signedText } from './signed-text.ts';
import { attribute, childrenNamed, onlyChild, parseXml, textOf, XmlRefused } from './xml.ts';

export interface ResponseTrust {
  readonly config: Pick<SamlConfig, 'signed' | 'encryption'>;
  /** The provider's, any of which may have signed. */
  readonly certificates: readonly string[];
  /** Ours; asked for where something is encrypted to them. */
  readonly keys: () => Promise<{ readonly all: readonly Pick<OurKey, 'privateKey'>[] }>;
}

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
  const shape = requireResponseShape(parseXml(decode(base64)));
  requireEnvelope(shape.response, expected);
  const { signed, encryption } = trust.config;
  if (signed !== 'assertion' && !shape.isResponseSigned) throw new XmlRefused('the answer is not signed');
  if (signed !== 'response' && shape.isAssertionSigned === false) throw new XmlRefused('the assertion is not signed');
  if (!shape.isResponseSigned && shape.isAssertionSigned === false) throw new XmlRefused('nothing is signed');
  if (encryption === 'required' && !shape.isEncrypted) throw new XmlRefused('the assertion is not encrypted');
  const assertion = await verifiedAssertion(shape, trust);
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

/** The assertion as a signature covers it: read from the signed bytes, not from what came. */
async function verifiedAssertion(shape: ResponseShape, trust: ResponseTrust): Promise<XmlElement> {
  const { response, isResponseSigned, isAssertionSigned } = shape;
  const { certificates } = trust;
  // Before the other's, whose canonical form does not hang on what stands around it. Where both are there, both have to hold.
  const whole = isResponseSigned ? parseXml(signedText(response, certificates)) : response;
  if (shape.isEncrypted)
    return await openedAssertion(onlyChild(whole, NS.assertion, 'EncryptedAssertion'), shape, trust);
  return isAssertionSigned === true
    ? parseXml(signedText(onlyChild(response, NS.assertion, 'Assertion'), certificates))
    : onlyChild(whole, NS.assertion, 'Assertion');
}

/** Anybody can encrypt to us, so what comes out is as little believed as what came. */
async function openedAssertion(
  sealed: XmlElement,
  { isResponseSigned }: ResponseShape,
  trust: ResponseTrust,
): Promise<XmlElement> {
  const { all } = await trust.keys();
  const xml = await openedByOne(
    sealed.toString(),
    all.map((key) => key.privateKey.reveal().toString()),
  );
  // Comments mean nothing in the form that is signed, which is the one that is read.
  const opened = parseXml(xml, true);
  if (requireAssertionShape(opened).isSigned) return parseXml(signedText(opened, trust.certificates));
  if (trust.config.signed !== 'response' || !isResponseSigned) throw new XmlRefused('the assertion is not signed');
  return parseXml(xml);
}

/** With several keys of ours the first may be the wrong one. @param keys PEM */
async function openedByOne(xml: string, keys: readonly string[]): Promise<string> {
  let failure: unknown = new XmlRefused('no key of ours');
  for (const key of keys) {
    const { promise, resolve, reject } = Promise.withResolvers<string>();
    decrypt(xml, { key }, (error, opened) =>
      opened === undefined ? reject(error ?? new XmlRefused('empty')) : resolve(opened),
    );
    try {
      return await promise;
    } catch (error) {
      failure = error;
    }
  }
  throw failure;
}
