/** What access reviews look like in REST: campaigns, their items with evidence, answers, and drift. */
import { EFFECTS, PRINCIPAL_KINDS } from '@sallyport/model';
import { z } from 'zod';
import { Duration } from '../http/duration.ts';
import { pageOf, pageQuery } from '../http/page.ts';
import { GroupName, Instant, Labels, Name, open, Prose, sensitive } from '../http/schema.ts';

const DAY_MS = 86_400_000;
const DUE_MS_MAX = 365 * DAY_MS;
const EVIDENCE_MS_MAX = 730 * DAY_MS;
export const ANSWERS = ['keep', 'reduce', 'revoke'] as const;
export type Answer = (typeof ANSWERS)[number];
export const AFTER_REVIEW = ['deny', 'hold'] as const;

const EMPTY = 'an empty list matches nothing: name some, or leave it out to mean all';
export const Scope = z
  .strictObject({
    labels: Labels.optional().describe('Grants that reach a resource with all of these.'),
    resources: z.array(Name).min(1, EMPTY).max(1_000).optional().describe('Grants that reach one of these.'),
    groups: z
      .array(GroupName)
      .min(1, EMPTY)
      .max(1_000)
      .optional()
      .describe('Grants of these groups, and own grants of their members.'),
    principalKinds: z
      .array(z.enum(PRINCIPAL_KINDS))
      .min(1, EMPTY)
      .max(3)
      .optional()
      .describe('Grants that someone of these kinds has.'),
  })
  .describe('Which grants: the parts that are given must all match; nothing given = every grant.');
export type Scope = z.infer<typeof Scope>;

export const Reviewers = z
  .strictObject({
    by: z.enum(['owner', 'manager', 'group']),
    label: z
      .string()
      .min(1)
      .max(63)
      .default('owner')
      .describe('For `owner`: the resource’s label that names a principal or a group.'),
    groups: z
      .array(GroupName)
      .max(100)
      .default([])
      .describe(
        'For `group`: who reviews. Otherwise who does where no one owner or manager is named, or it would be oneself.',
      ),
  })
  .refine((value) => value.by !== 'group' || value.groups.length > 0, {
    path: ['groups'],
    message: 'name a group that reviews',
  });
export type Reviewers = z.infer<typeof Reviewers>;

const Every = z
  .string()
  .regex(/^[1-9]\d?\d? (days?|weeks?|months?)$/, '2 weeks or 3 months are expected')
  .describe('`3 months`, `2 weeks`.');

export const ReviewDocument = z
  .strictObject({
    name: open(Name),
    description: open(Prose(1_000)).default(''),
    scope: open(Scope),
    reviewers: open(Reviewers),
    afterReview: open(z.enum(AFTER_REVIEW))
      .default('deny')
      .describe('What becomes of a grant that nobody reviewed in time, and of a use beyond what was confirmed.'),
    due: open(Duration(DUE_MS_MAX))
      .default(14 * DAY_MS)
      .describe('How long reviewers have.'),
    evidence: open(Duration(EVIDENCE_MS_MAX))
      .default(90 * DAY_MS)
      .describe('How far back use is looked at.'),
    every: open(Every.nullish()),
    nextAt: open(Instant.nullish()).describe('When the next round starts by itself.'),
  })
  .meta({ id: 'ReviewDocument' });
export type ReviewDocument = z.infer<typeof ReviewDocument>;

const RoundView = z.object({
  number: open(z.number()),
  startedAt: open(Instant),
  deadline: open(Instant),
  items: open(z.number()),
  answered: open(z.number()),
  state: open(z.enum(['open', 'lapsed', 'closed'])).describe('`lapsed`: the deadline passed with items unanswered.'),
});
export type RoundView = z.infer<typeof RoundView>;

export const ReviewView = z
  .object({
    id: open(z.uuid()),
    name: open(Name),
    description: open(z.string()),
    scope: open(Scope),
    reviewers: open(z.object({ by: z.string(), label: z.string(), groups: z.array(z.string()) })),
    afterReview: open(z.enum(AFTER_REVIEW)),
    due: open(z.union([z.string(), z.number()])),
    evidence: open(z.union([z.string(), z.number()])),
    every: open(z.string().nullable()),
    nextAt: open(Instant.nullable()),
    endedAt: open(Instant.nullable()),
    createdAt: open(Instant),
    round: open(RoundView.nullable()).describe('The last one.'),
  })
  .meta({ id: 'Review' });
export type ReviewView = z.infer<typeof ReviewView>;
export const ReviewPage = pageOf(ReviewView).meta({ id: 'ReviewPage' });
export const ReviewQuery = pageQuery(['name', 'createdAt'], 'name');

const TrailPlace = z
  .object({ chain: open(z.string()), sequence: open(z.number()) })
  .describe('Chain as agent/instance/epoch.');
const Counts = { allowed: open(z.number()), held: open(z.number()), denied: open(z.number()) };
const UsedWord = z.object({ word: open(z.string()), ...Counts, lastAt: open(Instant) });
export const EvidenceView = z.object({
  from: open(Instant),
  to: open(Instant),
  ...Counts,
  lastAt: open(Instant.nullable()),
  effects: open(z.array(UsedWord)),
  reached: sensitive(z.array(UsedWord)).describe('Relations and commands, the most used first.'),
  reachedMore: open(z.number()).describe('How many more there are.'),
  holders: sensitive(z.array(z.object({ name: open(z.string()), ...Counts, lastAt: open(Instant) }))).describe(
    'Who used it.',
  ),
  trail: open(TrailPlace.nullable()).describe('Where the last use stands.'),
});
export type EvidenceView = z.infer<typeof EvidenceView>;

const Party = z.object({ id: open(z.string()), name: open(z.string()), kind: open(z.string()) });
export const SubjectView = z.object({
  principal: open(z.string().nullable()),
  group: open(z.string().nullable()),
  resource: open(z.string().nullable()),
  labels: open(z.record(z.string(), z.string()).nullable()),
  effects: open(z.array(z.enum(EFFECTS))),
  roles: open(z.array(z.string())),
  kind: open(z.string()),
  source: open(z.string()).describe('How it came to be: manual, apply, request.'),
  createdAt: open(Instant),
  notAfter: open(Instant.nullable()),
  reaches: open(z.array(z.string())).describe('Names of the resources.'),
});
export type SubjectView = z.infer<typeof SubjectView>;
export const ItemView = z
  .object({
    id: open(z.uuid()),
    review: open(Name),
    round: open(z.number()),
    grant: open(z.string()),
    subject: open(SubjectView),
    holders: open(z.array(Party)).describe('Who had it when the round began.'),
    reviewers: open(z.array(z.object({ kind: open(z.string()), name: open(z.string()) }))),
    evidence: open(EvidenceView),
    proposal: open(z.enum(ANSWERS)),
    proposalEffects: open(z.array(z.string())),
    proposalReason: open(z.string()),
    state: open(z.enum(['open', 'answered', 'lapsed'])),
    answer: open(z.enum(ANSWERS).nullable()),
    answerEffects: open(z.array(z.string())),
    reason: open(z.string().nullable()),
    answeredAt: open(Instant.nullable()),
    answeredBy: open(z.string().nullable()),
    digest: open(z.string().nullable()).describe('SHA-256 of the item with its answer; the same stands on the trail.'),
    answerable: open(z.boolean()).describe('The caller may answer it.'),
  })
  .meta({ id: 'ReviewItem' });
export type ItemView = z.infer<typeof ItemView>;
export const ItemPage = pageOf(ItemView).meta({ id: 'ReviewItemPage' });
export const ItemQuery = pageQuery(['grantName'], 'grantName').extend({
  round: z.coerce.number().int().min(1).max(1_000_000).optional().describe('By number; the last one without.'),
  state: z.enum(['open', 'answered']).optional(),
  proposal: z.enum(ANSWERS).optional(),
  answerable: z.enum(['true', 'false']).optional().describe('Only what the caller may answer.'),
});
export type ItemQuery = z.infer<typeof ItemQuery>;

export const AnswerBody = z
  .strictObject({
    items: open(z.array(z.uuid()).min(1).max(200)).describe('More than one is a bulk answer, and needs a reason.'),
    answer: open(z.enum(ANSWERS)),
    effects: open(z.array(z.enum(EFFECTS)).min(1).max(EFFECTS.length).optional()).describe(
      'For `reduce`: what stays; without, what was used.',
    ),
    reason: open(Prose(1_000).trim().min(1).optional()),
  })
  .superRefine((body, context) => {
    const wrong = (path: string, message: string): void => context.addIssue({ code: 'custom', path: [path], message });
    if (body.items.length > 1 && body.reason === undefined) wrong('reason', 'a bulk answer needs a reason');
    if (body.effects !== undefined && body.answer !== 'reduce') wrong('effects', 'only a reduction names effects');
    if (new Set(body.items).size !== body.items.length) wrong('items', 'each item once');
  })
  .meta({ id: 'ReviewAnswer' });
export type AnswerBody = z.infer<typeof AnswerBody>;
export const Answered = z.object({ items: open(z.array(ItemView)) }).meta({ id: 'ReviewAnswered' });

export const EXPORT_FORMATS = ['csv', 'json', 'html'] as const;
export const ExportQuery = z.strictObject({
  format: z.enum(EXPORT_FORMATS).default('json'),
  round: z.coerce.number().int().min(1).max(1_000_000).optional(),
});
export type ExportQuery = z.infer<typeof ExportQuery>;

export const DRIFT_KINDS = [
  'granted_beyond_review',
  'used_beyond_review',
  'group_gained_members',
  'reach_grew',
  'review_lapsed',
  'not_reviewed',
  'unused_grant',
  'credential_past_rotation',
  'credential_unchanged',
] as const;
export type DriftKind = (typeof DRIFT_KINDS)[number];
export const DriftView = z
  .object({
    kind: open(z.enum(DRIFT_KINDS)),
    target: open(z.string()).describe('`grant/<name>`, `credential/<name>`.'),
    what: open(z.string()).describe('For people.'),
    since: open(Instant.nullable()).describe('When it was first told; null = since the last look.'),
  })
  .meta({ id: 'Drift' });
export type DriftView = z.infer<typeof DriftView>;
export const DriftList = z
  .object({ items: open(z.array(DriftView)), nextCursor: open(z.null()) })
  .meta({ id: 'DriftList' });
export const DriftQuery = z.strictObject({
  kind: z.enum(DRIFT_KINDS).optional(),
  unusedDays: z.coerce.number().int().min(1).max(9_999).optional(),
});
export type DriftQuery = z.infer<typeof DriftQuery>;
