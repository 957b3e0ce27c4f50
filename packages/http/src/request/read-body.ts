/**
 * A request's body as rules read it. What is not certain to be read by the service as it is read here is unread, and rules
 * that ask for it match: a coding or charset nobody knows, two types, a key twice, JSON that says it is a form.
 * Limits: httpBodyJudgedBytesMax. docs/reference/http-masking.md, Bodies in rules.
 */
import { LIMITS } from '@sallyport/core';
import { type BodyFacts, type BodyField, fieldNumber, pathKey } from '@sallyport/model';
import { decodeBody } from '../body/content-coding.ts';
import { parseMediaType } from '../body/content-type.ts';
import { formDecoded } from '../body/form-body.ts';
import { type Header, headerValues } from '../message.ts';
import { readFormParts } from './form-parts.ts';
import { type GraphqlReading, namesDocument, readGraphql } from './graphql.ts';
import { strictJsonFields, utf8Text } from './strict-json.ts';

export interface ReadBody {
  readonly facts: BodyFacts;
  /** A GraphQL request that gives fields other names, or may: masks by path cannot follow them. */
  readonly renames: boolean;
  /** The body without its content coding; undefined where it is unread. */
  readonly text: string | undefined;
}

const UNREAD: ReadBody = { facts: { read: false }, renames: false, text: undefined };

export interface BodyContext {
  /** The resource speaks GraphQL at this path. */
  readonly graphql: boolean;
  /** Of the URL, raw. */
  readonly query: string;
}

/** @param bytes the whole body as it was sent */
export function readRequestBody(headers: readonly Header[], bytes: Uint8Array, context: BodyContext): ReadBody {
  const read = readBody(headers, bytes, context);
  // What was not read may rename anything.
  return context.graphql && !read.facts.read ? { ...read, renames: true } : read;
}

function readBody(headers: readonly Header[], bytes: Uint8Array, { graphql, query }: BodyContext): ReadBody {
  // Servers differ in whether the URL or the body says what runs.
  if (graphql && namesGraphql(query)) return UNREAD;
  const types = new Set(headerValues(headers, 'content-type'));
  const coding = headerValues(headers, 'content-encoding').join(',');
  const plain = decodeBody(bytes, coding, LIMITS.httpBodyJudgedBytesMax);
  if (types.size > 1 || plain === undefined) return UNREAD;
  const [type = ''] = types;
  const media = parseMediaType(type);
  // Operations in parts come with a map of their own, and files are seldom UTF-8.
  if (media.kind === 'multipart') return graphql ? UNREAD : partsBody(type, plain);
  const charset = (media.parameters.get('charset') ?? 'utf-8').toLowerCase();
  if (!['utf-8', 'utf8', 'us-ascii'].includes(charset)) return UNREAD;
  const text = utf8Text(plain);
  if (text === undefined) return UNREAD;
  if (media.type === 'application/graphql') return graphqlText(text);
  // Many services read JSON whatever its type says.
  const isJson = /^[ \t\r\n]*[{[]/.test(text);
  switch (media.kind) {
    case 'json':
      return jsonBody(plain, text, graphql, '');
    case 'form':
      // Few servers of GraphQL take one.
      return isJson || graphql ? UNREAD : formBody(text);
    case 'markup':
    case 'sheet':
    case 'data':
    case 'unsure':
    case 'sse':
      if (isJson) return jsonBody(plain, text, graphql, text);
      return graphql ? UNREAD : { facts: { ...NO_FACTS, text }, renames: false, text };
    default:
      return UNREAD;
  }
}

const NO_FACTS = {
  read: true,
  fields: [],
  graphqlKind: '',
  graphqlName: '',
  graphqlFields: [],
  duplicateKeys: false,
  text: '',
} as const;

function jsonBody(plain: Uint8Array, text: string, graphql: boolean, shown: string): ReadBody {
  const fields = strictJsonFields(plain);
  if (fields === undefined) return UNREAD;
  const facts = { ...NO_FACTS, fields, text: shown };
  if (!graphql) return { facts, renames: false, text };
  return withGraphql(facts, readGraphql(JSON.parse(text)), text);
}

function withGraphql(
  facts: Extract<BodyFacts, { read: true }>,
  reading: GraphqlReading | undefined,
  text: string,
): ReadBody {
  if (reading === undefined) return { ...UNREAD, renames: true };
  return {
    facts: { ...facts, graphqlKind: reading.kind, graphqlName: reading.name, graphqlFields: reading.fields },
    renames: reading.renames,
    text,
  };
}

const graphqlText = (text: string): ReadBody => withGraphql({ ...NO_FACTS, text }, readGraphql({ query: text }), text);

const NAMED: ReadonlySet<string> = new Set(['query', 'operationname', 'extensions']);
const namesGraphql = (query: string): boolean =>
  [...new URLSearchParams(query).keys()].some((name) => NAMED.has(name.toLowerCase()) || namesDocument(name));

/** A GraphQL request in the query of a URL. @param query raw, without `?` */
export function readGraphqlQuery(query: string): ReadBody {
  const parameters = new URLSearchParams(query);
  if (parameters.getAll('query').length !== 1 || parameters.getAll('operationName').length > 1)
    return { ...UNREAD, renames: true };
  const text = parameters.get('query') ?? '';
  const request = Object.fromEntries(parameters);
  const extensions = strictJsonFields(Buffer.from(parameters.get('extensions') ?? '{}'));
  const reading =
    extensions === undefined || parameters.getAll('extensions').length > 1
      ? undefined
      : readGraphql({ ...request, extensions: JSON.parse(request['extensions'] ?? '{}') });
  return withGraphql({ ...NO_FACTS, text }, reading, text);
}

function formBody(text: string): ReadBody {
  const fields: BodyField[] = [];
  const seen = new Set<string>();
  let duplicateKeys = false;
  // Some part it there, too; whoever follows the standard writes %3B.
  if (text.includes(';')) return UNREAD;
  for (const pair of text.split('&')) {
    if (pair === '') continue;
    const equals = pair.indexOf('=');
    const name = decoded(equals < 0 ? pair : pair.slice(0, equals));
    const value = decoded(equals < 0 ? '' : pair.slice(equals + 1));
    if (name === undefined || value === undefined || fields.length >= LIMITS.bodyFieldsMax) return UNREAD;
    duplicateKeys ||= seen.has(name);
    seen.add(name);
    fields.push({ path: pathKey(name), value, number: fieldNumber(value), kind: 'string' });
  }
  return { facts: { ...NO_FACTS, fields, duplicateKeys, text }, renames: false, text };
}

function partsBody(type: string, plain: Uint8Array): ReadBody {
  const parts = readFormParts(type, plain);
  return parts === undefined ? UNREAD : { facts: { ...NO_FACTS, ...parts }, renames: false, text: parts.text };
}

/** Undefined for what is not UTF-8 once it is unescaped. */
const decoded = (part: string): string | undefined => utf8Text(formDecoded(Buffer.from(part)));
