/**
 * An embedded OpenID provider for demo and development (SALLYPORT_DEMO_IDP=on): real sign-in pages on a loopback port,
 * through the same code path as any provider. Passwords are random, made once, in `<data dir>/demo-idp.json` (0600).
 * Refuses to listen beyond loopback; its state is in memory.
 */
import { randomBytes, timingSafeEqual } from 'node:crypto';
import { chmodSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import path from 'node:path';
import { Injectable, type OnModuleDestroy } from '@nestjs/common';
import { GatewayError, Secret } from '@sallyport/core';
import { exportJWK, generateKeyPair } from 'jose';
import type Provider from 'oidc-provider';
import { Config, type OidcProviderConfig } from '../config.ts';
import { Listening } from '../listening.ts';
import { escapeHtml, htmlPage } from './pages.ts';

const CLIENT_ID = 'sallyport';
const FORM_BYTES_MAX = 10_000;

interface DemoPerson {
  readonly name: string;
  readonly displayName: string;
  readonly groups: readonly string[];
}
const PERSONS: readonly DemoPerson[] = [
  { name: 'admin', displayName: 'Administrator', groups: [] },
  { name: 'ana', displayName: 'Ana, database administrator', groups: ['dba'] },
  { name: 'ben', displayName: 'Ben, database administrator', groups: ['dba'] },
  { name: 'carla', displayName: 'Carla, analyst', groups: ['analysts'] },
];

type Passwords = Readonly<Record<string, string>>;

function loadPasswords(file: string): Passwords {
  if (existsSync(file)) return (JSON.parse(readFileSync(file, 'utf8')) as { persons: Passwords }).persons;
  const persons = Object.fromEntries(
    PERSONS.map(({ name }) => [name, `${name}-${randomBytes(6).toString('base64url')}`]),
  );
  writeFileSync(file, `${JSON.stringify({ persons }, undefined, 2)}\n`, { mode: 0o600 });
  chmodSync(file, 0o600);
  return persons;
}

async function readForm(request: IncomingMessage): Promise<URLSearchParams> {
  let text = '';
  for await (const chunk of request) {
    text += String(chunk);
    if (text.length > FORM_BYTES_MAX) throw new GatewayError('frame.too_large');
  }
  return new URLSearchParams(text);
}

export const DEMO_PROVIDER = 'demo';

@Injectable()
export class DemoIdp implements OnModuleDestroy {
  #server: Server | undefined;
  #passwords: Passwords = {};
  constructor(
    private readonly config: Config,
    private readonly listening: Listening,
  ) {}

  /** Called once the REST port is known, since the redirect address holds it. @returns how to sign in at it */
  async start(): Promise<OidcProviderConfig> {
    const { host, port } = this.config.demoIdpListen;
    if (host !== '127.0.0.1' && host !== '::1')
      throw new GatewayError('config.invalid', {
        name: 'SALLYPORT_DEMO_IDP_LISTEN',
        remedy: 'the demo’s sign-in is for loopback alone',
      });
    this.#passwords = loadPasswords(path.join(this.config.dataDir, 'demo-idp.json'));
    const server = createServer();
    this.#server = server;
    await new Promise<void>((resolve, reject) => server.once('error', reject).listen(port, host, resolve));
    const bound = server.address() as { port: number };
    this.listening.report('demo-idp', { host, port: bound.port });
    const issuer = `http://${this.listening.address('demo-idp')}`;
    const clientSecret = randomBytes(24).toString('base64url');
    const provider = await this.#provider(issuer, clientSecret);
    const answer = provider.callback();
    server.on('request', (request, response) => {
      if (!request.url?.startsWith('/interaction/')) {
        void answer(request, response);
        return;
      }
      this.#interact(provider, request, response).catch(() => {
        if (!response.headersSent) response.writeHead(400, { 'content-type': 'text/html; charset=utf-8' });
        response.end(htmlPage('Sign-in', '<p>This sign-in is no longer open. Start again.</p>'));
      });
    });
    return {
      name: DEMO_PROVIDER,
      issuer,
      clientId: CLIENT_ID,
      clientSecret: new Secret(clientSecret),
      groupsClaim: 'groups',
    };
  }

  async onModuleDestroy(): Promise<void> {
    const server = this.#server;
    if (server === undefined) return;
    server.closeAllConnections();
    await new Promise<void>((resolve) => server.close(() => resolve()));
  }

  async #provider(issuer: string, clientSecret: string): Promise<Provider> {
    // Loaded only when asked for: it is large, and off in production.
    const { default: OidcProvider } = await import('oidc-provider');
    const { privateKey } = await generateKeyPair('ES256', { extractable: true });
    return new OidcProvider(issuer, {
      clients: [
        {
          client_id: CLIENT_ID,
          client_secret: clientSecret,
          redirect_uris: [`${this.listening.publicUrl()}/v1/login/callback`],
          response_types: ['code'],
          grant_types: ['authorization_code'],
          token_endpoint_auth_method: 'client_secret_post',
          id_token_signed_response_alg: 'ES256',
        },
      ],
      jwks: { keys: [{ ...(await exportJWK(privateKey)), alg: 'ES256', use: 'sig' }] },
      cookies: { keys: [randomBytes(24).toString('hex')] },
      claims: { openid: ['sub'], profile: ['name', 'preferred_username'], email: ['email'], groups: ['groups'] },
      conformIdTokenClaims: false,
      features: { devInteractions: { enabled: false } },
      pkce: { required: () => true },
      ttl: { Session: 3_600, Interaction: 600, Grant: 3_600, AccessToken: 600, IdToken: 600 },
      interactions: { url: (_context, interaction) => `/interaction/${interaction.uid}` },
      // Nobody is asked for consent: the only client is the control plane itself.
      loadExistingGrant: async (context) => {
        const grant = new context.oidc.provider.Grant({
          accountId: context.oidc.session!.accountId!,
          clientId: CLIENT_ID,
        });
        grant.addOIDCScope('openid profile email groups');
        await grant.save();
        return grant;
      },
      findAccount: (_context, id) => {
        const person = PERSONS.find(({ name }) => name === id);
        if (person === undefined) return undefined;
        const claims = {
          sub: id,
          preferred_username: id,
          name: person.displayName,
          email: `${id}@demo.example`,
          groups: [...person.groups],
        };
        return { accountId: id, claims: () => claims };
      },
    });
  }

  async #interact(provider: Provider, request: IncomingMessage, response: ServerResponse): Promise<void> {
    const details = await provider.interactionDetails(request, response);
    const page = (note: string): void => {
      response.writeHead(200, { 'content-type': 'text/html; charset=utf-8', 'cache-control': 'no-store' });
      response.end(
        htmlPage(
          'Demo sign-in',
          `<p>Names and passwords are in <code>${escapeHtml(path.join(this.config.dataDir, 'demo-idp.json'))}</code>.</p>${note}
           <form method="post" action="/interaction/${escapeHtml(details.uid)}"><label>Name <input name="name" autofocus autocomplete="username"></label>
           <label>Password <input name="password" type="password" autocomplete="current-password"></label><button>Sign in</button></form>`,
        ),
      );
    };
    if (request.method !== 'POST') return page('');
    const form = await readForm(request);
    const name = form.get('name') ?? '';
    const known = Object.hasOwn(this.#passwords, name) ? this.#passwords[name]! : '';
    const given = Buffer.from(form.get('password') ?? '');
    const wanted = Buffer.from(known);
    if (known === '' || given.length !== wanted.length || !timingSafeEqual(given, wanted))
      return page('<p><b>Name or password is wrong.</b></p>');
    await provider.interactionFinished(
      request,
      response,
      { login: { accountId: name } },
      { mergeWithLastSubmission: false },
    );
  }
}
