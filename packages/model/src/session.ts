/** One principal using one resource, from sign-in to close. */
import type { PrincipalRef } from './principal.ts';

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
