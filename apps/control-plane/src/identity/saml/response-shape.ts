/**
 * The shape that an answer must have before any signature in it is looked at: one Response, one assertion in its place,
 * signatures in their places alone, each over its own parent, by strong algorithms. Signature wrapping needs a second
 * element somewhere; there is none. Refuses to check signatures: signed-text.ts does, on what passed here.
 */
import type { XmlElement } from './libraries.ts';
import { attribute, childrenNamed, childrenOf, everyElement, onlyChild, XmlRefused } from './xml.ts';

export const NS = {
  protocol: 'urn:oasis:names:tc:SAML:2.0:protocol',
  assertion: 'urn:oasis:names:tc:SAML:2.0:assertion',
  metadata: 'urn:oasis:names:tc:SAML:2.0:metadata',
  signature: 'http://www.w3.org/2000/09/xmldsig#',
  encryption: 'http://www.w3.org/2001/04/xmlenc#',
} as const;
const C14N = 'http://www.w3.org/2001/10/xml-exc-c14n#';
const ENVELOPED = 'http://www.w3.org/2000/09/xmldsig#enveloped-signature';
const SIGNATURES: ReadonlySet<string> = new Set([
  'http://www.w3.org/2001/04/xmldsig-more#rsa-sha256',
  'http://www.w3.org/2001/04/xmldsig-more#rsa-sha384',
  'http://www.w3.org/2001/04/xmldsig-more#rsa-sha512',
]);
const DIGESTS: ReadonlySet<string> = new Set([
  'http://www.w3.org/2001/04/xmlenc#sha256',
  'http://www.w3.org/2001/04/xmlenc#sha512',
]);
const GCM: ReadonlySet<string> = new Set([
  'http://www.w3.org/2009/xmlenc11#aes128-gcm',
  'http://www.w3.org/2009/xmlenc11#aes256-gcm',
]);
const CBC: ReadonlySet<string> = new Set([
  'http://www.w3.org/2001/04/xmlenc#aes128-cbc',
  'http://www.w3.org/2001/04/xmlenc#aes256-cbc',
]);
const OAEP: ReadonlySet<string> = new Set([
  'http://www.w3.org/2001/04/xmlenc#rsa-oaep-mgf1p',
  'http://www.w3.org/2009/xmlenc11#rsa-oaep',
]);

export interface ResponseShape {
  readonly response: XmlElement;
  readonly isEncrypted: boolean;
  readonly isResponseSigned: boolean;
  /** Unknown while it is encrypted. */
  readonly isAssertionSigned: boolean | undefined;
}

/** @throws XmlRefused */
export function requireResponseShape(root: XmlElement): ResponseShape {
  if (root.localName !== 'Response' || root.namespaceURI !== NS.protocol) throw new XmlRefused('no Response');
  const plain = childrenNamed(root, NS.assertion, 'Assertion');
  const sealed = childrenNamed(root, NS.assertion, 'EncryptedAssertion');
  if (plain.length + sealed.length !== 1) throw new XmlRefused('exactly one assertion');
  const assertion = plain[0] ?? sealed[0]!;
  requireNothingElse(root, new Set<XmlElement>([root, assertion]));
  const signatures = requireSignatures(root, plain[0] === undefined ? [root] : [root, plain[0]]);
  if (sealed[0] !== undefined) requireEncryption(sealed[0], signatures.has(root));
  return {
    response: root,
    isEncrypted: sealed.length === 1,
    isResponseSigned: signatures.has(root),
    isAssertionSigned: plain[0] === undefined ? undefined : signatures.has(plain[0]),
  };
}

/** An assertion by itself, as it was signed, or as it came out of its encryption. @throws XmlRefused */
export function requireAssertionShape(root: XmlElement): { readonly isSigned: boolean } {
  if (root.localName !== 'Assertion' || root.namespaceURI !== NS.assertion) throw new XmlRefused('no Assertion');
  requireNothingElse(root, new Set<XmlElement>([root]));
  return { isSigned: requireSignatures(root, [root]).has(root) };
}

const WRAPPERS = new Set(['Response', 'Assertion', 'EncryptedAssertion', 'LogoutRequest', 'AuthnRequest', 'Advice']);

/** No second element that could be taken for the one that was signed, in whatever namespace; no id twice. */
function requireNothingElse(root: XmlElement, known: ReadonlySet<XmlElement>): void {
  const ids = new Set<string>();
  for (const element of everyElement(root)) {
    if (WRAPPERS.has(element.localName ?? '') && !known.has(element))
      throw new XmlRefused(`a second ${element.localName}`);
    for (const { localName, value } of Array.from(element.attributes)) {
      if ((localName ?? '').toLowerCase() !== 'id') continue;
      if (ids.has(value) || !/^[A-Za-z_][\w.-]{0,255}$/.test(value)) throw new XmlRefused('an id twice, or no id');
      ids.add(value);
    }
  }
}

/** @returns the elements that carry a signature of themselves; anything of XML signatures elsewhere is refused */
function requireSignatures(root: XmlElement, places: readonly XmlElement[]): ReadonlySet<XmlElement> {
  const signed = new Set<XmlElement>();
  const allowed = new Set<XmlElement>();
  for (const place of places) {
    const [signature, ...more] = childrenNamed(place, NS.signature, 'Signature');
    if (more.length > 0) throw new XmlRefused('two signatures of one element');
    if (signature === undefined) continue;
    requireSignature(signature, place);
    signed.add(place);
    allowed.add(signature);
  }
  for (const element of everyElement(root)) {
    if (element.localName === 'Signature' && !allowed.has(element)) throw new XmlRefused('a signature out of place');
    if (element.localName === 'SignedInfo' && !allowed.has(element.parentNode as XmlElement))
      throw new XmlRefused('a SignedInfo out of place');
  }
  return signed;
}

function requireSignature(signature: XmlElement, parent: XmlElement): void {
  const names = childrenOf(signature).map((child) => child.localName);
  // An Object in a signature is where wrapped elements hide; SAML Core §5.4 has no use for one.
  if (names.join(' ') !== 'SignedInfo SignatureValue KeyInfo' && names.join(' ') !== 'SignedInfo SignatureValue')
    throw new XmlRefused('a signature of another form');
  const info = onlyChild(signature, NS.signature, 'SignedInfo');
  const parts = childrenOf(info).map((child) => child.localName);
  if (parts.join(' ') !== 'CanonicalizationMethod SignatureMethod Reference')
    throw new XmlRefused('a SignedInfo of another form');
  requireAlgorithm(onlyChild(info, NS.signature, 'CanonicalizationMethod'), new Set([C14N]));
  requireAlgorithm(onlyChild(info, NS.signature, 'SignatureMethod'), SIGNATURES);
  const reference = onlyChild(info, NS.signature, 'Reference');
  const id = attribute(parent, 'ID');
  if (id === undefined || attribute(reference, 'URI') !== `#${id}`)
    throw new XmlRefused('a signature of something else');
  requireAlgorithm(onlyChild(reference, NS.signature, 'DigestMethod'), DIGESTS);
  if (childrenOf(onlyChild(reference, NS.signature, 'DigestValue')).length > 0)
    throw new XmlRefused('a DigestValue of another form');
  const transforms = childrenOf(onlyChild(reference, NS.signature, 'Transforms'));
  const algorithms = transforms.map((transform) => attribute(transform, 'Algorithm'));
  if (algorithms.join(' ') !== `${ENVELOPED} ${C14N}`) throw new XmlRefused('other transforms');
}

/** AES-CBC proves nothing about who wrote it (a padding oracle): only under the signature of the whole answer. */
function requireEncryption(sealed: XmlElement, isResponseSigned: boolean): void {
  for (const element of everyElement(sealed)) {
    if (element.localName !== 'EncryptionMethod') continue;
    const isKey = element.parentNode !== null && (element.parentNode as XmlElement).localName === 'EncryptedKey';
    requireAlgorithm(element, isKey ? OAEP : isResponseSigned ? new Set([...GCM, ...CBC]) : GCM);
  }
  for (const element of everyElement(sealed))
    if (element.localName === 'CipherReference') throw new XmlRefused('a ciphertext kept elsewhere');
}

function requireAlgorithm(element: XmlElement, allowed: ReadonlySet<string>): void {
  if (!allowed.has(attribute(element, 'Algorithm') ?? '')) throw new XmlRefused(`another ${element.localName}`);
}
