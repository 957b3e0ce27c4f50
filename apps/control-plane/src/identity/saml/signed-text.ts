/**
 * What an XML signature covers, in the form that it covers (XML Signature §3.2, Exclusive Canonicalization 1.0): one reading
 * of the tree, the provider's keys alone, and only the bytes whose digest was signed come out. Refuses to judge where a
 * signature stands and how it is made: response-shape.ts has let through one form of it alone, and calls come after that.
 */
import { createPublicKey, hash, type KeyObject, verify } from 'node:crypto';
import { ExclusiveCanonicalization, type XmlElement, type XmlNamespace } from './libraries.ts';
import { NS } from './response-shape.ts';
import { attribute, childrenNamed, childrenOf, onlyChild, textOf, XmlRefused } from './xml.ts';

const SIGNATURES: Readonly<Record<string, string>> = {
  'http://www.w3.org/2001/04/xmldsig-more#rsa-sha256': 'sha256',
  'http://www.w3.org/2001/04/xmldsig-more#rsa-sha384': 'sha384',
  'http://www.w3.org/2001/04/xmldsig-more#rsa-sha512': 'sha512',
};
const DIGESTS: Readonly<Record<string, string>> = {
  'http://www.w3.org/2001/04/xmlenc#sha256': 'sha256',
  'http://www.w3.org/2001/04/xmlenc#sha512': 'sha512',
};
const C14N = 'http://www.w3.org/2001/10/xml-exc-c14n#';

/**
 * @param element has passed `requireSignature` of response-shape.ts, in a document where its ID is nobody else's
 * @param certificates PEM; any of them may have signed
 * @returns the element without its signature, canonical @throws XmlRefused
 */
export function signedText(element: XmlElement, certificates: readonly string[]): string {
  const signature = onlyChild(element, NS.signature, 'Signature');
  const info = onlyChild(signature, NS.signature, 'SignedInfo');
  const hashName = SIGNATURES[algorithmOf(onlyChild(info, NS.signature, 'SignatureMethod'))];
  if (hashName === undefined) throw new XmlRefused('another SignatureMethod');
  const value = bytesOf(onlyChild(signature, NS.signature, 'SignatureValue'));
  const canonicalInfo = Buffer.from(canonical(info, onlyChild(info, NS.signature, 'CanonicalizationMethod')));
  if (!certificates.some((pem) => verify(hashName, canonicalInfo, rsaKeyOf(pem), value)))
    throw new XmlRefused('a signature does not hold');
  return requireDigest(element, signature, onlyChild(info, NS.signature, 'Reference'));
}

/** What is read of the reference is in SignedInfo, whose signature holds. */
function requireDigest(element: XmlElement, signature: XmlElement, reference: XmlElement): string {
  if (attribute(reference, 'URI') !== `#${attribute(element, 'ID')}`)
    throw new XmlRefused('a signature of something else');
  const digest = DIGESTS[algorithmOf(onlyChild(reference, NS.signature, 'DigestMethod'))];
  const transform = childrenOf(onlyChild(reference, NS.signature, 'Transforms')).at(-1);
  if (digest === undefined || transform === undefined) throw new XmlRefused('a Reference of another form');
  const after = signature.nextSibling;
  element.removeChild(signature);
  const text = canonical(element, transform);
  element.insertBefore(signature, after);
  const said = bytesOf(onlyChild(reference, NS.signature, 'DigestValue'));
  if (!hash(digest, text, 'buffer').equals(said)) throw new XmlRefused('a digest does not hold');
  return text;
}

const algorithmOf = (element: XmlElement): string => attribute(element, 'Algorithm') ?? '';

function bytesOf(element: XmlElement): Buffer {
  const text = textOf(element).replace(/[\r\n\t ]+/g, '');
  if (!/^[A-Za-z0-9+/]+={0,2}$/.test(text)) throw new XmlRefused(`a ${element.localName} that is no base64`);
  return Buffer.from(text, 'base64');
}

/** @param method says which prefixes count even where nothing visible uses them */
function canonical(element: XmlElement, method: XmlElement): string {
  if (algorithmOf(method) !== C14N) throw new XmlRefused('another canonicalization');
  const [inclusive, ...more] = childrenNamed(method, C14N, 'InclusiveNamespaces');
  if (more.length > 0 || childrenOf(method).length > (inclusive === undefined ? 0 : 1))
    throw new XmlRefused('a canonicalization of another form');
  const prefixes = (inclusive === undefined ? '' : (attribute(inclusive, 'PrefixList') ?? ''))
    .split(/\s+/)
    .filter(Boolean);
  return new ExclusiveCanonicalization().process(element, {
    inclusiveNamespacesPrefixList: prefixes,
    ancestorNamespaces: prefixes.length === 0 ? [] : namespacesAround(element),
  });
}

/** Declared around the element, the nearest of each prefix, without those that it declares itself. */
function namespacesAround(element: XmlElement): readonly XmlNamespace[] {
  const found = new Map<string, string>();
  const own = new Set(declaredBy(element).map(({ prefix }) => prefix));
  for (let at = element.parentNode; at?.nodeType === 1; at = at.parentNode)
    for (const { prefix, namespaceURI } of declaredBy(at as XmlElement))
      if (!own.has(prefix) && !found.has(prefix)) found.set(prefix, namespaceURI);
  return [...found].flatMap(([prefix, namespaceURI]) => (namespaceURI === '' ? [] : [{ prefix, namespaceURI }]));
}

const declaredBy = (element: XmlElement): readonly XmlNamespace[] =>
  Array.from(element.attributes).flatMap(({ prefix, localName, value }) =>
    prefix === 'xmlns' ? [{ prefix: localName ?? '', namespaceURI: value }] : [],
  );

const KEYS_MAX = 100;
const keys = new Map<string, KeyObject>();

/** Of a certificate, whose times nobody looks at: metadata names it, and that is what is trusted. */
function rsaKeyOf(pem: string): KeyObject {
  const known = keys.get(pem);
  if (known !== undefined) return known;
  const key = createPublicKey(pem);
  // With another kind of key the algorithm's name would mean another algorithm.
  if (key.asymmetricKeyType !== 'rsa') throw new XmlRefused('a certificate with another kind of key');
  if (keys.size >= KEYS_MAX) keys.delete(keys.keys().next().value!);
  keys.set(pem, key);
  return key;
}
