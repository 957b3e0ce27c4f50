/**
 * An OpenID provider of the tests' own, where a real control plane signs people in: everybody at once, as `says` has it.
 * Discovery, authorization code with PKCE, keys, and signed orders to log out. Refuses to be asked for anything else.
 */
import { createHash, generateKeyPairSync, randomUUID, sign } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

const part = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');

export class OpenIdProvider {
  /** Claims over the usual ones. */
  says: Readonly<Record<string, unknown>> = {};
  readonly #pair = generateKeyPairSync('rsa', { modulusLength: 2048 });
  readonly #codes = new Map<string, { readonly nonce: string; readonly challenge: string }>();
  readonly #server: Server = createServer((request, response) => {
    this.#answer(request, response).catch((error: unknown) => response.writeHead(500).end(String(error)));
  });
  issuer = '';

  async start(): Promise<this> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
    this.issuer = `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
    return this;
  }

  stop(): void {
    this.#server.closeAllConnections();
    this.#server.close();
  }

  jwt(claims: Readonly<Record<string, unknown>>, typ = 'JWT'): string {
    const now = Math.floor(Date.now() / 1000);
    const whole = { iss: this.issuer, aud: 'sallyport', iat: now, exp: now + 300, ...claims };
    const input = `${part({ alg: 'RS256', kid: 'op-1', typ })}.${part(whole)}`;
    return `${input}.${sign('sha256', Buffer.from(input), this.#pair.privateKey).toString('base64url')}`;
  }

  /** Back-Channel Logout 1.0, section 2.4. */
  logoutToken(sub: string): string {
    const events = { 'http://schemas.openid.net/event/backchannel-logout': {} };
    return this.jwt({ sub, jti: randomUUID(), events }, 'logout+jwt');
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '/', this.issuer);
    const { searchParams } = url;
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
          response_types_supported: ['code'],
          subject_types_supported: ['public'],
          id_token_signing_alg_values_supported: ['RS256'],
        });
      case '/keys': {
        const jwk = this.#pair.publicKey.export({ format: 'jwk' });
        return json({ keys: [{ ...jwk, kid: 'op-1', use: 'sig', alg: 'RS256' }] });
      }
      case '/authorize': {
        const code = randomUUID();
        const given = (name: string): string => searchParams.get(name) ?? '';
        this.#codes.set(code, { nonce: given('nonce'), challenge: given('code_challenge') });
        const back = new URL(given('redirect_uri'));
        back.searchParams.set('code', code);
        back.searchParams.set('state', given('state'));
        response.writeHead(302, { location: back.href }).end();
        return;
      }
      case '/token': {
        let text = '';
        for await (const chunk of request) text += String(chunk);
        const form = new URLSearchParams(text);
        const known = this.#codes.get(form.get('code') ?? '');
        this.#codes.delete(form.get('code') ?? '');
        const verifier = form.get('code_verifier') ?? '';
        if (known?.challenge !== createHash('sha256').update(verifier).digest('base64url'))
          return json({ error: 'invalid_grant' }, 400);
        const claims = { auth_time: Math.floor(Date.now() / 1000), sid: randomUUID(), nonce: known.nonce };
        const idToken = this.jwt({ ...claims, ...this.says });
        return json({ access_token: randomUUID(), token_type: 'Bearer', expires_in: 300, id_token: idToken });
      }
      default:
        response.writeHead(404).end();
    }
  }
}
