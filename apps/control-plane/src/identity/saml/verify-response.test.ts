/** Every way known to us in which a SAML answer lies: signature wrapping, comments, entities, weak or missing signatures, others’ answers. */
import { LIMITS, Secret } from '@sallyport/core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { ExpectedOfAssertion } from './assertion-facts.ts';
import { NS } from './response-shape.ts';
import { makeKey } from './saml-keys.ts';
import {
  assertionXml,
  base64,
  C14N,
  encrypt,
  type HowSigned,
  responseXml,
  type Said,
  sign,
  type TestKey,
} from './test-idp.fixture.ts';
import { verifyResponse } from './verify-response.ts';
import { VerifyThread } from './verify-thread.ts';

const NOW = Date.parse('2026-11-21T10:00:00Z');
const SAID: Said = {
  issuer: 'https://idp.example/',
  audience: 'https://sp.example/metadata',
  recipient: 'https://sp.example/acs',
  requestId: '_req1',
  nameId: 'ada@example.com',
  attributes: { groups: ['dba', 'ops'], mail: ['ada@example.com'] },
  nowMs: NOW,
};
const EXPECTED: ExpectedOfAssertion = {
  issuer: SAID.issuer,
  audience: SAID.audience,
  recipient: SAID.recipient,
  requestId: '_req1',
  nowMs: NOW,
  skewMs: 60_000,
};
let idp: TestKey;
let mallory: TestKey;
let ours: TestKey;
let older: TestKey;
beforeAll(async () => {
  const make = async (name: string): Promise<TestKey> => {
    const { certificate, privateKey } = await makeKey(name, new Date(NOW));
    return { certificate, privateKey: privateKey.toString() };
  };
  [idp, mallory, ours, older] = [await make('idp'), await make('mallory'), await make('ours'), await make('older')];
}, 30_000);

const thread = new VerifyThread();
afterAll(() => thread.stop());

interface Trusting {
  readonly signed?: 'assertion' | 'response' | 'both';
  readonly encryption?: 'optional' | 'required';
  readonly certificates?: readonly string[];
  readonly expected?: Partial<ExpectedOfAssertion>;
}
/** Here and in the thread, which have to say the same. */
async function verify(
  xml: string,
  { signed = 'assertion', encryption = 'optional', certificates = [idp.certificate], expected = {} }: Trusting = {},
) {
  const keys = [ours, older].map((key) => ({
    certificate: key.certificate,
    privateKey: new Secret(Buffer.from(key.privateKey)),
  }));
  const trust = { config: { signed, encryption }, certificates, keys: () => Promise.resolve({ all: keys }) };
  const asked = [base64(xml), trust, { ...EXPECTED, ...expected }] as const;
  const [here, there] = await Promise.allSettled([verifyResponse(...asked), thread.verify(...asked)]);
  expect(saidBy(there)).toEqual(saidBy(here));
  if (here.status === 'rejected') throw here.reason;
  return here.value;
}
const saidBy = (one: PromiseSettledResult<unknown>): unknown =>
  one.status === 'fulfilled' ? one.value : String((one.reason as Error).message).slice(0, 500);
const refused = async (xml: string, trusting: Trusting = {}): Promise<void> => {
  await expect(verify(xml, trusting)).rejects.toThrow();
};
const said = (more: Partial<Said> = {}): Said => ({ ...SAID, ...more });
const good = (more: Partial<Said> = {}, how: HowSigned = {}): string => {
  const what = said(more);
  return sign(responseXml(what, assertionXml(what)), 'Assertion', idp, how);
};
/** The parts of a signed answer, for those who put them together anew. */
function parts(xml: string) {
  const assertion = /<saml:Assertion[\s\S]*<\/saml:Assertion>/.exec(xml)![0];
  const signature = /<ds:Signature[\s\S]*?<\/ds:Signature>/.exec(assertion)![0];
  const evil = assertion
    .replace(signature, '')
    .replace('ada@example.com', 'root@example.com')
    .replace(/ ID="[^"]+"/, ' ID="_evil"');
  return { assertion, signature, evil, bare: assertion.replace(signature, '') };
}

test('a signed assertion is read: who, which groups, how and when', async () => {
  expect(await verify(good())).toMatchObject({
    nameId: 'ada@example.com',
    sessionIndex: '_s1',
    authTimeMs: NOW,
    contextClass: 'urn:oasis:names:tc:SAML:2.0:ac:classes:PasswordProtectedTransport',
    attributes: { groups: ['dba', 'ops'], mail: 'ada@example.com' },
  });
});

test('a signed answer covers its assertion, where the settings say so', async () => {
  const whole = sign(responseXml(SAID, assertionXml(SAID)), 'Response', idp);
  expect((await verify(whole, { signed: 'response' })).nameId).toBe(SAID.nameId);
  await refused(whole);
  await refused(good(), { signed: 'response' });
  const both = sign(good(), 'Response', idp);
  expect((await verify(both, { signed: 'both' })).nameId).toBe(SAID.nameId);
  await refused(whole, { signed: 'both' });
  await refused(good(), { signed: 'both' });
});

test('any of the provider’s certificates may sign, and no other', async () => {
  expect((await verify(good(), { certificates: [mallory.certificate, idp.certificate] })).nameId).toBe(SAID.nameId);
  await refused(good(), { certificates: [mallory.certificate] });
  await refused(sign(responseXml(SAID, assertionXml(SAID)), 'Assertion', mallory));
});

test('an answer without a signature is refused, and one whose second signature does not hold', async () => {
  await refused(responseXml(SAID, assertionXml(SAID)));
  const inner = good();
  await refused(sign(inner, 'Response', mallory));
  const outer = sign(sign(responseXml(SAID, assertionXml(SAID)), 'Assertion', mallory), 'Response', idp);
  await refused(outer, { signed: 'response' });
});

test.each<[string, (xml: string) => string]>([
  ['the name', (xml) => xml.replace('ada@', 'root@')],
  ['a group', (xml) => xml.replace('>dba<', '>root<')],
  ['the audience', (xml) => xml.replace(`<saml:Audience>${SAID.audience}`, '<saml:Audience>https://other')],
  ['the end', (xml) => xml.replaceAll('2026-11-21T10:05', '2027-11-21T10:05')],
  [
    'one byte of the signature',
    (xml) => xml.replace(/(?<=<ds:SignatureValue>)./, (first) => (first === 'A' ? 'B' : 'A')),
  ],
])('%s changed after signing is refused', async (_, change) => {
  const xml = good();
  expect(change(xml)).not.toBe(xml);
  await refused(change(xml));
});

// Somorovsky et al., "On Breaking SAML: Be Whoever You Want to Be" (USENIX Security 2012): XSW 1 to 8.
test.each<[string, (xml: string) => string]>([
  [
    'XSW1: an evil answer around, the signed one in its signature',
    (xml) => {
      const whole = sign(responseXml(SAID, assertionXml(SAID)), 'Response', idp);
      const signature = /<ds:Signature[\s\S]*?<\/ds:Signature>/.exec(whole)![0];
      const original = whole.replace(signature, '');
      const evil = original.replace('ada@', 'root@').replace(/ID="_r[^"]+"/, 'ID="_evil"');
      void xml;
      return evil.replace(
        '<samlp:Status>',
        `${signature.replace('</ds:Signature>', `<ds:Object>${original}</ds:Object></ds:Signature>`)}<samlp:Status>`,
      );
    },
  ],
  [
    'XSW2: the same with the signature beside',
    () => {
      const whole = sign(responseXml(SAID, assertionXml(SAID)), 'Response', idp);
      const signature = /<ds:Signature[\s\S]*?<\/ds:Signature>/.exec(whole)![0];
      const original = whole.replace(signature, '');
      const evil = original.replace('ada@', 'root@').replace(/ID="_r[^"]+"/, 'ID="_evil"');
      return evil.replace('<samlp:Status>', `${original}${signature}<samlp:Status>`);
    },
  ],
  [
    'XSW3: an evil assertion before the signed one',
    (xml) => xml.replace('<saml:Assertion', `${parts(xml).evil}<saml:Assertion`),
  ],
  [
    'XSW4: the signed assertion inside of the evil one',
    (xml) => {
      const { assertion, evil } = parts(xml);
      return xml.replace(assertion, evil.replace('</saml:Assertion>', `${assertion}</saml:Assertion>`));
    },
  ],
  [
    'XSW5: the evil assertion with the signature, the signed one behind',
    (xml) => {
      const { assertion, signature, evil, bare } = parts(xml);
      return xml.replace(assertion, evil.replace('</saml:Issuer>', `</saml:Issuer>${signature}`) + bare);
    },
  ],
  [
    'XSW6: the signed assertion inside of the signature of the evil one',
    (xml) => {
      const { assertion, signature, evil, bare } = parts(xml);
      return xml.replace(
        assertion,
        evil.replace(
          '</saml:Issuer>',
          `</saml:Issuer>${signature.replace('</ds:Signature>', `${bare}</ds:Signature>`)}`,
        ),
      );
    },
  ],
  [
    'XSW7: the evil assertion in Extensions',
    (xml) => xml.replace('<samlp:Status>', `<samlp:Extensions>${parts(xml).evil}</samlp:Extensions><samlp:Status>`),
  ],
  [
    'XSW8: the signed assertion in an Object of the evil one’s signature',
    (xml) => {
      const { assertion, signature, evil, bare } = parts(xml);
      return xml.replace(
        assertion,
        evil.replace(
          '</saml:Issuer>',
          `</saml:Issuer>${signature.replace('</ds:Signature>', `<ds:Object>${bare}</ds:Object></ds:Signature>`)}`,
        ),
      );
    },
  ],
  [
    'the same id twice',
    (xml) => {
      const { assertion, evil } = parts(xml);
      const id = / ID="([^"]+)"/.exec(assertion)![1]!;
      return xml.replace(assertion, `<x:Wrap xmlns:x="urn:x">${assertion}</x:Wrap>${evil.replace('_evil', id)}`);
    },
  ],
  [
    'an evil assertion without a namespace',
    (xml) => xml.replace('<samlp:Status>', '<Assertion ID="_evil"/><samlp:Status>'),
  ],
  [
    'the signature of the answer moved into the assertion',
    () => {
      const whole = sign(responseXml(SAID, assertionXml(SAID)), 'Response', idp);
      const signature = /<ds:Signature[\s\S]*?<\/ds:Signature>/.exec(whole)![0];
      return whole.replace(signature, '').replace(/(<saml:Assertion[\s\S]*?<\/saml:Issuer>)/, `$1${signature}`);
    },
  ],
  ['two signatures of one assertion', (xml) => xml.replace(parts(xml).signature, parts(xml).signature.repeat(2))],
  [
    'a second SignedInfo (CVE-2025-29774)',
    (xml) => {
      const info = /<ds:SignedInfo[\s\S]*<\/ds:SignedInfo>/.exec(xml)![0];
      return xml.replace(info, info.replace(/<ds:DigestValue>[^<]+/, '<ds:DigestValue>AAAA') + info);
    },
  ],
  [
    'a comment in the DigestValue (CVE-2025-29775)',
    (xml) => xml.replace('<ds:DigestValue>', '<ds:DigestValue><!-- x -->'),
  ],
  ['an element in the DigestValue', (xml) => xml.replace('<ds:DigestValue>', '<ds:DigestValue><x/>')],
  ['two elements at the top (CVE-2022-39299)', (xml) => `${xml}${responseXml(SAID, parts(xml).evil)}`],
  ['two elements at the top, the evil one first', (xml) => `${responseXml(SAID, parts(xml).evil)}${xml}`],
])('%s is refused', async (_, change) => {
  const xml = good();
  const changed = change(xml);
  expect(changed).not.toBe(xml);
  for (const signed of ['assertion', 'response', 'both'] as const) await refused(changed, { signed });
});

test.each<[string, (xml: string) => string]>([
  ['a comment in the NameID', (xml) => xml.replace('ada@example.com', 'ada@example.com<!-- -->.evil.example')],
  ['a comment before it', (xml) => xml.replace('<saml:NameID>', '<saml:NameID><!---->')],
  ['CDATA', (xml) => xml.replace('>ada@example.com<', '><![CDATA[ada@example.com]]><')],
  ['a processing instruction', (xml) => xml.replace('ada@', 'ada<?x y?>@')],
  ['a DOCTYPE', (xml) => `<!DOCTYPE x [<!ENTITY a "b">]>${xml}`],
  [
    'a DOCTYPE in another case and place',
    (xml) => `<?xml version="1.0"?>\n<!doctype x SYSTEM "http://evil.example/x.dtd">${xml}`,
  ],
  ['an entity', (xml) => xml.replace('ada@', '&ada;@')],
  ['a NUL by reference', (xml) => xml.replace('ada@', 'ada&#0;@')],
  ['a second XML declaration', (xml) => `<?xml version="1.0"?><?xml version="1.0"?>${xml}`],
  ['text that is not well-formed', (xml) => xml.replace('</samlp:Response>', '')],
  ['an attribute without quotes', (xml) => xml.replace('Version="2.0"', 'Version=2.0')],
  ['an attribute twice', (xml) => xml.replace(' Version="2.0"', ' Version="2.0" Version="2.0"')],
])('%s is refused, whether signed over or not', async (_, change) => {
  await refused(change(good()));
});

test('a comment that the provider itself signed is refused too', async () => {
  const what = assertionXml(SAID).replace('ada@example.com', 'ada@example.com<!-- -->.evil.example');
  await refused(sign(responseXml(SAID, what), 'Assertion', idp));
});

test.each<[string, HowSigned]>([
  ['SHA-1', { algorithm: 'http://www.w3.org/2000/09/xmldsig#rsa-sha1' }],
  ['a SHA-1 digest', { digest: 'http://www.w3.org/2000/09/xmldsig#sha1' }],
  [
    'canonicalization with comments',
    { transforms: ['http://www.w3.org/2000/09/xmldsig#enveloped-signature', `${C14N}WithComments`] },
  ],
  ['no enveloped-signature', { transforms: [C14N] }],
  ['one transform too many', { transforms: ['http://www.w3.org/2000/09/xmldsig#enveloped-signature', C14N, C14N] }],
  ['inclusive canonicalization', { canonicalization: 'http://www.w3.org/TR/2001/REC-xml-c14n-20010315' }],
])('a signature with %s is refused', async (_, how) => {
  let xml: string;
  try {
    xml = good({}, how);
  } catch {
    // The library itself has no such signature to make.
    xml = good().replaceAll('rsa-sha256', 'rsa-sha1');
  }
  await refused(xml);
});

test('a signature by HMAC under the public certificate is refused', async () => {
  await refused(good().replace('xmldsig-more#rsa-sha256', 'xmldsig-more#hmac-sha256'));
  await refused(
    good().replace('http://www.w3.org/2001/04/xmldsig-more#rsa-sha256', 'http://www.w3.org/2000/09/xmldsig#hmac-sha1'),
  );
});

test('a key that came with the answer is not believed', async () => {
  const xml = sign(responseXml(SAID, assertionXml(SAID)), 'Assertion', mallory);
  expect(xml).toContain('X509Certificate');
  await refused(xml);
});

test.each<[string, Partial<Said>]>([
  ['another provider', { issuer: 'https://other.example/' }],
  ['another audience', { audience: 'https://other.example/metadata' }],
  ['another recipient', { recipient: 'https://other.example/acs', destination: SAID.recipient }],
  ['another destination', { destination: 'https://other.example/acs' }],
  ['another request', { requestId: '_req2' }],
  ['no request', { requestId: undefined }],
  ['the past', { notOnOrAfterMs: NOW - 60_000 }],
  ['the future', { notBeforeMs: NOW + 60_001 }],
  ['an authentication in the future', { authnMs: NOW + 60_001 }],
  ['an issue in the future', { issuedMs: NOW + 60_001 }],
  ['long ago, with an end far away', { issuedMs: NOW - 3_700_000, notOnOrAfterMs: NOW + 86_400_000 }],
  ['nobody', { nameId: '' }],
])('an answer for %s is refused', async (_, more) => {
  await refused(good(more));
});

test('the clocks may differ by the skew, and by no more', async () => {
  expect((await verify(good({ notOnOrAfterMs: NOW - 59_999 }))).nameId).toBe(SAID.nameId);
  expect((await verify(good({ notBeforeMs: NOW + 60_000 }))).nameId).toBe(SAID.nameId);
});

test('an answer to a request is no answer that nobody asked for', async () => {
  await refused(good(), { expected: { requestId: undefined } });
  expect((await verify(good({ requestId: undefined }), { expected: { requestId: undefined } })).nameId).toBe(
    SAID.nameId,
  );
});

test('what only the unsigned part says is not enough', async () => {
  const inner = sign(responseXml(SAID, assertionXml(said({ requestId: '_other' }))), 'Assertion', idp);
  await refused(inner);
  await refused(good().replace('InResponseTo="_req1"', ''));
});

test.each<[string, (xml: string) => string]>([
  ['no audience', (xml) => xml.replace(/<saml:AudienceRestriction>.*<\/saml:AudienceRestriction>/, '')],
  ['no conditions', (xml) => xml.replace(/<saml:Conditions.*<\/saml:Conditions>/, '')],
  ['two conditions', (xml) => xml.replace(/(<saml:Conditions.*<\/saml:Conditions>)/, '$1$1')],
  ['a condition that nobody knows', (xml) => xml.replace('</saml:Conditions>', '<saml:Condition/></saml:Conditions>')],
  ['no end of the confirmation', (xml) => xml.replace(/(SubjectConfirmationData[^>]*) NotOnOrAfter="[^"]+"/, '$1')],
  ['no bearer', (xml) => xml.replace('cm:bearer', 'cm:holder-of-key')],
  ['two subjects', (xml) => xml.replace(/(<saml:Subject>.*<\/saml:Subject>)/, '$1$1')],
  ['two NameIDs', (xml) => xml.replace(/(<saml:NameID>.*<\/saml:NameID>)/, '<saml:NameID>root</saml:NameID>$1')],
  ['an element in the NameID', (xml) => xml.replace('ada@example.com', 'root<x/>ada@example.com')],
  ['no authentication', (xml) => xml.replace(/<saml:AuthnStatement.*<\/saml:AuthnStatement>/, '')],
  ['another version', (xml) => xml.replace('Version="2.0"', 'Version="1.1"')],
  [
    'an assertion in its advice',
    (xml) =>
      xml.replace('</saml:Conditions>', '</saml:Conditions><saml:Advice><saml:Assertion ID="_x"/></saml:Advice>'),
  ],
])('an assertion with %s is refused though it is signed', async (_, change) => {
  const what = assertionXml(SAID);
  expect(change(what)).not.toBe(what);
  await refused(sign(responseXml(SAID, change(what)), 'Assertion', idp));
});

test('an encrypted assertion is opened by each of our keys and has to be signed inside', async () => {
  const signed = sign(assertionXml(SAID), 'Assertion', idp);
  for (const key of [ours, older])
    expect((await verify(responseXml(SAID, encrypt(signed, key.certificate)))).nameId).toBe(SAID.nameId);
  await refused(responseXml(SAID, encrypt(signed, mallory.certificate)));
  await refused(responseXml(SAID, encrypt(assertionXml(SAID), ours.certificate)));
  await refused(responseXml(SAID, encrypt(sign(assertionXml(SAID), 'Assertion', mallory), ours.certificate)));
  await refused(responseXml(SAID, encrypt(signed.replace('ada@', 'root@'), ours.certificate)));
});

test('what comes out of an encryption has to have the shape of an assertion as well', async () => {
  const signed = sign(assertionXml(SAID), 'Assertion', idp);
  const { evil } = parts(responseXml(SAID, signed));
  await refused(
    responseXml(SAID, encrypt(evil.replace('</saml:Assertion>', `${signed}</saml:Assertion>`), ours.certificate)),
  );
  await refused(responseXml(SAID, encrypt(`${evil}${signed}`, ours.certificate)));
});

test('a comment inside of an encryption, which anybody can put there, changes nothing: the signed form is read', async () => {
  const commented = sign(assertionXml(SAID), 'Assertion', idp).replace('>ada@', '>ada<!-- -->@');
  expect((await verify(responseXml(SAID, encrypt(commented, ours.certificate)))).nameId).toBe(SAID.nameId);
  for (const start of ['<!DOCTYPE x [<!ENTITY e "root">]>', '<!DOCTYPE x SYSTEM "http://127.0.0.1:1/x.dtd">']) {
    const evil = start + sign(assertionXml(SAID), 'Assertion', idp).replace('>ada@', '>&e;@');
    await refused(responseXml(SAID, encrypt(evil, ours.certificate)));
  }
});

test('AES-CBC counts only below the signature of the whole answer, and RSA 1.5 never', async () => {
  const signed = sign(assertionXml(SAID), 'Assertion', idp);
  const cbc = responseXml(SAID, encrypt(signed, ours.certificate, 'cbc'));
  await refused(cbc);
  expect((await verify(sign(cbc, 'Response', idp), { signed: 'both' })).nameId).toBe(SAID.nameId);
  await refused(responseXml(SAID, encrypt(signed, ours.certificate, 'gcm', 'pkcs1')));
});

test('where encryption is required a plain assertion is refused', async () => {
  await refused(good(), { encryption: 'required' });
});

test('a failure that the provider tells is no sign-in, whatever else is in the answer', async () => {
  await refused(good().replace('status:Success', 'status:Responder'));
});

test('an answer that is too long, no base64, or no UTF-8 is refused', async () => {
  const trust = {
    config: { signed: 'assertion', encryption: 'optional' } as const,
    certificates: [idp.certificate],
    keys: () => Promise.resolve({ all: [] }),
  };
  for (const text of [
    'A'.repeat(LIMITS.samlResponseBytesMax + 1),
    '<xml/>',
    '',
    '====',
    Buffer.from([0xff, 0xfe, 0x3c]).toString('base64'),
  ])
    await expect(verifyResponse(text, trust, EXPECTED)).rejects.toThrow();
  const wrapped = base64(good()).replace(/(.{76})/g, '$1\r\n');
  expect((await verifyResponse(wrapped, trust, EXPECTED)).nameId).toBe(SAID.nameId);
});

test('a tree that is too deep is refused before anything walks it', async () => {
  await refused(responseXml(SAID, `${'<a>'.repeat(5_000)}${'</a>'.repeat(5_000)}`));
  expect(NS.protocol).toBe('urn:oasis:names:tc:SAML:2.0:protocol');
});
