/**
 * What the REST API answers, as far as callers read it; docs/reference/openapi.json is the whole.
 * Instants are ISO 8601 texts in UTC unless a name ends in `Ms`. Refuses to carry secrets, save where one is shown once.
 */
export type PrincipalKind = 'person' | 'service' | 'ai_agent';
export type Effect = 'read' | 'write' | 'ddl' | 'exec' | 'admin';

/** ISO text or UTC milliseconds. */
export type Instant = string | number;

export interface Page<T> {
  readonly items: readonly T[];
  readonly nextCursor?: string | null;
}

export interface PrincipalRef {
  readonly id: string;
  readonly name: string;
  readonly kind: PrincipalKind;
}

export interface WhoAmI {
  readonly principal: PrincipalRef;
  readonly roles: readonly string[];
  readonly groups: readonly string[];
  readonly permissions: readonly string[];
  readonly project?: { readonly id: string; readonly name: string };
  readonly token?: { readonly expiresAt?: Instant };
}

export interface Principal extends PrincipalRef {
  readonly displayName?: string;
  readonly email?: string | null;
  readonly roles: readonly string[];
  readonly groups?: readonly string[];
  readonly disabledAt?: Instant | null;
  readonly createdAt: Instant;
}

export interface Group {
  readonly id: string;
  readonly name: string;
  readonly description?: string;
  /** Of one group alone; lists have the count. */
  readonly members?: readonly PrincipalRef[];
  readonly memberCount: number;
  readonly createdAt: Instant;
}

export interface Endpoint {
  readonly protocol: string;
  /** `host:port`. */
  readonly address: string;
  readonly plaintext?: boolean;
}

export interface Resource {
  readonly id: string;
  readonly name: string;
  readonly type?: string;
  readonly kind?: string;
  readonly description?: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly endpoints: readonly Endpoint[];
  readonly databases?: readonly string[];
  /** With `reachable=true`: what the caller may do there. */
  readonly effects?: readonly Effect[];
  readonly roles?: readonly string[];
  readonly recording?: string;
  readonly approval?: string;
  readonly exceeded?: string;
  readonly credential?: string | null;
  readonly agents?: readonly string[];
  readonly createdAt?: Instant;
}

export interface Grant {
  readonly id: string;
  readonly name: string;
  readonly principal?: string | null;
  readonly group?: string | null;
  readonly resource?: string | null;
  readonly labels?: Readonly<Record<string, string>> | null;
  readonly effects: readonly Effect[];
  readonly roles?: readonly string[];
  readonly kind: string;
  readonly notBefore?: Instant | null;
  readonly notAfter?: Instant | null;
  readonly revokedAt?: Instant | null;
  readonly createdAt?: Instant;
}

export interface Policy {
  readonly id: string;
  readonly name: string;
  readonly source: string;
  readonly revision: number;
}

export interface Explanation {
  readonly verdict: {
    readonly kind: 'allow' | 'hold' | 'deny';
    readonly rule: string;
    readonly code?: string;
    readonly message?: string;
  };
  readonly understood: boolean;
  /** Why the text has no facts. */
  readonly unknown: string | null;
  readonly statementEffects: readonly Effect[];
  /** What the principal may do there. */
  readonly effects: readonly Effect[];
  readonly grants: readonly { readonly id: string; readonly kind: string; readonly effects: readonly Effect[] }[];
  readonly rules: readonly {
    readonly rule: string;
    readonly verdict: string;
    readonly mode: string;
    readonly outcome: string;
    readonly when: string;
  }[];
}

export interface ApplyDocument {
  readonly file: string;
  readonly text: string;
}
export interface Change {
  readonly kind: string;
  readonly name: string;
  readonly action: 'create' | 'update' | 'delete' | 'none';
  /** `- field: old`, `+ field: new`. */
  readonly diff: readonly string[];
}

export interface ApprovalRequest {
  readonly id: string;
  /** `pending`, `approved`, `denied`, `expired`, `withdrawn` or `consumed`. */
  readonly state: string;
  /** The caller may answer it. */
  readonly answerable?: boolean;
  readonly principal: PrincipalRef;
  readonly onBehalfOf: PrincipalRef | null;
  readonly sessionId: string;
  /** Name of the resource. */
  readonly resource: string;
  readonly database: string;
  readonly clientAddress: string;
  readonly mode: string;
  readonly scope: string;
  readonly digest: string;
  /** Values that the detectors know are shown in part. */
  readonly statement: string;
  readonly parameters: readonly (string | null)[];
  readonly effects: readonly Effect[];
  readonly rule: string;
  /** What the rule's author says. */
  readonly ruleReason: string;
  readonly groups: readonly string[];
  /** How many distinct persons must say yes. */
  readonly count: number;
  readonly inTransaction: boolean;
  readonly wroteInTransaction: boolean;
  readonly statementsBefore: number;
  readonly writesBefore: number;
  readonly recentStatements: readonly string[];
  readonly votes: readonly {
    readonly principalId: string;
    readonly granted: boolean;
    readonly reason: string | null;
    readonly at: Instant;
  }[];
  /** Of the answer. */
  readonly reason: string | null;
  readonly requestedAt: Instant;
  readonly expiresAt: Instant;
  readonly answeredAt: Instant | null;
  readonly consumedAt: Instant | null;
}

export interface Session {
  readonly id: string;
  readonly live: boolean;
  readonly resource: { readonly id: string; readonly name: string };
  readonly protocol: string;
  readonly principal: PrincipalRef;
  readonly onBehalfOf: { readonly id: string; readonly name: string } | null;
  readonly agent: { readonly id: string; readonly name: string };
  readonly clientAddress: string;
  readonly database: string;
  readonly role: string;
  readonly application: string;
  readonly openedAt: Instant;
  readonly closedAt: Instant | null;
  readonly closeReason: string | null;
  readonly statements: number;
  readonly rows: number;
  readonly bytes: number;
  /** Approval request it waits for. */
  readonly heldFor: string | null;
  readonly erasedAt: Instant | null;
}

/** A statement of a session as the trail has it. */
export interface RecordedStatement {
  readonly number: number;
  readonly at: Instant;
  readonly verdict: string;
  readonly rule: string;
  readonly code: string;
  readonly effects: readonly Effect[];
  readonly text: string;
  readonly parameters: readonly (string | null)[];
  readonly approvalId: string;
  readonly outcome: {
    readonly rows: number;
    readonly bytes: number;
    readonly error: string;
    readonly durationUs: number;
    readonly masked: number;
  } | null;
}

/** One frame of a recording or of a live session. Times are milliseconds since the session opened. */
export interface ReplayFrame {
  readonly atMs: number;
  readonly kind: string;
  readonly number?: number;
  readonly text?: string;
  readonly columns?: readonly string[];
  readonly rows?: readonly (readonly (string | null)[])[] | number;
  readonly bytes?: number | string;
}

export interface TrailEventRow {
  readonly kind: string;
  readonly at?: Instant;
  readonly time?: Instant;
  readonly sequence?: number | string;
  readonly sessionId?: string | null;
  readonly principal?: string | PrincipalRef | null;
  readonly resource?: string | null;
  readonly verdict?: string | null;
  readonly rule?: string | null;
  readonly action?: string | null;
  readonly target?: string | null;
}

export interface Agent {
  readonly id: string;
  readonly name: string;
  readonly names: readonly string[];
  readonly version: string;
  readonly endpoints: readonly Endpoint[];
  readonly connected: boolean;
  readonly lastSeenAt: Instant | null;
  readonly revokedAt: Instant | null;
  readonly certificateExpiresAt: Instant | null;
  readonly bundle: {
    readonly epoch: number;
    readonly revision: number;
    /** The newest revision is in force. */
    readonly current: boolean;
    readonly error: string | null;
  };
}

export interface JoinToken {
  readonly joinToken: string;
  readonly command: string;
  readonly expiresAt?: Instant;
}
