/** One principal using one resource, from sign-in to close. */
import { listOf, objectOf, oneOf, optional, parseInteger, parseString } from '@sallyport/core';
import { type PrincipalRef, parsePrincipalRef } from './principal.ts';
import { PROTOCOLS, type Protocol } from './protocol.ts';

/** How the person behind a session signed in: what rules read as `auth.*`. */
export interface SessionAuth {
  /** Methods of proof (RFC 8176); empty when nobody said. */
  readonly amr: readonly string[];
  /** Level of proof; '' when nobody said. */
  readonly acr: string;
  /** UTC milliseconds; undefined when nobody said: then no age is young enough. */
  readonly authTimeMs: number | undefined;
  readonly provider: string;
}

/** The token of another issuer that opened a session. */
export interface SessionIssuer {
  /** Name of the trust rule. */
  readonly rule: string;
  readonly issuer: string;
  readonly subject: string;
}

export interface SessionInfo {
  /** UUIDv7 text. */
  readonly id: string;
  readonly projectId: string;
  readonly agentId: string;
  readonly resourceId: string;
  readonly resourceName: string;
  readonly protocol: Protocol;
  readonly principal: PrincipalRef;
  readonly onBehalfOf: PrincipalRef | undefined;
  readonly tokenId: string;
  readonly grantIds: readonly string[];
  /** Address and port of the client, as the agent saw it. */
  readonly clientAddress: string;
  /** Database and role on the server (over SSH: '' and the login); application name as the client says. */
  readonly database: string;
  readonly role: string;
  readonly application: string;
  /** UTC milliseconds. */
  readonly openedAt: number;
  /** Absent where no person signed in by a provider, or the token does not say. */
  readonly auth?: SessionAuth;
  /** Present where no access token of ours opened it. */
  readonly issuer?: SessionIssuer;
}

/** Counters of a session: what rules read as `usage.*`. */
export interface SessionUsage {
  statements: number;
  writes: number;
  rows: number;
  bytes: number;
}

/**
 * One line of an agent's live table, as the link's SessionReport carries it in JSON: sent when a session opens, when its
 * counters moved, again for each live session after a reconnect, and when it closes. The trail's word replaces a report.
 */
export const parseSessionReport = objectOf({
  id: parseString,
  projectId: parseString,
  agentId: parseString,
  resourceId: parseString,
  resourceName: parseString,
  protocol: oneOf(...PROTOCOLS),
  principal: parsePrincipalRef,
  onBehalfOf: optional(parsePrincipalRef),
  tokenId: parseString,
  grantIds: optional(listOf(parseString, 100)),
  clientAddress: parseString,
  database: parseString,
  role: parseString,
  application: parseString,
  openedAt: parseInteger,
  usage: optional(
    objectOf({ statements: parseInteger, writes: parseInteger, rows: parseInteger, bytes: parseInteger }),
  ),
  /** UTC ms, once it is over; with an error code as reason, or '' when a peer simply left. */
  closedAt: optional(parseInteger),
  reason: optional(parseString),
});
export type SessionReport = ReturnType<typeof parseSessionReport>;
