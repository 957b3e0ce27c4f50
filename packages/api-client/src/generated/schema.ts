/**
 * Generated from docs/reference/openapi.json by packages/api-client/scripts/generate.ts; not edited by hand.
 * Instants are ISO 8601 texts in UTC.
 */

export interface AccessOptions {
  readonly items: readonly {
    readonly policy: string;
    readonly description: string;
    /** Names of those it covers today. */
    readonly resources: readonly string[];
    readonly effects: readonly ('read' | 'write' | 'ddl' | 'exec' | 'admin' | 'forward')[];
    readonly roles: readonly string[];
    readonly durationMax: string | number;
    readonly ticket: boolean;
    readonly groups: readonly string[];
  }[];
}

export interface AccessPolicy {
  readonly name: string;
  readonly description: string;
  /** Parts that are given must all match, inside a part one is enough; {} = everybody. */
  readonly requesters: {
    readonly groups?: readonly string[];
    readonly principals?: readonly string[];
    readonly kinds?: readonly ('person' | 'service' | 'ai_agent')[];
  };
  /** The same; {} = every resource. */
  readonly resources: {
    readonly names?: readonly string[];
    readonly labels?: Readonly<Record<string, string>>;
  };
  /** At most these. */
  readonly effects: readonly ('read' | 'write' | 'ddl' | 'exec' | 'admin' | 'forward')[];
  /** Roles on the server that may be asked for too. */
  readonly roles: readonly string[];
  readonly durationMax: string | number;
  readonly startWithin: string | number;
  readonly answerWithin: string | number;
  readonly extensions: {
    readonly times: number;
    readonly durationMax: string | number;
  };
  /** The whole reference must match the pattern. */
  readonly ticket: {
    readonly required: boolean;
    readonly pattern?: string;
  };
  readonly approve?: {
    readonly [key: string]: unknown;
  };
  readonly decision?: {
    readonly webhook: string;
    readonly timeout: string | number;
  };
  readonly id: string;
  readonly createdAt: string;
  readonly updatedAt: string;
}

export interface AccessPolicyDocument {
  readonly name: string;
  readonly description?: string;
  /** Parts that are given must all match, inside a part one is enough; {} = everybody. */
  readonly requesters: {
    readonly groups?: readonly string[];
    readonly principals?: readonly string[];
    readonly kinds?: readonly ('person' | 'service' | 'ai_agent')[];
  };
  /** The same; {} = every resource. */
  readonly resources: {
    readonly names?: readonly string[];
    readonly labels?: Readonly<Record<string, string>>;
  };
  /** At most these. */
  readonly effects: readonly ('read' | 'write' | 'ddl' | 'exec' | 'admin' | 'forward')[];
  /** Roles on the server that may be asked for too. */
  readonly roles?: readonly string[];
  /** The longest grant, as 1h. */
  readonly durationMax?: string | number;
  /** How far ahead a start may lie; 0s = at once, always. */
  readonly startWithin?: string | number;
  /** A request that nobody answers in this time has expired. */
  readonly answerWithin?: string | number;
  /** How often a grant may be prolonged, and by how much each time; each is asked for and answered anew. */
  readonly extensions?: {
    readonly times: number;
    readonly durationMax: string | number;
  };
  /** The whole reference must match the pattern. */
  readonly ticket?: {
    readonly required?: boolean;
    readonly pattern?: string;
  };
  /** Persons: `count` distinct ones of any of `groups` (none = whoever may answer requests). */
  readonly approve?: {
    readonly count?: number;
    readonly groups?: readonly string[];
    /** So many of each of these groups, each person counted for one of them. */
    readonly all?: readonly {
      readonly group: string;
      readonly count?: number;
    }[];
    /** What a yes needs of the sign-in: how fresh, by which method, at which level. */
    readonly stepUp?: {
      readonly maxAge?: string | number;
      readonly amr?: readonly string[];
      readonly acr?: readonly string[];
    };
  };
  /** A webhook of format `generic` that is asked first. Its silence is no yes. */
  readonly decision?: {
    readonly webhook: string;
    readonly timeout?: string | number;
  };
}

export interface AccessRequest {
  readonly id: string;
  readonly state: 'pending' | 'approved' | 'denied' | 'expired' | 'withdrawn' | 'revoked';
  /** The caller may answer it. */
  readonly answerable: boolean;
  readonly policy: string;
  /** Who gets the grant. */
  readonly principal: {
    readonly id: string;
    readonly name: string;
    readonly kind: string;
  };
  readonly requestedBy: {
    readonly id: string;
    readonly name: string;
    readonly kind: string;
  };
  readonly resource: string | null;
  readonly labels: Readonly<Record<string, string>> | null;
  readonly effects: readonly ('read' | 'write' | 'ddl' | 'exec' | 'admin' | 'forward')[];
  readonly roles: readonly string[];
  readonly duration: string | number;
  readonly startAt: string | null;
  readonly reason: string;
  readonly ticket: string | null;
  /** The request whose grant this one would prolong. */
  readonly extends: string | null;
  /** Groups whose members may answer; empty = whoever may answer. */
  readonly groups: readonly string[];
  readonly votes: readonly {
    readonly principalId: string;
    /** Name; empty when it is gone. */
    readonly principal: string;
    readonly granted: boolean;
    readonly reason: string | null;
    readonly effects: readonly ('read' | 'write' | 'ddl' | 'exec' | 'admin' | 'forward')[];
    readonly duration: string | number;
    readonly at: string;
  }[];
  /** Why it ended so. */
  readonly answer: string | null;
  /** What came of it. */
  readonly grant: {
    readonly id: string;
    readonly effects: readonly ('read' | 'write' | 'ddl' | 'exec' | 'admin' | 'forward')[];
    readonly notBefore: string | null;
    readonly notAfter: string | null;
    readonly revokedAt: string | null;
  } | null;
  readonly requestedAt: string;
  readonly expiresAt: string;
  readonly answeredAt: string | null;
}

export interface Account {
  readonly id: string;
  readonly principal: string;
  /** With a one-time code, always. */
  readonly hasPassword: boolean;
  readonly recoveryCodesLeft: number;
  readonly passkeys: readonly {
    readonly id: string;
    readonly name: string;
    readonly lastUsedAt: string | null;
    readonly createdAt: string;
  }[];
  /** For emergencies: every sign-in is an alarm. */
  readonly breakGlass: boolean;
  readonly lastLoginAt: string | null;
  readonly createdAt: string;
}

export interface AccountLink {
  /** Shown once, good once. */
  readonly link: string;
  readonly expiresAt: string;
}

export interface AccountPage {
  readonly items: readonly Account[];
  readonly nextCursor: string | null;
}

export interface Act {
  readonly id: string;
  readonly time: string;
  /** Null: the control plane itself. */
  readonly principal: string | null;
  readonly onBehalfOf: string | null;
  readonly action: string;
  readonly target: string;
  /** `changes`: what was changed, before and after; what is sensitive or secret is told as changed and not shown. */
  readonly detail: Readonly<Record<string, unknown>>;
  readonly requestId: string;
  /** It is in the project’s chain of the trail. */
  readonly chained: boolean;
}

export interface ActPage {
  readonly items: readonly Act[];
  readonly nextCursor: string | null;
}

export interface AddProjectAdmin {
  /** Name of the person. One of project `default` that is called so may sign in to this project as well. */
  readonly name: string;
  readonly expiresInSeconds?: number;
}

export interface Agent {
  readonly id: string;
  readonly name: string;
  readonly version: string;
  /** Heard of in the last 15 seconds. */
  readonly connected: boolean;
  readonly lastSeenAt: string | null;
  readonly instance: string | null;
  /** DNS names and addresses its listener certificate carries. */
  readonly names: readonly string[];
  readonly endpoints: readonly {
    readonly protocol: string;
    readonly address: string;
    readonly plaintext: boolean;
  }[];
  readonly capabilities: readonly string[];
  readonly bundle: {
    readonly epoch: number;
    readonly revision: number;
    /** The newest revision is in force. */
    readonly current: boolean;
    /** Why the last bundle was refused. */
    readonly error: string | null;
  };
  readonly certificateExpiresAt: string | null;
  readonly revokedAt: string | null;
  readonly createdAt: string;
}

export interface AgentPackage {
  readonly files: readonly {
    readonly name: string;
    readonly sha256: string;
    readonly size: number;
  }[];
}

export interface ApiToken {
  readonly id: string;
  readonly name: string;
  readonly kind: string;
  readonly scopes: readonly string[];
  readonly expiresAt: string;
  readonly lastUsedAt: string | null;
  readonly createdAt: string;
}

export interface ApiTokenPage {
  readonly items: readonly ApiToken[];
  readonly nextCursor: string | null;
}

export interface ApplyAnswer {
  readonly changes: readonly {
    readonly kind: 'Group' | 'Resource' | 'Grant' | 'Policy' | 'AccessPolicy' | 'IdentityProvider' | 'AccessReview';
    readonly name: string;
    readonly action: 'create' | 'update' | 'delete' | 'none';
    /** `- field: old`, `+ field: new`. */
    readonly diff: readonly string[];
    /** What is allowed and will not work as meant. */
    readonly warnings?: readonly string[];
  }[];
}

export interface ApplyRequest {
  readonly documents: readonly {
    readonly file: string;
    readonly text: string;
  }[];
  readonly dryRun?: boolean;
  /** Delete what is not named, among the kinds the documents hold. */
  readonly prune?: boolean;
}

export interface ApprovalRequest {
  readonly id: string;
  readonly state: 'pending' | 'approved' | 'denied' | 'expired' | 'withdrawn' | 'lost' | 'consumed' | 'revoked';
  /** The caller may answer it. */
  readonly answerable: boolean;
  readonly principal: {
    readonly id: string;
    readonly name: string;
    readonly kind: string;
  };
  readonly onBehalfOf: {
    readonly id: string;
    readonly name: string;
    readonly kind: string;
  } | null;
  readonly agentId: string;
  readonly sessionId: string;
  readonly resourceId: string;
  /** Its name. */
  readonly resource: string;
  readonly database: string;
  readonly clientAddress: string;
  readonly mode: string;
  readonly scope: string;
  readonly digest: string;
  /** Values that the detectors know are shown in part. */
  readonly statement: string;
  readonly parameters: readonly (string | null)[];
  readonly effects: readonly string[];
  readonly rule: string;
  readonly ruleReason: string;
  /** Why, in the requester’s words. */
  readonly askedReason: string | null;
  /** The role the session runs as. */
  readonly role: string | null;
  /** What may be approved beside this one statement; null where the rule or the statement allows none. */
  readonly shape: {
    readonly text: string;
    readonly tables: readonly string[];
    readonly bound: 'cut' | 'undone';
    readonly minutesMax: number;
    readonly rowsMax: number;
    readonly note: string;
  } | null;
  /** What a COMMIT would commit; null for any other statement. */
  readonly work: {
    readonly statements: readonly {
      /** In its session. */
      readonly number: number;
      readonly text: string;
      readonly parameters: readonly (string | null)[];
      /** Changed, as the server counted. */
      readonly rows: number;
      /** `rows` is all that it changed by itself. */
      readonly counted: boolean;
      readonly rolledBack: boolean;
      /** The first rows of RETURNING, as the client saw them. */
      readonly sample: {
        readonly columns: readonly string[];
        readonly rows: readonly (readonly (string | null)[])[];
      } | null;
    }[];
    /** Of statements; `statements` has the first of them. */
    readonly count: number;
    readonly rows: number;
    /** Of `rows`. */
    readonly rowsRolledBack: number;
    /** Statements of which not all is in `rows`. */
    readonly uncounted: number;
    readonly since: string;
    readonly note: string;
  } | null;
  /** How far a yes went. */
  readonly granted: {
    readonly scope: 'once' | 'shape';
    readonly until: string | null;
    readonly rowsMax: number | null;
  } | null;
  readonly escalatesAt: string | null;
  readonly escalatedAt: string | null;
  readonly comments: readonly {
    readonly id: string;
    readonly principalId: string;
    readonly principal: string;
    readonly text: string;
    readonly at: string;
  }[];
  readonly groups: readonly string[];
  /** How many distinct persons must say yes. */
  readonly count: number;
  /** How many of them are missing while it is pending. A yes does not count any more once who gave it may not answer: their account is disabled, or their role or group is taken away. */
  readonly missing: number;
  readonly inTransaction: boolean;
  readonly wroteInTransaction: boolean;
  readonly statementsBefore: number;
  readonly writesBefore: number;
  readonly recentStatements: readonly string[];
  readonly votes: readonly {
    readonly principalId: string;
    /** Name; empty when it is gone. */
    readonly principal: string;
    readonly granted: boolean;
    readonly reason: string | null;
    /** Name of who handed over the seat. */
    readonly seatOf: string | null;
    readonly at: string;
  }[];
  readonly reason: string | null;
  readonly requestedAt: string;
  readonly expiresAt: string;
  readonly answeredAt: string | null;
  readonly consumedAt: string | null;
  readonly revokedAt: string | null;
}

export interface Approve {
  readonly reason?: string;
  /** `shape`: also what differs in values alone, for a time; where the rule allows it and the request offers it. */
  readonly scope?: 'once' | 'shape';
  /** Of a shape; by default as long as the rule allows. */
  readonly minutes?: number;
  /** Rows of each statement. */
  readonly rowsMax?: number;
  /** Of the principal; by default the one that asked. */
  readonly sessions?: 'this' | 'all';
}

export interface ApproveAccess {
  readonly reason?: string;
  /** Fewer than were asked for. */
  readonly effects?: readonly ('read' | 'write' | 'ddl' | 'exec' | 'admin' | 'forward')[];
  /** Shorter than was asked for. */
  readonly duration?: string | number;
}

export interface ApproveProposal {
  readonly reason?: string;
}

export interface ApproverDelegation {
  readonly id: string;
  /** Whose seat. */
  readonly of: string;
  readonly to: string;
  readonly startsAt: string;
  readonly endsAt: string;
  readonly endedAt: string | null;
}

export interface Budget {
  /** `<policy>/<budget>`. */
  readonly budget: string;
  readonly principalId: string;
  /** Name; empty when it is gone. */
  readonly principal: string;
  readonly startedAt: string;
  readonly resetsAt: string;
  readonly limits: {
    readonly statements?: number;
    readonly writes?: number;
    readonly rows?: number;
    readonly bytes?: number;
    readonly seconds?: number;
  };
  /** Lent to agents in this window; what they have not used yet is in it. */
  readonly leased: {
    readonly statements?: number;
    readonly writes?: number;
    readonly rows?: number;
    readonly bytes?: number;
    readonly seconds?: number;
  };
  /** What no agent has leased: of each limit at least so much is there. */
  readonly left: {
    readonly statements?: number;
    readonly writes?: number;
    readonly rows?: number;
    readonly bytes?: number;
    readonly seconds?: number;
  };
  readonly agents: number;
}

export interface BudgetList {
  readonly items: readonly Budget[];
}

export interface BundleCounter {
  readonly epoch: number;
  readonly revision: number;
}

export interface CertifiedKey {
  /** A line for a `-cert.pub` file. */
  readonly certificate: string;
  readonly expiresAt: string;
}

export interface CertifyKey {
  /** As in a `.pub` file: `<type> <base64>`. */
  readonly publicKey: string;
  /** For the SSH resource, asked for at /v1/oauth/token with `cnf_jkt` = the key’s JWK thumbprint (RFC 7638). */
  readonly accessToken: string;
}

export interface ChangeProposal {
  readonly id: string;
  readonly state: 'pending' | 'executed' | 'rejected' | 'withdrawn' | 'stale' | 'failed' | 'expired';
  readonly areas: readonly string[];
  /** The write that waits, as `PUT /v1/policies/prod`. */
  readonly call: string;
  /** What it changes, before and after, as the act will tell it. */
  readonly changes: readonly unknown[];
  readonly proposer: {
    readonly id: string;
    readonly name: string;
  };
  readonly answeredBy: {
    readonly id: string;
    readonly name: string;
  } | null;
  readonly reason: string | null;
  readonly createdAt: string;
  readonly expiresAt: string;
  readonly answeredAt: string | null;
  /** The call’s own answer waits for its proposer, once. */
  readonly hasAnswer: boolean;
}

export interface ChangeProposalPage {
  readonly items: readonly ChangeProposal[];
  readonly nextCursor: string | null;
}

export interface ClientKey {
  readonly id: string;
  /** For the assertion’s header; the key’s own, else its thumbprint (RFC 7638). */
  readonly kid: string;
  readonly clientId: string;
  readonly expiresAt: string | null;
  readonly createdAt: string;
}

export interface ClientKeyList {
  readonly items: readonly ClientKey[];
  readonly nextCursor: null | null;
}

export interface CommandSearchPage {
  readonly items: readonly FoundCommand[];
  /** A page may be empty and have one: more sessions are to be looked into. */
  readonly nextCursor: string | null;
  /** Sessions that were looked into for this page. */
  readonly looked: number;
  /** Of these, erased ones, and those of which there is more than could be read here: a recording on its way, or lost. */
  readonly unreadable: number;
}

export interface Comment {
  readonly text: string;
}

export interface CreateAccessRequest {
  /** The access policy; needed only where several fit. */
  readonly policy?: string;
  /** Name; or give labels. */
  readonly resource?: string;
  /** Every resource that carries all of them. */
  readonly labels?: Readonly<Record<string, string>>;
  /** An AI agent or service that gets it instead of you. */
  readonly for?: string;
  readonly effects: readonly ('read' | 'write' | 'ddl' | 'exec' | 'admin' | 'forward')[];
  readonly roles?: readonly string[];
  /** As 2h, from approval or from the start. */
  readonly duration: string | number;
  /** Not before; left out = from the approval on. */
  readonly startAt?: string;
  readonly reason: string;
  readonly ticket?: string;
}

export interface CreateAccountLink {
  /** The ways in that are there stop working, and sessions end. */
  readonly replaces?: boolean;
  /** The account it makes is for emergencies. */
  readonly breakGlass?: boolean;
  readonly expiresInSeconds?: number;
}

export interface CreateClientKey {
  /** The public key as JWK: RSA from 2048 bits, P-256 to P-521, or Ed25519. */
  readonly jwk: {
    readonly kty: string;
    readonly [key: string]: unknown;
  };
  readonly expiresInSeconds?: number;
}

export interface CreateCredential {
  readonly name: string;
  readonly kind: 'stored' | 'env' | 'file' | 'none' | 'vault' | 'aws_secrets' | 'aws_rds_iam' | 'gcp_secret' | 'azure_key_vault' | 'ephemeral' | 'ssh_ca';
  /** Empty where the source knows it, or nobody asks for one. */
  readonly username?: string;
  /** env: variable name; file: absolute path, both where it is resolved. */
  readonly reference?: string | null;
  /** The secret is a PEM client certificate and its key. */
  readonly certificate?: boolean;
  /** Of the kind: see docs/how-to/credentials.md. */
  readonly settings?: Readonly<Record<string, string>>;
  /** Who asks the source. */
  readonly resolveAt?: 'agent' | 'control_plane';
  /** ephemeral: the credential of who makes and drops its accounts. */
  readonly admin?: string | null;
  /** How long the value before a change is still tried when a server refuses the new one. */
  readonly fallback?: string | number | null;
  /** stored: Sallyport gives the account a new password this often. */
  readonly rotateEvery?: string | number | null;
  /** Of a stored one, or what opens its store; can be put later. */
  readonly secret?: string;
}

export interface CreateDelegation {
  /** Name or id of a person who may answer approvals. */
  readonly to: string;
  /** Now by default. */
  readonly startsAt?: string;
  /** At most 90 days later. */
  readonly endsAt: string;
}

export interface CreateGroup {
  readonly name: string;
  readonly description?: string;
}

export interface CreateIdentityProvider {
  readonly name: string;
  readonly kind: 'oidc' | 'saml';
  readonly displayName?: string;
  /** Settings of the kind: `OidcConfig` or `SamlConfig`. */
  readonly config: Readonly<Record<string, unknown>>;
  /** Sealed at once and never shown again. */
  readonly secrets?: Readonly<Record<string, unknown>>;
  readonly mapping?: {
    /** Claim or attribute that holds groups; `a.b` goes into objects. A claim of exactly this name comes first. */
    readonly groupsClaim?: string;
    /** Of a claim that is one text: what parts its groups. */
    readonly separator?: string;
    /** Only groups that begin so are looked at, and lose it. */
    readonly prefix?: string;
    readonly rules?: readonly {
      /** The provider’s group; * stands for any text. */
      readonly match: string;
      readonly group: string;
    }[];
    /** What a group gives that no rule names: our group of the same name, or nothing. */
    readonly unmapped?: 'same_name' | 'drop';
  };
  readonly enabled?: boolean;
}

export interface CreateJoinToken {
  /** The name of the agent that will join; one that has it already is replaced. */
  readonly name: string;
  /** What clients dial: DNS names and addresses for its listener certificate. */
  readonly names?: readonly string[];
  readonly expiresInSeconds?: number;
}

export interface CreatePrincipal {
  readonly name: string;
  readonly kind: 'person' | 'service' | 'ai_agent';
  readonly displayName?: string;
  readonly email?: string | null;
  /** Name or address of the person who reviews what this one may do. */
  readonly manager?: string | null;
  readonly roles?: readonly ('owner' | 'admin' | 'auditor' | 'approver' | 'provisioner' | 'member')[];
}

export interface CreateProject {
  /** Never changes. */
  readonly name: string;
  readonly description?: string;
}

export interface CreateSecret {
  readonly expiresInSeconds?: number;
}

export interface CreateSlackLink {
  readonly code: string;
}

export interface CreateToken {
  readonly name: string;
  /** Permissions it is narrowed to; empty = all of the principal’s. */
  readonly scopes?: readonly ('principal:read' | 'principal:create' | 'principal:update' | 'principal:delete' | 'group:read' | 'group:create' | 'group:update' | 'group:delete' | 'token:create' | 'token:delete' | 'token:own' | 'identity-provider:read' | 'identity-provider:create' | 'identity-provider:update' | 'identity-provider:delete' | 'identity-provider:test' | 'account:read' | 'account:create' | 'account:update' | 'account:delete' | 'account:own' | 'trust-rule:read' | 'trust-rule:create' | 'trust-rule:update' | 'trust-rule:delete' | 'trust-rule:test' | 'resource:read' | 'resource:reach' | 'resource:create' | 'resource:update' | 'resource:delete' | 'credential:read' | 'credential:create' | 'credential:update' | 'credential:delete' | 'credential:test' | 'credential:rotate' | 'lease:read' | 'lease:revoke' | 'grant:read' | 'grant:create' | 'grant:update' | 'grant:delete' | 'review:read' | 'review:create' | 'review:answer' | 'review:export' | 'policy:read' | 'policy:create' | 'policy:update' | 'policy:delete' | 'policy:explain' | 'document:apply' | 'access-policy:read' | 'access-policy:create' | 'access-policy:update' | 'access-policy:delete' | 'access-request:create' | 'access-request:read' | 'access-request:answer' | 'approval:read' | 'approval:answer' | 'budget:read' | 'session:read' | 'session:own' | 'session:view' | 'session:view-clear' | 'session:watch' | 'session:kill' | 'session:erase' | 'trail:read' | 'trail:export' | 'retention:update' | 'agent:read' | 'agent:create' | 'agent:delete' | 'bundle:read' | 'bundle:recover' | 'webhook:read' | 'webhook:create' | 'webhook:update' | 'webhook:delete' | 'webhook:loopback' | 'slack:link' | 'project:read' | 'project:own' | 'project:create' | 'project:update' | 'project:delete' | 'key:rotate' | 'change-proposal:read' | 'change-proposal:answer' | 'dual-control:update' | 'scim:write' | 'access:exchange')[];
  readonly expiresInSeconds?: number;
  /** For `scim:write` alone: the identity provider whose directory will use the token. */
  readonly scim?: {
    readonly provider: string;
    /** The attribute that is the same as what sign-ins of the provider call the person. */
    readonly subject?: 'userName' | 'externalId' | 'email';
  };
}

export interface CreateWebhook {
  readonly name: string;
  /** Of generic, slack and teams; of a Slack app its API, if not the usual. */
  readonly url?: string;
  readonly format?: 'generic' | 'slack' | 'teams' | 'email' | 'slack_app';
  readonly events?: readonly ('approval.escalated' | 'approval.delegated' | 'approval.commented' | 'approval.requested' | 'approval.answered' | 'access.requested' | 'access.answered' | 'change.proposed' | 'change.answered' | 'session.killed' | 'review.started' | 'review.lapsed' | 'drift.found' | 'account.break_glass' | 'trail.alarm' | 'trail.head' | 'credential.refused' | 'credential.rotation_failed' | 'test' | '*')[];
  readonly secret?: string;
  /** Of e-mail: addresses. */
  readonly to?: readonly string[];
  /** Of a Slack app. */
  readonly channel?: string;
  /** Of a Slack app. */
  readonly botToken?: string;
  /** Of a Slack app: signs what Slack sends us. */
  readonly signingSecret?: string;
}

export interface Credential {
  readonly id: string;
  readonly name: string;
  readonly kind: 'stored' | 'env' | 'file' | 'none' | 'vault' | 'aws_secrets' | 'aws_rds_iam' | 'gcp_secret' | 'azure_key_vault' | 'ephemeral' | 'ssh_ca';
  readonly username: string;
  readonly reference: string | null;
  readonly certificate: boolean;
  readonly settings: Readonly<Record<string, string>>;
  readonly resolveAt: 'agent' | 'control_plane';
  readonly admin: string | null;
  readonly fallback: string | number | null;
  /** Until then the value before is still tried. */
  readonly fallbackUntil: string | null;
  readonly rotateEvery: string | number | null;
  /** When the secret was last put, rotated, or seen to have changed. */
  readonly rotatedAt: string;
  /** A next value is prepared. */
  readonly rotating: boolean;
  /** Error code of the last rotation that went wrong. */
  readonly rotationError: string | null;
  /** When a server last refused it. */
  readonly refusedAt: string | null;
  readonly fetchedAt: string | null;
  readonly fetchError: string | null;
  readonly hasSecret: boolean;
  readonly version: number;
  readonly resources: readonly string[];
  readonly createdAt: string;
  readonly updatedAt: string;
}

export interface CredentialErrandResult {
  readonly resource: string;
  /** undone: the password before is in force again; open: not answered yet. */
  readonly outcome: 'done' | 'undone' | 'failed' | 'open';
  /** Error code; empty when done. */
  readonly code: string;
  readonly reason: string;
}

export interface CredentialErrandResults {
  readonly items: readonly CredentialErrandResult[];
}

export interface CredentialPage {
  readonly items: readonly Credential[];
  readonly nextCursor: string | null;
}

export interface Delegate {
  /** Name or id of a person who may answer approvals. */
  readonly to: string;
  readonly reason?: string;
}

export interface Deny {
  readonly reason: string;
}

export interface DenyAccess {
  readonly reason: string;
}

export interface DeviceAnswer {
  readonly device_code: string;
  readonly user_code: string;
  readonly verification_uri: string;
  readonly verification_uri_complete: string;
  readonly expires_in: number;
  readonly interval: number;
}

export interface DeviceRequest {
  readonly client_id?: string;
  readonly scope?: string;
  /** Project to sign in to; `default` when left out. */
  readonly project?: string;
}

export interface Drift {
  readonly kind: 'granted_beyond_review' | 'used_beyond_review' | 'group_gained_members' | 'reach_grew' | 'review_lapsed' | 'not_reviewed' | 'unused_grant' | 'credential_past_rotation' | 'credential_unchanged';
  /** `grant/<name>`, `credential/<name>`. */
  readonly target: string;
  /** For people. */
  readonly what: string;
  /** When it was first told; null = since the last look. */
  readonly since: string | null;
}

export interface DriftList {
  readonly items: readonly Drift[];
  readonly nextCursor: null | null;
}

export interface DualControl {
  /** Where a change needs two admins. */
  readonly areas: readonly ('policy' | 'identity-provider' | 'master-key' | 'administrators' | 'retention')[];
}

export interface EraseSession {
  readonly reason: string;
}

export interface ExplainRequest {
  readonly resource: string;
  /** SQL; a command line; a request (`POST /v1/x`, headers and body below); `delete namespaces/shop`; `tools/call name {…}`. */
  readonly statement: string;
  /** Name or id; oneself when left out. */
  readonly principal?: string;
  /** As if it belonged to these, too. */
  readonly groups?: readonly string[];
  readonly database?: string;
  readonly role?: string;
}

export interface Explanation {
  readonly verdict: {
    readonly kind: 'allow' | 'hold' | 'deny';
    readonly rule: string;
    readonly [key: string]: unknown;
  };
  readonly understood: boolean;
  /** Why the text has no facts. */
  readonly unknown: string | null;
  /** How a command line over SSH is read; null for anything else. */
  readonly shell: {
    /** Every program that would run, with what runs it in front. */
    readonly commands: readonly string[];
    readonly pathsWritten: readonly string[];
    readonly pathsRead: readonly string[];
    /** Why something cannot be told before it runs. */
    readonly opaque: readonly string[];
  } | null;
  readonly statementEffects: readonly ('read' | 'write' | 'ddl' | 'exec' | 'admin' | 'forward')[];
  /** What the principal may do there. */
  readonly effects: readonly ('read' | 'write' | 'ddl' | 'exec' | 'admin' | 'forward')[];
  readonly grants: readonly {
    readonly id: string;
    readonly kind: string;
    readonly effects: readonly string[];
  }[];
  readonly rules: readonly {
    readonly rule: string;
    readonly verdict: string;
    readonly mode: string;
    readonly outcome: string;
    readonly when: string;
  }[];
}

export interface ExtendAccessRequest {
  /** By how much. */
  readonly duration: string | number;
  readonly reason: string;
}

export interface FoundCommand {
  readonly number: number;
  readonly at: string;
  /** ms since the session opened: where its film shows it. */
  readonly atMs: number;
  readonly text: string;
  /** Its last one. `deny`: it was refused, at once or after it had waited. `hold`: it waits, or its session ended while it did. */
  readonly verdict: 'allow' | 'deny' | 'hold';
  /** Why it did not run: code as `policy.denied`, `approval.denied` or `approval.expired`, empty while it waits. Null for what ran. */
  readonly refused: {
    readonly rule: string;
    readonly code: string;
    readonly approvalId: string;
  } | null;
  readonly endMs: number | null;
  readonly code: number | null;
  readonly signal: string | null;
  readonly shownBytes: number;
  readonly terminal: boolean;
  readonly session: {
    readonly id: string;
    readonly openedAt: string;
    readonly protocol: string;
    readonly resource: {
      readonly id: string;
      readonly name: string;
    };
    readonly principal: {
      readonly id: string;
      readonly name: string;
      readonly kind: string;
    };
    readonly onBehalfOf: {
      readonly id: string;
      readonly name: string;
    } | null;
  };
}

export interface Grant {
  readonly id: string;
  readonly name: string;
  readonly principal: string | null;
  readonly group: string | null;
  readonly resource: string | null;
  readonly labels: Readonly<Record<string, string>> | null;
  readonly effects: readonly ('read' | 'write' | 'ddl' | 'exec' | 'admin' | 'forward')[];
  readonly roles: readonly string[];
  readonly kind: string;
  /** manual; apply: made by a document; request: made for an access request. */
  readonly source: string;
  /** The access request it was made for. */
  readonly requestId: string | null;
  readonly notBefore: string | null;
  readonly notAfter: string | null;
  readonly revokedAt: string | null;
  /** Its access review lapses then. */
  readonly reviewedUntil: string | null;
  /** deny or hold: what then becomes of it. */
  readonly afterReview: string | null;
  /** What its last reviews confirmed; null = none has. */
  readonly confirmed: readonly ('read' | 'write' | 'ddl' | 'exec' | 'admin' | 'forward')[] | null;
  readonly createdAt: string;
}

export interface GrantDocument {
  readonly name: string;
  /** Name or id; or give a group. */
  readonly principal?: string | null;
  readonly group?: string | null;
  /** Name; or give labels. */
  readonly resource?: string | null;
  /** Every resource that carries all of them. */
  readonly labels?: Readonly<Record<string, string>> | null;
  readonly effects: readonly ('read' | 'write' | 'ddl' | 'exec' | 'admin' | 'forward')[];
  /** Roles on the server that may be asked for as <role>+<resource>. */
  readonly roles?: readonly string[];
  readonly kind?: 'standing' | 'jit' | 'break_glass';
  readonly notBefore?: string | null;
  readonly notAfter?: string | null;
}

export interface GrantPage {
  readonly items: readonly Grant[];
  readonly nextCursor: string | null;
}

export interface GrantPatch {
  readonly [key: string]: unknown;
}

export interface Group {
  readonly id: string;
  readonly name: string;
  readonly description: string;
  readonly members?: readonly {
    readonly id: string;
    readonly name: string;
    readonly kind: 'person' | 'service' | 'ai_agent';
    readonly sources: readonly string[];
  }[];
  readonly memberCount: number;
  readonly createdAt: string;
}

export interface GroupPage {
  readonly items: readonly Group[];
  readonly nextCursor: string | null;
}

export interface IdentityProvider {
  /** Empty for a provider of the environment. */
  readonly id: string;
  readonly name: string;
  readonly kind: 'oidc' | 'saml';
  readonly displayName: string;
  /** Those of the environment are read-only here. */
  readonly from: 'database' | 'environment';
  readonly config: Readonly<Record<string, unknown>>;
  readonly hasSecrets: boolean;
  readonly mapping: {
    /** Claim or attribute that holds groups; `a.b` goes into objects. A claim of exactly this name comes first. */
    readonly groupsClaim: string;
    /** Of a claim that is one text: what parts its groups. */
    readonly separator?: string;
    /** Only groups that begin so are looked at, and lose it. */
    readonly prefix?: string;
    readonly rules: readonly {
      /** The provider’s group; * stands for any text. */
      readonly match: string;
      readonly group: string;
    }[];
    /** What a group gives that no rule names: our group of the same name, or nothing. */
    readonly unmapped: 'same_name' | 'drop';
  };
  readonly enabled: boolean;
  /** The redirect address to register at the provider. */
  readonly callback: string;
  readonly createdAt: string | null;
  readonly updatedAt: string | null;
}

export interface IdentityProviderPage {
  readonly items: readonly IdentityProvider[];
  readonly nextCursor: string | null;
}

export interface IdentityProviderPreview {
  readonly subject: string;
  readonly username: string;
  readonly displayName: string;
  readonly email: string | null;
  /** Who this is here already; null = the sign-in makes one. */
  readonly principal: string | null;
  /** The provider’s groups. */
  readonly given: readonly string[];
  /** Ours. */
  readonly groups: readonly string[];
  readonly why: readonly {
    readonly given: string;
    readonly group: string | null;
    readonly why: string;
  }[];
  /** Why a sign-in with exactly this would be refused. */
  readonly problems: readonly string[];
}

export interface IdentityProviderPreviewRequest {
  readonly claims?: Readonly<Record<string, unknown>>;
  /** A whole id token; it opens nothing here. */
  readonly token?: string;
  /** Try this mapping in place of the one that is saved. */
  readonly mapping?: {
    /** Claim or attribute that holds groups; `a.b` goes into objects. A claim of exactly this name comes first. */
    readonly groupsClaim?: string;
    /** Of a claim that is one text: what parts its groups. */
    readonly separator?: string;
    /** Only groups that begin so are looked at, and lose it. */
    readonly prefix?: string;
    readonly rules?: readonly {
      /** The provider’s group; * stands for any text. */
      readonly match: string;
      readonly group: string;
    }[];
    /** What a group gives that no rule names: our group of the same name, or nothing. */
    readonly unmapped?: 'same_name' | 'drop';
  };
}

export interface IdentityProviderTest {
  readonly ok: boolean;
  readonly checks: readonly {
    readonly check: string;
    readonly ok: boolean;
    readonly detail: string;
  }[];
}

export interface JoinToken {
  /** Shown this once; works once. */
  readonly joinToken: string;
  /** Installs and starts the agent on its host. */
  readonly command: string;
  readonly expiresAt: string;
}

export interface KeySet {
  readonly keys: readonly (Readonly<Record<string, unknown>>)[];
}

export interface KillSession {
  readonly reason: string;
}

export interface Lease {
  readonly id: string;
  readonly kind: 'ephemeral' | 'vault';
  /** Name, or id when it is gone. */
  readonly credential: string;
  readonly resource: string;
  readonly principal: string;
  readonly agent: string;
  /** Null: kept for the principal’s next session. */
  readonly sessionId: string | null;
  /** At the server. */
  readonly account: string;
  readonly openedAt: string;
  readonly expiresAt: string;
  readonly endedAt: string | null;
  readonly reason: string | null;
}

export interface LeasePage {
  readonly items: readonly Lease[];
  readonly nextCursor: string | null;
}

export interface LogoutOrder {
  readonly logout_token: string;
}

export interface NewSecret {
  readonly id: string;
  readonly clientId: string;
  /** Shown once. */
  readonly clientSecret: string;
}

export interface NewToken {
  readonly id: string;
  /** Shown once. */
  readonly token: string;
  readonly expiresAt: string;
}

export interface Policy {
  readonly id: string;
  readonly name: string;
  readonly source: string;
  readonly revision: number;
  readonly mode: string;
  readonly rules: number;
  readonly masks: number;
  readonly createdAt: string;
  readonly updatedAt: string;
  /** When it is saved: what is allowed and will not work as meant. */
  readonly warnings?: readonly string[];
}

export interface PolicyCheck {
  readonly valid: true;
  readonly name: string;
  readonly rules: number;
  readonly masks: number;
}

export interface PolicyPage {
  readonly items: readonly Policy[];
  readonly nextCursor: string | null;
}

export interface PolicyRevisions {
  readonly items: readonly {
    readonly revision: number;
    readonly source: string;
    readonly by: string | null;
    readonly createdAt: string;
  }[];
  readonly nextCursor: null | null;
}

export interface PolicySource {
  /** YAML, kind Policy. */
  readonly source: string;
}

export interface Principal {
  readonly id: string;
  readonly name: string;
  readonly kind: 'person' | 'service' | 'ai_agent';
  readonly displayName: string;
  readonly email: string | null;
  readonly manager: string | null;
  readonly roles: readonly string[];
  readonly groups?: readonly string[];
  /** Other accounts that an administrator has said to be the same person’s. */
  readonly sameAs?: readonly string[];
  readonly disabledAt: string | null;
  readonly createdAt: string;
}

export interface PrincipalPage {
  readonly items: readonly Principal[];
  readonly nextCursor: string | null;
}

export interface Problem {
  readonly type: string;
  readonly title: string;
  readonly status: number;
  /** Stable; see docs/reference/errors.md. */
  readonly code: string;
  readonly requestId: string;
  /** With `auth.step_up`. */
  readonly stepUp?: {
    /** Where to sign in again. */
    readonly url: string;
    readonly maxAgeSeconds?: number;
    readonly amr?: readonly string[];
    readonly acr?: readonly string[];
  };
  readonly errors?: readonly {
    readonly field: string;
    readonly message: string;
    readonly file?: string;
    readonly line?: number;
    readonly column?: number;
  }[];
}

export interface Project {
  readonly id: string;
  readonly name: string;
  readonly description: string;
  readonly disabledAt: string | null;
  readonly createdAt: string;
}

export interface ProjectAdmin {
  readonly principalId: string;
  readonly name: string;
  /** By the same identity as in project `default`; else by the token alone. */
  readonly signsIn: boolean;
  /** An API token of theirs, shown this once. */
  readonly token: string;
  readonly expiresAt: string;
}

export interface ProjectPage {
  readonly items: readonly Project[];
  readonly nextCursor: string | null;
}

export interface ProposalAnswer {
  readonly status: number;
  /** As the call would have answered without dual control. */
  readonly body: unknown;
}

export interface PutSecret {
  readonly secret: string;
}

export interface RecordedStatement {
  readonly number: number;
  readonly at: string;
  readonly verdict: 'allow' | 'deny' | 'hold';
  readonly rule: string;
  readonly code: string;
  readonly digest: string;
  readonly effects: readonly string[];
  readonly text: string;
  readonly parameters: readonly (string | null)[];
  readonly approvalId: string;
  /** It ran, and its transaction’s COMMIT waits for a person. */
  readonly untilCommit: boolean;
  /** Of the COMMIT of such a transaction: what it would commit. */
  readonly work: {
    readonly statements: readonly {
      /** In its session. */
      readonly number: number;
      readonly text: string;
      readonly parameters: readonly (string | null)[];
      /** Changed, as the server counted. */
      readonly rows: number;
      /** `rows` is all that it changed by itself. */
      readonly counted: boolean;
      readonly rolledBack: boolean;
      /** The first rows of RETURNING, as the client saw them. */
      readonly sample: {
        readonly columns: readonly string[];
        readonly rows: readonly (readonly (string | null)[])[];
      } | null;
    }[];
    /** Of statements; `statements` has the first of them. */
    readonly count: number;
    readonly rows: number;
    /** Of `rows`. */
    readonly rowsRolledBack: number;
    /** Statements of which not all is in `rows`. */
    readonly uncounted: number;
    readonly since: string;
    readonly note: string;
  } | null;
  readonly shadow: readonly {
    readonly rule: string;
    readonly verdict: string;
  }[];
  readonly outcome: {
    readonly rows: number;
    readonly bytes: number;
    readonly error: string;
    readonly durationUs: number;
    readonly masked: number;
  } | null;
}

export interface RecordedStatements {
  readonly items: readonly RecordedStatement[];
  readonly nextCursor: string | null;
  /** Statements whose payload cannot be read any more. */
  readonly sealed: number;
}

export interface RejectProposal {
  readonly reason: string;
}

export interface Resource {
  readonly id: string;
  readonly name: string;
  readonly type: string;
  readonly description: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly endpoints: readonly {
    readonly protocol: string;
    readonly address: string;
    readonly plaintext: boolean;
    readonly agent: string;
  }[];
  readonly databases: readonly string[];
  /** Accounts on an SSH host; the first is meant by default. */
  readonly logins?: readonly string[];
  /** By which agents’ forward proxies know it: host, or host and port. */
  readonly proxyHosts?: readonly string[];
  /** What the caller may do there, where asked for. */
  readonly effects?: readonly ('read' | 'write' | 'ddl' | 'exec' | 'admin' | 'forward')[];
  readonly roles?: readonly string[];
  readonly recording: string;
  readonly durability: string;
  readonly approval: string;
  readonly exceeded: string;
  readonly holdInTransactionMsMax: string | number;
  readonly wrapAutocommit: boolean;
  readonly idleMsMax: string | number | null;
  readonly sessionMsMax: string | number | null;
  readonly offline: {
    readonly sessions: string | number;
    readonly newSessions: string | number;
  };
  readonly credential?: string | null;
  /** Only with resource:read. */
  readonly postgres?: Readonly<Record<string, unknown>>;
  /** Only with resource:read. */
  readonly ssh?: Readonly<Record<string, unknown>>;
  /** Only with resource:read. */
  readonly http?: Readonly<Record<string, unknown>>;
  /** Only with resource:read. */
  readonly kubernetes?: Readonly<Record<string, unknown>>;
  /** Only with resource:read. */
  readonly mcp?: Readonly<Record<string, unknown>>;
  readonly agents: readonly string[];
  readonly createdAt: string;
  readonly updatedAt: string;
}

export interface ResourceDocument {
  readonly name: string;
  readonly type: 'postgres' | 'ssh' | 'http' | 'kubernetes' | 'mcp';
  readonly description?: string;
  readonly labels?: Readonly<Record<string, string>>;
  /** Of a resource of type postgres. */
  readonly postgres?: {
    readonly host?: string;
    readonly port?: number;
    /** Directory of the unix socket, instead of host and port. */
    readonly socket?: string;
    /** Empty = any. */
    readonly databases?: readonly string[];
    readonly tls?: 'verify-full' | 'verify-ca' | 'require' | 'disable';
    /** PEM; the system’s when left out. */
    readonly ca?: string;
    readonly serverName?: string;
    readonly auth?: readonly ('scram-sha-256' | 'scram-sha-256-plus' | 'certificate' | 'md5' | 'password' | 'trust')[];
  };
  /** Of a resource of type ssh. */
  readonly ssh?: {
    readonly host: string;
    readonly port?: number;
    /** Accounts on the host; the first is meant when a client names none. */
    readonly logins: readonly string[];
    /** Pinned, as `ssh-keyscan` prints them after the name. */
    readonly hostKeys?: readonly string[];
    /** Public keys of CAs that certify the host. */
    readonly hostCas?: readonly string[];
    /** Trust the key that is shown first, and only that one from then on. */
    readonly acceptNewHostKey?: boolean;
    /** What an interactive shell is: recorded, read line by line (command), or refused (none). */
    readonly shell?: 'recorded' | 'command' | 'none';
    /** What is typed is recorded too, without passwords. */
    readonly inputRecorded?: boolean;
    /** Environment variables that may be set; `*` at the end. */
    readonly env?: readonly string[];
    /** Programs that cannot be read and are let in by name. */
    readonly opaque?: readonly ('ansible' | 'vscode')[];
    /** Detectors are asked of stdout and stderr. */
    readonly maskStreams?: boolean;
    /** A file that is larger is not let out. */
    readonly downloadBytesMax?: number;
    /** A download in which one of these is found is cut. */
    readonly downloadDetect?: readonly ('payment_card' | 'email' | 'national_id' | 'iban' | 'phone' | 'ip_address' | 'secret_key' | 'jwt')[];
    /** Towards the host; what this version ships when left out. */
    readonly algorithms?: {
      readonly kex?: readonly ('curve25519-sha256' | 'curve25519-sha256@libssh.org' | 'ecdh-sha2-nistp256' | 'ecdh-sha2-nistp384' | 'ecdh-sha2-nistp521' | 'diffie-hellman-group16-sha512' | 'diffie-hellman-group18-sha512' | 'diffie-hellman-group14-sha256')[];
      readonly cipher?: readonly ('aes128-gcm@openssh.com' | 'aes256-gcm@openssh.com' | 'chacha20-poly1305@openssh.com' | 'aes256-ctr' | 'aes192-ctr' | 'aes128-ctr')[];
      readonly mac?: readonly ('hmac-sha2-256-etm@openssh.com' | 'hmac-sha2-512-etm@openssh.com' | 'hmac-sha2-512' | 'hmac-sha2-256')[];
      readonly hostKey?: readonly ('ssh-ed25519' | 'ecdsa-sha2-nistp256' | 'ecdsa-sha2-nistp384' | 'ecdsa-sha2-nistp521' | 'rsa-sha2-512' | 'rsa-sha2-256')[];
    };
  };
  /** Of a resource of type http. */
  readonly http?: {
    /** `https://api.example.com/base`; http speaks in clear. */
    readonly url: string;
    /** Of an https URL; verify-full by default. */
    readonly tls?: 'verify-full' | 'require';
    /** PEM; the system’s when left out. */
    readonly ca?: string;
    readonly serverName?: string;
    /** The service is on the agent’s own host, or at a link-local address. */
    readonly private?: boolean;
    /** `host` or `host:port` by which the forward proxy knows it; the URL’s when left out. */
    readonly hosts?: readonly string[];
    /** May carry the access token, besides Authorization. */
    readonly tokenHeader?: string;
    readonly inject: {
      readonly as: 'none' | 'bearer' | 'basic' | 'header' | 'query' | 'cookie' | 'oauth' | 'sigv4' | 'google' | 'azure' | 'mtls';
      /** Of the header, query parameter or cookie. */
      readonly name?: string;
      /** header: what stands before the secret, its blank included. */
      readonly prefix?: string;
      /** oauth: where tokens are asked for. */
      readonly tokenUrl?: string;
      readonly scope?: string;
      readonly audience?: string;
      /** oauth: how the client proves itself; basic by default. */
      readonly clientAuth?: 'basic' | 'body';
      readonly region?: string;
      readonly service?: string;
      readonly tenant?: string;
    };
    /** Bytes kept of each body. */
    readonly recordBodies?: number;
    /** A GET that says whether the credential is accepted, as `/v1/me`. */
    readonly probe?: string;
    /** An OpenAPI 3 or Swagger 2 document (JSON, or YAML as text): what it says becomes `routes`. */
    readonly openapi?: string | Readonly<Record<string, unknown>>;
    /** Paths at which GraphQL is spoken. */
    readonly graphql?: readonly string[];
    /** Operations by method and path template: what rules read as http.operation, and what they do. */
    readonly routes?: readonly {
      readonly method?: string;
      readonly path: string;
      readonly operation: string;
      readonly effects?: readonly ('read' | 'write' | 'ddl' | 'exec' | 'admin' | 'forward')[];
    }[];
    /** A longer request is refused. */
    readonly maxBodyBytes?: number;
    /** Every one when left out. */
    readonly methods?: readonly string[];
    /** WebSockets may be opened; true by default. */
    readonly websocket?: boolean;
    /** Texts that come in pieces, one in each event, line or message: detectors read them as one. */
    readonly streams?: readonly {
      /** Of the piece in a message, as `choices[].delta.content`. */
      readonly path: string;
      /** Members on the way that tell texts apart; index, output_index, content_index, item_id by default. */
      readonly by?: readonly string[];
      /** Events, or types of messages, that end a text; those of the usual services by default. */
      readonly ends?: readonly string[];
    }[];
    /** Archives, PDF and office documents in answers, where something is masked: refused by default. */
    readonly documents?: 'refuse' | 'pass';
  };
  /** Of a resource of type kubernetes. */
  readonly kubernetes?: {
    /** `https://api.example.com/base`; http speaks in clear. */
    readonly url: string;
    /** Of an https URL; verify-full by default. */
    readonly tls?: 'verify-full' | 'require';
    /** PEM; the system’s when left out. */
    readonly ca?: string;
    readonly serverName?: string;
    /** The service is on the agent’s own host, or at a link-local address. */
    readonly private?: boolean;
    /** `host` or `host:port` by which the forward proxy knows it; the URL’s when left out. */
    readonly hosts?: readonly string[];
    /** May carry the access token, besides Authorization. */
    readonly tokenHeader?: string;
    readonly inject?: {
      readonly as: 'none' | 'bearer' | 'basic' | 'header' | 'query' | 'cookie' | 'oauth' | 'sigv4' | 'google' | 'azure' | 'mtls';
      /** Of the header, query parameter or cookie. */
      readonly name?: string;
      /** header: what stands before the secret, its blank included. */
      readonly prefix?: string;
      /** oauth: where tokens are asked for. */
      readonly tokenUrl?: string;
      readonly scope?: string;
      readonly audience?: string;
      /** oauth: how the client proves itself; basic by default. */
      readonly clientAuth?: 'basic' | 'body';
      readonly region?: string;
      readonly service?: string;
      readonly tenant?: string;
    };
    /** Bytes kept of each body. */
    readonly recordBodies?: number;
    /** A GET that says whether the credential is accepted, as `/v1/me`. */
    readonly probe?: string;
    /** Whom the API server takes a session for. */
    readonly identity?: {
      readonly mode: 'impersonate' | 'stored' | 'service_account';
      /** impersonate: the principal’s name when left out. */
      readonly user?: string;
      readonly groups?: readonly string[];
      readonly extra?: Readonly<Record<string, string>>;
      readonly namespace?: string;
      readonly serviceAccount?: string;
    };
    /** What cannot be read and is let in by name. */
    readonly opaque?: readonly ('spdy' | 'protobuf')[];
    /** A stream of exec that cannot be recorded is refused. */
    readonly execRecorded?: boolean;
  };
  /** Of a resource of type mcp. */
  readonly mcp?: {
    /** `https://api.example.com/base`; http speaks in clear. */
    readonly url: string;
    /** Of an https URL; verify-full by default. */
    readonly tls?: 'verify-full' | 'require';
    /** PEM; the system’s when left out. */
    readonly ca?: string;
    readonly serverName?: string;
    /** The service is on the agent’s own host, or at a link-local address. */
    readonly private?: boolean;
    /** `host` or `host:port` by which the forward proxy knows it; the URL’s when left out. */
    readonly hosts?: readonly string[];
    /** May carry the access token, besides Authorization. */
    readonly tokenHeader?: string;
    readonly inject: {
      readonly as: 'none' | 'bearer' | 'basic' | 'header' | 'query' | 'cookie' | 'oauth' | 'sigv4' | 'google' | 'azure' | 'mtls';
      /** Of the header, query parameter or cookie. */
      readonly name?: string;
      /** header: what stands before the secret, its blank included. */
      readonly prefix?: string;
      /** oauth: where tokens are asked for. */
      readonly tokenUrl?: string;
      readonly scope?: string;
      readonly audience?: string;
      /** oauth: how the client proves itself; basic by default. */
      readonly clientAuth?: 'basic' | 'body';
      readonly region?: string;
      readonly service?: string;
      readonly tenant?: string;
    };
    /** Bytes kept of each body. */
    readonly recordBodies?: number;
    /** A GET that says whether the credential is accepted, as `/v1/me`. */
    readonly probe?: string;
    /** What tools do, by name with `*` at its ends; the first that fits. Any other tool is exec. */
    readonly tools?: readonly {
      readonly name: string;
      readonly effects: readonly ('read' | 'write' | 'ddl' | 'exec' | 'admin' | 'forward')[];
    }[];
    /** Pictures, sound and bytes that are no text, where something is masked: left out by default. */
    readonly media?: 'withhold' | 'pass';
    /** Texts that come in pieces, one in each notification (`params.message`): detectors read them as one. */
    readonly streams?: readonly {
      /** Of the piece in a message, as `choices[].delta.content`. */
      readonly path: string;
      /** Members on the way that tell texts apart; progressToken and logger by default. */
      readonly by?: readonly string[];
      /** Events, or types of messages, that end a text; the answer of the call by default. */
      readonly ends?: readonly string[];
    }[];
    /** Changed descriptions that were looked at and are taken for the tool’s own, by the digest the trail has. */
    readonly accepted?: readonly {
      readonly tool: string;
      readonly digest: string;
    }[];
  };
  /** Name of the credential; none = the server asks for nothing. */
  readonly credential?: string | null;
  readonly recording?: 'statements' | 'results' | 'full';
  readonly durability?: 'standard' | 'strict';
  readonly approval?: 'wait' | 'ticket';
  readonly exceeded?: 'deny' | 'hold';
  readonly holdInTransactionMsMax?: string | number;
  /** A write that commits by itself, where a rule holds COMMITs, runs in a transaction of the gateway’s. */
  readonly wrapAutocommit?: boolean;
  /** A session in which nothing happens ends after this; none = never. */
  readonly idleMsMax?: string | number | null;
  /** A session ends at this age; none = never. */
  readonly sessionMsMax?: string | number | null;
  readonly offline?: {
    readonly sessions?: string | number;
    readonly newSessions?: string | number;
  };
  /** Whether tokens of trusted issuers open sessions themselves: while the link is down, always, or never. */
  readonly issuerTokens?: 'never' | 'offline' | 'always';
  /** Which agents guard it; empty = every one. */
  readonly agents?: readonly string[];
}

export interface ResourcePage {
  readonly items: readonly Resource[];
  readonly nextCursor: string | null;
}

export interface ResourcePatch {
  readonly [key: string]: unknown;
}

export interface Retention {
  /** Days after its end that a session can be read; then its key is destroyed and its recording deleted. null = for good. */
  readonly sessionsDays: number | null;
  /** Days that events can be searched for; the record itself and administrative acts stay. null = for good. */
  readonly eventsDays: number | null;
}

export interface Review {
  readonly id: string;
  readonly name: string;
  readonly description: string;
  /** Which grants: the parts that are given must all match; nothing given = every grant. */
  readonly scope: {
    /** Grants that reach a resource with all of these. */
    readonly labels?: Readonly<Record<string, string>>;
    /** Grants that reach one of these. */
    readonly resources?: readonly string[];
    /** Grants of these groups, and own grants of their members. */
    readonly groups?: readonly string[];
    /** Grants that someone of these kinds has. */
    readonly principalKinds?: readonly ('person' | 'service' | 'ai_agent')[];
  };
  readonly reviewers: {
    readonly by: string;
    readonly label: string;
    readonly groups: readonly string[];
  };
  readonly afterReview: 'deny' | 'hold';
  readonly due: string | number;
  readonly evidence: string | number;
  readonly every: string | null;
  readonly nextAt: string | null;
  readonly endedAt: string | null;
  readonly createdAt: string;
  /** The last one. */
  readonly round: {
    readonly number: number;
    readonly startedAt: string;
    readonly deadline: string;
    readonly items: number;
    readonly answered: number;
    /** `lapsed`: the deadline passed with items unanswered. */
    readonly state: 'open' | 'lapsed' | 'closed';
  } | null;
}

export interface ReviewAnswer {
  /** More than one is a bulk answer, and needs a reason. */
  readonly items: readonly string[];
  readonly answer: 'keep' | 'reduce' | 'revoke';
  /** For `reduce`: what stays; without, what was used. */
  readonly effects?: readonly ('read' | 'write' | 'ddl' | 'exec' | 'admin' | 'forward')[];
  readonly reason?: string;
}

export interface ReviewAnswered {
  readonly items: readonly ReviewItem[];
}

export interface ReviewDocument {
  readonly name: string;
  readonly description?: string;
  /** Which grants: the parts that are given must all match; nothing given = every grant. */
  readonly scope: {
    /** Grants that reach a resource with all of these. */
    readonly labels?: Readonly<Record<string, string>>;
    /** Grants that reach one of these. */
    readonly resources?: readonly string[];
    /** Grants of these groups, and own grants of their members. */
    readonly groups?: readonly string[];
    /** Grants that someone of these kinds has. */
    readonly principalKinds?: readonly ('person' | 'service' | 'ai_agent')[];
  };
  readonly reviewers: {
    readonly by: 'owner' | 'manager' | 'group';
    /** For `owner`: the resource’s label that names a principal or a group. */
    readonly label?: string;
    /** For `group`: who reviews. Otherwise who does where no one owner or manager is named, or it would be oneself. */
    readonly groups?: readonly string[];
  };
  /** What becomes of a grant that nobody reviewed in time, and of a use beyond what was confirmed. */
  readonly afterReview?: 'deny' | 'hold';
  /** How long reviewers have. */
  readonly due?: string | number;
  /** How far back use is looked at. */
  readonly evidence?: string | number;
  /** `3 months`, `2 weeks`. */
  readonly every?: string | null;
  /** When the next round starts by itself. */
  readonly nextAt?: string | null;
}

export interface ReviewItem {
  readonly id: string;
  readonly review: string;
  readonly round: number;
  readonly grant: string;
  readonly subject: {
    readonly principal: string | null;
    readonly group: string | null;
    readonly resource: string | null;
    readonly labels: Readonly<Record<string, string>> | null;
    readonly effects: readonly ('read' | 'write' | 'ddl' | 'exec' | 'admin' | 'forward')[];
    readonly roles: readonly string[];
    readonly kind: string;
    /** How it came to be: manual, apply, request. */
    readonly source: string;
    readonly createdAt: string;
    readonly notAfter: string | null;
    /** Names of the resources. */
    readonly reaches: readonly string[];
  };
  /** Who had it when the round began. */
  readonly holders: readonly {
    readonly id: string;
    readonly name: string;
    readonly kind: string;
  }[];
  readonly reviewers: readonly {
    readonly kind: string;
    readonly name: string;
  }[];
  readonly evidence: {
    readonly from: string;
    readonly to: string;
    readonly allowed: number;
    readonly held: number;
    readonly denied: number;
    readonly lastAt: string | null;
    readonly effects: readonly {
      readonly word: string;
      readonly allowed: number;
      readonly held: number;
      readonly denied: number;
      readonly lastAt: string;
    }[];
    /** Relations and commands, the most used first. */
    readonly reached: readonly {
      readonly word: string;
      readonly allowed: number;
      readonly held: number;
      readonly denied: number;
      readonly lastAt: string;
    }[];
    /** How many more there are. */
    readonly reachedMore: number;
    /** Who used it. */
    readonly holders: readonly {
      readonly name: string;
      readonly allowed: number;
      readonly held: number;
      readonly denied: number;
      readonly lastAt: string;
    }[];
    /** Where the last use stands. */
    readonly trail: {
      readonly chain: string;
      readonly sequence: number;
    } | null;
  };
  readonly proposal: 'keep' | 'reduce' | 'revoke';
  readonly proposalEffects: readonly string[];
  readonly proposalReason: string;
  readonly state: 'open' | 'answered' | 'lapsed';
  readonly answer: 'keep' | 'reduce' | 'revoke' | null;
  readonly answerEffects: readonly string[];
  readonly reason: string | null;
  readonly answeredAt: string | null;
  readonly answeredBy: string | null;
  /** SHA-256 of the item with its answer; the same stands on the trail. */
  readonly digest: string | null;
  /** The caller may answer it. */
  readonly answerable: boolean;
}

export interface ReviewItemPage {
  readonly items: readonly ReviewItem[];
  readonly nextCursor: string | null;
}

export interface ReviewPage {
  readonly items: readonly Review[];
  readonly nextCursor: string | null;
}

export interface RevokeAccess {
  readonly reason: string;
}

export interface RevokeApproval {
  readonly reason: string;
}

export interface RotateKey {
  readonly purpose: 'bundle' | 'trail' | 'access_token' | 'approval' | 'ssh_user_ca' | 'ssh_host_ca';
}

export interface RotateMasterKey {
  /** Where the new key lies: `file`, `environment`, or the name of a KMS; the preferred one when absent. */
  readonly to?: string;
}

export interface RotateSamlKey {
  /** Until then our metadata shows the new certificate and requests are signed by the old one. */
  readonly signsAfterSeconds?: number;
}

export interface RotatedKey {
  readonly id: string;
}

export interface RotatedMasterKey {
  /** Of the key that seals now. */
  readonly keyId: string;
  /** Where it lies: `file`, `environment`, or the name of a KMS. */
  readonly from: string;
  /** Boxes whose data key was wrapped anew. */
  readonly rewrapped: number;
  /** Keys that may be taken away from every replica. */
  readonly unused: readonly string[];
}

export interface RotatedSamlKey {
  readonly signsFrom: string;
}

export interface SecretList {
  readonly items: readonly {
    readonly id: string;
    readonly expiresAt: string | null;
    readonly createdAt: string;
  }[];
  readonly nextCursor: null | null;
}

export interface Session {
  readonly id: string;
  readonly live: boolean;
  readonly resource: {
    readonly id: string;
    readonly name: string;
  };
  readonly protocol: string;
  readonly principal: {
    readonly id: string;
    readonly name: string;
    readonly kind: string;
  };
  readonly onBehalfOf: {
    readonly id: string;
    readonly name: string;
  } | null;
  readonly agent: {
    readonly id: string;
    readonly name: string;
  };
  readonly clientAddress: string;
  readonly database: string;
  readonly role: string;
  readonly application: string;
  readonly openedAt: string;
  readonly closedAt: string | null;
  readonly closeReason: string | null;
  readonly statements: number;
  readonly rows: number;
  readonly bytes: number;
  /** Approval request it waits for. */
  readonly heldFor: string | null;
  readonly erasedAt: string | null;
  /** How the person behind it signed in; null where nobody said. */
  readonly auth: {
    readonly provider: string;
    readonly amr: readonly string[];
    readonly acr: string;
    readonly at: string | null;
  } | null;
  /** The trust rule and the token of another issuer that opened it; null where an access token did. */
  readonly issuer: {
    readonly rule: string;
    readonly issuer: string;
    readonly subject: string;
  } | null;
}

export interface SessionCommand {
  readonly number: number;
  readonly at: string;
  /** ms since the session opened: where its film shows it. */
  readonly atMs: number;
  readonly text: string;
  /** Its last one. `deny`: it was refused, at once or after it had waited. `hold`: it waits, or its session ended while it did. */
  readonly verdict: 'allow' | 'deny' | 'hold';
  /** Why it did not run: code as `policy.denied`, `approval.denied` or `approval.expired`, empty while it waits. Null for what ran. */
  readonly refused: {
    readonly rule: string;
    readonly code: string;
    readonly approvalId: string;
  } | null;
  readonly endMs: number | null;
  readonly code: number | null;
  readonly signal: string | null;
  readonly shownBytes: number;
  readonly terminal: boolean;
}

export interface SessionCommandPage {
  readonly items: readonly SessionCommand[];
  readonly nextCursor: string | null;
}

export interface SignOutAnswer {
  /** Where to sign out at the provider too; null where it offers none. */
  readonly providerUrl: string | null;
}

export interface SlackLink {
  readonly id: string;
  readonly team: string;
  /** Slack’s id of the user. */
  readonly user: string;
  readonly name: string;
  readonly createdAt: string;
}

export interface SlackLinks {
  readonly items: readonly SlackLink[];
}

export interface SshAuthorities {
  /** Public keys that certify agents’ host keys; the last one signs now. */
  readonly hosts: readonly string[];
  /** Lines for a known_hosts file. */
  readonly knownHosts: string;
}

export interface TokenAnswer {
  readonly access_token: string;
  readonly issued_token_type?: string;
  readonly token_type: string;
  readonly expires_in: number;
}

export interface TokenRequest {
  readonly grant_type: string;
  readonly client_id?: string;
  readonly client_secret?: string;
  readonly device_code?: string;
  readonly code?: string;
  readonly code_verifier?: string;
  readonly redirect_uri?: string;
  readonly subject_token?: string;
  readonly subject_token_type?: string;
  readonly actor_token?: string;
  readonly actor_token_type?: string;
  readonly audience?: string;
  readonly resource?: string;
  readonly role?: string;
  readonly reason?: string;
  /** Project whose trust rules and keys count; `default` when left out. */
  readonly project?: string;
  readonly client_assertion?: string;
  readonly client_assertion_type?: string;
  /** SHA-256 of a TLS client certificate (base64url) that opening a session is to take besides the token. */
  readonly cnf_x5t_s256?: string;
  /** Thumbprint of a key to bind the token to. */
  readonly cnf_jkt?: string;
}

export interface TrailChain {
  readonly id: string;
  readonly agentId: string;
  /** Name; empty for the control plane itself. */
  readonly agent: string;
  readonly instance: string;
  readonly epoch: number;
  readonly sequence: number;
  readonly head: string;
  /** What heartbeats or a later epoch said its last event was. */
  readonly saidSequence: number;
  readonly missing: number;
  readonly alarm: string | null;
  readonly updatedAt: string;
}

export interface TrailEvent {
  readonly time: string;
  readonly chain: {
    readonly id: string;
    readonly agentId: string;
    readonly instance: string;
    readonly epoch: number;
  };
  readonly sequence: number;
  readonly kind: string;
  readonly sessionId: string | null;
  readonly principal: string | null;
  readonly onBehalfOf: string | null;
  readonly resource: string | null;
  readonly verdict: string | null;
  readonly rule: string | null;
  readonly code: string | null;
  readonly action: string | null;
  readonly target: string | null;
  /** Events this row stands for: allowed statements of one upload are summed up. */
  readonly count: number;
}

export interface TrailEvents {
  readonly items: readonly TrailEvent[];
  readonly nextCursor: string | null;
}

export interface TreeHead {
  readonly size: number;
  readonly root: string;
  /** UTC ms. */
  readonly time: number;
  readonly statement: string;
  readonly signature: string;
}

export interface TrustPreview {
  /** Each rule of the token’s issuer: the principal it makes, or why it makes none. */
  readonly rules: readonly {
    readonly rule: string;
    readonly principal: string | null;
    readonly why: string | null;
  }[];
}

export interface TrustRule {
  readonly name: string;
  readonly kind: 'oidc' | 'kubernetes' | 'github' | 'gitlab' | 'spiffe';
  /** `iss` of the tokens; of spiffe the trust domain, as spiffe://example.org. */
  readonly issuer: string;
  /** One of them has to be in `aud`. */
  readonly audiences: readonly string[];
  /** Where the issuer’s public keys come from. */
  readonly keys: unknown;
  /** Claim, or path with /, and the pattern or patterns it has to match: * stands for anything but / and :, ** for anything. */
  readonly claims: Readonly<Record<string, string | readonly string[]>>;
  /** The principal’s name; {claim} puts a claim in. */
  readonly principal: string;
  /** Principals of a template are made at their first sign-in. */
  readonly create?: {
    readonly kind: 'service' | 'ai_agent';
    readonly groups: readonly string[];
  };
  /** Older or longer-lived tokens are refused. */
  readonly maxAgeSeconds: number;
  /** Each token is good once, by its `jti`; one without is refused. Agents then take no token of this issuer themselves. */
  readonly oneTime: boolean;
  readonly enabled: boolean;
  readonly id: string;
  readonly lastUsedAt: string | null;
  readonly createdAt: string;
  readonly updatedAt: string;
}

export interface TrustRuleDocument {
  readonly name: string;
  readonly kind?: 'oidc' | 'kubernetes' | 'github' | 'gitlab' | 'spiffe';
  /** `iss` of the tokens; of spiffe the trust domain, as spiffe://example.org. */
  readonly issuer: string;
  /** One of them has to be in `aud`. */
  readonly audiences: readonly string[];
  /** Where the issuer’s public keys come from. */
  readonly keys?: unknown;
  /** Claim, or path with /, and the pattern or patterns it has to match: * stands for anything but / and :, ** for anything. */
  readonly claims: Readonly<Record<string, string | readonly string[]>>;
  /** The principal’s name; {claim} puts a claim in. */
  readonly principal: string;
  /** Principals of a template are made at their first sign-in. */
  readonly create?: {
    readonly kind: 'service' | 'ai_agent';
    readonly groups?: readonly string[];
  };
  /** Older or longer-lived tokens are refused. */
  readonly maxAgeSeconds?: number;
  /** Each token is good once, by its `jti`; one without is refused. Agents then take no token of this issuer themselves. */
  readonly oneTime?: boolean;
  readonly enabled?: boolean;
}

export interface TrustRulePage {
  readonly items: readonly TrustRule[];
  readonly nextCursor: string | null;
}

export interface TryToken {
  readonly token: string;
}

export interface UpdateAccount {
  readonly breakGlass: boolean;
}

export interface UpdateCredential {
  readonly kind?: 'stored' | 'env' | 'file' | 'none' | 'vault' | 'aws_secrets' | 'aws_rds_iam' | 'gcp_secret' | 'azure_key_vault' | 'ephemeral' | 'ssh_ca';
  /** Empty where the source knows it, or nobody asks for one. */
  readonly username?: string;
  /** env: variable name; file: absolute path, both where it is resolved. */
  readonly reference?: string | null;
  /** The secret is a PEM client certificate and its key. */
  readonly certificate?: boolean;
  /** Of the kind: see docs/how-to/credentials.md. */
  readonly settings?: Readonly<Record<string, string>>;
  /** Who asks the source. */
  readonly resolveAt?: 'agent' | 'control_plane';
  /** ephemeral: the credential of who makes and drops its accounts. */
  readonly admin?: string | null;
  /** How long the value before a change is still tried when a server refuses the new one. */
  readonly fallback?: string | number | null;
  /** stored: Sallyport gives the account a new password this often. */
  readonly rotateEvery?: string | number | null;
}

export interface UpdateGroup {
  readonly description: string;
}

export interface UpdateIdentityProvider {
  readonly displayName?: string;
  /** Replaces all settings. */
  readonly config?: Readonly<Record<string, unknown>>;
  /** Replaces all secrets. */
  readonly secrets?: Readonly<Record<string, unknown>>;
  readonly mapping?: {
    /** Claim or attribute that holds groups; `a.b` goes into objects. A claim of exactly this name comes first. */
    readonly groupsClaim?: string;
    /** Of a claim that is one text: what parts its groups. */
    readonly separator?: string;
    /** Only groups that begin so are looked at, and lose it. */
    readonly prefix?: string;
    readonly rules?: readonly {
      /** The provider’s group; * stands for any text. */
      readonly match: string;
      readonly group: string;
    }[];
    /** What a group gives that no rule names: our group of the same name, or nothing. */
    readonly unmapped?: 'same_name' | 'drop';
  };
  readonly enabled?: boolean;
}

export interface UpdatePrincipal {
  readonly displayName?: string;
  readonly email?: string | null;
  /** Name or address of the person who reviews what this one may do. */
  readonly manager?: string | null;
  readonly roles?: readonly ('owner' | 'admin' | 'auditor' | 'approver' | 'provisioner' | 'member')[];
  /** Another account of the same person: neither answers for the other. null takes this account out again. */
  readonly sameAs?: string | null;
  readonly disabled?: boolean;
}

export interface UpdateProject {
  readonly description?: string;
  /** Nobody signs in and no grant counts; the record stays. */
  readonly disabled?: boolean;
}

export interface UpdateWebhook {
  readonly url?: string;
  /** generic, slack and teams may be turned into each other. */
  readonly format?: 'generic' | 'slack' | 'teams' | 'email' | 'slack_app';
  readonly events?: readonly ('approval.escalated' | 'approval.delegated' | 'approval.commented' | 'approval.requested' | 'approval.answered' | 'access.requested' | 'access.answered' | 'change.proposed' | 'change.answered' | 'session.killed' | 'review.started' | 'review.lapsed' | 'drift.found' | 'account.break_glass' | 'trail.alarm' | 'trail.head' | 'credential.refused' | 'credential.rotation_failed' | 'test' | '*')[];
  readonly secret?: string;
  readonly to?: readonly string[];
  readonly channel?: string;
  readonly botToken?: string;
  readonly signingSecret?: string;
  readonly disabled?: boolean;
}

export interface Webhook {
  readonly id: string;
  readonly name: string;
  /** Scheme and host: the rest is a secret. Of a Slack app its API; empty for e-mail. */
  readonly url: string;
  readonly format: 'generic' | 'slack' | 'teams' | 'email' | 'slack_app';
  readonly to: readonly string[];
  readonly channel: string | null;
  readonly events: readonly string[];
  readonly disabled: boolean;
  readonly createdAt: string;
}

export interface WebhookDeliveries {
  readonly items: readonly {
    readonly id: string;
    readonly event: string;
    readonly attempts: number;
    readonly createdAt: string;
    readonly sentAt: string | null;
    readonly failedAt: string | null;
    readonly error: string | null;
  }[];
}

export interface WebhookWithSecret {
  readonly id: string;
  readonly name: string;
  /** Scheme and host: the rest is a secret. Of a Slack app its API; empty for e-mail. */
  readonly url: string;
  readonly format: 'generic' | 'slack' | 'teams' | 'email' | 'slack_app';
  readonly to: readonly string[];
  readonly channel: string | null;
  readonly events: readonly string[];
  readonly disabled: boolean;
  readonly createdAt: string;
  /** Shown this once: signs every message. E-mail and Slack apps have none. */
  readonly secret?: string;
}

export interface WhoAmI {
  readonly principal: {
    readonly id: string;
    readonly name: string;
    readonly kind: 'person' | 'service' | 'ai_agent';
  };
  readonly roles: readonly string[];
  readonly groups: readonly string[];
  readonly permissions: readonly string[];
  readonly project: {
    readonly id: string;
    readonly name: string;
  };
  readonly token: {
    readonly id: string;
    readonly expiresAt: string;
  };
}

export interface WithdrawAccess {
  readonly reason?: string;
}
