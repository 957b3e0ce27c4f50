/**
 * A minimal OpenID provider as a process of its own, so that its work is not the control plane's: discovery, keys and the token
 * endpoint. A code says whom it is for and carries its nonce, so the provider keeps nothing.
 * Refuses to be one that people could use: it asks nobody anything. Prints its issuer.
 */
import { generateKeyPairSync, sign } from 'node:crypto';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface Code {
  readonly sub: string;
  readonly nonce: string;
}

export const CLIENT_ID = 'bench';
export const codeOf = (code: Code): string => Buffer.from(JSON.stringify(code)).toString('base64url');

function serve(): void {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const jwk = { ...publicKey.export({ format: 'jwk' }), kid: 'bench', use: 'sig', alg: 'ES256' };
  const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
  let issuer = '';
  const idToken = ({ sub, nonce }: Code): string => {
    const now = Math.floor(Date.now() / 1_000);
    const claims = { iss: issuer, aud: CLIENT_ID, sub, preferred_username: sub, nonce, iat: now, exp: now + 300 };
    const input = `${part({ alg: 'ES256', typ: 'JWT', kid: 'bench' })}.${part({ ...claims, auth_time: now, groups: ['dba'] })}`;
    const signature = sign('sha256', Buffer.from(input), { key: privateKey, dsaEncoding: 'ieee-p1363' });
    return `${input}.${signature.toString('base64url')}`;
  };
  const server = createServer((request, response) => {
    const json = (value: object): void => {
      response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(value));
    };
    switch (new URL(request.url ?? '/', issuer).pathname) {
      case '/.well-known/openid-configuration':
        return json({
          issuer,
          authorization_endpoint: `${issuer}/authorize`,
          token_endpoint: `${issuer}/token`,
          jwks_uri: `${issuer}/keys`,
          response_types_supported: ['code'],
          subject_types_supported: ['public'],
          id_token_signing_alg_values_supported: ['ES256'],
        });
      case '/keys':
        return json({ keys: [jwk] });
      case '/token': {
        let text = '';
        request.on('data', (data: Buffer) => {
          text += data.toString();
        });
        request.on('end', () => {
          const code = new URLSearchParams(text).get('code') ?? '';
          const read = JSON.parse(Buffer.from(code, 'base64url').toString()) as Code;
          json({ access_token: code, token_type: 'Bearer', expires_in: 300, id_token: idToken(read) });
        });
        return;
      }
      default:
        response.writeHead(404).end();
    }
  });
  server.listen(0, '127.0.0.1', () => {
    issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    process.stdout.write(`${issuer}\n`);
  });
  // Its end is its parent's.
  process.stdin.on('end', () => process.exit(0)).resume();
}

if (import.meta.main) serve();
