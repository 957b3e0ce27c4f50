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
  CommandSearchPage,
  CreateAccessRequest,
  Credential,
  CredentialErrandResult,
  Drift,
  DualControl,
  Explanation,
  FoundCommand,
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
  Retention,
  Review,
  ReviewAnswer,
  ReviewDocument,
  ReviewItem,
  RotatedMasterKey,
  RotatedSamlKey,
  Session,
  SessionCommand,
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

/** First line of asciicast v2. */
export interface FilmHeader {
  readonly version: 2;
  readonly width: number;
  readonly height: number;
  readonly timestamp: number;
  readonly title: string;
}
/** Seconds; `o` output, `i` input, `r` size as COLUMNSxROWS, `m` mark; its text. */
export type FilmEvent = readonly [number, 'o' | 'i' | 'r' | 'm', string];

/** One frame of a recording or of a live session. Times are milliseconds since the session opened. */
export interface ReplayFrame {
  readonly atMs: number;
  /**
   * `statement`, `columns`, `rows`, `complete`, `error`, `notice`, `cut`, `input`, `input_cut`, `client`, `server`, or of streams
   * `terminal_output`, `terminal_input`, `resize`, `exit`, `stream_cut`, `file`, or of HTTP `http_head`, `http_body`, `http_end`.
   */
  readonly kind: string;
  readonly number?: number;
  readonly text?: string;
  readonly columns?: readonly string[];
  /** Cells, `null` for SQL NULL, a line of COPY text in one; of `cut` and `input_cut`, how many are not there. */
  readonly rows?: readonly (readonly (string | null)[])[] | number;
  /** Of `cut`, `input_cut` and `stream_cut`: how many; of `client`, `server` and streams: base64. */
  readonly bytes?: number | string;
  /** `stdout`, `stderr`, `pty` or `input`. */
  readonly stream?: string;
  /** Of `resize`: columns and rows. */
  readonly size?: readonly [number, number] | number;
  /** Of `exit`. */
  readonly code?: number;
  readonly signal?: string;
  /** Of `file`: what was done, to what, by which program; `size` is its bytes. */
  readonly op?: string;
  readonly path?: string;
  readonly target?: string;
  readonly via?: string;
  /** SHA-256 as hex: of `file`, its content; of what was left out (`cut`, `input_cut`, `stream_cut`) and of `http_end`, with `clear` alone. */
  readonly digest?: string;
  /** Of HTTP: `request` or `response`. */
  readonly side?: string;
  /** Of `http_end`: bytes of the body that are not in the recording; `bytes` is all there were. */
  readonly cut?: number;
}
