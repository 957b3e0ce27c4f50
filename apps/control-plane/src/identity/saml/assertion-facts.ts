/**
 * What a verified assertion says, and whether it says it to us, now, about this sign-in (SAML Core §2.5, Profiles §4.1.4.3):
 * issuer, audience, recipient, times, request. Reads only what was signed. Pure: the time is an argument.
 */
import type { Claims } from '../mapping/read-groups.ts';
import type { XmlElement } from './libraries.ts';
import { NS } from './response-shape.ts';
import { attribute, childrenNamed, childrenOf, onlyChild, textOf, XmlRefused } from './xml.ts';

export interface ExpectedOfAssertion {
  readonly issuer: string;
  readonly audience: string;
  /** The address of our assertion consumer service. */
  readonly recipient: string;
  /** Id of our request; undefined = an answer nobody asked for. */
  readonly requestId: string | undefined;
  readonly nowMs: number;
  readonly skewMs: number;
}

export interface AssertionFacts {
  readonly id: string;
  readonly nameId: string;
  readonly nameIdFormat: string | undefined;
  readonly sessionIndex: string | undefined;
  readonly authTimeMs: number;
  readonly contextClass: string | undefined;
  readonly attributes: Claims;
  /** When it can no longer be used, with the skew. */
  readonly expiresAtMs: number;
}

const BEARER = 'urn:oasis:names:tc:SAML:2.0:cm:bearer';
const INSTANT = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?Z$/;
/** However long the provider says: an answer is used at once or never. */
const AGE_MS_MAX = 60 * 60_000;

/** SAML Core §1.3.3: UTC, with the Z. */
function instant(element: XmlElement, name: string): number | undefined {
  const text = attribute(element, name);
  if (text === undefined) return undefined;
  const at = INSTANT.test(text) ? Date.parse(text) : Number.NaN;
  if (Number.isNaN(at)) throw new XmlRefused(`${name} is no time`);
  return at;
}

function requireWindow(element: XmlElement, expected: ExpectedOfAssertion): void {
  const { nowMs, skewMs } = expected;
  const from = instant(element, 'NotBefore');
  const until = instant(element, 'NotOnOrAfter');
  if (from !== undefined && nowMs + skewMs < from) throw new XmlRefused('it is not valid yet');
  if (until !== undefined && nowMs - skewMs >= until) throw new XmlRefused('it is no longer valid');
}

/** @param assertion root of what was verified @throws XmlRefused */
export function readAssertion(assertion: XmlElement, expected: ExpectedOfAssertion): AssertionFacts {
  if (attribute(assertion, 'Version') !== '2.0') throw new XmlRefused('another version');
  const id = attribute(assertion, 'ID');
  const issued = instant(assertion, 'IssueInstant');
  if (id === undefined || issued === undefined) throw new XmlRefused('no ID or IssueInstant');
  if (issued > expected.nowMs + expected.skewMs) throw new XmlRefused('it was issued in the future');
  if (issued < expected.nowMs - expected.skewMs - AGE_MS_MAX) throw new XmlRefused('it is too old');
  if (textOf(onlyChild(assertion, NS.assertion, 'Issuer')) !== expected.issuer) throw new XmlRefused('another issuer');
  const subject = onlyChild(assertion, NS.assertion, 'Subject');
  const nameIdElement = onlyChild(subject, NS.assertion, 'NameID');
  const nameId = textOf(nameIdElement);
  if (nameId === '') throw new XmlRefused('an empty NameID');
  const until = requireConfirmation(subject, expected);
  requireConditions(assertion, expected);
  const statement = requireStatement(assertion, expected);
  return {
    id,
    nameId,
    nameIdFormat: attribute(nameIdElement, 'Format'),
    ...statement,
    attributes: readAttributes(assertion),
    expiresAtMs: Math.min(until, issued + AGE_MS_MAX) + expected.skewMs,
  };
}

/** Profiles §4.1.4.2: a bearer confirmation, to our address, for our request, with an end. @returns its end */
function requireConfirmation(subject: XmlElement, expected: ExpectedOfAssertion): number {
  const bearers = childrenNamed(subject, NS.assertion, 'SubjectConfirmation').filter(
    (one) => attribute(one, 'Method') === BEARER,
  );
  if (bearers.length !== 1) throw new XmlRefused('exactly one bearer confirmation');
  const data = onlyChild(bearers[0]!, NS.assertion, 'SubjectConfirmationData');
  const until = instant(data, 'NotOnOrAfter');
  if (until === undefined) throw new XmlRefused('a confirmation without an end');
  requireWindow(data, expected);
  if (attribute(data, 'Recipient') !== expected.recipient) throw new XmlRefused('another recipient');
  // Equal also when neither is there: an answer that names a request is never one that nobody asked for.
  if (attribute(data, 'InResponseTo') !== expected.requestId) throw new XmlRefused('the answer to another request');
  return until;
}

function requireConditions(assertion: XmlElement, expected: ExpectedOfAssertion): void {
  const conditions = onlyChild(assertion, NS.assertion, 'Conditions');
  requireWindow(conditions, expected);
  const restrictions = childrenNamed(conditions, NS.assertion, 'AudienceRestriction');
  if (restrictions.length === 0) throw new XmlRefused('no audience');
  for (const restriction of restrictions) {
    const audiences = childrenNamed(restriction, NS.assertion, 'Audience').map(textOf);
    if (!audiences.includes(expected.audience)) throw new XmlRefused('another audience');
  }
  // SAML Core §2.5.1.1: a condition that is not understood makes the assertion indeterminate.
  const known = new Set(['AudienceRestriction', 'OneTimeUse', 'ProxyRestriction']);
  if (childrenOf(conditions).some((one) => one.namespaceURI !== NS.assertion || !known.has(one.localName ?? '')))
    throw new XmlRefused('a condition that is not understood');
}

function requireStatement(assertion: XmlElement, expected: ExpectedOfAssertion) {
  const statement = onlyChild(assertion, NS.assertion, 'AuthnStatement');
  const authTimeMs = instant(statement, 'AuthnInstant');
  if (authTimeMs === undefined || authTimeMs > expected.nowMs + expected.skewMs)
    throw new XmlRefused('no time of authentication');
  const end = instant(statement, 'SessionNotOnOrAfter');
  if (end !== undefined && expected.nowMs - expected.skewMs >= end) throw new XmlRefused('the session there is over');
  const context = childrenNamed(statement, NS.assertion, 'AuthnContext')[0];
  const reference = context === undefined ? undefined : childrenNamed(context, NS.assertion, 'AuthnContextClassRef')[0];
  return {
    sessionIndex: attribute(statement, 'SessionIndex'),
    authTimeMs,
    contextClass: reference === undefined ? undefined : textOf(reference),
  };
}

/** By Name, as texts: one or a list. Two attributes of one name are one list. */
function readAttributes(assertion: XmlElement): Claims {
  const values = new Map<string, string[]>();
  for (const statement of childrenNamed(assertion, NS.assertion, 'AttributeStatement'))
    for (const element of childrenNamed(statement, NS.assertion, 'Attribute')) {
      const name = attribute(element, 'Name');
      if (name === undefined) throw new XmlRefused('an attribute without a name');
      // Values with elements in them (eduPersonTargetedID) are nobody's groups and names.
      const texts = childrenNamed(element, NS.assertion, 'AttributeValue')
        .filter((value) => childrenOf(value).length === 0)
        .map(textOf);
      if (texts.length === 0) continue;
      values.set(name, [...(values.get(name) ?? []), ...texts]);
    }
  return Object.fromEntries([...values].map(([name, texts]) => [name, texts.length === 1 ? texts[0] : texts]));
}
