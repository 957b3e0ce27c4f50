/** Requests and answers about approvals. */
import type { ApprovalRequest } from '@sallyport/model';
import { z } from 'zod';
import { Instant, open, sensitive } from '../http/schema.ts';
import type { RequestWithVotes } from './approvals.repository.ts';

export const APPROVAL_STATES = ['pending', 'approved', 'denied', 'expired', 'withdrawn', 'consumed'] as const;

export const ApprovalFilter = z.object({
  state: z.enum(APPROVAL_STATES).optional(),
  answerable: z
    .enum(['true', 'false'])
    .transform((text) => text === 'true')
    .optional()
    .describe('Only what I may answer.'),
  resource: z.uuid().optional().describe('Resource id.'),
  session: z.uuid().optional().describe('Session id.'),
});
export type ApprovalFilter = z.infer<typeof ApprovalFilter>;

const Principal = z.object({ id: z.string(), name: z.string(), kind: z.string() });

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
    groups: open(z.array(z.string())),
    count: open(z.number()).describe('How many distinct persons must say yes.'),
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
          at: Instant,
        }),
      ),
    ),
    reason: open(z.string().nullable()),
    requestedAt: open(Instant),
    expiresAt: open(Instant),
    answeredAt: open(Instant.nullable()),
    consumedAt: open(Instant.nullable()),
  })
  .meta({ id: 'ApprovalRequest' });
export type ApprovalView = z.infer<typeof ApprovalView>;

export const ApproveBody = z.strictObject({ reason: open(z.string().max(500).optional()) }).meta({ id: 'Approve' });
export const DenyBody = z.strictObject({ reason: open(z.string().min(1).max(500)) }).meta({ id: 'Deny' });

/** By id. */
export interface Names {
  readonly resources: ReadonlyMap<string, string>;
  readonly voters: ReadonlyMap<string, string>;
}

export function showApproval(row: RequestWithVotes, answerable: boolean, names: Names): ApprovalView {
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
    groups: row.groups,
    count: row.count,
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
      at: vote.createdAt.toISOString(),
    })),
    reason: row.reason,
    requestedAt: row.requestedAt.toISOString(),
    expiresAt: row.expiresAt.toISOString(),
    answeredAt: row.answeredAt?.toISOString() ?? null,
    consumedAt: row.consumedAt?.toISOString() ?? null,
  };
}
