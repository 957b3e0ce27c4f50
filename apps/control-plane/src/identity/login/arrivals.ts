/**
 * From a person a provider vouches for to a sign-in here: which principal they are, the groups the mapping gives, the
 * session. The same for every protocol: read once, decided here, written at once. Refuses to know pages, redirects and
 * tokens of providers.
 */
import { randomBytes } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { asLine, GatewayError } from '@sallyport/core';
import type { PrincipalKind, PrincipalRef } from '@sallyport/model';
import { type ControlActInput, rowOf } from '../../acts/acts.ts';
import { detailWith, type RowChange } from '../../acts/changes.ts';
import type { Tx } from '../../db/database.ts';
import { Project } from '../../db/project.ts';
import { SystemClock } from '../../time.ts';
import { wantedGroups } from '../mapping/group-mapping.ts';
import { PersonFollowers } from '../person-followers.ts';
import { type IdentityProvider, type ProvenPerson, sourceOf } from '../providers.ts';
import { Revocations } from '../revocations.ts';
import {
  ArrivalsRepository,
  type GroupChange,
  type IdentityRow,
  isCollision,
  type NewPrincipal,
  type Standing,
} from './arrivals.repository.ts';
import { PersonSessions } from './person-sessions.ts';

const NAME_CHARS_MAX = 36;
const SUBJECT_CHARS_MAX = 500;
/** A person who comes in at two places at once is made by one of them; the other finds them. */
const TRIES_MAX = 5;

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

/** Who comes in: known, known by another provider's word, or new. */
interface Entering {
  readonly who: PrincipalRef;
  readonly newPrincipal: NewPrincipal | undefined;
  readonly identity: IdentityRow;
  readonly changes: readonly RowChange[];
}

/** The name they would have here. */
const nameOf = ({ username }: ProvenPerson): string =>
  username
    .replace(/[^A-Za-z0-9._@-]/g, '-')
    .replace(/^[^A-Za-z0-9]+/, '')
    .slice(0, NAME_CHARS_MAX) || 'person';

/** What tells that two accounts are one person, in lower case. */
const verifiedEmailOf = ({ email, emailVerified }: ProvenPerson): string | null =>
  emailVerified ? (email?.toLowerCase() ?? null) : null;

@Injectable()
export class Arrivals {
  constructor(
    private readonly project: Project,
    private readonly repository: ArrivalsRepository,
    private readonly followers: PersonFollowers,
    private readonly sessions: PersonSessions,
    private readonly revocations: Revocations,
    private readonly clock: SystemClock,
  ) {}

  /**
   * Opens a session for a proven person. Called once per answer of a provider, after every check of it.
   * @throws GatewayError `auth.failed` when the person may not sign in here
   */
  async open(proven: Proven): Promise<Arrival> {
    const { subject } = proven.person;
    if (subject === '' || subject.length > SUBJECT_CHARS_MAX)
      throw new GatewayError('auth.failed', { reason: 'subject' });
    for (let tried = 1; ; tried++) {
      try {
        return await this.#open(proven);
      } catch (cause) {
        if (tried >= TRIES_MAX || !isCollision(cause)) throw cause;
      }
    }
  }

  async #open(proven: Proven): Promise<Arrival> {
    const { projectId, provider, person, requestId } = proven;
    const standing = await this.#standing(proven);
    if (!standing.enabled) throw new GatewayError('auth.failed', { reason: 'project' });
    const { who, newPrincipal, identity, changes } = this.#entering(proven, standing);
    const { sessionS, refreshS } = provider;
    const session = this.sessions.prepare(
      { ...person, provider: provider.name },
      { tokenName: `sign-in (${provider.name})`, sessionS, refreshS },
    );
    const rows = {
      projectId,
      principalId: who.id,
      newPrincipal,
      identity,
      newIdentity: standing.identity === null,
      session,
      act: actOf(changes, {
        projectId,
        principal: who,
        action: 'session.signed_in',
        target: `principal/${who.name}`,
        detail: {
          by: sourceOf(provider),
          amr: [...person.amr],
          ...(person.acr === undefined ? {} : { acr: person.acr }),
        },
        requestId,
      }),
      once: person.once,
      groups: this.#groupChange(proven, newPrincipal === undefined ? standing : { ...standing, had: [] }, who),
      now: this.clock.now(),
    };
    // Two who come in at the very same moment may miss each other: what they said before stands until the next answer counts it.
    const mayJoin =
      standing.isShared && (standing.identity === null || identity.verifiedEmail !== standing.identity.verifiedEmail);
    const isIn = await this.repository.write(rows, mayJoin ? (tx) => this.followers.joined(tx, who.id) : undefined);
    if (!isIn)
      throw new GatewayError('auth.failed', {
        reason: 'the principal may not sign in, or what proves them was used before',
      });
    return { principal: who, sessionId: session.id, token: session.token.token, sessionS };
  }

  /** Only groups that exist here, and only this provider's memberships: those of other sources stay. */
  async syncGroups(tx: Tx, proven: Proven, who: PrincipalRef): Promise<void> {
    const change = this.#groupChange(proven, await this.#standing(proven, tx, who.id), who);
    if (change !== undefined) await this.repository.changeGroups(tx, proven.projectId, who.id, change);
  }

  async #standing({ projectId, provider, person }: Proven, tx?: Tx, principalId?: string): Promise<Standing> {
    const { subject } = person;
    const groups = wantedGroups(provider.mapping, person.groups);
    const source = sourceOf(provider);
    return await this.repository.standing(
      {
        projectId,
        provider: provider.name,
        subject,
        verifiedEmail: verifiedEmailOf(person),
        source,
        name: nameOf(person),
        groups,
        principalId,
      },
      tx,
    );
  }

  #entering(proven: Proven, { identity: known, account }: Standing): Entering {
    const { projectId, provider, person } = proven;
    const proof = { provider: provider.name, subject: person.subject, verifiedEmail: verifiedEmailOf(person) };
    if (known !== null && account !== null) {
      const identity = { ...proof, id: known.id };
      const of = { ...proof, principalId: account.id };
      const before = { ...of, verifiedEmail: known.verifiedEmail };
      return {
        who: requireEnabled(account),
        newPrincipal: undefined,
        identity,
        changes: [change('identity', before, of)],
      };
    }
    const mayLink = account !== null && provider.linksByName && account.kind === 'person';
    // Whom the installation's providers know is a newcomer to the default project; into another one its admins let them.
    if (!mayLink && projectId !== this.project.id && provider.projectId !== projectId)
      throw new GatewayError('auth.failed', { reason: 'this project does not know the person' });
    const identity = { ...proof, id: this.clock.id() };
    if (mayLink)
      return {
        who: requireEnabled(account),
        newPrincipal: undefined,
        identity,
        changes: [change('identity', null, { ...proof, principalId: account.id })],
      };
    const name = nameOf(person);
    const newPrincipal = {
      // Another provider's word must not open somebody's account: a taken name gets a tail.
      name: account === null ? name : `${name.slice(0, NAME_CHARS_MAX - 5)}-${randomBytes(2).toString('hex')}`,
      displayName: asLine(person.displayName, 200),
      email: person.email?.slice(0, 320) ?? null,
      roles: ['member'],
    };
    const id = this.clock.id();
    return {
      who: { id, name: newPrincipal.name, kind: 'person' },
      newPrincipal,
      identity,
      changes: [
        change('principal', null, { ...newPrincipal, kind: 'person' }),
        change('identity', null, { ...proof, principalId: id }),
      ],
    };
  }

  #groupChange(proven: Proven, { groups, had }: Standing, who: PrincipalRef): GroupChange | undefined {
    const { projectId, provider, requestId } = proven;
    const source = sourceOf(provider);
    const isIn = new Set(had.map(({ id }) => id));
    const isWanted = new Set(groups.map(({ id }) => id));
    const added = groups.filter(({ id }) => !isIn.has(id));
    const removed = had.filter(({ id }) => !isWanted.has(id));
    if (added.length + removed.length === 0) return undefined;
    const membership = ({ id }: { readonly id: string }) => ({ groupId: id, principalId: who.id, source });
    const changes = [
      ...added.map((group) => change('membership', null, membership(group))),
      ...removed.map((group) => change('membership', membership(group), null)),
    ];
    const names = (list: readonly { readonly name: string }[]): string[] => list.map(({ name }) => name);
    return {
      source,
      added,
      removed,
      revocation: removed.length === 0 ? undefined : this.revocations.rowOf(projectId, 'principal', who.id),
      act: actOf(changes, {
        projectId,
        principal: who,
        action: 'group.members_synced',
        target: `principal/${who.name}`,
        detail: { source, added: names(added), removed: names(removed) },
        requestId,
      }),
    };
  }
}

const change = (table: string, before: RowChange['before'], after: RowChange['after']): RowChange => ({
  table,
  before,
  after,
});

const actOf = (changes: readonly RowChange[], act: ControlActInput) =>
  rowOf({ ...act, detail: detailWith(act.detail ?? {}, changes) });

/** @throws GatewayError `auth.failed` for who may not sign in */
function requireEnabled({ id, name, kind, disabled }: NonNullable<Standing['account']>): PrincipalRef {
  if (disabled || kind !== 'person') throw new GatewayError('auth.failed', { reason: 'the principal may not sign in' });
  return { id, name, kind: kind as PrincipalKind };
}
