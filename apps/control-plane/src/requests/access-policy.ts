/**
 * Who may ask for what, for how long, and who answers, as people write it in REST and in YAML alike. Pure.
 * Each policy stands by itself: what one allows, another does not take back. Refuses to know who is asking (eligibility.ts).
 */
import { EFFECTS, PRINCIPAL_KINDS, type StepUp } from '@sallyport/model';
import { RE2JS } from 're2js';
import { z } from 'zod';
import { Duration, showDuration } from '../http/duration.ts';
import { GroupName, Labels, Name, open, Prose } from '../http/schema.ts';

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
/** What is wanted for longer is a standing grant, and somebody's to review. */
const GRANT_MS_MAX = 90 * DAY_MS;
const GRANT_MS_MIN = 60_000;
const START_MS_MAX = 30 * DAY_MS;
const ANSWER_MS_MAX = 14 * DAY_MS;
const APPROVERS_MAX = 20;
/** An empty list would match nobody, and nobody would be told. */
const NOBODY = 'an empty list matches nobody: name some, or leave the part out to mean everybody';
const NOTHING = 'an empty list matches nothing: name some, or leave the part out to mean every resource';
const Length = Duration(GRANT_MS_MAX).refine((ms) => ms >= GRANT_MS_MIN, 'at least 1m');

const Pattern = z
  .string()
  .min(1)
  .max(200)
  .refine((text) => {
    try {
      RE2JS.compile(text);
      return true;
    } catch {
      // The library's only way to say that a pattern is none.
      return false;
    }
  }, 'a regular expression of RE2 is expected');

export const AccessPolicyFields = z.strictObject({
  name: open(Name),
  description: open(Prose(500)).default(''),
  requesters: open(
    z.strictObject({
      groups: z.array(GroupName).min(1, NOBODY).max(1_000).optional(),
      principals: z.array(z.string().min(1).max(64)).min(1, NOBODY).max(1_000).optional(),
      kinds: z.array(z.enum(PRINCIPAL_KINDS)).min(1, NOBODY).max(3).optional(),
    }),
  ).describe('Parts that are given must all match, inside a part one is enough; {} = everybody.'),
  resources: open(
    z.strictObject({ names: z.array(Name).min(1, NOTHING).max(1_000).optional(), labels: Labels.optional() }),
  ).describe('The same; {} = every resource.'),
  effects: open(z.array(z.enum(EFFECTS)).min(1).max(EFFECTS.length)).describe('At most these.'),
  roles: open(z.array(z.string().min(1).max(63)).max(100))
    .default([])
    .describe('Roles on the server that may be asked for too.'),
  durationMax: open(Length).default(HOUR_MS).describe('The longest grant, as 1h.'),
  startWithin: open(Duration(START_MS_MAX))
    .default(DAY_MS)
    .describe('How far ahead a start may lie; 0s = at once, always.'),
  answerWithin: open(Duration(ANSWER_MS_MAX).refine((ms) => ms >= GRANT_MS_MIN, 'at least 1m'))
    .default(8 * HOUR_MS)
    .describe('A request that nobody answers in this time has expired.'),
  extensions: open(z.strictObject({ times: z.number().int().min(0).max(20), durationMax: Length }))
    .default({ times: 0, durationMax: HOUR_MS })
    .describe('How often a grant may be prolonged, and by how much each time; each is asked for and answered anew.'),
  ticket: open(z.strictObject({ required: z.boolean().default(false), pattern: Pattern.optional() }))
    .default({ required: false })
    .describe('The whole reference must match the pattern.'),
  approve: open(
    z.strictObject({
      count: z.number().int().min(1).max(APPROVERS_MAX).default(1),
      groups: z.array(GroupName).max(100).default([]),
      all: z
        .array(z.strictObject({ group: GroupName, count: z.number().int().min(1).max(APPROVERS_MAX).default(1) }))
        .max(APPROVERS_MAX)
        .default([])
        .describe('So many of each of these groups, each person counted for one of them.'),
      stepUp: z
        .strictObject({
          maxAge: Duration(DAY_MS).optional(),
          amr: z.array(z.string().min(1).max(64)).min(1).max(20).optional(),
          acr: z.array(z.string().min(1).max(200)).min(1).max(20).optional(),
        })
        .optional()
        .describe('What a yes needs of the sign-in: how fresh, by which method, at which level.'),
    }),
  )
    .optional()
    .describe('Persons: `count` distinct ones of any of `groups` (none = whoever may answer requests).'),
  decision: open(
    z.strictObject({
      webhook: Name,
      timeout: Duration(30_000)
        .refine((ms) => ms >= 500, 'at least 500')
        .default(5_000),
    }),
  )
    .optional()
    .describe('A webhook of format `generic` that is asked first. Its silence is no yes.'),
});

export const AccessPolicyDocument = AccessPolicyFields.superRefine((policy, context) => {
  if (policy.approve === undefined && policy.decision === undefined)
    context.addIssue({ code: 'custom', path: ['approve'], message: 'give approve, decision or both' });
  const quorums = (policy.approve?.all ?? []).map((one) => one.group);
  if (new Set(quorums).size < quorums.length)
    context.addIssue({ code: 'custom', path: ['approve', 'all'], message: 'a group stands here twice' });
}).meta({ id: 'AccessPolicyDocument' });
export type AccessPolicyDocument = z.infer<typeof AccessPolicyDocument>;
export type Approvers = NonNullable<AccessPolicyDocument['approve']>;

/** With durations as text: what a diff compares and REST shows. */
export const showPolicy = (policy: AccessPolicyDocument) => ({
  ...policy,
  durationMax: showDuration(policy.durationMax),
  startWithin: showDuration(policy.startWithin),
  answerWithin: showDuration(policy.answerWithin),
  extensions: { ...policy.extensions, durationMax: showDuration(policy.extensions.durationMax) },
  ...(policy.approve?.stepUp?.maxAge === undefined
    ? {}
    : {
        approve: {
          ...policy.approve,
          stepUp: { ...policy.approve.stepUp, maxAge: showDuration(policy.approve.stepUp.maxAge) },
        },
      }),
  ...(policy.decision === undefined
    ? {}
    : { decision: { ...policy.decision, timeout: showDuration(policy.decision.timeout) } }),
});

/** Names of every group whose members may answer. */
export const approverGroups = (policy: AccessPolicyDocument): string[] => [
  ...new Set([...(policy.approve?.groups ?? []), ...(policy.approve?.all ?? []).map((one) => one.group)]),
];

/** What a yes needs of the approver's sign-in; undefined = nothing. */
export function stepUpOf(policy: AccessPolicyDocument | undefined): StepUp | undefined {
  const asked = policy?.approve?.stepUp;
  if (asked === undefined) return undefined;
  return {
    ...(asked.maxAge === undefined ? {} : { maxAgeMs: asked.maxAge }),
    ...(asked.amr === undefined ? {} : { amr: asked.amr }),
    ...(asked.acr === undefined ? {} : { acr: asked.acr }),
  };
}
