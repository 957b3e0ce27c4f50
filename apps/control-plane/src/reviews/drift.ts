/**
 * What has moved away from the last review, from a project as it is. Pure: the same state gives the same findings.
 * Refuses to judge: each finding says what is, an administrator what becomes of it.
 */
import { hash } from 'node:crypto';
import type { Credential, Grant, GrantReview, ReviewCampaign, ReviewItem } from '../generated/prisma/client.ts';
import { subjectDigest } from '../grants/review-state.ts';
import type { UsedSum } from './evidence.ts';
import type { DriftKind, Scope, SubjectView } from './reviews.dto.ts';
import { holdersOf, isInScope, isReached, reachOf, type World } from './scope.ts';

export interface Finding {
  /** SHA-256 of kind, target and text, hex: a finding that changes is told again. */
  readonly key: string;
  readonly kind: DriftKind;
  readonly target: string;
  readonly what: string;
}

export interface DriftState {
  readonly now: Date;
  readonly unusedDays: number;
  readonly credentialDays: number;
  readonly world: World;
  readonly grants: readonly Grant[];
  readonly reviews: readonly GrantReview[];
  /** The items that confirmed last, by id. */
  readonly items: ReadonlyMap<string, ReviewItem>;
  /** Campaigns that have had a round and are not ended. */
  readonly campaigns: readonly ReviewCampaign[];
  /** Sums since `unusedDays` ago, by principal. */
  readonly used: ReadonlyMap<string, readonly UsedSum[]>;
  /** Stored ones, and those with a rotation. */
  readonly credentials: readonly Credential[];
}

const DAY_MS = 86_400_000;
const NAMES_SHOWN = 10;

export function driftOf(state: DriftState): readonly Finding[] {
  const reviews = Map.groupBy(state.reviews, (review) => review.grantId);
  return [
    ...state.grants.flatMap((grant) => ofGrant(grant, reviews.get(grant.id) ?? [], state)),
    ...usedBeyond(state, reviews),
    ...unused(state),
    ...state.credentials.flatMap((credential) => ofCredential(credential, state)),
  ];
}

function ofGrant(
  grant: Grant,
  reviews: readonly GrantReview[],
  { world, items, campaigns, now }: DriftState,
): Finding[] {
  const target = `grant/${grant.name}`;
  const found: Finding[] = [];
  for (const review of reviews) {
    if (review.reviewedUntil !== null && review.reviewedUntil <= now)
      found.push(
        finding(
          'review_lapsed',
          target,
          `not confirmed since ${review.reviewedUntil.toISOString()}; ${review.afterReview}`,
        ),
      );
    if (review.confirmedAt === null) continue;
    const more = grant.effects.filter((effect) => !review.confirmed.includes(effect));
    if (review.subjectDigest !== subjectDigest(grant))
      found.push(
        finding('granted_beyond_review', target, 'whom it is for, on what, or its roles are not what was confirmed'),
      );
    else if (more.length > 0)
      found.push(finding('granted_beyond_review', target, `gives ${more.join(', ')}, which was not confirmed`));
    const item = review.itemId === null ? undefined : items.get(review.itemId);
    if (item !== undefined) found.push(...sinceItem(grant, item, world, target));
  }
  const reviewed = new Set(reviews.map((review) => review.campaignId));
  for (const campaign of campaigns)
    if (!reviewed.has(campaign.id) && isInScope(campaign.scope as Scope, grant, world))
      found.push(finding('not_reviewed', target, `in the scope of ${campaign.name}, and in no round of it`));
  return found;
}

function sinceItem(grant: Grant, item: ReviewItem, world: World, target: string): Finding[] {
  const then = new Set((item.holders as unknown as readonly { readonly id: string }[]).map((holder) => holder.id));
  const gained = grant.groupName === null ? [] : holdersOf(grant, world).filter((holder) => !then.has(holder.id));
  const { reaches } = item.subject as unknown as SubjectView;
  const grown = reachOf(grant, world).filter((resource) => !reaches.includes(resource.name));
  return [
    ...(gained.length === 0
      ? []
      : [
          finding(
            'group_gained_members',
            target,
            `group ${grant.groupName} gained ${some(gained)} since it was confirmed`,
          ),
        ]),
    ...(grown.length === 0
      ? []
      : [finding('reach_grew', target, `reaches ${some(grown)}, which it did not when it was confirmed`)]),
  ];
}

/** A principal used on a resource an effect that none of its grants there has confirmed. */
function usedBeyond(
  { used, grants, world, now }: DriftState,
  reviews: ReadonlyMap<string, readonly GrantReview[]>,
): Finding[] {
  const resources = new Map(world.resources.map((resource) => [resource.id, resource]));
  const grantsOf = holdings(grants, world);
  const found: Finding[] = [];
  for (const [principalId, sums] of used) {
    const own = grantsOf(principalId);
    for (const sum of sums) {
      const resource = resources.get(sum.resourceId);
      // What was tried and refused is no use.
      const usedAt = sum.lastAllowedAt;
      if (sum.kind !== 'effect' || usedAt === null || resource === undefined || usedAt > now) continue;
      const here = own.filter((grant) => isReached(grant, resource));
      const answered = here.flatMap((grant) =>
        (reviews.get(grant.id) ?? []).filter((review) => review.confirmedAt !== null),
      );
      const since = Math.max(...answered.map((review) => review.confirmedAt!.getTime()));
      const isConfirmed = here.some((grant) => {
        const its = (reviews.get(grant.id) ?? []).filter((review) => review.confirmedAt !== null);
        return its.length === 0
          ? grant.effects.includes(sum.word)
          : its.every((review) => review.confirmed.includes(sum.word));
      });
      if (answered.length === 0 || isConfirmed || usedAt.getTime() <= since) continue;
      const name = world.people.get(principalId)?.name ?? principalId;
      found.push(
        finding(
          'used_beyond_review',
          `principal/${name}`,
          `used ${sum.word} on ${resource.name}, which no review confirmed`,
        ),
      );
    }
  }
  return found;
}

function unused({ used, grants, world, now, unusedDays }: DriftState): Finding[] {
  const resources = new Map(world.resources.map((resource) => [resource.id, resource]));
  const grantsOf = holdings(grants, world);
  const seen = new Set<string>();
  for (const [principalId, sums] of used) {
    const own = grantsOf(principalId);
    for (const sum of sums) {
      const resource = resources.get(sum.resourceId);
      if (sum.kind !== 'total' || sum.allowed === 0 || resource === undefined) continue;
      for (const grant of own) if (isReached(grant, resource)) seen.add(grant.id);
    }
  }
  const before = now.getTime() - unusedDays * DAY_MS;
  return grants
    .filter((grant) => grant.kind !== 'break_glass' && !seen.has(grant.id) && grant.createdAt.getTime() < before)
    .map((grant) =>
      finding(
        'unused_grant',
        `grant/${grant.name}`,
        `not used for more than ${unusedDays} days by anybody who has it now`,
      ),
    );
}

function ofCredential(credential: Credential, { now, credentialDays }: DriftState): Finding[] {
  const target = `credential/${credential.name}`;
  const age = now.getTime() - credential.rotatedAt.getTime();
  if (credential.rotateEverySeconds !== null) {
    const due = credential.rotatedAt.getTime() + credential.rotateEverySeconds * 1_000;
    const why = credential.rotationError === null ? '' : ` (${credential.rotationError})`;
    return due > now.getTime()
      ? []
      : [finding('credential_past_rotation', target, `was to be rotated by ${new Date(due).toISOString()}${why}`)];
  }
  return credential.kind === 'stored' && age > credentialDays * DAY_MS
    ? [finding('credential_unchanged', target, `unchanged for more than ${credentialDays} days`)]
    : [];
}

/** Own grants of a principal and those of its groups, from tables made once. */
function holdings(grants: readonly Grant[], world: World): (principalId: string) => readonly Grant[] {
  const byPrincipal = Map.groupBy(grants, (grant) => (grant.groupName === null ? grant.principalId : null));
  const byGroup = Map.groupBy(grants, (grant) => grant.groupName);
  const groupsOf = new Map<string, string[]>();
  for (const [group, members] of world.groups) {
    if (!byGroup.has(group)) continue;
    for (const member of members) {
      const known = groupsOf.get(member);
      if (known === undefined) groupsOf.set(member, [group]);
      else known.push(group);
    }
  }
  return (principalId) => [
    ...(byPrincipal.get(principalId) ?? []),
    ...(groupsOf.get(principalId) ?? []).flatMap((group) => byGroup.get(group) ?? []),
  ];
}

const some = (all: readonly { readonly name: string }[]): string =>
  `${all
    .slice(0, NAMES_SHOWN)
    .map((one) => one.name)
    .join(', ')}${all.length > NAMES_SHOWN ? ` and ${all.length - NAMES_SHOWN} more` : ''}`;

const finding = (kind: DriftKind, target: string, what: string): Finding => ({
  key: hash('sha256', `${kind}\0${target}\0${what}`),
  kind,
  target,
  what,
});
