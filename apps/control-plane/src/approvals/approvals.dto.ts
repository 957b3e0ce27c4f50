/** Requests and answers about approvals. */
import { LIMITS } from '@sallyport/core';
import type { ApprovalRequest, TransactionWork } from '@sallyport/model';
import { z } from 'zod';
import { Instant, open, Prose, sensitive } from '../http/schema.ts';
import type { RequestWithVotes } from './approvals.repository.ts';
import { NOT_COUNTED } from './work.ts';

export const APPROVAL_STATES = [
  'pending',
  'approved',
  'denied',
  'expired',
  'withdrawn',
  'lost',
  'consumed',
  'revoked',
] as const;

export const ApprovalFilter = z.object({
  state: z.enum(APPROVAL_STATES).optional(),
  answerable: z
    .enum(['true', 'false'])
    .transform((text) => text === 'true')
    .optional()
    .describe('Only what I may answer.'),
  resource: z.string().max(200).optional().describe('Name or id.'),
  session: z.uuid().optional().describe('Session id.'),
});
export type ApprovalFilter = z.infer<typeof ApprovalFilter>;

const Principal = z.object({ id: z.string(), name: z.string(), kind: z.string() });

/** What a COMMIT would commit. */
export const Work = z.object({
  statements: z.array(
    z.object({
      number: z.number().describe('In its session.'),
      text: z.string(),
      parameters: z.array(z.string().nullable()),
      rows: z.number().describe('Changed, as the server counted.'),
      counted: z.boolean().describe('`rows` is all that it changed by itself.'),
      rolledBack: z.boolean(),
      sample: z
        .object({ columns: z.array(z.string()), rows: z.array(z.array(z.string().nullable())) })
        .nullable()
        .describe('The first rows of RETURNING, as the client saw them.'),
    }),
  ),
  count: z.number().describe('Of statements; `statements` has the first of them.'),
  rows: z.number(),
  rowsRolledBack: z.number().describe('Of `rows`.'),
  uncounted: z.number().describe('Statements of which not all is in `rows`.'),
  since: Instant,
  note: z.string(),
});

export const ApprovalView = z
  .object({
    id: open(z.string()),
    state: open(z.enum(APPROVAL_STATES)),
    answerable: open(z.boolean()).describe('The caller may answer it.'),
    principal: open(Principal),
    onBehalfOf: open(Principal.nullable()),
    agentId: open(z.string()),
    sessionId: open(z.string()),
    resourceId: open(z.string()),
    resource: open(z.string()).describe('Its name.'),
    database: open(z.string()),
    clientAddress: sensitive(z.string()),
    mode: open(z.string()),
    scope: open(z.string()),
    digest: open(z.string()),
    statement: sensitive(z.string()).describe('Values that the detectors know are shown in part.'),
    parameters: sensitive(z.array(z.string().nullable())),
    effects: open(z.array(z.string())),
    rule: open(z.string()),
    ruleReason: open(z.string()),
    askedReason: sensitive(z.string().nullable()).describe('Why, in the requester’s words.'),
    role: open(z.string().nullable()).describe('The role the session runs as.'),
    shape: sensitive(
      z
        .object({
          text: z.string(),
          tables: z.array(z.string()),
          bound: z.enum(['cut', 'undone']),
          minutesMax: z.number(),
          rowsMax: z.number(),
          note: z.string(),
        })
        .nullable(),
    ).describe('What may be approved beside this one statement; null where the rule or the statement allows none.'),
    work: sensitive(Work.nullable()).describe('What a COMMIT would commit; null for any other statement.'),
    granted: open(
      z
        .object({ scope: z.enum(['once', 'shape']), until: Instant.nullable(), rowsMax: z.number().nullable() })
        .nullable(),
    ).describe('How far a yes went.'),
    escalatesAt: open(Instant.nullable()),
    escalatedAt: open(Instant.nullable()),
    comments: sensitive(
      z.array(
        z.object({ id: z.string(), principalId: z.string(), principal: z.string(), text: z.string(), at: Instant }),
      ),
    ),
    groups: open(z.array(z.string())),
    count: open(z.number()).describe('How many distinct persons must say yes.'),
    missing: open(z.number()).describe(
      'How many of them are missing while it is pending. A yes does not count any more once who gave it may not answer: their account is disabled, or their role or group is taken away.',
    ),
    inTransaction: open(z.boolean()),
    wroteInTransaction: open(z.boolean()),
    statementsBefore: open(z.number()),
    writesBefore: open(z.number()),
    recentStatements: sensitive(z.array(z.string())),
    votes: open(
      z.array(
        z.object({
          principalId: z.string(),
          principal: z.string().describe('Name; empty when it is gone.'),
          granted: z.boolean(),
          reason: z.string().nullable(),
          seatOf: z.string().nullable().describe('Name of who handed over the seat.'),
          at: Instant,
        }),
      ),
    ),
    reason: open(z.string().nullable()),
    requestedAt: open(Instant),
    expiresAt: open(Instant),
    answeredAt: open(Instant.nullable()),
    consumedAt: open(Instant.nullable()),
    revokedAt: open(Instant.nullable()),
  })
  .meta({ id: 'ApprovalRequest' });
export type ApprovalView = z.infer<typeof ApprovalView>;

export const ApproveBody = z
  .strictObject({
    reason: open(Prose(500).optional()),
    scope: open(z.enum(['once', 'shape']).default('once')).describe(
      '`shape`: also what differs in values alone, for a time; where the rule allows it and the request offers it.',
    ),
    minutes: open(z.number().int().min(1).max(1440).optional()).describe(
      'Of a shape; by default as long as the rule allows.',
    ),
    rowsMax: open(z.number().int().min(1).max(1_000_000).optional()).describe('Rows of each statement.'),
    sessions: open(z.enum(['this', 'all']).optional()).describe('Of the principal; by default the one that asked.'),
  })
  .meta({ id: 'Approve' });
export const RevokeApprovalBody = z.strictObject({ reason: open(Prose(500).min(1)) }).meta({ id: 'RevokeApproval' });
export const CommentBody = z
  .strictObject({ text: sensitive(Prose(LIMITS.commentCharactersMax).min(1)) })
  .meta({ id: 'Comment' });
export const DelegateBody = z
  .strictObject({
    to: open(z.string().min(1).max(200)).describe('Name or id of a person who may answer approvals.'),
    reason: open(Prose(500).optional()),
  })
  .meta({ id: 'Delegate' });
export const DenyBody = z.strictObject({ reason: open(Prose(500).min(1)) }).meta({ id: 'Deny' });

/** By id. */
export interface Names {
  readonly resources: ReadonlyMap<string, string>;
  readonly voters: ReadonlyMap<string, string>;
}

/** @param left how many yeses are missing while it is pending */
export function showApproval(row: RequestWithVotes, answerable: boolean, names: Names, left: number): ApprovalView {
  const request = row.body as unknown as ApprovalRequest;
  return {
    id: row.id,
    state: row.state as ApprovalView['state'],
    answerable,
    principal: request.principal,
    onBehalfOf: request.onBehalfOf ?? null,
    agentId: row.agentId,
    sessionId: row.sessionId,
    resourceId: row.resourceId,
    resource: names.resources.get(row.resourceId) ?? row.resourceId,
    database: request.database,
    clientAddress: request.clientAddress,
    mode: row.mode,
    scope: request.scope,
    digest: row.digest,
    statement: request.text,
    parameters: request.parameters.map((text) => text ?? null),
    effects: [...request.effects],
    rule: row.rule,
    ruleReason: request.reason,
    askedReason: request.askedReason ?? null,
    role: request.role ?? null,
    shape: shapeOf(request),
    work: workOf(request),
    granted:
      row.state === 'approved' || row.state === 'consumed' || row.state === 'revoked'
        ? {
            scope: row.scope === 'shape' ? 'shape' : 'once',
            until: row.grantUntil?.toISOString() ?? null,
            rowsMax: row.rowsMax,
          }
        : null,
    escalatesAt: row.escalateAt?.toISOString() ?? null,
    escalatedAt: row.escalatedAt?.toISOString() ?? null,
    comments: row.comments.map((comment) => ({
      id: comment.id,
      principalId: comment.principalId,
      principal: names.voters.get(comment.principalId) ?? '',
      text: comment.text,
      at: comment.createdAt.toISOString(),
    })),
    groups: row.groups,
    count: row.count,
    missing: left,
    inTransaction: request.inTransaction,
    wroteInTransaction: request.wroteInTransaction,
    statementsBefore: request.statementsBefore,
    writesBefore: request.writesBefore,
    recentStatements: [...request.recentStatements],
    votes: row.votes.map((vote) => ({
      principalId: vote.principalId,
      principal: names.voters.get(vote.principalId) ?? '',
      granted: vote.granted,
      reason: vote.reason,
      seatOf: vote.seatOfId === null ? null : (names.voters.get(vote.seatOfId) ?? vote.seatOfId),
      at: vote.createdAt.toISOString(),
    })),
    reason: row.reason,
    requestedAt: row.requestedAt.toISOString(),
    expiresAt: row.expiresAt.toISOString(),
    answeredAt: row.answeredAt?.toISOString() ?? null,
    consumedAt: row.consumedAt?.toISOString() ?? null,
    revokedAt: row.revokedAt?.toISOString() ?? null,
  };
}

/** @param show a value as the reader may see it */
export function workOf(
  { work }: { readonly work?: TransactionWork | undefined },
  show: (text: string) => string = (text) => text,
): z.infer<typeof Work> | null {
  if (work === undefined) return null;
  const list = (values: readonly (string | undefined)[]) =>
    values.map((value) => (value === undefined ? null : show(value)));
  return {
    ...work,
    statements: work.statements.map(({ text = '', parameters = [], sample, ...counts }) => ({
      ...counts,
      text: show(text),
      parameters: list(parameters),
      sample: sample === undefined ? null : { columns: [...sample.columns], rows: sample.rows.map(list) },
    })),
    since: new Date(work.since).toISOString(),
    note: NOT_COUNTED,
  };
}

function shapeOf({ shape, approval }: ApprovalRequest): ApprovalView['shape'] {
  if (shape === undefined || approval.shape === undefined) return null;
  const { text, tables, bound } = shape;
  const minutesMax = Math.max(1, Math.floor(approval.shape.forMsMax / 60_000));
  return { text, tables: [...tables], bound, minutesMax, rowsMax: approval.shape.rowsMax, note: NOT_COUNTED };
}
