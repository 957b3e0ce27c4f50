/**
 * An issuer on loopback that tests make say anything: its discovery document and keys over HTTP, and tokens signed with
 * them. It stands for clusters and CI systems, which cannot run here; what it sends is shaped as theirs is documented.
 */
import type { webcrypto } from 'node:crypto';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { exportJWK, generateKeyPair, type JWK, type JWTPayload, SignJWT } from 'jose';

export interface IssuerKey {
  readonly kid: string;
  readonly alg: string;
  readonly privateKey: webcrypto.CryptoKey;
  readonly jwk: JWK;
}

export async function newKey(kid: string, alg = 'ES256'): Promise<IssuerKey> {
  const { privateKey, publicKey } = await generateKeyPair(alg, { extractable: true });
  return { kid, alg, privateKey, jwk: { ...(await exportJWK(publicKey)), kid, alg, use: 'sig' } };
}

export class TestIssuer {
  readonly #server: Server;
  keys: IssuerKey[];
  /** Requests for the keys so far. */
  asked = 0;
  /** Answered instead of the keys. */
  broken: { readonly status: number; readonly body: string; readonly headers?: Record<string, string> } | undefined;
  private constructor(server: Server, keys: IssuerKey[]) {
    this.#server = server;
    this.keys = keys;
  }

  static async start(): Promise<TestIssuer> {
    const server = createServer((request, response) => {
      if (request.url === '/.well-known/openid-configuration') {
        response.end(JSON.stringify({ issuer: issuer.url, jwks_uri: `${issuer.url}/keys` }));
        return;
      }
      issuer.asked++;
      if (issuer.broken !== undefined) {
        response.writeHead(issuer.broken.status, issuer.broken.headers).end(issuer.broken.body);
        return;
      }
      response.end(JSON.stringify({ keys: issuer.keys.map((key) => key.jwk) }));
    });
    const issuer = new TestIssuer(server, [await newKey('one')]);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return issuer;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** A token with these claims, good for five minutes from now unless they say otherwise; undefined leaves one out. */
  async token(
    claims: Record<string, unknown>,
    header: Record<string, unknown> = {},
    key = this.keys.at(-1)!,
  ): Promise<string> {
    const now = Math.floor(Date.now() / 1000);
    const whole = { iss: this.url, aud: 'sallyport', iat: now, exp: now + 300, ...claims };
    const payload = Object.fromEntries(Object.entries(whole).filter(([, value]) => value !== undefined)) as JWTPayload;
    return await new SignJWT(payload)
      .setProtectedHeader({ alg: key.alg, kid: key.kid, ...header })
      .sign(key.privateKey);
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}
