/**
 * A credential in the form its service takes, for as many requests as a session makes. What is static is put in place; what is
 * a token comes from a slot that several sessions may share; what is a signature is made for each request.
 * Refuses PEM certificates as anything but a client certificate.
 */
import type { Secret } from '@sallyport/core';
import { unavailable } from '../source.ts';
import type { HttpForm, KnownSecret, RequestCredential } from './form.ts';
import { type Placing, placing } from './place.ts';
import { type AwsKeys, signedV4 } from './sigv4.ts';
import type { TokenSlot } from './token-slot.ts';

const TOKEN_FORMS: ReadonlySet<string> = new Set(['oauth', 'google', 'azure']);

/** True where a token is asked for with the secret, and is what requests carry. */
export const isTokenForm = ({ as }: HttpForm): boolean => TOKEN_FORMS.has(as);

/** @throws GatewayError `credential.unavailable` when the secret does not fit the form */
export function staticCredential(form: HttpForm, known: KnownSecret, nowMs: () => number): RequestCredential {
  const { username, secret } = known;
  if (/-----BEGIN [A-Z ]*(PRIVATE KEY|CERTIFICATE)-----/.test(secret.reveal()))
    throw unavailable(form.as, 'the secret is a certificate or a key: mtls takes it');
  if (form.as === 'sigv4') {
    const keys = awsKeys(known);
    const scope = { region: form.region ?? '', service: form.service ?? '' };
    return { ready: () => undefined, into: (request) => signedV4(request, keys, scope, nowMs()) };
  }
  // What cannot stand there is refused now, not at the first request.
  return { ready: () => undefined, into: placing(form, { username, secret: secret.reveal() }) };
}

/** `form` may be that of a token; its place is Authorization. */
export function tokenCredential(form: HttpForm, slot: TokenSlot): RequestCredential {
  let placed: { readonly token: Secret<string>; readonly into: Placing } | undefined;
  return {
    ready: () => slot.ready(),
    into: (request) => {
      const { token } = slot;
      if (placed?.token !== token) placed = { token, into: placing(form, { username: '', secret: token.reveal() }) };
      return placed.into(request);
    },
  };
}

/** Access key id and secret; or a JSON object of both, with the session token of temporary keys, as AWS and Vault give it. */
function awsKeys({ username, secret }: KnownSecret): AwsKeys {
  const text = secret.reveal();
  if (!text.trimStart().startsWith('{')) return checked({ accessKeyId: username, secretAccessKey: text });
  let fields: Readonly<Record<string, unknown>>;
  try {
    fields = JSON.parse(text) as Readonly<Record<string, unknown>>;
  } catch {
    // The parser's own words quote the secret.
    throw unavailable('sigv4', 'the secret is neither a key nor JSON of one');
  }
  const of = (...names: readonly string[]): string | undefined =>
    names.map((name) => fields[name]).find((value): value is string => typeof value === 'string' && value !== '');
  const sessionToken = of('sessionToken', 'SessionToken', 'session_token', 'security_token');
  return checked({
    accessKeyId: of('accessKeyId', 'AccessKeyId', 'access_key') ?? username,
    secretAccessKey: of('secretAccessKey', 'SecretAccessKey', 'secret_key') ?? '',
    ...(sessionToken === undefined ? {} : { sessionToken }),
  });
}

function checked(keys: AwsKeys): AwsKeys {
  const { accessKeyId, secretAccessKey, sessionToken = '' } = keys;
  if (!/^[A-Za-z0-9]{16,128}$/.test(accessKeyId)) throw unavailable('sigv4', 'the user name is the access key id');
  if (secretAccessKey === '' || !/^[\x21-\x7E]*$/.test(secretAccessKey + sessionToken))
    throw unavailable('sigv4', 'the secret is the secret access key');
  return keys;
}

/** What `ask-http` sends for a static form: its headers, where it has any. For questions of our own. */
export function headersOf(form: HttpForm, known: KnownSecret): Readonly<Record<string, string>> {
  const { headers } = staticCredential(form, known, () => 0).into({
    method: 'GET',
    authority: '',
    target: '/',
    headers: [],
    body: 'none',
  });
  return Object.fromEntries(headers);
}
