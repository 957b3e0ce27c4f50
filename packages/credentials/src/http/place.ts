/**
 * Puts a secret where a service reads it: Authorization, a header, the query, a cookie. Whatever stood there is taken out in
 * every spelling a service may read, so that a client can never choose between its own value and ours. Pure.
 * Refuses a secret that would end a header's line (RFC 9110 section 5.5).
 */
import { unavailable } from '../source.ts';
import type { Credentialed, HeaderField, HttpForm, Uncredentialed } from './form.ts';

/** Text that may stand in a header's value. */
const FIELD_TEXT = /^[\x20-\x7E\x80-\xFF]*$/;
const COOKIE_TEXT = /^[\x21\x23-\x2B\x2D-\x3A\x3C-\x5B\x5D-\x7E]*$/;

/** Puts a secret into requests. */
export type Placing = (request: Uncredentialed) => Credentialed;

/**
 * What is put in is made once: the field is the same object in every request.
 * @throws GatewayError `credential.unavailable` for a secret that cannot stand there
 */
export function placing(
  form: HttpForm,
  { username, secret }: { readonly username: string; readonly secret: string },
): Placing {
  const { as, name = '' } = form;
  switch (as) {
    case 'basic':
      if (username.includes(':')) throw unavailable('http', 'a user name of Basic holds no colon (RFC 7617)');
      return withHeader('authorization', `Basic ${Buffer.from(`${username}:${secret}`).toString('base64')}`);
    case 'bearer':
    case 'oauth':
    case 'google':
    case 'azure':
      return withHeader('authorization', `Bearer ${secret}`);
    case 'header':
      return withHeader(name, `${form.prefix ?? ''}${secret}`);
    case 'query':
      return ({ target, headers }) => ({ target: withParameter(target, name, secret), headers });
    case 'cookie':
      if (!COOKIE_TEXT.test(secret)) throw unavailable('http', 'the secret cannot stand in a cookie (RFC 6265)');
      return ({ target, headers }) => ({ target, headers: withCookie(headers, name, secret) });
    case 'none':
    case 'mtls':
    case 'sigv4':
      return ({ target, headers }) => ({ target, headers });
    default:
      return as satisfies never;
  }
}

function withHeader(name: string, value: string): Placing {
  if (!FIELD_TEXT.test(value)) throw unavailable('http', 'the secret cannot stand in a header');
  const field: HeaderField = [name, value];
  // A client's requests have the very same list of fields again and again.
  let read: readonly HeaderField[] = [];
  let put: readonly HeaderField[] = [field];
  return ({ target, headers }) => {
    if (headers !== read) {
      put = [...headers.filter((one) => one[0] !== name), field];
      read = headers;
    }
    return { target, headers: put };
  };
}

function withParameter(target: string, name: string, value: string): string {
  const at = target.indexOf('?');
  const path = at < 0 ? target : target.slice(0, at);
  const others = (at < 0 ? '' : target.slice(at + 1))
    .split('&')
    .filter((part) => part !== '' && !isNamed(part, name))
    .join('&');
  return `${path}?${others === '' ? '' : `${others}&`}${encodeURIComponent(name)}=${encodeURIComponent(value)}`;
}

/**
 * True for a parameter that some reader takes for `name`: encoded (also twice), with `+`, another case, or with what
 * frameworks put behind a name (`key[]`, `key.x`), or several in one (`;` is a separator to some).
 */
function isNamed(part: string, name: string): boolean {
  const plain = (text: string): string => text.trim().toLowerCase();
  return part.split(';').some((piece) => {
    let read = piece.split('=', 1)[0]!.replaceAll('+', ' ');
    for (let round = 0; round < 3; round++) {
      // What follows a name it holds (`key[]`, `key[a]`, `key.a`) is still of that name to some reader.
      const bare = plain(read.split(/[[.=\0]/, 1)[0]!);
      if (plain(read) === plain(name) || bare === plain(name)) return true;
      if (!read.includes('%')) return false;
      read = decoded(read);
    }
    return false;
  });
}

/** Each escape by itself: one that is none stays as it is, as lenient readers have it. */
const decoded = (text: string): string =>
  text.replace(/%([0-9a-f]{2})/gi, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));

function withCookie(headers: readonly HeaderField[], name: string, value: string): readonly HeaderField[] {
  const others = headers
    .filter(([header]) => header === 'cookie')
    .flatMap(([, cookies]) => cookies.split(/[;,]/))
    .map((pair) => pair.trim())
    .filter(
      (pair) => pair !== '' && pair.split('=', 1)[0]!.trim().replaceAll('"', '').toLowerCase() !== name.toLowerCase(),
    );
  return [...headers.filter(([header]) => header !== 'cookie'), ['cookie', [...others, `${name}=${value}`].join('; ')]];
}
