/**
 * A request for approval as an agent announces it → the row it becomes. Pure. Refuses what an agent says in another's name, and
 * keeps no value that the detectors know.
 */
import { GatewayError, ParseError } from '@sallyport/core';
import { type ApprovalRequest, parseApprovalRequest, type TransactionWork } from '@sallyport/model';
import type { Prisma } from '../generated/prisma/client.ts';
import { hideDetected } from '../masking/detected.ts';

const REQUEST_BYTES_MAX = 1024 * 1024;

export interface AgentSource {
  readonly agentId: string;
  readonly projectId: string;
  /** Its process, as its chain is named; 0 where it has not said. */
  readonly instance: string;
  readonly chainEpoch: number;
}

/** PostgreSQL keeps no NUL in a text, and in jsonb no half of a character, as a cut leaves one. */
export const shown = (text: string): string => hideDetected(text).replaceAll('\0', '\uFFFD').toWellFormed();

function shownWork(work: TransactionWork): TransactionWork {
  const cell = (text: string | undefined): string | undefined => (text === undefined ? undefined : shown(text));
  return {
    ...work,
    statements: work.statements.map(({ text, parameters, sample, ...counts }) => ({
      ...counts,
      ...(text === undefined ? {} : { text: shown(text) }),
      ...(parameters === undefined ? {} : { parameters: parameters.map(cell) }),
      ...(sample === undefined
        ? {}
        : { sample: { columns: sample.columns.map(shown), rows: sample.rows.map((row) => row.map(cell)) } }),
    })),
  };
}

/**
 * A request as an agent sent it, its texts passed by the detectors of here too.
 * @throws GatewayError `protocol.malformed`, also for one of another agent; `frame.too_large`
 */
export function readRequest(source: AgentSource, bytes: Uint8Array): ApprovalRequest {
  if (bytes.length > REQUEST_BYTES_MAX) throw new GatewayError('frame.too_large', { what: 'approval' });
  try {
    const request = parseApprovalRequest(JSON.parse(Buffer.from(bytes).toString('utf8')), '');
    if (request.agentId !== source.agentId || request.projectId !== source.projectId)
      throw new ParseError('agentId', 'another agent');
    return {
      ...request,
      // They passed the agent's detectors already; an old agent may know fewer.
      text: shown(request.text),
      parameters: request.parameters.map((text) => (text === undefined ? undefined : shown(text))),
      recentStatements: request.recentStatements.map(shown),
      ...(request.askedReason === undefined ? {} : { askedReason: shown(request.askedReason) }),
      ...(request.work === undefined ? {} : { work: shownWork(request.work) }),
      ...(request.shape === undefined ? {} : { shape: { ...request.shape, text: shown(request.shape.text) } }),
    };
  } catch (cause) {
    throw new GatewayError('protocol.malformed', { what: 'approval' }, { cause });
  }
}

/** In quiet hours an escalation waits for nobody: its groups are asked with the rule's own. */
const isEscalated = ({ approval }: ApprovalRequest): boolean => approval.escalate?.afterMs === 0;

const askedAtOnce = (request: ApprovalRequest): ReadonlySet<string> =>
  new Set([...request.approval.groups, ...(isEscalated(request) ? (request.approval.escalate?.groups ?? []) : [])]);

function escalationOf(
  request: ApprovalRequest,
  nowMs: number,
): Pick<Prisma.ApprovalRequestCreateManyInput, 'escalateAt' | 'escalateGroups' | 'escalatedAt'> {
  const { escalate } = request.approval;
  if (escalate === undefined) return {};
  return {
    escalateAt: new Date(request.requestedAt + escalate.afterMs),
    escalateGroups: [...escalate.groups],
    ...(isEscalated(request) ? { escalatedAt: new Date(nowMs) } : {}),
  };
}

/** @param expiresAt and nowMs in UTC milliseconds */
export const rowOf = (
  { instance, chainEpoch }: AgentSource,
  request: ApprovalRequest,
  expiresAt: number,
  nowMs: number,
): Prisma.ApprovalRequestCreateManyInput => ({
  id: request.id,
  projectId: request.projectId,
  agentId: request.agentId,
  instance,
  chainEpoch,
  sessionId: request.sessionId,
  resourceId: request.resourceId,
  principalId: request.principal.id,
  onBehalfOfId: request.onBehalfOf?.id ?? null,
  digest: request.digest,
  mode: request.mode,
  rule: request.rule,
  body: JSON.parse(
    JSON.stringify({ ...request, parameters: request.parameters.map((text) => text ?? null) }),
  ) as Prisma.InputJsonObject,
  groups: [...askedAtOnce(request)],
  ...escalationOf(request, nowMs),
  count: Math.max(1, request.approval.count),
  requestedAt: new Date(request.requestedAt),
  expiresAt: new Date(expiresAt),
});
