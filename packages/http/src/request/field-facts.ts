/**
 * What of a request's query and headers rules read, and whether its headers say that it is another request.
 * Refuses to read bodies, and to tell rules of credentials. RFC 3986 section 3.4; WHATWG URL, application/x-www-form-urlencoded parsing.
 */
import { type Header, headerOf } from '../message.ts';

/** Headers that ask for another method than the one that is judged. */
const OVERRIDES = ['x-http-method-override', 'x-method-override', 'x-http-method'];
/** What services that know headers by CGI's names (RFC 3875 section 4.1.18) take for another one, and no rule is told of as that. */
const MEANT: ReadonlySet<string> = new Set([
  ...OVERRIDES,
  'authorization',
  'content-length',
  'content-type',
  'transfer-encoding',
  'x-forwarded-host',
  'x-forwarded-proto',
  'x-original-url',
  'x-rewrite-url',
]);

/** Then it is refused: what is judged is not what the service would do. */
export const asksForAnotherMethod = (headers: readonly Header[]): boolean =>
  OVERRIDES.some((name) => headerOf(headers, name) !== undefined) ||
  headers.some(([name]) => name.includes('_') && MEANT.has(name.replaceAll('_', '-')));

/** Names of which nothing is told to rules, approvers or the record. */
export const SECRET_FIELDS: ReadonlySet<string> = new Set([
  'authorization',
  'proxy-authorization',
  'cookie',
  'set-cookie',
  'api-key',
  'private-token',
  'x-access-token',
  'x-amz-security-token',
  'x-api-key',
  'x-auth-token',
  'x-csrf-token',
  'x-goog-api-key',
  'x-subject-token',
  'x-vault-token',
  'x-xsrf-token',
]);

const NO_QUERY: Readonly<Record<string, readonly string[]>> = Object.freeze({});

const decoded = (text: string): string => {
  const spaced = text.includes('+') ? text.replaceAll('+', ' ') : text;
  if (!spaced.includes('%')) return spaced;
  // Bytes that are no UTF-8 read as U+FFFD, as forms do.
  const latin1 = spaced.replace(/%([0-9A-Fa-f]{2})/g, (_, hex: string) =>
    String.fromCharCode(Number.parseInt(hex, 16)),
  );
  return Buffer.from(latin1, 'latin1').toString('utf8');
};

type QueryFacts = Readonly<Record<string, readonly string[]>>;

/** Every value of every parameter, in order; a parameter without `=` has the value ''. */
export function queryFacts(query: string): { readonly query: QueryFacts; readonly partedQuery?: QueryFacts } {
  if (query === '') return { query: NO_QUERY };
  const read = parametersOf(query.split('&'));
  return query.includes(';') ? { query: read, partedQuery: parametersOf(query.split(/[&;]/)) } : { query: read };
}

function parametersOf(parts: readonly string[]): QueryFacts {
  const facts = Object.create(null) as Record<string, string[]>;
  for (const part of parts) {
    if (part === '') continue;
    const equals = part.indexOf('=');
    const name = decoded(equals === -1 ? part : part.slice(0, equals));
    const value = equals === -1 ? '' : decoded(part.slice(equals + 1));
    const known = facts[name];
    if (known === undefined) facts[name] = [value];
    else known.push(value);
  }
  return facts;
}

/** Of the fields that are judged: the access token is not among them, whichever field it came in. */
export function headerFacts(headers: readonly Header[]): Readonly<Record<string, string>> {
  const facts = Object.create(null) as Record<string, string>;
  for (const [name, value] of headers) {
    if (SECRET_FIELDS.has(name)) continue;
    const known = facts[name];
    facts[name] = known === undefined ? value : `${known}, ${value}`;
  }
  return Object.freeze(facts);
}
