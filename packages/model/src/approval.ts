/**
 * A hold waiting for persons, and their recorded answer. An approval is evidence for a second decision, never a permit.
 * All texts in a request have passed the detectors; a clear view is another permission and another event.
 */
import { listOf, objectOf, oneOf, optional, parseBoolean, parseInteger, parseString } from '@sallyport/core';
import { EFFECTS } from './effect.ts';
import { parseApprovalSpec, parseStepUp } from './policy.ts';
import { parsePrincipalRef } from './principal.ts';

/** `once`: this statement digest, one time. The field exists from the first version on; `shape` comes later. */
export const APPROVAL_SCOPES = ['once'] as const;

export const parseApprovalRequest = objectOf({
  /** Minted by the agent (`apr-…`), so that announcing it again is idempotent. */
  id: parseString,
  projectId: parseString,
  agentId: parseString,
  sessionId: parseString,
  resourceId: parseString,
  principal: parsePrincipalRef,
  onBehalfOf: optional(parsePrincipalRef),
  digest: parseString,
  scope: oneOf(...APPROVAL_SCOPES),
  mode: oneOf('wait', 'ticket'),
  text: parseString,
  parameters: listOf(optional(parseString)),
  effects: listOf(oneOf(...EFFECTS)),
  rule: parseString,
  reason: parseString,
  approval: parseApprovalSpec,
  database: parseString,
  clientAddress: parseString,
  inTransaction: parseBoolean,
  wroteInTransaction: parseBoolean,
  /** The session so far: statements, writes, and the texts of the last few (detected values hidden). */
  statementsBefore: parseInteger,
  writesBefore: parseInteger,
  recentStatements: listOf(parseString, 20),
  requestedAt: parseInteger,
  expiresAt: parseInteger,
});
export type ApprovalRequest = ReturnType<typeof parseApprovalRequest>;

/** The answer as signed by the control plane over its raw bytes (compact JWS, `typ: sallyport-approval+jwt`). */
export const parseApproval = objectOf({
  id: parseString,
  digest: parseString,
  scope: oneOf(...APPROVAL_SCOPES),
  agentId: parseString,
  resourceId: parseString,
  principalId: parseString,
  granted: parseBoolean,
  /** Who answered: distinct persons, in order. */
  by: listOf(parsePrincipalRef),
  reason: optional(parseString),
  /** What every approver's sign-in was checked for; absent where the rule asked for nothing. */
  stepUp: optional(parseStepUp),
  answeredAt: parseInteger,
  expiresAt: parseInteger,
});
export type Approval = ReturnType<typeof parseApproval>;
