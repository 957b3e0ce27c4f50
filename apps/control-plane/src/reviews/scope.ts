/**
 * Which grants a campaign is about, who holds them, what they reach, and who reviews each. Pure.
 * Refuses a reviewer who holds the grant: nobody reviews themselves, under a second account of the same address neither.
 */
import { labelsMatch } from '@sallyport/model';
import type { Reviewers, Scope } from './reviews.dto.ts';

export interface Person {
  readonly id: string;
  readonly name: string;
  readonly kind: string;
  readonly email: string | null;
  readonly manager: string | null;
}
export interface ReviewedResource {
  readonly id: string;
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
}
export interface ReviewedGrant {
  readonly id: string;
  readonly name: string;
  readonly principalId: string | null;
  readonly groupName: string | null;
  readonly resource: string | null;
  readonly labels: unknown;
  readonly effects: readonly string[];
  readonly roles: readonly string[];
  readonly kind: string;
  readonly createdAt: Date;
  readonly notAfter: Date | null;
}
/** A project as reviews look at it. */
export interface World {
  /** Enabled principals by id. */
  readonly people: ReadonlyMap<string, Person>;
  /** Ids of enabled members by group. */
  readonly groups: ReadonlyMap<string, readonly string[]>;
  readonly resources: readonly ReviewedResource[];
  readonly resourcesByName: ReadonlyMap<string, ReviewedResource>;
}
export interface Reviewer {
  readonly kind: 'principal' | 'group';
  /** Of a principal; the name of a group. */
  readonly id: string;
  readonly name: string;
}

export const isReached = (grant: Pick<ReviewedGrant, 'resource' | 'labels'>, resource: ReviewedResource): boolean =>
  grant.resource === null
    ? grant.labels !== null && labelsMatch(grant.labels as Record<string, string>, resource.labels)
    : grant.resource === resource.name;

export function reachOf(grant: Pick<ReviewedGrant, 'resource' | 'labels'>, world: World): readonly ReviewedResource[] {
  if (grant.resource === null) return world.resources.filter((resource) => isReached(grant, resource));
  const named = world.resourcesByName.get(grant.resource);
  return named === undefined ? [] : [named];
}

export function holdersOf(grant: Pick<ReviewedGrant, 'principalId' | 'groupName'>, world: World): readonly Person[] {
  const ids = grant.groupName === null ? [grant.principalId ?? ''] : (world.groups.get(grant.groupName) ?? []);
  return ids.flatMap((id) => world.people.get(id) ?? []);
}

export function isInScope(scope: Scope, grant: ReviewedGrant, world: World): boolean {
  const { labels, resources, groups, principalKinds } = scope;
  if (labels !== undefined || resources !== undefined) {
    const some = reachOf(grant, world).some(
      (resource) =>
        (labels === undefined || labelsMatch(labels, resource.labels)) &&
        (resources === undefined || resources.includes(resource.name)),
    );
    if (!some) return false;
  }
  if (groups !== undefined) {
    const own = grant.principalId;
    const about =
      grant.groupName === null
        ? groups.some((group) => own !== null && (world.groups.get(group) ?? []).includes(own))
        : groups.includes(grant.groupName);
    if (!about) return false;
  }
  return (
    principalKinds === undefined ||
    holdersOf(grant, world).some(({ kind }) => principalKinds.some((one) => one === kind))
  );
}

/**
 * Who may answer. By owner or manager it is the one that all of its resources or holders name; where there is none, where
 * they differ, or where it would be a holder, the campaign's groups do. Empty = those who may run reviews.
 */
export function reviewersOf(
  rule: Reviewers,
  reach: readonly ReviewedResource[],
  holders: readonly Person[],
  world: World,
): readonly Reviewer[] {
  const fallback = rule.groups.map((name): Reviewer => ({ kind: 'group', id: name, name }));
  if (rule.by === 'group') return fallback;
  const named =
    rule.by === 'owner'
      ? reach.map((resource) => resource.labels[rule.label])
      : holders.map((holder) => holder.manager);
  const one = new Set(named.map((name) => name ?? ''));
  const [name] = one;
  if (one.size !== 1 || name === undefined || name === '') return fallback;
  const person = [...world.people.values()].find(
    (candidate) => candidate.kind === 'person' && (candidate.name === name || isSameAddress(candidate.email, name)),
  );
  if (person !== undefined)
    return isOneOf(person, holders) ? fallback : [{ kind: 'principal', id: person.id, name: person.name }];
  return rule.by === 'owner' && world.groups.has(name) ? [{ kind: 'group', id: name, name }] : fallback;
}

/** The same principal, or another account with the same address. */
export const isOneOf = (
  person: Pick<Person, 'id' | 'email'>,
  holders: readonly Pick<Person, 'id' | 'email'>[],
): boolean => holders.some((holder) => holder.id === person.id || isSameAddress(holder.email, person.email));

const isSameAddress = (a: string | null, b: string | null): boolean =>
  a !== null && b !== null && a !== '' && a.toLowerCase() === b.toLowerCase();
