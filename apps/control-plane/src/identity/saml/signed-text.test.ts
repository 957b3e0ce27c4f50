/** The check of a signature beside another's: whatever holds here holds for node-saml, with the same words in it. */
import { createHash, createSign } from 'node:crypto';
import { beforeAll, expect, test } from 'vitest';
import type { XmlElement } from './libraries.ts';
import { judgedByNodeSaml } from './node-saml.fixture.ts';
import { NS, requireResponseShape } from './response-shape.ts';
import { makeKey } from './saml-keys.ts';
import { signedText } from './signed-text.ts';
import { assertionXml, base64, C14N, responseXml, sign, type TestKey } from './test-idp.fixture.ts';
import { onlyChild, parseXml } from './xml.ts';

const NOW = Date.parse('2026-11-21T10:00:00Z');
const SAID = {
  issuer: 'https://idp.example/',
  audience: 'https://sp.example/metadata',
  recipient: 'https://sp.example/acs',
  requestId: '_req1',
  nameId: 'ada@example.com',
  attributes: { groups: ['dba', 'a < b & "c" \u{1F512}'], mail: ['ada@example.com'] },
  nowMs: NOW,
};
let idp: TestKey;
beforeAll(async () => {
  const { certificate, privateKey } = await makeKey('idp', new Date(NOW));
  idp = { certificate, privateKey: privateKey.toString() };
}, 30_000);

type Signed = 'Response' | 'Assertion';
function ours(xml: string, signed: Signed): string {
  const { response, isResponseSigned, isAssertionSigned } = requireResponseShape(parseXml(xml));
  const assertion = onlyChild(response, NS.assertion, 'Assertion');
  if (!(signed === 'Response' ? isResponseSigned : isAssertionSigned)) throw new Error('not signed');
  const text = signedText(signed === 'Response' ? response : assertion, [idp.certificate]);
  return signed === 'Assertion' ? text : onlyChild(parseXml(text), NS.assertion, 'Assertion').toString();
}
const theirs = (xml: string, signed: Signed): Promise<string> =>
  judgedByNodeSaml(base64(xml), {
    certificates: [idp.certificate],
    response: signed === 'Response',
    assertion: signed === 'Assertion',
  });
/** Two texts of one tree. */
const same = (xml: string): string => (parseXml(xml) as XmlElement).toString();

const good = (signed: Signed): string => sign(responseXml(SAID, assertionXml(SAID)), signed, idp);

test.each<Signed>(['Assertion', 'Response'])(
  'what a signature of the %s covers is what node-saml reads',
  async (signed) => {
    const xml = good(signed);
    expect(same(ours(xml, signed))).toBe(same(await theirs(xml, signed)));
  },
);

test('every byte of what is signed counts, and what is let in is let in by node-saml too', {
  timeout: 120_000,
}, async () => {
  // The provider's certificate stands beside what is signed, and nobody reads it.
  const xml = good('Assertion').replace(/<ds:KeyInfo>.*<\/ds:KeyInfo>/, '');
  const start = xml.indexOf('<saml:Assertion');
  const others = 'aZ0 /<>"=#:&;-';
  let letIn = 0;
  // Steps that meet every kind of place: names, values, digests, signature, namespaces.
  for (let at = start, n = 0; at < xml.length; at += 7, n++) {
    const instead = others[n % others.length]!;
    if (xml[at] === instead) continue;
    const changed = xml.slice(0, at) + instead + xml.slice(at + 1);
    let text: string;
    try {
      text = ours(changed, 'Assertion');
    } catch {
      continue;
    }
    letIn++;
    // Outside of what is signed, or another spelling of the same.
    expect(same(text)).toBe(same(ours(xml, 'Assertion')));
    expect(same(text)).toBe(same(await theirs(changed, 'Assertion')));
  }
  expect(letIn).toBeLessThan(15);
});

/** Signs by hand what the library of the tests cannot make: a canonicalization that keeps prefixes nobody visibly uses. */
function withPrefixes(prefixes: string): string {
  const xs = 'http://www.w3.org/2001/XMLSchema';
  const inner = assertionXml(SAID).replace(
    '<saml:AttributeValue>',
    '<saml:AttributeValue xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="xs:string">',
  );
  const id = /ID="([^"]+)"/.exec(inner)![1]!;
  const outer = responseXml(SAID, inner).replace('<samlp:Response ', `<samlp:Response xmlns:xs="${xs}" `);
  // By Exclusive Canonicalization §3: the declaration moves to the apex where the list names the prefix, and is sorted in.
  const isKept = prefixes.split(' ').includes('xs');
  const canonical = inner
    .replace(
      `<saml:Assertion xmlns:saml="${NS.assertion}" ID="${id}" Version="2.0" IssueInstant="${new Date(NOW).toISOString()}">`,
      `<saml:Assertion xmlns:saml="${NS.assertion}"${isKept ? ` xmlns:xs="${xs}"` : ''} ID="${id}" IssueInstant="${new Date(NOW).toISOString()}" Version="2.0">`,
    )
    .replace(
      /<saml:SubjectConfirmationData (InResponseTo="[^"]*") (Recipient="[^"]*") (NotOnOrAfter="[^"]*")\/>/,
      '<saml:SubjectConfirmationData $1 $3 $2></saml:SubjectConfirmationData>',
    )
    .replaceAll('&#60;', '&lt;')
    .replaceAll('&#38;', '&amp;')
    .replaceAll('&#34;', '"')
    .replaceAll('&#39;', "'");
  const digest = createHash('sha256').update(canonical).digest('base64');
  const list = `<ec:InclusiveNamespaces xmlns:ec="${C14N}" PrefixList="${prefixes}"></ec:InclusiveNamespaces>`;
  const info = (ns: string): string =>
    `<ds:SignedInfo${ns}><ds:CanonicalizationMethod Algorithm="${C14N}"></ds:CanonicalizationMethod><ds:SignatureMethod Algorithm="http://www.w3.org/2001/04/xmldsig-more#rsa-sha256"></ds:SignatureMethod><ds:Reference URI="#${id}"><ds:Transforms><ds:Transform Algorithm="http://www.w3.org/2000/09/xmldsig#enveloped-signature"></ds:Transform><ds:Transform Algorithm="${C14N}">${list}</ds:Transform></ds:Transforms><ds:DigestMethod Algorithm="http://www.w3.org/2001/04/xmlenc#sha256"></ds:DigestMethod><ds:DigestValue>${digest}</ds:DigestValue></ds:Reference></ds:SignedInfo>`;
  const value = createSign('sha256')
    .update(info(` xmlns:ds="${NS.signature}"`))
    .sign(idp.privateKey, 'base64');
  const signature = `<ds:Signature xmlns:ds="${NS.signature}">${info('')}<ds:SignatureValue>${value}</ds:SignatureValue></ds:Signature>`;
  const issuer = inner.indexOf('</saml:Issuer>') + '</saml:Issuer>'.length;
  return outer.replace(inner, inner.slice(0, issuer) + signature + inner.slice(issuer));
}

test.each(['xs', 'xs unknown', 'other', 'saml xs'])(
  'a signature whose canonicalization keeps the prefixes %s holds',
  async (prefixes) => {
    const xml = withPrefixes(prefixes);
    const text = ours(xml, 'Assertion');
    expect(text).toContain('ada@example.com');
    expect(text.includes('xmlns:xs=')).toBe(prefixes.split(' ').includes('xs'));
    expect(same(text)).toBe(same(await theirs(xml, 'Assertion')));
    // The same declaration with another meaning is another text.
    const moved = xml.replace('xmlns:xs="http://www.w3.org/2001/XMLSchema"', 'xmlns:xs="urn:other"');
    if (prefixes.includes('xs')) expect(() => ours(moved, 'Assertion')).toThrow();
  },
);

test('a list of prefixes in another form is refused', () => {
  const xml = withPrefixes('xs');
  const list = /<ec:InclusiveNamespaces.*?<\/ec:InclusiveNamespaces>/.exec(xml)![0];
  expect(() => ours(xml.replace(list, list + list), 'Assertion')).toThrow();
  expect(() => ours(xml.replace(list, `<ds:XPath>1</ds:XPath>`), 'Assertion')).toThrow();
});
