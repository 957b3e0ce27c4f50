/**
 * XML of others, read with suspicion: no DOCTYPE, no entities of one's own, no comments, no processing instructions, no
 * CDATA; errors are errors. The parser is the one whose trees xml-crypto canonicalizes, and there is no other reading.
 * Refuses to know SAML.
 */
import { DOMParser, type XmlElement, type XmlNode } from './libraries.ts';

const PREDEFINED = /&(?!(?:amp|lt|gt|quot|apos|#\d{1,7}|#x[0-9a-fA-F]{1,6});)/;
const DECLARATION = /^\uFEFF?\s*<\?xml\s[^?>]*\?>/;
const DEPTH_MAX = 64;
const ELEMENTS_MAX = 50_000;

export class XmlRefused extends Error {
  override readonly name = 'XmlRefused';
}

/**
 * What a text may not hold before anybody parses it. What is allowed differs by where it comes from: signed answers are made
 * by machines and hold no comments; metadata files are edited by people and do.
 * @throws XmlRefused
 */
export function requirePlain(xml: string, mayHaveComments = false): void {
  const body = xml.replace(DECLARATION, '');
  if (/<!\s*(?:DOCTYPE|ENTITY|ELEMENT|ATTLIST|NOTATION)/i.test(body)) throw new XmlRefused('a DOCTYPE or entity');
  const rest = mayHaveComments ? body.replace(/<!--[\s\S]*?-->/g, '') : body;
  if (rest.includes('<!')) throw new XmlRefused('a comment or CDATA section');
  if (rest.includes('<?')) throw new XmlRefused('a processing instruction');
  if (PREDEFINED.test(rest)) throw new XmlRefused('an entity that is not predefined');
  // biome-ignore lint/suspicious/noControlCharactersInRegex: XML 1.0, production 2, forbids them.
  if (/[\u0000-\u0008\u000B\u000C\u000E-\u001F]/.test(rest)) throw new XmlRefused('a control character');
  for (const [, decimal, hex] of rest.matchAll(/&#(?:(\d+)|x([0-9a-fA-F]+));/g)) {
    const point = decimal === undefined ? Number.parseInt(hex!, 16) : Number(decimal);
    const isText = point === 9 || point === 10 || point === 13 || (point >= 32 && point <= 0x10ffff);
    if (!isText || (point >= 0xd800 && point <= 0xdfff)) throw new XmlRefused('a reference to no character');
  }
}

/** @throws XmlRefused for what is not one well-formed element, or too large a tree */
export function parseXml(xml: string, mayHaveComments = false): XmlElement {
  requirePlain(xml, mayHaveComments);
  const fail = (message: unknown): never => {
    throw new XmlRefused(String(message).slice(0, 200));
  };
  const document = new DOMParser({
    errorHandler: { warning: fail, error: fail, fatalError: fail },
  }).parseFromString(xml, 'text/xml');
  const root = document?.documentElement;
  if (!root) return fail('no element');
  // xmldom takes more than one root (CVE-2022-39353 in old ones): the document has exactly one.
  const roots = childrenOf(document!).length;
  if (roots !== 1) return fail('more than one element at the top');
  let count = 0;
  for (let level: readonly XmlElement[] = [root], depth = 0; level.length > 0; depth++) {
    count += level.length;
    if (depth > DEPTH_MAX || count > ELEMENTS_MAX) return fail('too large or too deep');
    level = level.flatMap(childrenOf);
  }
  return root;
}

export const childrenOf = (node: XmlNode): readonly XmlElement[] => {
  const found: XmlElement[] = [];
  for (let child = node.firstChild; child; child = child.nextSibling)
    if (child.nodeType === 1) found.push(child as XmlElement);
  return found;
};

/** Every element of a tree, the root included, in document order. */
export function everyElement(root: XmlElement): readonly XmlElement[] {
  const found: XmlElement[] = [];
  const walk = (element: XmlElement): void => {
    found.push(element);
    for (const child of childrenOf(element)) walk(child);
  };
  walk(root);
  return found;
}

export const childrenNamed = (node: XmlNode, namespace: string, name: string): readonly XmlElement[] =>
  childrenOf(node).filter((child) => child.localName === name && child.namespaceURI === namespace);

/** The one child of this name. @throws XmlRefused for none or several */
export function onlyChild(node: XmlNode, namespace: string, name: string): XmlElement {
  const [found, ...more] = childrenNamed(node, namespace, name);
  if (found === undefined || more.length > 0) throw new XmlRefused(`exactly one ${name}`);
  return found;
}

/** The text of an element that holds nothing else. @throws XmlRefused when it does: half a name is a wrong name */
export function textOf(element: XmlElement): string {
  let text = '';
  for (let child = element.firstChild; child; child = child.nextSibling) {
    if (child.nodeType !== 3) throw new XmlRefused(`${element.localName} holds more than text`);
    text += child.nodeValue ?? '';
  }
  return text.trim();
}

/** An attribute without a namespace, or undefined. */
export const attribute = (element: XmlElement, name: string): string | undefined =>
  element.hasAttribute(name) ? (element.getAttribute(name) ?? undefined) : undefined;

export const escapeXml = (text: string): string => text.replace(/[<>&"']/g, (sign) => `&#${sign.charCodeAt(0)};`);
