/** Does a revocation in force end this token or session? A principal's revocation counts for who acts and for whom. */
import type { Revocation } from '@sallyport/model';

export interface RevocableToken {
  readonly sessionId: string | undefined;
  readonly tokenId: string;
  readonly principalIds: readonly string[];
  /** When the token was issued, UTC ms. */
  readonly issuedAtMs: number;
}

/** Revocations by id: a linear list per token would be quadratic in a sweep. */
export class RevocationIndex {
  readonly #byId = new Map<string, Revocation[]>();

  constructor(revocations: readonly Revocation[]) {
    for (const revocation of revocations) {
      const key = `${revocation.kind}/${revocation.id}`;
      const known = this.#byId.get(key);
      if (known === undefined) this.#byId.set(key, [revocation]);
      else known.push(revocation);
    }
  }

  ends(token: RevocableToken): boolean {
    if (this.#has(`token/${token.tokenId}`)) return true;
    if (token.sessionId !== undefined && this.#has(`session/${token.sessionId}`)) return true;
    return token.principalIds.some((id) =>
      // A token's time is in whole seconds: the second of the revocation counts as before it.
      (this.#byId.get(`principal/${id}`) ?? []).some(({ before }) => token.issuedAtMs < before),
    );
  }

  /** An approver took the approval back. */
  hasApproval(id: string): boolean {
    return this.#has(`approval/${id}`);
  }

  #has(key: string): boolean {
    return this.#byId.has(key);
  }
}
