/**
 * An OpenID provider that says whatever a test tells it to: wrong claims, wrong signatures, keys that come and go. What it
 * signs honestly is honest. Refuses to be mistaken for one that people could use: everybody is signed in at once.
 */
import { createHash, createHmac, randomUUID } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type CryptoKey, exportJWK, exportSPKI, generateKeyPair, type JWK, SignJWT } from 'jose';

export interface Crooked {
  /** Over the honest claims; undefined takes one away. */
  claims?: Record<string, unknown>;
  /** Claims that are instants, as seconds from the moment of signing. */
  times?: Record<string, number>;
  /** Over the honest header. */
  header?: Record<string, unknown>;
  /** How the id token is signed; `honest` by default. */
  signature?: 'honest' | 'none' | 'hmac-with-public-key' | 'hmac-with-client-secret' | 'another-key' | 'cut';
  /** What stands in the answer's `iss`; undefined = the issuer, null = nothing. */
  answerIss?: string | null;
  /** Answers to a refresh. */
  refresh?: 'ok' | 'invalid_grant' | 'away';
  refreshToken?: string;
}

export const CLIENT_SECRET = 'a-client-secret-that-is-long-enough';
const b64 = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');

export class CrookedIdp {
  crooked: Crooked = {};
  /** Requests by path, for tests that count. */
  readonly seen: string[] = [];
  readonly #codes = new Map<string, { readonly nonce: string; readonly challenge: string }>();
  #keys: { readonly kid: string; readonly key: CryptoKey; readonly jwk: JWK; readonly pem: string }[] = [];
  #server = createServer((request, response) => {
    this.#answer(request, response).catch((error: unknown) => {
      response.writeHead(500).end(String(error));
    });
  });
  issuer = '';

  async start(port = 0): Promise<this> {
    await this.rotate();
    await new Promise<void>((resolve) => this.#server.listen(port, '127.0.0.1', resolve));
    this.issuer = `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
    return this;
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  /** A fresh key in place of the old one, at once. */
  async rotate(): Promise<void> {
    const { privateKey, publicKey } = await generateKeyPair('RS256', { extractable: true });
    const kid = randomUUID();
    const jwk = { ...(await exportJWK(publicKey)), kid, use: 'sig', alg: 'RS256' };
    this.#keys = [{ kid, key: privateKey, jwk, pem: await exportSPKI(publicKey) }];
  }

  /** A JWT over these claims, as `crooked` says it is to be signed. */
  async sign(claims: Record<string, unknown>, typ = 'JWT'): Promise<string> {
    const { kid, key, pem } = this.#keys[0]!;
    const { header = {}, signature = 'honest' } = this.crooked;
    if (signature === 'none') return `${b64({ alg: 'none', typ, ...header })}.${b64(claims)}.`;
    if (signature.startsWith('hmac')) {
      const text = `${b64({ alg: 'HS256', kid, typ, ...header })}.${b64(claims)}`;
      const secret = signature === 'hmac-with-public-key' ? pem : CLIENT_SECRET;
      return `${text}.${createHmac('sha256', secret).update(text).digest('base64url')}`;
    }
    const signer = signature === 'another-key' ? (await generateKeyPair('RS256')).privateKey : key;
    const token = await new SignJWT(claims).setProtectedHeader({ alg: 'RS256', kid, typ, ...header }).sign(signer);
    return signature === 'cut' ? token.slice(0, token.lastIndexOf('.') + 1) : token;
  }

  honestClaims(nonce?: string): Record<string, unknown> {
    const now = Math.floor(Date.now() / 1000);
    const honest = {
      iss: this.issuer,
      aud: 'sallyport',
      sub: 'sub-ana',
      preferred_username: 'ana',
      iat: now,
      exp: now + 300,
      auth_time: now,
      sid: 'sid-1',
      amr: ['pwd'],
      ...(nonce === undefined ? {} : { nonce }),
    };
    const times = Object.entries(this.crooked.times ?? {}).map(([name, from]) => [name, now + from] as const);
    const claims = { ...honest, ...this.crooked.claims, ...Object.fromEntries(times) };
    return Object.fromEntries(Object.entries(claims).filter(([, value]) => value !== undefined));
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '/', this.issuer);
    this.seen.push(url.pathname);
    const json = (value: object, status = 200): void => {
      response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(value));
    };
    switch (url.pathname) {
      case '/.well-known/openid-configuration':
        return json({
          issuer: this.issuer,
          authorization_endpoint: `${this.issuer}/authorize`,
          token_endpoint: `${this.issuer}/token`,
          jwks_uri: `${this.issuer}/keys`,
          end_session_endpoint: `${this.issuer}/logout`,
          response_types_supported: ['code'],
          subject_types_supported: ['public'],
          id_token_signing_alg_values_supported: ['RS256', 'HS256', 'none'],
          authorization_response_iss_parameter_supported: true,
        });
      case '/keys':
        return json({ keys: this.#keys.map((one) => one.jwk) });
      case '/authorize': {
        const code = randomUUID();
        this.#codes.set(code, {
          nonce: url.searchParams.get('nonce') ?? '',
          challenge: url.searchParams.get('code_challenge') ?? '',
        });
        const back = new URL(url.searchParams.get('redirect_uri')!);
        back.searchParams.set('code', code);
        back.searchParams.set('state', url.searchParams.get('state') ?? '');
        const iss = this.crooked.answerIss === undefined ? this.issuer : this.crooked.answerIss;
        if (iss !== null) back.searchParams.set('iss', iss);
        response.writeHead(302, { location: back.href }).end();
        return;
      }
      case '/token': {
        let text = '';
        for await (const chunk of request) text += String(chunk);
        const form = new URLSearchParams(text);
        if (form.get('grant_type') === 'refresh_token') {
          if (this.crooked.refresh === 'invalid_grant') return json({ error: 'invalid_grant' }, 400);
          if (this.crooked.refresh === 'away') return json({ error: 'temporarily_unavailable' }, 503);
          return json(await this.#tokens(undefined));
        }
        const known = this.#codes.get(form.get('code') ?? '');
        this.#codes.delete(form.get('code') ?? '');
        const challenge = createHash('sha256')
          .update(form.get('code_verifier') ?? '')
          .digest('base64url');
        if (known === undefined || known.challenge !== challenge) return json({ error: 'invalid_grant' }, 400);
        return json(await this.#tokens(known.nonce));
      }
      default:
        response.writeHead(404).end();
    }
  }

  async #tokens(nonce: string | undefined): Promise<object> {
    const { refreshToken } = this.crooked;
    return {
      access_token: randomUUID(),
      token_type: 'Bearer',
      expires_in: 300,
      id_token: await this.sign(this.honestClaims(nonce)),
      ...(refreshToken === undefined ? {} : { refresh_token: refreshToken }),
    };
  }
}
