/**
 * From a person a provider vouches for to a sign-in here: which principal they are, the groups the mapping gives, the
 * session. The same for every protocol. Refuses to know pages, redirects and tokens of providers.
 */
import { randomBytes } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { GatewayError } from '@sallyport/core';
import type { PrincipalKind, PrincipalRef } from '@sallyport/model';
import { recordAct } from '../../acts/acts.ts';
import { BundleChanges } from '../../bundles/bundle-changes.ts';
import type { Tx } from '../../db/database.ts';
import { Project, ProjectDirectory } from '../../db/project.ts';
import type { Principal } from '../../generated/prisma/client.ts';
import { SystemClock } from '../../time.ts';
import { IdentityRepository } from '../identity.repository.ts';
import { mapGroups } from '../mapping/group-mapping.ts';
import { type IdentityProvider, type ProvenPerson, sourceOf } from '../providers.ts';
import { Revocations } from '../revocations.ts';
import { PersonSessions } from './person-sessions.ts';

const NAME_CHARS_MAX = 36;
const SUBJECT_CHARS_MAX = 500;

/** Someone whom a provider proved, at one sign-in to one project. */
export interface Proven {
  readonly projectId: string;
  readonly provider: IdentityProvider;
  readonly person: ProvenPerson;
  readonly requestId: string;
}

export interface Arrival {
  readonly principal: PrincipalRef;
  readonly sessionId: string;
  /** API token of the browser's session. */
  readonly token: string;
  readonly sessionS: number;
}

@Injectable()
export class Arrivals {
  constructor(
    private readonly project: Project,
    private readonly projects: ProjectDirectory,
    private readonly repository: IdentityRepository,
    private readonly sessions: PersonSessions,
    private readonly revocations: Revocations,
    private readonly bundles: BundleChanges,
    private readonly clock: SystemClock,
  ) {}

  /**
   * Opens a session for a proven person. Called once per answer of a provider, after every check of it.
   * @throws GatewayError `auth.failed` when the person may not sign in here
   */
  async open(tx: Tx, proven: Proven): Promise<Arrival> {
    const { projectId, provider, person, requestId } = proven;
    if (!(await this.projects.isEnabled(projectId, tx))) throw new GatewayError('auth.failed', { reason: 'project' });
    if (person.subject === '' || person.subject.length > SUBJECT_CHARS_MAX)
      throw new GatewayError('auth.failed', { reason: 'subject' });
    const principal = await this.#principal(tx, proven);
    if (principal.disabledAt !== null || principal.kind !== 'person')
      throw new GatewayError('auth.failed', { reason: 'the principal may not sign in' });
    const who: PrincipalRef = { id: principal.id, name: principal.name, kind: principal.kind as PrincipalKind };
    const { sessionId, token } = await this.sessions.open(
      tx,
      principal,
      { ...person, provider: provider.name },
      { tokenName: `sign-in (${provider.name})`, sessionS: provider.sessionS, refreshS: provider.refreshS },
    );
    await recordAct(tx, {
      projectId,
      principal: who,
      action: 'session.signed_in',
      target: `principal/${principal.name}`,
      detail: {
        by: sourceOf(provider),
        amr: [...person.amr],
        ...(person.acr === undefined ? {} : { acr: person.acr }),
      },
      requestId,
    });
    // Last: a change of groups takes the project's revision, and others wait for that until this commits.
    await this.syncGroups(tx, proven, who);
    return { principal: who, sessionId, token, sessionS: provider.sessionS };
  }

  async #principal(tx: Tx, { projectId, provider, person }: Proven): Promise<Principal> {
    const known = await this.repository.identity(projectId, provider.name, person.subject, tx);
    const verifiedEmail = person.emailVerified ? (person.email?.toLowerCase() ?? null) : null;
    if (known !== null) {
      await this.repository.touchIdentity(tx, known.id, this.clock.now(), verifiedEmail);
      return known.principal;
    }
    const name =
      person.username
        .replace(/[^A-Za-z0-9._@-]/g, '-')
        .replace(/^[^A-Za-z0-9]+/, '')
        .slice(0, NAME_CHARS_MAX) || 'person';
    const taken = await this.repository.principal(projectId, name, tx);
    const mayLink = taken !== null && provider.linksByName && taken.kind === 'person';
    // Whom the installation's providers know is a newcomer to the default project; into another one its admins let them.
    if (!mayLink && projectId !== this.project.id && provider.projectId !== projectId)
      throw new GatewayError('auth.failed', { reason: 'this project does not know the person' });
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
          email: person.email?.slice(0, 320) ?? null,
          roles: ['member'],
        });
    await this.repository.insertIdentity(tx, {
      id: this.clock.id(),
      projectId,
      principalId: principal.id,
      provider: provider.name,
      subject: person.subject,
      verifiedEmail,
      lastLoginAt: this.clock.now(),
    });
    return principal;
  }

  /** Only groups that exist here, and only this provider's memberships: those of other sources stay. */
  async syncGroups(tx: Tx, { projectId, provider, person, requestId }: Proven, who: PrincipalRef): Promise<void> {
    const source = sourceOf(provider);
    const all = await this.repository.groupIds(projectId, tx);
    const wanted = new Set(mapGroups(provider.mapping, person.groups, new Set(all.keys())).groups);
    const had = new Set(
      (await this.repository.groupsOf(projectId, who.id, tx))
        .filter((one) => one.source === source)
        .map((one) => one.name),
    );
    const added = [...wanted].filter((name) => !had.has(name));
    const removed = [...had].filter((name) => !wanted.has(name));
    if (added.length + removed.length === 0) return;
    await this.repository.addMembers(
      tx,
      added.map((name) => ({ projectId, groupId: all.get(name)!, principalId: who.id, source })),
    );
    if (removed.length > 0) {
      const groupId = { in: removed.map((name) => all.get(name)!) };
      await this.repository.removeMembers(tx, { principalId: who.id, source, groupId });
      await this.revocations.revoke(tx, projectId, 'principal', who.id);
    }
    await recordAct(tx, {
      projectId,
      principal: who,
      action: 'group.members_synced',
      target: `principal/${who.name}`,
      detail: { source, added, removed },
      requestId,
    });
    await this.bundles.bump(tx, projectId);
  }
}
