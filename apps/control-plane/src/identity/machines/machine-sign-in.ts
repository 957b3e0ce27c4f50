/**
 * From the token that a cluster, a CI system or another issuer gave a machine to the principal it is here, by the trust
 * rules. One rule has to hold wholly; two that make different principals of it hold for none. Every failure reads alike.
 * Refuses persons: they sign in by a provider.
 */
import { Injectable } from '@nestjs/common';
import { GatewayError } from '@sallyport/core';
import {
  type ExpectedIssue,
  ISSUED_SKEW_S,
  mapPrincipal,
  type PrincipalKind,
  type PrincipalRef,
} from '@sallyport/model';
import type { JWTPayload } from 'jose';
import { recordAct } from '../../acts/acts.ts';
import { BundleChanges } from '../../bundles/bundle-changes.ts';
import { Database, type Tx } from '../../db/database.ts';
import type { Principal, TrustRule } from '../../generated/prisma/client.ts';
import type { Caller } from '../../http/caller.ts';
import { OAuthError } from '../../http/invalid-request.ts';
import { Log } from '../../http/problem.filter.ts';
import { SystemClock } from '../../time.ts';
import { ApiTokens } from '../api-tokens.ts';
import { IdentityRepository } from '../identity.repository.ts';
import { claimedOrigin, verifyIssued } from './issued-token.ts';
import { IssuerKeys } from './issuer-keys.ts';
import { TrustRepository } from './trust.repository.ts';
import { TrustRuleDocument } from './trust-rule-document.ts';

const SESSION_S = 3_600;
const NAME = /^[A-Za-z0-9][A-Za-z0-9._@-]{0,35}$/;

/** What one rule makes of a token: a principal's name, or why nothing. */
export interface Judgement {
  readonly rule: string;
  readonly principal: string | undefined;
  readonly why: string | undefined;
}
interface Held {
  readonly row: TrustRule;
  readonly rule: TrustRuleDocument;
  readonly payload: JWTPayload & { readonly exp: number };
  readonly name: string;
  readonly subject: string;
}
export interface MachineSignInOptions {
  /** The principal's name, where several rules hold. */
  readonly clientId: string | undefined;
  /** Thumbprint of the key that the session is bound to. */
  readonly boundKey?: string | undefined;
  readonly requestId: string;
}
export interface MachineSession {
  readonly caller: Caller;
  /** The API token of this sign-in. */
  readonly token: string;
  readonly expiresInSeconds: number;
}

/** What API sessions that a rule opened are called; ending a rule finds them by it. */
export const sessionNameOf = (rule: string): string => `trust rule ${rule}`;

export const documentOf = (row: TrustRule): TrustRuleDocument =>
  TrustRuleDocument.parse({ ...(row.document as object), name: row.name, issuer: row.issuer });

/** What a rule asks of a token's claims. */
export const expectedOf = (rule: TrustRuleDocument): ExpectedIssue => ({
  kind: rule.kind === 'spiffe' ? 'svid' : 'jwt',
  issuer: rule.issuer,
  audiences: rule.audiences,
  maxAgeS: rule.maxAgeSeconds,
  claims: rule.claims,
});

const isTokenId = (jti: unknown): boolean => typeof jti === 'string' && jti !== '' && jti.length <= 500;

@Injectable()
export class MachineSignIn {
  constructor(
    private readonly database: Database,
    private readonly repository: TrustRepository,
    private readonly identity: IdentityRepository,
    private readonly tokens: ApiTokens,
    private readonly issuerKeys: IssuerKeys,
    private readonly bundles: BundleChanges,
    private readonly clock: SystemClock,
    private readonly log: Log,
  ) {}

  /** @throws OAuthError `invalid_grant` whatever is wrong */
  async signIn(projectId: string, token: string, options: MachineSignInOptions): Promise<MachineSession> {
    const { requestId } = options;
    try {
      const held = await this.#prove(projectId, token, options.clientId);
      await this.#useUp(projectId, held);
      const made = await this.#open(projectId, held, options);
      const caller = await this.tokens.authenticate(made.token, requestId, options.boundKey);
      await this.repository.touchRule(held.row.id, this.clock.now());
      return { ...made, caller };
    } catch (cause) {
      if (cause instanceof GatewayError && cause.code === 'internal') throw cause;
      this.log.warn('a machine could not sign in', { requestId, cause });
      throw new OAuthError('invalid_grant', 'auth.failed');
    }
  }

  /** What each rule of the token's issuer makes of it; nothing is signed in. */
  async preview(projectId: string, token: string): Promise<readonly Judgement[]> {
    const origin = claimedOrigin(token);
    if (origin === undefined) return [];
    const rows = await this.repository.rulesOf(projectId, origin.issuers);
    return await Promise.all(
      rows.map(async (row) => {
        const held = await this.#judge(row, token).catch((error: unknown) =>
          error instanceof Error ? error : new Error('failed'),
        );
        if (!(held instanceof Error)) return { rule: row.name, principal: held.name, why: undefined };
        const reason = held instanceof GatewayError ? held.detail['reason'] : undefined;
        return { rule: row.name, principal: undefined, why: String(reason ?? held.message).slice(0, 300) };
      }),
    );
  }

  async #prove(projectId: string, token: string, wanted: string | undefined): Promise<Held> {
    const origin = claimedOrigin(token);
    if (origin === undefined) throw new Error('not a signed JWT');
    const rows = await this.repository.rulesOf(projectId, origin.issuers);
    const held: Held[] = [];
    const reasons: string[] = [];
    for (const row of rows) {
      try {
        held.push(await this.#judge(row, token));
      } catch (error) {
        reasons.push(`${row.name}: ${error instanceof Error ? error.message : 'failed'}`);
      }
    }
    const candidates = wanted === undefined ? held : held.filter(({ name }) => name === wanted);
    const [first] = candidates;
    if (first === undefined)
      throw new Error(
        rows.length === 0 ? 'no rule of this issuer' : `no rule holds: ${reasons.join('; ').slice(0, 1_000)}`,
      );
    if (candidates.some((one) => one.name !== first.name || one.subject !== first.subject))
      throw new Error('rules make different principals of it');
    return first;
  }

  /** @throws Error that says why */
  async #judge(row: TrustRule, token: string): Promise<Held> {
    const rule = documentOf(row);
    if (!rule.enabled) throw new Error('the rule is off');
    const keys = this.issuerKeys.resolver(`${row.id}/${row.updatedAt.getTime()}`, { projectId: row.projectId, rule });
    const payload = await verifyIssued(token, expectedOf(rule), keys, this.clock.nowMs());
    if (rule.oneTime && !isTokenId(payload.jti))
      throw new Error('each token is good once, and this one has no id (jti)');
    const mapped = mapPrincipal(rule.principal, payload);
    if (mapped === undefined) throw new Error('a claim that the principal’s name is made of is missing');
    if (!NAME.test(mapped.name)) throw new Error('no principal can have the name that comes out');
    return { row, rule, payload, ...mapped };
  }

  /** @throws Error when the rule's tokens are good once and this one was shown before, at whichever replica */
  async #useUp(projectId: string, { row, rule, payload }: Held): Promise<void> {
    if (!rule.oneTime) return;
    const until = new Date((payload.exp + 2 * ISSUED_SKEW_S) * 1000);
    if (!(await this.repository.useOnce(projectId, `trust/${row.id}`, payload.jti ?? '', until)))
      throw new Error('shown before');
  }

  async #open(projectId: string, held: Held, options: MachineSignInOptions): Promise<Omit<MachineSession, 'caller'>> {
    const { requestId, boundKey } = options;
    return await this.database.transaction(async (tx) => {
      const principal = await this.#principal(tx, projectId, held, requestId);
      if (principal.kind === 'person' || principal.disabledAt !== null)
        throw new Error('the principal may not sign in so');
      const nowMs = this.clock.nowMs();
      const seconds = Math.max(1, Math.min(SESSION_S, Math.floor(held.payload.exp - nowMs / 1000)));
      const { token } = await this.tokens.create(tx, {
        projectId,
        principalId: principal.id,
        name: sessionNameOf(held.row.name),
        kind: 'session',
        scopes: [],
        expiresAt: new Date(nowMs + seconds * 1000),
        boundKey,
      });
      const who: PrincipalRef = { id: principal.id, name: principal.name, kind: principal.kind as PrincipalKind };
      await recordAct(tx, {
        projectId,
        principal: who,
        action: 'session.signed_in',
        target: `principal/${principal.name}`,
        detail: {
          by: `trust:${held.row.name}`,
          issuer: held.rule.issuer,
          subject: String(held.payload.sub).slice(0, 300),
        },
        requestId,
      });
      return { token, expiresInSeconds: seconds };
    });
  }

  async #principal(tx: Tx, projectId: string, held: Held, requestId: string): Promise<Principal> {
    const { row, rule, name, subject } = held;
    if (subject === '') {
      const fixed = await this.identity.principal(projectId, name, tx);
      if (fixed === null || fixed.name !== name) throw new Error('there is no such principal');
      return fixed;
    }
    // The values of the claims are who it is; the name is only how it is written.
    const provider = `trust:${row.id}`;
    const known = await this.identity.identity(projectId, provider, subject, tx);
    if (known !== null) {
      await this.identity.touchIdentity(tx, known.id, this.clock.now(), null);
      return known.principal;
    }
    const taken = await this.identity.principal(projectId, name, tx);
    if (taken !== null && !(await this.#mayLink(tx, taken, provider)))
      throw new Error('the name belongs to another principal');
    if (taken === null && rule.create === undefined)
      throw new Error('there is no such principal, and the rule makes none');
    const principal = taken ?? (await this.#make(tx, projectId, held, requestId));
    // Agents know the principals of a rule by the values that make them.
    await this.bundles.bump(tx, projectId);
    await this.identity.insertIdentity(tx, {
      id: this.clock.id(),
      projectId,
      principalId: principal.id,
      provider,
      subject,
      lastLoginAt: this.clock.now(),
    });
    return principal;
  }

  /** Only a plain machine that no other subject of this rule has taken. */
  async #mayLink(tx: Tx, principal: Principal, provider: string): Promise<boolean> {
    if (principal.kind === 'person' || principal.roles.some((role) => role !== 'member')) return false;
    return (await this.repository.subjects(principal.id, provider, tx)) === 0;
  }

  async #make(tx: Tx, projectId: string, { row, rule, name }: Held, requestId: string): Promise<Principal> {
    const principal = await this.identity.insertPrincipal(tx, {
      id: this.clock.id(),
      projectId,
      name,
      kind: rule.create!.kind,
      displayName: '',
      roles: ['member'],
    });
    const groups = (await this.identity.allGroups(projectId, tx)).filter((group) =>
      rule.create!.groups.includes(group.name),
    );
    const source = `trust:${row.name}`;
    for (const group of groups)
      await this.identity.addMember(tx, { projectId, groupId: group.id, principalId: principal.id, source });
    await recordAct(tx, {
      projectId,
      principal: undefined,
      action: 'principal.created',
      target: `principal/${name}`,
      detail: { by: source, kind: rule.create!.kind, groups: groups.map((group) => group.name) },
      requestId,
    });
    return principal;
  }
}
