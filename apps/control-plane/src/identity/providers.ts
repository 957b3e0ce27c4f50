/**
 * The seam for identity providers: one interface, one registry line each (login/provider-kinds.ts). What differs between
 * OpenID Connect and SAML stays behind it; who someone is *here* is sign-in.service.ts's business.
 */
import type { GroupMapping } from './mapping/group-mapping.ts';
import type { Claims } from './mapping/read-groups.ts';
import type { ProviderRow } from './provider-settings/providers.repository.ts';

export interface ProvenPerson {
  /** The provider's own stable id of the person. */
  readonly subject: string;
  /** What the provider calls them; a wish, not a key. */
  readonly username: string;
  readonly displayName: string;
  readonly email: string | undefined;
  /** True only when the provider says that it checked the address. */
  readonly emailVerified: boolean;
  /** As the provider says them; the mapping makes ours of them. */
  readonly groups: readonly string[];
  /** How they proved who they are (RFC 8176), and at what level; empty and absent when the provider does not say. */
  readonly amr: readonly string[];
  readonly acr?: string | undefined;
  /** When they did, UTC milliseconds; absent when the provider does not say: then no age is fresh enough. */
  readonly authTimeMs?: number | undefined;
  /** The provider's id of their session there: what a logout names. */
  readonly sessionId?: string | undefined;
  /** Kept sealed: to ask the provider again, and to sign out there. */
  readonly refreshToken?: string | undefined;
  readonly idToken?: string | undefined;
  /** What proved it counts for one session: written with that, which there is none of when it was used before. */
  readonly once?: UsedOnce | undefined;
}

export interface UsedOnce {
  readonly projectId: string;
  /** What the id is of. */
  readonly purpose: string;
  /** Of the id. */
  readonly hash: Uint8Array<ArrayBuffer>;
  /** From when on it proves nothing any more. */
  readonly expiresAt: Date;
}

/** What ties the two halves of one sign-in together; kept by us, never by the browser alone. */
export interface SignInChecks {
  readonly state: string;
  readonly nonce: string;
  readonly codeVerifier: string;
}

/** What a step-up asks of the provider beyond a plain sign-in. */
export interface SignInAsk {
  /** Seconds; 0 = prove it now. The answer is refused when it does not prove that. */
  readonly maxAgeS?: number | undefined;
  /** A wish to the provider; whoever needs it checks what came back. */
  readonly acrValues?: string | undefined;
}

/** What the browser brought back from the provider. */
export interface ProviderAnswer {
  readonly url: URL;
  /** Fields of a form, where the provider answers by POST. */
  readonly form?: Readonly<Record<string, string>>;
}

/** What is found of a provider when it is tried out; never a secret. */
export interface ProviderCheck {
  readonly check: string;
  readonly ok: boolean;
  readonly detail: string;
}

/** What a token or a set of claims says, before any mapping. */
export interface ReadClaims {
  readonly person: Pick<ProvenPerson, 'subject' | 'username' | 'displayName' | 'email' | 'emailVerified' | 'groups'>;
  /** Why a sign-in with exactly this would be refused; empty = it would not. */
  readonly problems: readonly string[];
}

export interface IdentityProvider {
  /** DNS label, unique in its project. */
  readonly name: string;
  readonly kind: 'oidc' | 'saml';
  readonly displayName: string;
  /** Whose it is. Undefined = the installation's: it serves every project, and newcomers join the default one alone. */
  readonly projectId?: string | undefined;
  /** A username of this provider may claim the principal of that name (ours alone: the demo's). */
  readonly linksByName: boolean;
  readonly mapping: GroupMapping;
  /** Seconds a sign-in lasts at most. */
  readonly sessionS: number;
  /** How often it is asked again whether a person may stay, in seconds; undefined = it cannot be asked. */
  readonly refreshS: number | undefined;
  /** Where its answers arrive, below the public URL: distinct per provider, so that one cannot be taken for another. */
  readonly callbackPath: string;
  /** Where to send the browser. @throws GatewayError `auth.provider_unavailable` */
  begin(redirectUri: string, checks: SignInChecks, ask: SignInAsk): Promise<URL>;
  /** @throws anything when the answer does not prove a person; the caller says `auth.failed` */
  finish(answer: ProviderAnswer, checks: SignInChecks, ask: SignInAsk): Promise<ProvenPerson>;
  /** Tries it out: reachable, its metadata, its keys, its clock. */
  test(): Promise<readonly ProviderCheck[]>;
  /** For previews. @param input claims, or a whole token or assertion; @throws GatewayError `request.invalid` */
  read(input: { readonly claims: Claims } | { readonly token: string }): Promise<ReadClaims>;
  /**
   * Asks whether the person may stay, and what their groups are now. Absent where the protocol cannot.
   * @throws GatewayError `auth.failed` when the provider says no; anything else when it could not be asked
   */
  refresh?(refreshToken: string, subject: string): Promise<ProvenPerson>;
  /** Where to send the browser to sign out there too. Absent where the protocol or the provider cannot. */
  signOut?(idToken: string | undefined, returnTo: string): Promise<URL | undefined>;
}

/** `oidc:okta`: the source of the memberships it gives. */
export const sourceOf = (provider: Pick<IdentityProvider, 'kind' | 'name'>): string =>
  `${provider.kind}:${provider.name}`;

/** Abstract class as the injection token. */
export abstract class IdentityProviders {
  /** The installation's, of the environment: their word means the same person in every project. */
  abstract readonly shared: readonly IdentityProvider[];
  /** The enabled ones that people may sign in to a project by. */
  abstract list(projectId: string): Promise<readonly IdentityProvider[]>;
  abstract find(projectId: string, name: string): Promise<IdentityProvider | undefined>;
  /** The same, with the enabled row of that name in the project read already; null = there is none. */
  abstract findWith(name: string, row: ProviderRow | null): Promise<IdentityProvider | undefined>;
}
