/** One principal using one resource, from sign-in to close. */
import { listOf, objectOf, oneOf, optional, parseInteger, parseString } from '@sallyport/core';
import { type PrincipalRef, parsePrincipalRef } from './principal.ts';

export interface SessionInfo {
  /** UUIDv7 text. */
  readonly id: string;
  readonly projectId: string;
  readonly agentId: string;
  readonly resourceId: string;
  readonly resourceName: string;
  readonly protocol: 'postgres';
  readonly principal: PrincipalRef;
  readonly onBehalfOf: PrincipalRef | undefined;
  readonly tokenId: string;
  readonly grantIds: readonly string[];
  /** Address and port of the client, as the agent saw it. */
  readonly clientAddress: string;
  /** Database and role on the server; application name as the client says. */
  readonly database: string;
  readonly role: string;
  readonly application: string;
  /** UTC milliseconds. */
  readonly openedAt: number;
}

/** Counters of a session: what rules read as `usage.*`. */
export interface SessionUsage {
  statements: number;
  writes: number;
  rows: number;
  bytes: number;
}

const parseSessionInfo = objectOf({
  id: parseString,
  projectId: parseString,
  agentId: parseString,
  resourceId: parseString,
  resourceName: parseString,
  protocol: oneOf('postgres'),
  principal: parsePrincipalRef,
  onBehalfOf: optional(parsePrincipalRef),
  tokenId: parseString,
  grantIds: listOf(parseString, 100),
  clientAddress: parseString,
  database: parseString,
  role: parseString,
  application: parseString,
  openedAt: parseInteger,
});

/**
 * One line of an agent's live table, as the link's SessionReport carries it in JSON: sent when a session opens, now and
 * then while it lives, again for each live session after a reconnect, and when it closes.
 */
export const parseSessionReport = objectOf({
  kind: oneOf('opened', 'live', 'closed'),
  session: parseSessionInfo,
  statements: parseInteger,
  writes: parseInteger,
  rows: parseInteger,
  bytes: parseInteger,
  /** The approval request it waits for; absent when it does not wait. */
  heldFor: optional(parseString),
  /** UTC ms of this report; for `closed` the time it closed. */
  at: parseInteger,
  /** For `closed`: an error code, or '' when a peer simply left. */
  reason: optional(parseString),
});
export type SessionReport = ReturnType<typeof parseSessionReport>;
