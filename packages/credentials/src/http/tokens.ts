/**
 * Short tokens for HTTP services, asked for with a longer secret: OAuth client credentials (RFC 6749 section 4.4), a Google
 * service account's assertion (RFC 7523), an Azure application, a Kubernetes service account (TokenRequest).
 * Refuses redirects, answers that are not what was asked for, and to put an answer's words into an error.
 */
import { createPrivateKey, sign } from 'node:crypto';
import { rootCertificates } from 'node:tls';
import { GatewayError, Secret } from '@sallyport/core';
import { askHttp, type HttpAnswer } from '../ask-http.ts';
import { ASK_MS_MAX, unavailable } from '../source.ts';
import type { HttpForm, KnownSecret } from './form.ts';
import type { ShortToken } from './token-slot.ts';

/** What a token without a word about its life is good for. */
const LIFE_S_DEFAULT = 300;
const LIFE_S_MAX = 24 * 3_600;
const TOKEN_BYTES_MAX = 16 * 1024;
const GOOGLE = 'https://oauth2.googleapis.com/token';
const JWT_BEARER = 'urn:ietf:params:oauth:grant-type:jwt-bearer';

export interface TokenHost {
  nowMs(): number;
  /** PEM of a CA to trust besides the system's. */
  readonly ca?: string | undefined;
}

/** @throws GatewayError `credential.unavailable` */
export function fetchToken(form: HttpForm, known: KnownSecret, host: TokenHost): Promise<ShortToken> {
  switch (form.as) {
    case 'oauth':
      return clientCredentials(form.tokenUrl ?? '', form, known, host);
    case 'azure': {
      const tenant = encodeURIComponent(form.tenant ?? '');
      const url = form.tokenUrl ?? `https://login.microsoftonline.com/${tenant}/oauth2/v2.0/token`;
      return clientCredentials(url, { ...form, clientAuth: 'body' }, known, host);
    }
    case 'google':
      return googleToken(form, known, host);
    default:
      return Promise.reject(unavailable(form.as, 'is no token'));
  }
}

async function clientCredentials(
  url: string,
  { as, scope, audience, clientAuth = 'basic' }: HttpForm,
  { username, secret }: KnownSecret,
  host: TokenHost,
): Promise<ShortToken> {
  const body = new URLSearchParams({ grant_type: 'client_credentials' });
  if (scope !== undefined) body.set('scope', scope);
  if (audience !== undefined) body.set('audience', audience);
  if (clientAuth === 'body') {
    body.set('client_id', username);
    body.set('client_secret', secret.reveal());
  }
  // RFC 6749 section 2.3.1: both are form-encoded before they are joined.
  const pair = [username, secret.reveal()]
    .map((text) => new URLSearchParams({ x: text }).toString().slice(2))
    .join(':');
  const authorization = `Basic ${Buffer.from(pair).toString('base64')}`;
  const answer = await asked(as, url, body, clientAuth === 'basic' ? { authorization } : {}, host);
  return readToken(as, answer, 'access_token', host);
}

async function googleToken(form: HttpForm, { secret }: KnownSecret, host: TokenHost): Promise<ShortToken> {
  const { email, key, keyId } = readServiceAccount(secret);
  const url = form.tokenUrl ?? GOOGLE;
  const nowS = Math.floor(host.nowMs() / 1000);
  const claims = {
    iss: email,
    sub: email,
    aud: url,
    iat: nowS,
    exp: nowS + 3_600,
    ...(form.audience === undefined ? { scope: form.scope } : { target_audience: form.audience }),
  };
  const header = { alg: 'RS256', typ: 'JWT', ...(keyId === undefined ? {} : { kid: keyId }) };
  const text = [header, claims].map((part) => Buffer.from(JSON.stringify(part)).toString('base64url')).join('.');
  const assertion = `${text}.${sign('sha256', Buffer.from(text), key).toString('base64url')}`;
  const answer = await asked('google', url, new URLSearchParams({ grant_type: JWT_BEARER, assertion }), {}, host);
  return readToken('google', answer, form.audience === undefined ? 'access_token' : 'id_token', host);
}

function readServiceAccount(secret: Secret<string>) {
  try {
    const account = JSON.parse(secret.reveal()) as Readonly<Record<string, unknown>>;
    const { type, client_email: email, private_key: pem, private_key_id: keyId } = account;
    if (type !== 'service_account' || typeof email !== 'string' || typeof pem !== 'string') throw new Error();
    const key = createPrivateKey(pem);
    if (key.asymmetricKeyType !== 'rsa') throw new Error();
    return { email, key, keyId: typeof keyId === 'string' ? keyId : undefined };
  } catch {
    // The parser's own words quote the key.
    throw unavailable('google', 'the secret is the JSON key of a service account');
  }
}

/** Where a service account's tokens are made, with the form the stored credential has there. */
export interface ServiceAccountAsk {
  /** Of the API server. */
  readonly url: string;
  readonly namespace: string;
  readonly name: string;
  /** Of who may ask: `authorization` or nothing. */
  readonly headers: Readonly<Record<string, string>>;
  readonly ca?: string | undefined;
  readonly serverName?: string | undefined;
  readonly anyServer?: boolean;
  /** PEM of a client certificate and its key. */
  readonly client?: Secret<string> | undefined;
}

const SERVICE_ACCOUNT_S = 3_600;

/** `kubectl create token`: authentication.k8s.io/v1 TokenRequest. @throws GatewayError `credential.unavailable` */
export async function serviceAccountToken(ask: ServiceAccountAsk, nowMs: () => number): Promise<ShortToken> {
  const path = `api/v1/namespaces/${encodeURIComponent(ask.namespace)}/serviceaccounts/${encodeURIComponent(ask.name)}/token`;
  const answer = await reached('service_account', () =>
    askHttp({
      method: 'POST',
      url: new URL(`${ask.url.replace(/\/$/, '')}/${path}`),
      headers: ask.headers,
      body: {
        apiVersion: 'authentication.k8s.io/v1',
        kind: 'TokenRequest',
        spec: { expirationSeconds: SERVICE_ACCOUNT_S },
      },
      ca: ask.ca,
      serverName: ask.serverName,
      anyServer: ask.anyServer,
      client: ask.client,
      timeoutMs: ASK_MS_MAX,
    }),
  );
  if (answer.status !== 201) throw refusal('service_account', answer);
  const status = (answer.body as { readonly status?: unknown } | undefined)?.status;
  const { token, expirationTimestamp } = (status ?? {}) as {
    readonly token?: unknown;
    readonly expirationTimestamp?: unknown;
  };
  const until = typeof expirationTimestamp === 'string' ? Date.parse(expirationTimestamp) : Number.NaN;
  if (Number.isNaN(until)) throw unavailable('service_account', 'the answer says no end');
  return { token: requireToken('service_account', token), expiresAtMs: Math.min(until, nowMs() + LIFE_S_MAX * 1000) };
}

const asked = (
  kind: string,
  url: string,
  form: URLSearchParams,
  headers: Readonly<Record<string, string>>,
  host: TokenHost,
): Promise<HttpAnswer> =>
  reached(kind, () =>
    askHttp({
      method: 'POST',
      url: new URL(url),
      headers,
      form,
      ca: host.ca === undefined ? undefined : [...rootCertificates, host.ca],
      timeoutMs: ASK_MS_MAX,
    }),
  );

async function reached(kind: string, ask: () => Promise<HttpAnswer>): Promise<HttpAnswer> {
  try {
    return await ask();
  } catch (cause) {
    throw unavailable(kind, 'the token endpoint cannot be reached', cause);
  }
}

function readToken(kind: string, answer: HttpAnswer, field: string, host: TokenHost): ShortToken {
  if (answer.status !== 200) throw refusal(kind, answer);
  const body = (answer.body ?? {}) as Readonly<Record<string, unknown>>;
  const type = body['token_type'];
  if (typeof type === 'string' && type.toLowerCase() !== 'bearer')
    throw unavailable(kind, 'the answer is a token of another kind than bearer');
  const life = body['expires_in'];
  const seconds = Number(typeof life === 'string' || typeof life === 'number' ? life : LIFE_S_DEFAULT);
  if (!(seconds > 0)) throw unavailable(kind, 'the answer is a token that has run out');
  return {
    token: requireToken(kind, body[field]),
    expiresAtMs: host.nowMs() + Math.min(seconds, LIFE_S_MAX) * 1000,
  };
}

/** RFC 6750 section 2.1: what may follow `Bearer`. */
const BEARER = /^[A-Za-z0-9\-._~+/]+=*$/;

function requireToken(kind: string, token: unknown): Secret<string> {
  if (typeof token !== 'string' || token.length > TOKEN_BYTES_MAX || !BEARER.test(token))
    throw unavailable(kind, 'the answer holds no token');
  return new Secret(token);
}

/** RFC 6749 section 5.2: the error's word is from a short list; nothing else of the answer is told. */
function refusal(kind: string, { status, body }: HttpAnswer): GatewayError {
  const word = (body as { readonly error?: unknown } | undefined)?.error;
  const known = typeof word === 'string' && /^[a-z_]{1,40}$/.test(word) ? ` (${word})` : '';
  return unavailable(kind, `the token endpoint answered ${status}${known}`);
}
