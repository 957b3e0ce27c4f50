/**
 * Signing people in by a provider: from the first redirect to a session token, with who they are here and the groups
 * the provider's claim gives. Every failure reads alike. Refuses to know pages and protocols of providers.
 */
import { randomBytes } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { GatewayError } from '@sallyport/core';
import type { PrincipalKind, PrincipalRef } from '@sallyport/model';
import { recordAct } from '../acts/acts.ts';
import { BundleChanges } from '../bundles/bundle-changes.ts';
import { Database, type Tx } from '../db/database.ts';
import { Project, ProjectDirectory } from '../db/project.ts';
import type { Principal } from '../generated/prisma/client.ts';
import { Log } from '../http/problem.filter.ts';
import { Listening } from '../listening.ts';
import { SystemClock } from '../time.ts';
import { ApiTokens, hashOf } from './api-tokens.ts';
import { PERSON_SESSION_S } from './device-flow.ts';
import { IdentityRepository } from './identity.repository.ts';
import { type IdentityProvider, IdentityProviders, type ProvenPerson } from './providers.ts';
import { Revocations } from './revocations.ts';

export const SIGN_IN_S = 600;
const NAME_CHARS_MAX = 36;
const random = (): string => randomBytes(32).toString('base64url');

/** A path on this server and nothing else, so that sign-in cannot be made to send people elsewhere. */
export const safeReturnTo = (text: string | undefined): string =>
  text !== undefined && /^\/(?![/\\])[\x21-\x5b\x5d-\x7e]{0,500}$/.test(text) ? text : '/device';

/** Someone whom a provider proved, at one sign-in to one project. */
interface Proven {
  readonly projectId: string;
  readonly provider: IdentityProvider;
  readonly person: ProvenPerson;
  readonly requestId: string;
}

@Injectable()
export class SignIn {
  constructor(
    private readonly providers: IdentityProviders,
    private readonly database: Database,
    private readonly project: Project,
    private readonly projects: ProjectDirectory,
    private readonly repository: IdentityRepository,
    private readonly tokens: ApiTokens,
    private readonly revocations: Revocations,
    private readonly bundles: BundleChanges,
    private readonly listening: Listening,
    private readonly clock: SystemClock,
    private readonly log: Log,
  ) {}

  get #redirectUri(): string {
    return `${this.listening.publicUrl()}/v1/login/callback`;
  }

  /** @returns where to send the browser, and the state it must bring back in a cookie */
  async begin(
    projectId: string,
    providerName: string | undefined,
    returnTo: string,
  ): Promise<{ readonly url: URL; readonly state: string }> {
    const provider =
      providerName === undefined ? this.providers.of(projectId)[0] : this.providers.find(projectId, providerName);
    if (provider === undefined) throw new GatewayError('request.not_found', { reason: 'no identity provider' });
    const checks = { state: random(), nonce: random(), codeVerifier: random() };
    const url = await provider.begin(this.#redirectUri, checks).catch((cause: unknown) => {
      this.log.error('an identity provider could not be reached', { provider: provider.name, cause });
      throw new GatewayError('auth.failed', { provider: provider.name }, { cause });
    });
    await this.repository.insertAttempt(this.database.client, {
      id: this.clock.id(),
      projectId,
      provider: provider.name,
      kind: 'browser',
      secretHash: hashOf(checks.state),
      nonce: checks.nonce,
      codeVerifier: checks.codeVerifier,
      returnTo,
      expiresAt: new Date(this.clock.nowMs() + SIGN_IN_S * 1000),
    });
    return { url, state: checks.state };
  }

  /**
   * @param query what the provider sent the browser back with, `?` included; @param cookieState from the same browser
   * @throws GatewayError `auth.failed` whatever is wrong
   */
  async finish(
    query: string,
    cookieState: string | undefined,
    requestId: string,
  ): Promise<{ readonly token: string; readonly returnTo: string }> {
    try {
      const callback = new URL(this.#redirectUri + query);
      const state = callback.searchParams.get('state') ?? '';
      if (state === '' || state !== cookieState) throw new Error('the state is not this browser’s');
      const attempt = await this.repository.attemptBySecret(hashOf(state));
      const now = this.clock.now();
      if (attempt === null || attempt.kind !== 'browser' || attempt.expiresAt <= now)
        throw new Error('no such sign-in');
      if (
        !(await this.repository.changeAttempt(
          this.database.client,
          attempt.id,
          { consumedAt: null },
          { consumedAt: now },
        ))
      )
        throw new Error('used twice');
      const { projectId } = attempt;
      const provider = this.providers.find(projectId, attempt.provider);
      if (provider === undefined) throw new Error('no such provider');
      const person = await provider.finish(callback, {
        state,
        nonce: attempt.nonce ?? '',
        codeVerifier: attempt.codeVerifier ?? '',
      });
      const token = await this.database.transaction((tx) => this.#open(tx, { projectId, provider, person, requestId }));
      return { token, returnTo: safeReturnTo(attempt.returnTo ?? undefined) };
    } catch (cause) {
      this.log.warn('a sign-in failed', { requestId, cause });
      throw new GatewayError('auth.failed', {}, { cause });
    }
  }

  /** The person behind a browser's session token, and in which project; or undefined. */
  async personOf(token: string | undefined): Promise<(PrincipalRef & { readonly projectId: string }) | undefined> {
    if (token === undefined) return undefined;
    return await this.tokens.authenticate(token, 'page').then(
      ({ principal, projectId }) => (principal.kind === 'person' ? { ...principal, projectId } : undefined),
      (error: unknown) => {
        if (error instanceof GatewayError) return undefined;
        throw error;
      },
    );
  }

  async #open(tx: Tx, proven: Proven): Promise<string> {
    const { projectId, provider, requestId } = proven;
    if (!(await this.projects.isEnabled(projectId, tx))) throw new Error('no such project');
    const principal = await this.#principal(tx, proven);
    if (principal.disabledAt !== null || principal.kind !== 'person') throw new Error('the principal may not sign in');
    const who: PrincipalRef = { id: principal.id, name: principal.name, kind: principal.kind as PrincipalKind };
    await this.#syncGroups(tx, proven, who);
    const expiresAt = new Date(this.clock.nowMs() + PERSON_SESSION_S * 1000);
    const { token } = await this.tokens.create(tx, {
      projectId,
      principalId: principal.id,
      name: `sign-in (${provider.name})`,
      kind: 'session',
      scopes: [],
      expiresAt,
    });
    await recordAct(tx, {
      projectId,
      principal: who,
      action: 'session.signed_in',
      target: `principal/${principal.name}`,
      detail: { by: `oidc:${provider.name}` },
      requestId,
    });
    return token;
  }

  async #principal(tx: Tx, { projectId, provider, person }: Proven): Promise<Principal> {
    const known = await this.repository.identity(projectId, provider.name, person.subject, tx);
    if (known !== null) {
      await this.repository.touchIdentity(tx, known.id, this.clock.now());
      return known.principal;
    }
    const name =
      person.username
        .replace(/[^A-Za-z0-9._@-]/g, '-')
        .replace(/^[^A-Za-z0-9]+/, '')
        .slice(0, NAME_CHARS_MAX) || 'person';
    const taken = await this.repository.principal(projectId, name, tx);
    const mayLink = taken !== null && provider.linksByName && taken.kind === 'person';
    // Who the installation's providers know is a newcomer to the default project; into another one they are let by its admins.
    if (!mayLink && projectId !== this.project.id && provider.projectId !== projectId)
      throw new Error('this project does not know the person');
    // Another provider's word must not open somebody's account: a taken name gets a tail.
    const free = taken === null ? name : `${name.slice(0, NAME_CHARS_MAX - 5)}-${randomBytes(2).toString('hex')}`;
    const principal = mayLink
      ? taken
      : await this.repository.insertPrincipal(tx, {
          id: this.clock.id(),
          projectId,
          name: free,
          kind: 'person',
          displayName: person.displayName.slice(0, 200),
          email: person.email ?? null,
          roles: ['member'],
        });
    await this.repository.insertIdentity(tx, {
      id: this.clock.id(),
      projectId,
      principalId: principal.id,
      provider: provider.name,
      subject: person.subject,
      lastLoginAt: this.clock.now(),
    });
    return principal;
  }

  /** Only groups that exist here, and only this provider's memberships: manual ones stay. */
  async #syncGroups(tx: Tx, { projectId, provider, person, requestId }: Proven, who: PrincipalRef): Promise<void> {
    const source = `oidc:${provider.name}`;
    const had = (await this.repository.groupsOf(projectId, who.id, tx)).filter((group) => group.source === source);
    const wanted = (await this.repository.allGroups(projectId, tx)).filter((group) =>
      person.groups.includes(group.name),
    );
    const added = wanted.filter((group) => !had.some((one) => one.id === group.id));
    const lost = had.filter((group) => !wanted.some((one) => one.id === group.id));
    for (const group of added)
      await this.repository.addMember(tx, {
        projectId,
        groupId: group.id,
        principalId: who.id,
        source,
      });
    for (const group of lost)
      await this.repository.removeMembers(tx, { groupId: group.id, principalId: who.id, source });
    if (lost.length > 0) await this.revocations.revoke(tx, projectId, 'principal', who.id);
    if (added.length + lost.length === 0) return;
    const names = (groups: readonly { readonly name: string }[]) => groups.map((group) => group.name);
    await recordAct(tx, {
      projectId,
      principal: who,
      action: 'group.members_synced',
      target: `principal/${who.name}`,
      detail: { source, added: names(added), removed: names(lost) },
      requestId,
    });
    await this.bundles.bump(tx, projectId);
  }
}
