/** Requests and answers about access requests. */
import { EFFECTS, type Effect } from '@sallyport/model';
import { z } from 'zod';
import { Duration, showDuration } from '../http/duration.ts';
import { Instant, Labels, Line, Name, open, Prose, sensitive } from '../http/schema.ts';
import type { RequestRow } from './access-requests.repository.ts';

export const REQUEST_STATES = ['pending', 'approved', 'denied', 'expired', 'withdrawn', 'revoked'] as const;
const DURATION_MS_MAX = 90 * 86_400_000;
const Effects = z.array(z.enum(EFFECTS)).min(1).max(EFFECTS.length);
const Length = Duration(DURATION_MS_MAX).refine((ms) => ms >= 1_000, 'at least 1s');
const Reason = Prose(500).trim().min(1);

export const CreateAccessRequest = z
  .strictObject({
    policy: open(Name.optional()).describe('The access policy; needed only where several fit.'),
    resource: open(Name.optional()).describe('Name; or give labels.'),
    labels: open(Labels.optional()).describe('Every resource that carries all of them.'),
    for: open(z.string().min(1).max(64).optional()).describe('An AI agent or service that gets it instead of you.'),
    effects: open(Effects),
    roles: open(z.array(z.string().min(1).max(63)).max(20)).default([]),
    duration: open(Length).describe('As 2h, from approval or from the start.'),
    startAt: open(Instant.optional()).describe('Not before; left out = from the approval on.'),
    reason: sensitive(Reason),
    ticket: open(Line(64).trim().min(1).optional()),
  })
  .superRefine((ask, context) => {
    if ((ask.resource === undefined) === (ask.labels === undefined))
      context.addIssue({ code: 'custom', path: ['resource'], message: 'give a resource or labels' });
    if (ask.labels !== undefined && Object.keys(ask.labels).length === 0)
      context.addIssue({ code: 'custom', path: ['labels'], message: 'no labels match nothing' });
  })
  .meta({ id: 'CreateAccessRequest' });
export type CreateAccessRequest = z.infer<typeof CreateAccessRequest>;

export const ExtendAccessRequest = z
  .strictObject({ duration: open(Length).describe('By how much.'), reason: sensitive(Reason) })
  .meta({ id: 'ExtendAccessRequest' });
export type ExtendAccessRequest = z.infer<typeof ExtendAccessRequest>;

export const ApproveAccess = z
  .strictObject({
    reason: sensitive(Prose(500).trim().optional()),
    effects: open(Effects.optional()).describe('Fewer than were asked for.'),
    duration: open(Length.optional()).describe('Shorter than was asked for.'),
  })
  .meta({ id: 'ApproveAccess' });
export type ApproveAccess = z.infer<typeof ApproveAccess>;
export const DenyAccess = z.strictObject({ reason: sensitive(Reason) }).meta({ id: 'DenyAccess' });
export const RevokeAccess = z.strictObject({ reason: sensitive(Reason) }).meta({ id: 'RevokeAccess' });
export const WithdrawAccess = z
  .strictObject({ reason: sensitive(Prose(500).trim().optional()) })
  .meta({ id: 'WithdrawAccess' });

export const AccessRequestFilter = z.object({
  state: z.enum(REQUEST_STATES).optional(),
  mine: z.enum(['true', 'false']).optional().describe('Asked by me or for me.'),
  answerable: z.enum(['true', 'false']).optional().describe('Only what I may answer.'),
  resource: z.string().max(63).optional().describe('By name.'),
});
export type AccessRequestFilter = z.infer<typeof AccessRequestFilter>;

const Principal = z.object({ id: z.string(), name: z.string(), kind: z.string() });
export const AccessRequestView = z
  .object({
    id: open(z.string()),
    state: open(z.enum(REQUEST_STATES)),
    answerable: open(z.boolean()).describe('The caller may answer it.'),
    policy: open(z.string()),
    principal: open(Principal).describe('Who gets the grant.'),
    requestedBy: open(Principal),
    resource: open(z.string().nullable()),
    labels: open(z.record(z.string(), z.string()).nullable()),
    effects: open(z.array(z.enum(EFFECTS))),
    roles: open(z.array(z.string())),
    duration: open(z.union([z.string(), z.number()])),
    startAt: open(Instant.nullable()),
    reason: sensitive(z.string()),
    ticket: open(z.string().nullable()),
    extends: open(z.string().nullable()).describe('The request whose grant this one would prolong.'),
    groups: open(z.array(z.string())).describe('Groups whose members may answer; empty = whoever may answer.'),
    votes: open(
      z.array(
        z.object({
          principalId: z.string(),
          principal: z.string().describe('Name; empty when it is gone.'),
          granted: z.boolean(),
          reason: z.string().nullable(),
          effects: z.array(z.enum(EFFECTS)),
          duration: z.union([z.string(), z.number()]),
          at: Instant,
        }),
      ),
    ),
    answer: open(z.string().nullable()).describe('Why it ended so.'),
    grant: open(
      z
        .object({
          id: z.string(),
          effects: z.array(z.enum(EFFECTS)),
          notBefore: Instant.nullable(),
          notAfter: Instant.nullable(),
          revokedAt: Instant.nullable(),
        })
        .nullable(),
    ).describe('What came of it.'),
    requestedAt: open(Instant),
    expiresAt: open(Instant),
    answeredAt: open(Instant.nullable()),
  })
  .meta({ id: 'AccessRequest' });
export type AccessRequestView = z.infer<typeof AccessRequestView>;

export const AccessOptions = z
  .object({
    items: open(
      z.array(
        z.object({
          policy: z.string(),
          description: z.string(),
          resources: z.array(z.string()).describe('Names of those it covers today.'),
          effects: z.array(z.enum(EFFECTS)),
          roles: z.array(z.string()),
          durationMax: z.union([z.string(), z.number()]),
          ticket: z.boolean(),
          groups: z.array(z.string()),
        }),
      ),
    ),
  })
  .meta({ id: 'AccessOptions' });

const instant = (date: Date | null | undefined): string | null => date?.toISOString() ?? null;

export function showRequest(
  row: RequestRow,
  answerable: boolean,
  names: ReadonlyMap<string, string>,
): AccessRequestView {
  return {
    id: row.id,
    state: row.state as AccessRequestView['state'],
    answerable,
    policy: row.policyName,
    principal: { id: row.principalId, name: row.principalName, kind: row.principalKind },
    requestedBy: { id: row.requestedById, name: row.requestedByName, kind: row.requestedByKind },
    resource: row.resource,
    labels: row.labels as Record<string, string> | null,
    effects: row.effects as Effect[],
    roles: row.roles,
    duration: showDuration(Number(row.durationMs)),
    startAt: instant(row.startAt),
    reason: row.reason,
    ticket: row.ticket,
    extends: row.extendsId,
    groups: row.groups,
    votes: row.votes.map((vote) => ({
      principalId: vote.principalId,
      principal: names.get(vote.principalId) ?? '',
      granted: vote.granted,
      reason: vote.reason,
      effects: vote.effects as Effect[],
      duration: showDuration(Number(vote.durationMs)),
      at: vote.createdAt.toISOString(),
    })),
    answer: row.answer,
    grant:
      row.grant === null
        ? null
        : {
            id: row.grant.id,
            effects: row.grant.effects as Effect[],
            notBefore: instant(row.grant.notBefore),
            notAfter: instant(row.grant.notAfter),
            revokedAt: instant(row.grant.revokedAt),
          },
    requestedAt: row.requestedAt.toISOString(),
    expiresAt: row.expiresAt.toISOString(),
    answeredAt: instant(row.answeredAt),
  };
}
