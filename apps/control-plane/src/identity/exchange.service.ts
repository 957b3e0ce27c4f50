/**
 * Token exchange (RFC 8693): an API token becomes an access token (RFC 9068) that opens sessions on one resource for
 * minutes. With an actor token the actor acts *for* the subject: both stand in the token, rights are the intersection.
 * Refuses what no grant gives; the agent judges again, since a token only narrows.
 */

import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { Injectable } from '@nestjs/common';
import { GatewayError, LIMITS, parseUuid } from '@sallyport/core';
import { type AccessTokenClaims, labelsMatch } from '@sallyport/model';
import { rowOf } from '../acts/acts.ts';
import { ProjectDirectory } from '../db/project.ts';
import type { Grant } from '../generated/prisma/client.ts';
import { Authenticator, type Caller, requirePermission } from '../http/caller.ts';
import { OAuthError } from '../http/invalid-request.ts';
import { Keys } from '../keys/keys.ts';
import { hideDetected } from '../masking/detected.ts';
import { SystemClock } from '../time.ts';
import { type AccessTo, type GrantInForce, IdentityRepository } from './identity.repository.ts';
import { MachineSignIn } from './machines/machine-sign-in.ts';
import { keptOfThisSecond } from './revocations.ts';

/** Minutes, not hours: a leaked token is good for one resource for this long. */
const ACCESS_TTL_S = 600;
const GRANTS_IN_TOKEN_MAX = 16;
/** Token times are whole seconds. */
const WAIT_MS_MAX = 1_000;
/** A timer may come by so much too early. */
const EARLY_MS = 5;
/** An agent not seen for this long is not waited for. */
const AGENT_SEEN_MS = 24 * 60 * 60_000;

/** `jwt`: of another issuer, by the trust rules. */
export type TokenKind = 'api' | 'jwt';
export interface GivenToken {
  readonly kind: TokenKind;
  readonly token: string;
}

export interface ExchangeInput {
  readonly subject: GivenToken;
  readonly actor: GivenToken | undefined;
  /** Principal meant, where several trust rules hold. */
  readonly clientId: string | undefined;
  /** Project whose trust rules count for tokens of other issuers. */
  readonly project: string | undefined;
  /** Thumbprint of the key that was proven with this request. */
  readonly provenKey: string | undefined;
  /** What the access token is to be bound to. */
  readonly confirm: AccessTokenClaims['cnf'];
  /** Name or id. */
  readonly resource: string;
  /** A role on the server to be asked for; some grant must offer it. */
  readonly role: string | undefined;
  /** Why, in the requester's words. */
  readonly reason?: string | undefined;
  readonly requestId: string;
}
export interface ExchangeAnswer {
  readonly accessToken: string;
  readonly expiresInSeconds: number;
}

interface SignedIn {
  readonly caller: Caller;
  /** What shows them again; another issuer's token may be good once. */
  readonly by: GivenToken;
}

/** A resource as far as grants look at it. */
export interface GrantTarget {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
}

/** True when a grant names the resource, or labels that it carries. */
export const isGrantOn = (grant: Pick<Grant, 'resource' | 'labels'>, resource: GrantTarget): boolean =>
  grant.resource === null
    ? labelsMatch((grant.labels ?? {}) as Record<string, string>, resource.labels)
    : grant.resource === resource.name;

/**
 * What an access token is bound to: whatever the client asks for, and the key of the sessions it is made from, so that a
 * bound session never becomes a bearer token.
 * @throws OAuthError `invalid_request` when another key is named than the one proven
 */
function confirmOf(asked: AccessTokenClaims['cnf'], from: readonly Caller[]): AccessTokenClaims['cnf'] {
  const keys = [...new Set(from.flatMap(({ boundKey }) => boundKey ?? []))];
  if (keys.length === 0) return asked;
  // Both sessions were proven by the proof of this one request, so there is but one key.
  if (keys.length > 1 || (asked?.jkt !== undefined && asked.jkt !== keys[0]))
    throw new OAuthError('invalid_request', 'auth.forbidden');
  return { ...asked, jkt: keys[0] };
}

/** When the last of them ends, UTC ms: a token may outlive one grant while another still holds. */
const endOf = (grants: readonly GrantInForce[]): number =>
  Math.max(...grants.map(({ endsMs }) => endsMs ?? Number.POSITIVE_INFINITY));

@Injectable()
export class Exchange {
  constructor(
    private readonly authenticator: Authenticator,
    private readonly machines: MachineSignIn,
    private readonly projects: ProjectDirectory,
    private readonly repository: IdentityRepository,
    private readonly keys: Keys,
    private readonly clock: SystemClock,
  ) {}

  /** @throws OAuthError `invalid_grant` for a bad token, `invalid_target` for no resource or no grant */
  async exchange(input: ExchangeInput): Promise<ExchangeAnswer> {
    const signedIn = await this.#authenticate(input.subject, input);
    const actorSignedIn = input.actor === undefined ? undefined : await this.#authenticate(input.actor, input);
    const [subject, actor] = [signedIn.caller, actorSignedIn?.caller];
    if (actor !== undefined && (actor.principal.kind === 'person' || actor.principal.id === subject.principal.id)) {
      throw new OAuthError('invalid_request', 'auth.forbidden');
    }
    // Rights of one project say nothing in another.
    if (actor !== undefined && actor.projectId !== subject.projectId)
      throw new OAuthError('invalid_grant', 'auth.failed');
    const acting = actor ?? subject;
    const confirm = confirmOf(input.confirm, [subject, acting]);
    const now = this.clock.nowMs();
    const accessOfActing = await this.#accessOf(acting, input.resource, now);
    const { resource, grants: ofActing } = accessOfActing;
    const accessOfSubject = actor === undefined ? accessOfActing : await this.#accessOf(subject, resource.id, now);
    const ofSubject = accessOfSubject.grants;
    if (ofActing.length === 0 || ofSubject.length === 0) throw new OAuthError('invalid_target', 'grant.missing');
    // What has ended their tokens in this second, as a group that a sign-in took away, ends all that say this second.
    const wait = Math.max(accessOfActing.endedUntilMs, accessOfSubject.endedUntilMs) - now;
    if (wait > 0) {
      await sleep(Math.min(wait, WAIT_MS_MAX) + EARLY_MS);
      // From the beginning: what was proven and given may have been taken away meanwhile.
      return await this.exchange({ ...input, subject: signedIn.by, actor: actorSignedIn?.by });
    }
    const offers = (grants: readonly GrantInForce[]): boolean =>
      grants.some((grant) => grant.roles.includes(input.role!));
    if (input.role !== undefined && !(offers(ofActing) && offers(ofSubject)))
      throw new OAuthError('invalid_scope', 'grant.missing');
    const grants = [...new Map([...ofActing, ...ofSubject].map((grant) => [grant.id, grant])).values()];
    const lastEnd = Math.min(endOf(ofActing), endOf(ofSubject));
    const ttl = Math.max(1, Math.min(ACCESS_TTL_S, Math.floor((lastEnd - now) / 1000)));
    const iat = Math.floor(now / 1000);
    const reason = (input.reason ?? '').trim();
    if (Buffer.byteLength(reason) > LIMITS.reasonBytesMax) throw new OAuthError('invalid_request');
    const claims: AccessTokenClaims = {
      iss: this.keys.issuer,
      aud: resource.id,
      sub: acting.principal.id,
      nam: acting.principal.name,
      knd: acting.principal.kind,
      ...(actor === undefined
        ? {}
        : { obo: { sub: subject.principal.id, nam: subject.principal.name, knd: subject.principal.kind } }),
      jti: randomBytes(9).toString('base64url'),
      iat,
      exp: iat + ttl,
      prj: subject.projectId,
      gr: ['*'],
      ...(await this.#signInClaims(subject, resource.agents)),
      ...(reason === '' ? {} : { rsn: reason }),
      ...(confirm === undefined ? {} : { cnf: confirm }),
    };
    const accessToken = await this.#sign(claims, grants);
    const tokens = [...new Set([subject.tokenId, acting.tokenId])].map((apiTokenId) => ({
      jti: apiTokenId === acting.tokenId ? claims.jti : `${claims.jti}~subject`,
      projectId: subject.projectId,
      apiTokenId,
      resourceId: resource.id,
      expiresAt: new Date(claims.exp * 1000),
    }));
    await this.repository.recordAccess(
      tokens,
      rowOf({
        projectId: subject.projectId,
        principal: acting.principal,
        onBehalfOf: actor === undefined ? undefined : subject.principal,
        action: 'access.issued',
        target: `resource/${resource.name}`,
        detail: {
          jti: claims.jti,
          seconds: ttl,
          ...(claims.idp === undefined ? {} : { idp: claims.idp, amr: [...(claims.amr ?? [])] }),
          ...(input.role === undefined ? {} : { role: input.role }),
          ...(reason === '' ? {} : { reason: hideDetected(reason) }),
        },
        requestId: input.requestId,
      }),
    );
    return { accessToken, expiresInSeconds: ttl };
  }

  /** @throws OAuthError `invalid_target`: no resource reads like no grant, so that names cannot be guessed */
  async #accessOf({ projectId, principal }: Caller, resource: string, nowMs: number): Promise<AccessTo> {
    const found = await this.repository.accessTo(
      projectId,
      principal.id,
      resource,
      new Date(nowMs),
      keptOfThisSecond(nowMs),
    );
    if (found === null) throw new OAuthError('invalid_target', 'grant.missing');
    const target = { name: found.resource.name, labels: found.resource.labels as Readonly<Record<string, string>> };
    return { ...found, grants: found.grants.filter((grant) => isGrantOn(grant, target)) };
  }

  /** Grants of a principal, own and by group, in force on a resource. */
  async grantsOn(
    projectId: string,
    principalId: string,
    resource: GrantTarget,
    nowMs: number,
  ): Promise<readonly Grant[]> {
    return (await this.grantsOf(projectId, principalId, nowMs)).filter((grant) => isGrantOn(grant, resource));
  }

  /** The same on any resource; `isGrantOn` tells which. */
  async grantsOf(projectId: string, principalId: string, nowMs: number): Promise<readonly Grant[]> {
    return await this.repository.grantsInForce(projectId, principalId, new Date(nowMs));
  }

  /**
   * How the person signed in, for rules about `auth.*`. Left out while an agent that guards the resource is too old to read it: its
   * parser would refuse the token, and a rule that asks is refused by that agent anyway.
   */
  async #signInClaims(
    { projectId, signIn }: Caller,
    agents: readonly string[],
  ): Promise<Pick<AccessTokenClaims, 'amr' | 'acr' | 'ath' | 'idp'>> {
    if (signIn === undefined) return {};
    const since = new Date(this.clock.nowMs() - AGENT_SEEN_MS);
    if (await this.repository.hasOldAgent(projectId, agents, 'policy.auth.1', since)) return {};
    return {
      ...(signIn.amr.length === 0 ? {} : { amr: [...signIn.amr] }),
      ...(signIn.acr === undefined ? {} : { acr: signIn.acr }),
      ...(signIn.authTimeMs === undefined ? {} : { ath: Math.floor(signIn.authTimeMs / 1000) }),
      idp: signIn.provider,
    };
  }

  /** Names the grants it draws on, as long as the token stays small; else all of the principal's. */
  async #sign(claims: AccessTokenClaims, grants: readonly GrantInForce[]): Promise<string> {
    if (grants.length <= GRANTS_IN_TOKEN_MAX) {
      const gr = grants.map((grant) => Buffer.from(parseUuid(grant.id)!).toString('base64url'));
      const narrowed = await this.keys.signJws('access_token', 'at+jwt', { ...claims, gr });
      if (narrowed.length < LIMITS.accessTokenBytesMax) return narrowed;
    }
    const token = await this.keys.signJws('access_token', 'at+jwt', claims);
    if (token.length >= LIMITS.accessTokenBytesMax) throw new OAuthError('invalid_request', 'auth.token_too_large');
    return token;
  }

  async #authenticate(given: GivenToken, input: ExchangeInput): Promise<SignedIn> {
    const { requestId, clientId, provenKey } = input;
    if (given.kind === 'jwt') {
      // The client id says who acts.
      const wanted = given === input.subject && input.actor?.kind === 'jwt' ? undefined : clientId;
      const projectId = await this.projects.idToSignIn(input.project);
      const { caller, token } = await this.machines.signIn(projectId, given.token, { clientId: wanted, requestId });
      requirePermission(caller, 'access:exchange');
      return { caller, by: { kind: 'api', token } };
    }
    const caller = await this.authenticator.authenticate(given.token, requestId, provenKey).catch((cause: unknown) => {
      // A database that is away has not said that the token is bad.
      if (!(cause instanceof GatewayError)) throw cause;
      throw new OAuthError('invalid_grant', 'auth.failed');
    });
    requirePermission(caller, 'access:exchange');
    return { caller, by: given };
  }
}
