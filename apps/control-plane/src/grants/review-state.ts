/**
 * What the access reviews of a grant's campaigns add up to, as agents enforce it. Pure: the same rows give the same bundle.
 * Refuses to carry a confirmation over to another grant: whom, on what and in which roles is part of what was confirmed.
 */
import { hash } from 'node:crypto';
import { EFFECTS, type Effect, type Grant } from '@sallyport/model';
import { canonicalJson } from '../bundles/canonical.ts';
import type { GrantReview, Grant as GrantRow } from '../generated/prisma/client.ts';

export type ReviewState = Pick<Grant, 'reviewedUntil' | 'afterReview' | 'confirmed'>;
type Subject = Pick<GrantRow, 'principalId' | 'groupName' | 'resource' | 'labels' | 'roles'>;

/** SHA-256, hex. */
export const subjectDigest = ({ principalId, groupName, resource, labels, roles }: Subject): string =>
  hash('sha256', canonicalJson({ principalId, groupName, resource, labels, roles: [...roles].sort() }));

/** Of several campaigns the strictest: the first deadline, what all of them confirmed, deny before hold. */
export function reviewState(grant: Subject, reviews: readonly GrantReview[]): ReviewState {
  const deadlines = reviews.flatMap((review) => review.reviewedUntil?.getTime() ?? []);
  const answered = reviews.filter((review) => review.confirmedAt !== null);
  if (deadlines.length === 0 && answered.length === 0) return {};
  const digest = subjectDigest(grant);
  const confirms = (effect: Effect): boolean =>
    answered.every((review) => review.subjectDigest === digest && review.confirmed.includes(effect));
  return {
    ...(deadlines.length === 0 ? {} : { reviewedUntil: Math.min(...deadlines) }),
    afterReview: reviews.every((review) => review.afterReview === 'hold') ? 'hold' : 'deny',
    ...(answered.length === 0 ? {} : { confirmed: EFFECTS.filter(confirms) }),
  };
}
