/**
 * What callers name: the schemas of the REST API, and what streams and lists look like, which OpenAPI does not say.
 * Refuses to repeat a schema by hand: generated/schema.ts is.
 */
import type {
  ApplyAnswer,
  ApplyRequest,
  Principal as PrincipalSchema,
  Resource as ResourceSchema,
} from './generated/schema.ts';

export type {
  AccessOptions,
  AccessRequest,
  Account,
  AccountLink,
  Act,
  Agent,
  ApiToken,
  ApprovalRequest,
  ApproverDelegation,
  Budget,
  CertifiedKey,
  ChangeProposal,
  CreateAccessRequest,
  Credential,
  CredentialErrandResult,
  Drift,
  DualControl,
  Explanation,
  Grant,
  GrantDocument,
  Group,
  IdentityProvider,
  IdentityProviderPreview,
  IdentityProviderTest,
  JoinToken,
  Lease,
  NewSecret,
  NewToken,
  Policy,
  PolicyCheck,
  Principal,
  Project,
  ProjectAdmin,
  ProposalAnswer,
  RecordedStatement,
  Resource,
  Review,
  ReviewAnswer,
  ReviewDocument,
  ReviewItem,
  RotatedMasterKey,
  RotatedSamlKey,
  Session,
  SlackLink,
  SshAuthorities,
  TrailEvent,
  TreeHead,
  TrustPreview,
  TrustRule,
  WhoAmI,
} from './generated/schema.ts';

export type PrincipalKind = PrincipalSchema['kind'];
export type Endpoint = ResourceSchema['endpoints'][number];
export type ApplyDocument = ApplyRequest['documents'][number];
export type Change = ApplyAnswer['changes'][number];

export interface Page<T> {
  readonly items: readonly T[];
  readonly nextCursor?: string | null;
}

/** One frame of a recording or of a live session. Times are milliseconds since the session opened. */
export interface ReplayFrame {
  readonly atMs: number;
  /** `statement`, `columns`, `rows`, `complete`, `error`, `notice`, `cut`, `input`, `input_cut`, `client` or `server`. */
  readonly kind: string;
  readonly number?: number;
  readonly text?: string;
  readonly columns?: readonly string[];
  /** Cells, `null` for SQL NULL, a line of COPY text in one; of `cut` and `input_cut`, how many are not there. */
  readonly rows?: readonly (readonly (string | null)[])[] | number;
  /** Of `cut` and `input_cut`: how many; of `client` and `server`: base64. */
  readonly bytes?: number | string;
}
