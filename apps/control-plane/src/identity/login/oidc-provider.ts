/**
 * One identity provider by OpenID Connect: authorization code with PKCE, state and nonce (openid-client does the checks).
 * Refuses plain HTTP except to a loopback issuer, which is the demo's.
 */
import * as oidc from 'openid-client';
import type { OidcProviderConfig } from '../../config.ts';
import type { IdentityProvider, ProvenPerson, SignInChecks } from '../providers.ts';

const SCOPE = 'openid profile email groups';
const LOOPBACK = new Set(['127.0.0.1', '[::1]', 'localhost']);
const GROUPS_MAX = 1_000;

const text = (value: unknown): string | undefined => (typeof value === 'string' && value !== '' ? value : undefined);

export class OidcIdentityProvider implements IdentityProvider {
  readonly name: string;
  readonly linksByName: boolean;
  readonly #settings: OidcProviderConfig;
  #discovered: Promise<oidc.Configuration> | undefined;

  constructor(settings: OidcProviderConfig, linksByName: boolean) {
    this.name = settings.name;
    this.linksByName = linksByName;
    this.#settings = settings;
  }

  async begin(redirectUri: string, checks: SignInChecks): Promise<URL> {
    return oidc.buildAuthorizationUrl(await this.#configuration(), {
      redirect_uri: redirectUri,
      scope: SCOPE,
      state: checks.state,
      nonce: checks.nonce,
      code_challenge: await oidc.calculatePKCECodeChallenge(checks.codeVerifier),
      code_challenge_method: 'S256',
    });
  }

  async finish(callback: URL, checks: SignInChecks): Promise<ProvenPerson> {
    const tokens = await oidc.authorizationCodeGrant(await this.#configuration(), callback, {
      expectedState: checks.state,
      expectedNonce: checks.nonce,
      pkceCodeVerifier: checks.codeVerifier,
      idTokenExpected: true,
    });
    const claims = tokens.claims();
    if (claims === undefined) throw new Error('no id token');
    const groups = claims[this.#settings.groupsClaim];
    const email = text(claims['email']);
    return {
      subject: claims.sub,
      username: text(claims['preferred_username']) ?? email?.split('@')[0] ?? claims.sub,
      displayName: text(claims['name']) ?? '',
      email,
      groups: Array.isArray(groups)
        ? groups.filter((group): group is string => typeof group === 'string').slice(0, GROUPS_MAX)
        : [],
    };
  }

  /** Discovered at the first use, so that a provider that is away does not stop the start; a failure is not kept. */
  #configuration(): Promise<oidc.Configuration> {
    this.#discovered ??= this.#discover().catch((error: unknown) => {
      this.#discovered = undefined;
      throw error;
    });
    return this.#discovered;
  }

  async #discover(): Promise<oidc.Configuration> {
    const { issuer, clientId, clientSecret } = this.#settings;
    const url = new URL(issuer);
    const isLocal = url.protocol === 'http:' && LOOPBACK.has(url.hostname);
    const authentication = clientSecret === undefined ? oidc.None() : oidc.ClientSecretPost(clientSecret.reveal());
    return await oidc.discovery(
      url,
      clientId,
      undefined,
      authentication,
      isLocal ? { execute: [oidc.allowInsecureRequests] } : {},
    );
  }
}
