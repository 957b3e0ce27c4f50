/**
 * The seam for identity providers: one interface, one registry line each. What differs between OpenID Connect, SAML and
 * a cluster's tokens stays behind it; who someone is *here* is sign-in.service.ts's business.
 */
export interface ProvenPerson {
  /** The provider's own stable id of the person. */
  readonly subject: string;
  /** What the provider calls them; a wish, not a key. */
  readonly username: string;
  readonly displayName: string;
  readonly email: string | undefined;
  readonly groups: readonly string[];
}

/** What ties the two halves of one sign-in together; kept by us, never by the browser alone. */
export interface SignInChecks {
  readonly state: string;
  readonly nonce: string;
  readonly codeVerifier: string;
}

export interface IdentityProvider {
  /** DNS label; memberships it gives have source `oidc:<name>`. */
  readonly name: string;
  /** Whose it is. Undefined = the installation's: it serves every project, and newcomers join the default one alone. */
  readonly projectId?: string | undefined;
  /** A username of this provider may claim the principal of that name (ours alone: the demo's). */
  readonly linksByName: boolean;
  /** Where to send the browser. */
  begin(redirectUri: string, checks: SignInChecks): Promise<URL>;
  /** @throws anything when the answer does not prove a person; the caller says `auth.failed` */
  finish(callback: URL, checks: SignInChecks): Promise<ProvenPerson>;
}

/** Abstract class as the injection token. */
export abstract class IdentityProviders {
  abstract readonly all: readonly IdentityProvider[];
  /** Those that people may sign in to a project by. */
  of(projectId: string): readonly IdentityProvider[] {
    return this.all.filter((provider) => provider.projectId === undefined || provider.projectId === projectId);
  }
  find(projectId: string, name: string): IdentityProvider | undefined {
    return this.of(projectId).find((provider) => provider.name === name);
  }
}
