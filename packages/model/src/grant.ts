/** A time-bound right of a principal or group on resources. Never expanded to members: groups travel apart. */
import { listOf, objectOf, oneOf, optional, parseInteger, parseString, recordOf } from '@sallyport/core';
import { parseEffects } from './effect.ts';

export const parseGrant = objectOf({
  id: parseString,
  projectId: parseString,
  /** Exactly one of the two: a principal's id or a group's name. */
  principal: optional(parseString),
  group: optional(parseString),
  /** Exactly one of the two: a resource's name or labels it must carry. */
  resource: optional(parseString),
  labels: optional(recordOf(parseString)),
  effects: parseEffects,
  /** Roles that may be asked for as `<role>+<resource>`. */
  roles: listOf(parseString, 100),
  kind: oneOf('standing', 'jit', 'break_glass'),
  /** UTC milliseconds; absent = open. */
  notBefore: optional(parseInteger),
  notAfter: optional(parseInteger),
  /** What its access reviews say: from `reviewedUntil` (UTC ms) on it is not confirmed; absent = no review binds it. */
  reviewedUntil: optional(parseInteger),
  /** What then becomes of it, and of effects that no review confirmed; absent = deny. */
  afterReview: optional(oneOf('deny', 'hold')),
  /** The effects the last reviews confirmed; absent = all of them. */
  confirmed: optional(parseEffects),
});
export type Grant = ReturnType<typeof parseGrant>;
