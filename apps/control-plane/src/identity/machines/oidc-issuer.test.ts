/** A machine with a client of a real OpenID provider that is not ours (oidc-provider): its JWT access token, traded. */
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Provider } from 'oidc-provider';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startTestControlPlane, type TestControlPlane } from '../../testing/control-plane.ts';

const AUDIENCE = 'https://sallyport.example';
let plane: TestControlPlane;
let server: Server;
let issuer: string;
beforeAll(async () => {
  server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const client = (client_id: string) => ({
    client_id,
    client_secret: `secret-of-${client_id}`,
    grant_types: ['client_credentials'],
    redirect_uris: [],
    response_types: [],
  });
  const provider = new Provider(issuer, {
    clients: [client('batch'), client('stranger')],
    features: {
      clientCredentials: { enabled: true },
      devInteractions: { enabled: false },
      resourceIndicators: {
        enabled: true,
        getResourceServerInfo: (_context, resource) => ({
          scope: '',
          audience: resource,
          accessTokenFormat: 'jwt',
          accessTokenTTL: 300,
        }),
      },
    },
  });
  server.on('request', provider.callback() as never);
  plane = await startTestControlPlane({ SALLYPORT_ISSUER_LOOPBACK: 'on' });
  await plane.call('POST', '/v1/principals', { name: 'batch', kind: 'service' });
  const rule = { name: 'batch', issuer, audiences: [AUDIENCE], claims: { client_id: 'batch' }, principal: 'batch' };
  expect((await plane.call('POST', '/v1/trust-rules', rule)).status).toBe(201);
}, 60_000);
afterAll(async () => {
  await plane.stop();
  server.closeAllConnections();
  server.close();
});

async function issued(client: string, resource: string): Promise<string> {
  const response = await fetch(`${issuer}/token`, {
    method: 'POST',
    body: new URLSearchParams({ grant_type: 'client_credentials', resource }),
    headers: { authorization: `Basic ${Buffer.from(`${client}:secret-of-${client}`).toString('base64')}` },
  });
  return ((await response.json()) as { access_token: string }).access_token;
}
const trade = (subject_token: string) =>
  plane.oauth<{ access_token: string; error?: string }>({
    grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
    subject_token_type: 'urn:ietf:params:oauth:token-type:jwt',
    subject_token,
  });

test('the client that the rule names gets a session; another client of the same issuer, and another audience, do not', async () => {
  const { status, body } = await trade(await issued('batch', AUDIENCE));
  expect(status).toBe(200);
  const who = await plane.call<{ principal: { name: string } }>('GET', '/v1/whoami', undefined, body.access_token);
  expect(who.body.principal.name).toBe('batch');
  expect((await trade(await issued('stranger', AUDIENCE))).body).toMatchObject({ error: 'invalid_grant' });
  expect((await trade(await issued('batch', 'https://elsewhere.example'))).body).toMatchObject({
    error: 'invalid_grant',
  });
});
