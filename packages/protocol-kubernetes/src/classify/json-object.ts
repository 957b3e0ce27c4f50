/**
 * The object in a request's body as a value: JSON strictly, YAML as the JSON that is sent on in its place, so that the server
 * reads what was judged. Refuses a key that stands twice, bytes that are no UTF-8, YAML's aliases and tags, CBOR.
 */
import { GatewayError, LIMITS } from '@sallyport/core';
import { type Document, isAlias, isMap, isScalar, Lexer, parseDocument, visit } from 'yaml';

export type ObjectForm = 'json' | 'yaml' | 'protobuf' | 'other';

/** @param contentType the header's value; '' is read as JSON, as the API server does */
export function formOf(contentType: string): ObjectForm {
  const type = contentType.split(';', 1)[0]!.trim().toLowerCase();
  if (
    type === '' ||
    type === 'application/json' ||
    /^application\/(?:json|merge|strategic-merge)-patch\+json$/.test(type)
  )
    return 'json';
  if (type === 'application/yaml' || type === 'application/apply-patch+yaml') return 'yaml';
  if (type === 'application/vnd.kubernetes.protobuf') return 'protobuf';
  return 'other';
}

const malformed = (reason: string, cause?: unknown): GatewayError =>
  new GatewayError('kubernetes.object', { reason }, { cause });

/** @throws GatewayError `kubernetes.object` */
export function readObject(bytes: Uint8Array, form: 'json' | 'yaml'): unknown {
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (error) {
    throw malformed('no UTF-8', error);
  }
  if (form === 'json') return readJson(text);
  // What is written as JSON needs no second way of reading it: `kubectl apply --server-side` sends that.
  return /^\s*[[{]/.test(text) ? readJson(text) : readYaml(text);
}

const KNOWN = /^tag:yaml\.org,2002:(?:map|seq|str|null|bool|int|float)$/;
const isTime = (tag: object): boolean => 'format' in tag && tag.format === 'TIME';

function readYaml(text: string): unknown {
  let tokens = 0;
  for (const _ of new Lexer().lex(text)) if (++tokens > LIMITS.yamlTokensMax) throw malformed('too many words of YAML');
  // The server reads YAML 1.1 (sigs.k8s.io/yaml): `yes` is true and `010` is eight there; dates and `1:30` are texts.
  const document = parseDocument(text, {
    schema: 'yaml-1.1',
    customTags: (tags) => tags.filter((tag) => typeof tag === 'string' || (KNOWN.test(tag.tag) && !isTime(tag))),
    resolveKnownTags: false,
    // Both take a time that grows with the square of the text.
    uniqueKeys: false,
    prettyErrors: false,
    stringKeys: true,
    strict: true,
  });
  if (document.errors.length > 0 || document.warnings.length > 0) throw malformed('no YAML that can be read one way');
  requireOneReading(document);
  const value: unknown = document.toJS();
  if (!isExact(value)) throw malformed('a number that JSON does not hold');
  return value;
}

function requireOneReading(document: Document.Parsed): void {
  visit(document, (_at, node) => {
    if (isAlias(node)) throw malformed('an alias');
    if (!isMap(node)) return;
    const keys = new Set(node.items.map(({ key }) => (isScalar(key) ? key.value : key)));
    if (keys.size < node.items.length) throw malformed('a key stands twice');
  });
}

/** Whether every number in it is sent as it was read: no infinity, and no integer beyond 2^53. */
function isExact(value: unknown): boolean {
  if (typeof value === 'number')
    return Number.isFinite(value) && (!Number.isInteger(value) || Number.isSafeInteger(value));
  return typeof value !== 'object' || value === null || Object.values(value).every(isExact);
}

function readJson(text: string): unknown {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw malformed('no JSON', error);
  }
  if (hasTwins(text)) throw malformed('a key stands twice');
  return value;
}

const STRING = /"(?:[^"\\]|\\.)*"/y;

/** Whether a key stands twice in one object, escapes undone. The text is known to be JSON. */
function hasTwins(text: string): boolean {
  const open: (Set<string> | undefined)[] = [];
  for (let at = 0; at < text.length; at++) {
    const character = text[at];
    if (character === '{') open.push(new Set());
    else if (character === '[') open.push(undefined);
    else if (character === '}' || character === ']') open.pop();
    else if (character === '"') {
      STRING.lastIndex = at;
      const [raw] = STRING.exec(text)!;
      at += raw.length - 1;
      let next = at + 1;
      while (next < text.length && /\s/.test(text[next]!)) next++;
      if (text[next] !== ':') continue;
      const keys = open.at(-1)!;
      const key = JSON.parse(raw) as string;
      if (keys.has(key)) return true;
      keys.add(key);
    }
    if (open.length > LIMITS.bodyDepthMax) throw malformed('too deep');
  }
  return false;
}
