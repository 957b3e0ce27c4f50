/**
 * What grants add up to: principal or group × resource × effects × time, cut down to both sides when one acts for another.
 * Refuses to read a clock; what it says holds for a span of time, so that it need not be asked for every statement.
 */
import {
  type Bundle,
  type BundleGroup,
  EFFECTS,
  type Effect,
  type Grant,
  labelsMatch,
  type Resource,
  type SessionInfo,
} from '@sallyport/model';

export interface Rights {
  readonly effects: readonly Effect[];
  /** Effects that the grants give and no access review in force confirms: to be held, or denied, as the campaign said. */
  readonly reviewHeld: readonly Effect[];
  readonly reviewDenied: readonly Effect[];
  /** Effects that a break-glass grant covers. */
  readonly breakGlass: readonly Effect[];
  readonly roles: readonly string[];
  /** UTC ms: the span in which no grant of the session begins or ends. */
  readonly from: number;
  readonly until: number;
}

const PRINCIPALS_KEPT_MAX = 50_000;

/** Members as a set; a group that another bundle holds too, as the same object, is not read again. */
const MEMBERS = new WeakMap<BundleGroup, ReadonlySet<string>>();

function membersOf(group: BundleGroup): ReadonlySet<string> {
  let members = MEMBERS.get(group);
  if (members === undefined) {
    members = new Set(group.members);
    MEMBERS.set(group, members);
  }
  return members;
}

interface GrantsBy {
  readonly principal: ReadonlyMap<string, readonly Grant[]>;
  readonly group: ReadonlyMap<string, readonly Grant[]>;
}

/** By whom they are for; a list that another bundle has too, as the same object, is not gone through again. */
const GRANTS = new WeakMap<readonly Grant[], GrantsBy>();

function grantsBy(grants: readonly Grant[]): GrantsBy {
  const known = GRANTS.get(grants);
  if (known !== undefined) return known;
  const principal = new Map<string, Grant[]>();
  const group = new Map<string, Grant[]>();
  for (const grant of grants) {
    // One with both or neither gives nothing: it is not clear whom to.
    if ((grant.principal === undefined) === (grant.group === undefined)) continue;
    if (grant.principal !== undefined) push(principal, grant.principal, grant);
    else push(group, grant.group!, grant);
  }
  const by = { principal, group };
  GRANTS.set(grants, by);
  return by;
}

/** Grants and groups of one bundle, by whom and what they are for. */
export class GrantBook {
  readonly #groups = new Map<string, ReadonlySet<string>>();
  /** Of those who were asked about. */
  readonly #memberships = new Map<string, readonly string[]>();
  readonly #grants: GrantsBy;

  constructor(bundle: Pick<Bundle, 'grants' | 'groups'>) {
    for (const group of bundle.groups) this.#groups.set(group.name, membersOf(group));
    this.#grants = grantsBy(bundle.grants);
  }

  groupsOf(principalId: string): readonly string[] {
    let groups = this.#memberships.get(principalId);
    if (groups === undefined) {
      groups = [...this.#groups].filter(([, members]) => members.has(principalId)).map(([name]) => name);
      if (this.#memberships.size < PRINCIPALS_KEPT_MAX) this.#memberships.set(principalId, groups);
    }
    return groups;
  }

  isMember(group: string, principalId: string): boolean {
    return this.#groups.get(group)?.has(principalId) ?? false;
  }

  /** Own grants and those of groups, on this resource, whenever they are in force. */
  of(principalId: string, resource: Resource): readonly Grant[] {
    const all = [...(this.#grants.principal.get(principalId) ?? [])];
    for (const group of this.groupsOf(principalId)) all.push(...(this.#grants.group.get(group) ?? []));
    return all.filter((grant) => covers(grant, resource));
  }

  /**
   * The rights of a session. The token's grant ids narrow the principal's own grants; those of whom it acts for are narrowed
   * by the intersection alone, since the token names what the actor draws on.
   */
  rightsOf(session: SessionInfo, resource: Resource, nowMs: number): Rights {
    const own = this.of(session.principal.id, resource).filter((grant) => isNamed(session.grantIds, grant.id));
    const mine = sum(own, nowMs);
    if (session.onBehalfOf === undefined) return mine;
    const theirs = sum(this.of(session.onBehalfOf.id, resource), nowMs);
    return {
      ...bothSides(mine, theirs),
      // Breaking glass takes a break-glass grant of the one who acts, and a right of the other.
      breakGlass: both(mine.breakGlass, theirs.effects),
      roles: both(mine.roles, theirs.roles),
      from: Math.max(mine.from, theirs.from),
      until: Math.min(mine.until, theirs.until),
    };
  }
}

export const isInForce = (grant: Grant, nowMs: number): boolean =>
  (grant.notBefore ?? Number.NEGATIVE_INFINITY) <= nowMs && nowMs < (grant.notAfter ?? Number.POSITIVE_INFINITY);

const isNamed = (ids: readonly string[], id: string): boolean => ids.includes('*') || ids.includes(id);

const both = <T>(a: readonly T[], b: readonly T[]): readonly T[] => a.filter((entry) => b.includes(entry));

function push<T>(map: Map<string, T[]>, key: string, value: T): void {
  const list = map.get(key);
  if (list === undefined) map.set(key, [value]);
  else list.push(value);
}

function covers(grant: Grant, resource: Resource): boolean {
  if (grant.projectId !== resource.projectId) return false;
  if (grant.resource !== undefined) return grant.labels === undefined && grant.resource === resource.name;
  return grant.labels !== undefined && labelsMatch(grant.labels, resource.labels);
}

/** What acting for another leaves: of each effect the worse of the two sides. */
function bothSides(mine: Rights, theirs: Rights): Pick<Rights, 'effects' | 'reviewHeld' | 'reviewDenied'> {
  const effects = both(mine.effects, theirs.effects);
  const usable = both([...mine.effects, ...mine.reviewHeld], [...theirs.effects, ...theirs.reviewHeld]);
  const all = both(
    [...mine.effects, ...mine.reviewHeld, ...mine.reviewDenied],
    [...theirs.effects, ...theirs.reviewHeld, ...theirs.reviewDenied],
  );
  const reviewHeld = usable.filter((effect) => !effects.includes(effect));
  return { effects, reviewHeld, reviewDenied: all.filter((effect) => !usable.includes(effect)) };
}

/** The effects that its access reviews confirm now. */
export function confirmedEffects(grant: Grant, nowMs: number): readonly Effect[] {
  if (grant.reviewedUntil !== undefined && grant.reviewedUntil <= nowMs) return [];
  return grant.confirmed === undefined ? grant.effects : both(grant.effects, grant.confirmed);
}

function sum(grants: readonly Grant[], nowMs: number): Rights {
  let from = Number.NEGATIVE_INFINITY;
  let until = Number.POSITIVE_INFINITY;
  for (const edge of grants.flatMap((grant) => [grant.notBefore, grant.notAfter, grant.reviewedUntil])) {
    if (edge === undefined) continue;
    if (edge <= nowMs) from = Math.max(from, edge);
    else until = Math.min(until, edge);
  }
  const inForce = grants.filter((grant) => isInForce(grant, nowMs));
  const confirmedOf = (some: readonly Grant[]) => {
    const lists = some.map((grant) => confirmedEffects(grant, nowMs));
    return EFFECTS.filter((effect) => lists.some((list) => list.includes(effect)));
  };
  const givenBy = (some: readonly Grant[], not: readonly Effect[]) =>
    EFFECTS.filter((effect) => !not.includes(effect) && some.some((grant) => grant.effects.includes(effect)));
  const effects = confirmedOf(inForce);
  const held = inForce.filter((grant) => grant.afterReview === 'hold');
  const reviewHeld = givenBy(held, effects);
  const usable = inForce.filter((grant) => held.includes(grant) || confirmedEffects(grant, nowMs).length > 0);
  return {
    effects,
    reviewHeld,
    reviewDenied: givenBy(inForce, [...effects, ...reviewHeld]),
    breakGlass: confirmedOf(inForce.filter((grant) => grant.kind === 'break_glass')),
    roles: [...new Set(usable.flatMap((grant) => grant.roles))],
    from,
    until,
  };
}
