/**
 * One identity provider by OpenID Connect: discovery, authorization code with PKCE, state and nonce, refresh, sign-out.
 * openid-client speaks the protocol; oidc-tokens.ts checks what is signed. Refuses plain HTTP except to loopback.
 */
import { GatewayError } from '@sallyport/core';
import * as oidc from 'openid-client';
import { AddressNotAsked } from '../machines/guarded-fetch.ts';
import type { GroupMapping } from '../mapping/group-mapping.ts';
import { type Claims, claimAt, readGroups } from '../mapping/read-groups.ts';
import type {
  IdentityProvider,
  ProvenPerson,
  ProviderAnswer,
  ProviderCheck,
  ReadClaims,
  SignInAsk,
  SignInChecks,
} from '../providers.ts';
import type { GroupsSource } from './groups-source.ts';
import type { OidcConfig } from './oidc-config.ts';
import { OidcTokens, readUnverified, TokenRefused } from './oidc-tokens.ts';
import { isLoopback, type ProviderHttp } from './provider-fetch.ts';

export interface OidcSettings {
  readonly projectId: string | undefined;
  readonly name: string;
  readonly displayName: string;
  readonly config: OidcConfig;
  readonly clientAuth: oidc.ClientAuth;
  readonly groupsSource: GroupsSource | undefined;
  readonly http: ProviderHttp;
  readonly mapping: GroupMapping;
  readonly linksByName: boolean;
  readonly callbackPath: string;
  readonly nowMs: () => number;
}

interface Discovered {
  readonly client: oidc.Configuration;
  readonly tokens: OidcTokens;
}

/** Metadata is read again after this, so that a provider that moved an endpoint is followed without a restart. */
const METADATA_KEPT_MS = 60 * 60_000;
const AMR_MAX = 20;
const text = (value: unknown): string | undefined => (typeof value === 'string' && value !== '' ? value : undefined);

/** In words where the address is not asked at all, else by the name of what went wrong. */
function whyAway(error: unknown): string {
  for (let at = error; at instanceof Error; at = at.cause) {
    if (at instanceof AddressNotAsked) return at.message;
    if (at instanceof GatewayError && typeof at.detail['reason'] === 'string') return at.detail['reason'];
  }
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  return cause instanceof Error ? cause.name : 'error';
}

export class OidcIdentityProvider implements IdentityProvider {
  readonly kind = 'oidc';
  readonly #settings: OidcSettings;
  #discovered: Promise<Discovered> | undefined;
  #discoveredAtMs = 0;

  constructor(settings: OidcSettings) {
    this.#settings = settings;
  }
  get name(): string {
    return this.#settings.name;
  }
  get displayName(): string {
    return this.#settings.displayName;
  }
  get projectId(): string | undefined {
    return this.#settings.projectId;
  }
  get linksByName(): boolean {
    return this.#settings.linksByName;
  }
  get mapping(): GroupMapping {
    return this.#settings.mapping;
  }
  get sessionS(): number {
    return this.#settings.config.sessionSeconds;
  }
  get refreshS(): number {
    return this.#settings.config.refreshSeconds;
  }
  get callbackPath(): string {
    return this.#settings.callbackPath;
  }

  async begin(redirectUri: string, checks: SignInChecks, ask: SignInAsk): Promise<URL> {
    const { client } = await this.#reach();
    return oidc.buildAuthorizationUrl(client, {
      ...this.#settings.config.authorizationParameters,
      redirect_uri: redirectUri,
      scope: this.#settings.config.scopes.join(' '),
      state: checks.state,
      nonce: checks.nonce,
      code_challenge: await oidc.calculatePKCECodeChallenge(checks.codeVerifier),
      code_challenge_method: 'S256',
      ...(ask.maxAgeS === undefined ? {} : { max_age: String(ask.maxAgeS) }),
      ...(ask.acrValues === undefined ? {} : { acr_values: ask.acrValues }),
    });
  }

  async finish(answer: ProviderAnswer, checks: SignInChecks, ask: SignInAsk): Promise<ProvenPerson> {
    const { client, tokens } = await this.#reach();
    // Checks state, and `iss` where the provider says that it sends it (RFC 9207).
    const answered = await oidc.authorizationCodeGrant(client, answer.url, {
      expectedState: checks.state,
      expectedNonce: checks.nonce,
      pkceCodeVerifier: checks.codeVerifier,
      idTokenExpected: true,
      ...(ask.maxAgeS === undefined ? {} : { maxAge: ask.maxAgeS }),
    });
    if (answered.id_token === undefined) throw new TokenRefused('no id token');
    const claims = await tokens.idToken(answered.id_token);
    if (claims['nonce'] !== checks.nonce) throw new TokenRefused('nonce is not this sign-in’s');
    const person = await this.#proven(client, claims, answered);
    this.#requireFresh(person, ask);
    return person;
  }

  async refresh(refreshToken: string, subject: string): Promise<ProvenPerson> {
    const { client, tokens } = await this.#reach();
    const answered = await oidc.refreshTokenGrant(client, refreshToken).catch((cause: unknown) => {
      // RFC 6749 section 5.2: the grant is gone, so the person is, as far as we are concerned.
      if (cause instanceof oidc.ResponseBodyError && cause.error === 'invalid_grant')
        throw new GatewayError('auth.failed', { reason: 'invalid_grant' }, { cause });
      throw cause;
    });
    // Core 12.2: an id token is optional here; without one userinfo tells the groups.
    const claims =
      answered.id_token === undefined
        ? await this.#userinfo(client, answered.access_token, subject)
        : await tokens.idToken(answered.id_token);
    if (claims.sub !== subject) throw new GatewayError('auth.failed', { reason: 'another subject' });
    return { ...(await this.#proven(client, claims, answered)), refreshToken: answered.refresh_token ?? refreshToken };
  }

  async signOut(idToken: string | undefined, returnTo: string): Promise<URL | undefined> {
    const { client } = await this.#reach();
    if (client.serverMetadata().end_session_endpoint === undefined) return undefined;
    return oidc.buildEndSessionUrl(client, {
      post_logout_redirect_uri: returnTo,
      ...(idToken === undefined ? {} : { id_token_hint: idToken }),
    });
  }

  /** @throws TokenRefused */
  async logoutToken(token: string) {
    return (await this.#reach()).tokens.logoutToken(token);
  }

  async read(input: { readonly claims: Claims } | { readonly token: string }): Promise<ReadClaims> {
    if ('claims' in input)
      return { person: await this.#person(input.claims), problems: this.#claimProblems(input.claims) };
    let claims: Claims;
    try {
      claims = readUnverified(input.token);
    } catch (cause) {
      if (!(cause instanceof TokenRefused)) throw cause;
      throw new GatewayError('request.invalid', { token: cause.message }, { cause });
    }
    const problems = [...this.#claimProblems(claims)];
    const { tokens } = await this.#reach();
    await tokens.idToken(input.token).catch((cause: unknown) => {
      if (!(cause instanceof TokenRefused)) throw cause;
      problems.push(cause.message);
    });
    return { person: await this.#person(claims), problems };
  }

  async test(): Promise<readonly ProviderCheck[]> {
    const checks: ProviderCheck[] = [];
    const note = (check: string, ok: boolean, detail: string) => void checks.push({ check, ok, detail });
    const { issuer, scopes, clockSkewSeconds } = this.#settings.config;
    this.#discovered = undefined;
    let found: Discovered;
    try {
      found = await this.#reach();
    } catch (error) {
      note('discovery', false, `${issuer} did not answer as an issuer: ${whyAway(error)}`);
      return checks;
    }
    const server = found.client.serverMetadata();
    note('discovery', true, `issuer ${server.issuer}`);
    const skewS = await this.#clockDifference(issuer);
    note(
      'clock',
      skewS === undefined || Math.abs(skewS) <= clockSkewSeconds,
      skewS === undefined ? 'the provider does not say its time' : `${skewS} s apart, ${clockSkewSeconds} s allowed`,
    );
    try {
      note('keys', (await found.tokens.loadKeys()) > 0, 'the key set was read');
    } catch {
      note('keys', false, 'the key set at jwks_uri could not be read');
    }
    const methods = server.code_challenge_methods_supported;
    note(
      'pkce',
      methods?.includes('S256') !== false,
      methods === undefined ? 'not said; it is used' : methods.join(' '),
    );
    const known = server.scopes_supported;
    const missing = known === undefined ? [] : scopes.filter((scope) => !known.includes(scope));
    // A provider may leave scopes out of its list (OpenID Connect Discovery, section 3), so this is a hint.
    note('scopes', true, missing.length === 0 ? scopes.join(' ') : `not in its list: ${missing.join(' ')}`);
    note(
      'issuer in answers',
      true,
      server.authorization_response_iss_parameter_supported === true ? 'sent and checked (RFC 9207)' : 'not sent',
    );
    note('sign-out', true, server.end_session_endpoint === undefined ? 'not offered' : 'offered');
    note('back-channel logout', true, server['backchannel_logout_supported'] === true ? 'offered' : 'not offered');
    return checks;
  }

  async #proven(
    client: oidc.Configuration,
    claims: Claims & { readonly sub: string },
    answered: oidc.TokenEndpointResponse,
  ): Promise<ProvenPerson> {
    const { config } = this.#settings;
    const all = config.userinfo
      ? { ...(await this.#userinfo(client, answered.access_token, claims.sub)), ...claims }
      : claims;
    const problems = this.#claimProblems(all);
    if (problems.length > 0) throw new TokenRefused(problems.join('; '));
    const { amr, auth_time: authTime } = all as Claims;
    return {
      ...(await this.#person(all)),
      amr: Array.isArray(amr) ? amr.filter((one): one is string => typeof one === 'string').slice(0, AMR_MAX) : [],
      acr: text((all as Claims)['acr']),
      authTimeMs: typeof authTime === 'number' ? authTime * 1000 : undefined,
      sessionId: text((all as Claims)['sid']),
      refreshToken: answered.refresh_token,
      idToken: answered.id_token,
    };
  }

  async #person(claims: Claims): Promise<ReadClaims['person']> {
    const { config, groupsSource, mapping } = this.#settings;
    const email = text(claims['email']);
    const subject = text(claims['sub']) ?? '';
    return {
      subject,
      username: text(claimAt(claims, config.usernameClaim)) ?? email?.split('@')[0] ?? subject,
      displayName: text(claims['name']) ?? '',
      email,
      // Some providers send the text "true".
      emailVerified: claims['email_verified'] === true || claims['email_verified'] === 'true',
      groups:
        groupsSource === undefined ? readGroups(claims, mapping) : await groupsSource.groupsOf({ subject, email }),
    };
  }

  #claimProblems(claims: Claims): readonly string[] {
    return Object.entries(this.#settings.config.requiredClaims)
      .filter(([name, wanted]) => claimAt(claims, name) !== wanted)
      .map(([name]) => `${name} is not what the settings require`);
  }

  #requireFresh(person: ProvenPerson, ask: SignInAsk): void {
    if (ask.maxAgeS === undefined) return;
    const { config, nowMs } = this.#settings;
    const oldest = nowMs() - (ask.maxAgeS + config.clockSkewSeconds) * 1000;
    if (person.authTimeMs === undefined || person.authTimeMs < oldest) throw new TokenRefused('auth_time is not fresh');
  }

  async #userinfo(client: oidc.Configuration, accessToken: string, subject: string) {
    return await oidc.fetchUserInfo(client, accessToken, subject);
  }

  /** Seconds the provider's clock is ahead of ours, by the Date of its answer. */
  async #clockDifference(issuer: string): Promise<number | undefined> {
    const url = `${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`;
    const date = (await this.#settings.http.fetch(url, {})).headers.get('date');
    return date === null ? undefined : Math.round((Date.parse(date) - this.#settings.nowMs()) / 1000);
  }

  /** Discovered at the first use, so that a provider that is away does not stop the start; a failure is not kept. */
  #reach(): Promise<Discovered> {
    const now = this.#settings.nowMs();
    if (this.#discovered !== undefined && now - this.#discoveredAtMs < METADATA_KEPT_MS) return this.#discovered;
    const last = this.#discovered;
    this.#discoveredAtMs = now;
    const fresh = this.#discover().catch((cause: unknown) => {
      // What was known stays good enough while the provider does not answer.
      if (last !== undefined) return last;
      this.#discovered = undefined;
      throw new GatewayError('auth.provider_unavailable', { provider: this.name }, { cause });
    });
    this.#discovered = fresh;
    return fresh;
  }

  async #discover(): Promise<Discovered> {
    const { config, clientAuth, http, nowMs } = this.#settings;
    const issuer = http.requireUrl(config.issuer);
    const client = await oidc.discovery(
      issuer,
      config.clientId,
      { [oidc.clockTolerance]: config.clockSkewSeconds },
      clientAuth,
      {
        [oidc.customFetch]: (url, init) => http.fetch(url, init as RequestInit),
        ...(isLoopback(issuer) ? { execute: [oidc.allowInsecureRequests] } : {}),
      },
    );
    const server = client.serverMetadata();
    const { userinfo_endpoint: userinfo } = server;
    const endpoints = [server.authorization_endpoint, server.token_endpoint, server.jwks_uri];
    for (const endpoint of [...endpoints, ...(userinfo === undefined ? [] : [userinfo])])
      http.requireUrl(endpoint ?? '', issuer);
    const expect = {
      issuer: server.issuer,
      clientId: config.clientId,
      algorithms: config.algorithms,
      skewS: config.clockSkewSeconds,
    };
    return { client, tokens: new OidcTokens(expect, new URL(server.jwks_uri!), http, nowMs) };
  }
}
