/**
 * A hold waiting for persons, and their recorded answer. An approval is evidence for a second decision, never a permit.
 * All texts in a request have passed the detectors; a clear view is another permission and another event.
 */
import { listOf, objectOf, oneOf, optional, parseBoolean, parseInteger, parseString } from '@sallyport/core';
import { EFFECTS } from './effect.ts';
import { parseApprovalSpec, parseStepUp } from './policy.ts';
import { parsePrincipalRef } from './principal.ts';
import { parseTransactionWork } from './transaction.ts';

/** `once`: this statement digest, one time. `shape`: statements that differ from it in literals and parameters alone, for a time. */
export const APPROVAL_SCOPES = ['once', 'shape'] as const;

/** What an agent offers to be bound to beside the digest. ADR 0017. */
export const parseOfferedShape = objectOf({
  /** Hex SHA-256 over all that is the same: see model StatementShape. */
  digest: parseString,
  /** The statement with `?` in the place of each literal; for people. */
  text: parseString,
  /** As the text names them. */
  tables: listOf(parseString, 1_000),
  /** A read is cut at the row bound; a write runs only where it can be undone, and is. */
  bound: oneOf('cut', 'undone'),
});

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
  /** Why, in the requester's words (detected values hidden). */
  askedReason: optional(parseString),
  /** The role the session runs as; absent = the credential's own. */
  role: optional(parseString),
  /** Absent where the rule allows no shape, or the statement has none that is safe. */
  shape: optional(parseOfferedShape),
  /** It is a COMMIT: what would be committed. */
  work: optional(parseTransactionWork),
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
  /** With scope `shape`: what is bound beside agent, resource and principal. `expiresAt` is the end of the grant. */
  shape: optional(
    objectOf({
      digest: parseString,
      rowsMax: parseInteger,
      database: parseString,
      role: parseString,
      /** Absent = every session of the principal. */
      sessionId: optional(parseString),
    }),
  ),
  /** Groups that may answer because the request was escalated. */
  escalatedTo: optional(listOf(parseString, 100)),
  /** Whose seat someone in `by` has taken, where it is not their own. */
  seats: optional(listOf(objectOf({ by: parseString, of: parsePrincipalRef }), 100)),
  answeredAt: parseInteger,
  expiresAt: parseInteger,
});
export type Approval = ReturnType<typeof parseApproval>;
