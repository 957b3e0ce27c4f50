/**
 * What a protocol package is and what the agent gives it. A protocol's session is a machine: bytes and events in, calls on
 * the host's ports out; it never owns a socket, a timer, a file or a clock, and never awaits on the path of a statement.
 * All calls into a session and all calls it makes happen on one event loop; buffers given to it are only lent for the call.
 */
import type { KeyObject } from 'node:crypto';
import type { Duplex } from 'node:stream';
import type { ErrorCode, GatewayError, Logger, Secret } from '@sallyport/core';
import type { MaskKey } from '@sallyport/mask';
import type {
  MaskSet,
  Protocol,
  Resource,
  SessionInfo,
  SessionUsage,
  Statement,
  StatementOutcome,
  StatementShape,
} from '@sallyport/model';
import type { GatePorts, HoldVerdict, Permit } from './gate.ts';

/** One protocol; the agent's registry has one line for each. */
export interface ProtocolAdapter {
  readonly name: Protocol;
  readonly defaultPort: number;
  /** `relay`: the relay speaks TLS for it; `own`: the protocol brings its own encryption, and the relay passes bytes. */
  readonly transport: 'relay' | 'own';
  /** How long a connection may take to sign in; absent: LIMITS.loginTimeoutMsMax. */
  readonly loginMsMax?: number;
  /** ALPN names of direct TLS. */
  readonly alpn: readonly string[];
  /** Direct TLS without ALPN is let in: HTTP, which such clients mean. Absent: its name is what says that we are meant. */
  readonly alpnOptional?: boolean;
  /** Called by the relay for each accepted connection, before a byte is read. */
  openSession(host: SessionHost): ProtocolSession;
}

/** What the relay tells a session. None of these throws: a session ends itself through its ports. */
export interface ProtocolSession {
  /** Bytes from the client, lent for the call: what is kept must be copied. */
  clientBytes(chunk: Buffer): void;
  /** TLS on the client side is up after `client.startTls()` (or was up from the first byte). */
  clientSecured(tls: ClientTls): void;
  /** The client's side is gone (closed, reset, timed out). Holds are cancelled; upstream is closed by the relay after this. */
  clientClosed(): void;
  /** The client's write queue is empty after `client.write` returned false. */
  clientDrained(): void;
  /** Bytes from the server, lent for the call. */
  upstreamBytes(chunk: Buffer): void;
  upstreamSecured(tls: UpstreamTls): void;
  upstreamClosed(error: GatewayError | undefined): void;
  upstreamDrained(): void;
  /** A deadline set by `timers.set` has come. */
  timer(name: TimerName): void;
  /** End at once, saying why in the protocol's own words: kill, revocation, shutdown. Both sides are closed by the session. */
  end(code: ErrorCode): void;
  /** Another bundle is in force: it applies from the next statement; facts derived from policy must be dropped. */
  bundleChanged(): void;
}

export type TimerName = 'alive' | 'mask' | 'login' | 'idle' | 'age' | 'notice' | 'held' | 'commit' | 'close';

export interface ClientTls {
  /** SNI as sent; undefined without. */
  readonly serverName: string | undefined;
  readonly alpn: string | undefined;
}

export interface UpstreamTls {
  /** DER of the server's certificate, for channel binding (RFC 5929 tls-server-end-point). */
  readonly certificate: Buffer;
  /** What the server chose; undefined without. */
  readonly alpn?: string | undefined;
}

/** Whoever uses one more connection to the server; calls as those of `ProtocolSession`. */
export interface UpstreamOwner {
  upstreamBytes(chunk: Buffer): void;
  upstreamSecured(tls: UpstreamTls): void;
  upstreamClosed(error: GatewayError | undefined): void;
  upstreamDrained(): void;
}

/** Everything a session may do. Given once; valid until both sides are closed. */
export interface SessionHost {
  readonly client: ClientPort;
  readonly upstream: UpstreamPort;
  readonly timers: TimerPort;
  readonly signIn: SignInPort;
  readonly cancel: CancelPort;
  readonly recorder: RecorderPort;
  readonly log: Logger;
  /**
   * One more connection to the server, on the same turns as the session's own; it is closed with the client's.
   * @param alpn what is offered when it speaks TLS. Absent: a protocol has one connection.
   */
  openUpstream?(owner: UpstreamOwner, alpn: readonly string[]): UpstreamPort;
  /**
   * A byte stream inside this session becomes a client of its own at the same listener, signed in by itself.
   * @returns what is told of the stream; undefined when there is no room. Absent: nothing nests here.
   */
  nest?(wire: NestedWire): NestedClient | undefined;
  /** The session ends by an error of its own: the code stands in the trail, where the first one counts. */
  failed(code: ErrorCode): void;
  nowMs(): number;
  /** Monotonic microseconds, for durations. */
  monotonicUs(): number;
  randomBytes(size: number): Buffer;
}

/** The outer session's end of a nested client. */
export interface NestedWire {
  /** Takes the bytes at once; false = stop until `drained`. */
  write(bytes: Uint8Array): boolean;
  pause(): void;
  resume(): void;
  /** Sends what is queued, then closes. */
  end(): void;
  destroy(): void;
}

export interface NestedClient {
  /** Lent for the call. */
  bytes(chunk: Buffer): void;
  drained(): void;
  closed(): void;
}

export interface ClientPort {
  /** `ip:port` of the peer. */
  readonly address: string;
  /** Plaintext is allowed on this listener (a loopback one switched on by name). */
  readonly plaintextAllowed: boolean;
  /**
   * Takes the bytes at once (they may be lent memory); false = queue is long: stop until `clientDrained`.
   * @param given nobody writes into their memory again: they need not be copied
   */
  write(bytes: Uint8Array, given?: boolean): boolean;
  /** Upgrades to TLS; bytes already written stay in clear, then the handshake. `clientSecured` follows. */
  startTls(): void;
  /** There is a certificate for that host: `startInnerTls` would begin. */
  hasInnerTls?(host: string): boolean;
  /**
   * TLS inside this connection, to a client that takes it for that host (CONNECT); `clientSecured` follows once more, and
   * what is read and written from here on is the inside. Once a connection; absent: never.
   * @param host canonical
   * @param first bytes already read that belong to the handshake
   * @returns false when there is no certificate for that host: nothing has changed then
   */
  startInnerTls?(host: string, alpn: readonly string[], first?: Buffer): boolean;
  /**
   * The TLS stream itself, as it is secured and before anything was read of it, for who frames it (node:http2 reads and writes
   * it without a call in between). Nothing is told of its bytes any more; that it has closed still is.
   * @returns undefined where there is none; absent: never
   */
  takeStream?(): Duplex | undefined;
  pause(): void;
  resume(): void;
  /** Sends what is queued, then closes. */
  end(): void;
  destroy(): void;
}

export interface UpstreamPort {
  /**
   * Opens the connection to the signed-in resource (TCP or unix socket, no TLS yet).
   * @throws GatewayError `upstream.unreachable`
   */
  connect(resource: Resource): Promise<void>;
  /** Gives this connection up without a word to the session, so that `connect` may be called again. */
  abandon(): void;
  /** Upgrades to TLS as the resource says; verification is done here. `upstreamSecured` follows, or `upstreamClosed` with `upstream.tls`. */
  startTls(resource: Resource, client: UpstreamCredential): void;
  /**
   * Queues bytes for this turn: they leave after the turn's records are in the kernel (or on disk, `durability: strict`).
   * Takes the bytes at once. Needs the permit of what they belong to. False = stop until `upstreamDrained`.
   * @param given nobody writes into their memory again: they need not be copied
   */
  send(permit: Permit, bytes: Uint8Array, given?: boolean): boolean;
  pause(): void;
  resume(): void;
  end(): void;
  destroy(): void;
  /**
   * Sends PostgreSQL-style out-of-band cancellation on a fresh connection; the session gives the bytes. Errors are logged.
   * @param upgrade how TLS is asked for: then the bytes leave only on a connection verified as the resource says
   */
  outOfBand(resource: Resource, bytes: Uint8Array, upgrade: TlsUpgrade | undefined): void;
}

/** In-protocol upgrade to TLS: what is sent in clear, and the one byte that agrees to it. */
export interface TlsUpgrade {
  readonly request: Uint8Array;
  readonly agreed: number;
}

export interface TimerPort {
  /** Replaces a timer of that name. */
  set(name: TimerName, afterMs: number): void;
  clear(name: TimerName): void;
}

export interface UpstreamCredential {
  readonly username: string;
  /** Password; for certificates the PEM of key and chain. Undefined for `none`. */
  readonly secret: Secret<string> | undefined;
  readonly certificate: boolean;
  /** An OpenSSH private key instead of a password, and the certificate (its blob in base64) that goes with it. */
  readonly ssh?: { readonly privateKey: Secret<string>; readonly certificate?: string };
  /** Puts it into HTTP requests, as the resource's `inject` says; absent where nothing is put in (`none`, `mtls`). */
  readonly http?: HttpCredential;
}

/** A credential in the form an HTTP service takes. One object may serve all requests of a session. */
export interface HttpCredential {
  /**
   * Asked before each request: undefined, nearly always, when a value is at hand; else one is fetched or renewed (an OAuth
   * token), for all who wait at once. Rejects with GatewayError `credential.unavailable`.
   */
  ready(): Promise<void> | undefined;
  /**
   * The request as it leaves, with the credential in it: whatever had its place is gone. After `ready`.
   * @throws GatewayError `http.body_unsigned` when the form signs bodies and this one is not at hand
   */
  into(request: UncredentialedRequest): { readonly target: string; readonly headers: readonly HeaderField[] };
}

/** Name in lower case, and value. */
export type HeaderField = readonly [name: string, value: string];

export interface UncredentialedRequest {
  readonly method: string;
  /** What the server reads in Host or `:authority`. */
  readonly authority: string;
  /** Origin-form, the resource's base path included. */
  readonly target: string;
  /** Without the client's credentials. */
  readonly headers: readonly HeaderField[];
  /** `streams`: it is not at hand as a whole. */
  readonly body: Uint8Array | 'none' | 'streams';
}

export interface SignInRequest {
  readonly token: Secret<string>;
  /** RFC 7638 thumbprint of a key that the client proved to hold in this protocol; absent without such proof. */
  readonly provenKey?: string;
  /** Resource by name, from user name or SNI. */
  readonly resource: string;
  /** Role asked for by `<role>+<resource>`. */
  readonly role: string | undefined;
  /** '' when the client named none: then the resource's first database, or `postgres`, is meant. */
  readonly database: string;
  readonly application: string;
  /** Why, as the client said while signing in; goes before what its token says. */
  readonly reason?: string;
}

/** A sign-in by browser that has begun. */
export interface LinkSignIn {
  /** Rejects when there is no control plane that could offer one. */
  readonly link: Promise<{ readonly url: string; readonly userCode: string }>;
  /** Rejects when it was refused or nobody came. */
  readonly token: Promise<Secret<string>>;
  /** The client is gone, or does something else. */
  cancel(): void;
}

export interface SignInPort {
  /** A resource of this protocol has that name here. */
  isResource?(name: string): boolean;
  /** Public keys of the CAs that certify users' SSH keys, as the bundle in force has them. */
  userCas?(): readonly KeyObject[];
  /** A proof was refused before it came to `signIn`: on the record with why, which no client is told. */
  refused?(resource: string, why: string): void;
  /** Offers a link to a browser; absent: there is none. */
  askByLink?(resource: string): LinkSignIn;
  /** The resource a TLS server name `<resource>.<domain>` names; undefined for any other name. Absent: names by SNI are off. */
  resourceOf?(serverName: string): string | undefined;
  /**
   * Verifies the token offline, finds the resource, the grants and admission limits, records `session.opened` or
   * `auth.failed`.
   * @throws GatewayError `auth.failed` for everything about the token or a resource or role one may not know of;
   *   `session.limit`, `agent.stale`, `agent.stopping`, `trail.unavailable`
   */
  signIn(request: SignInRequest): Promise<SignedIn>;
  /**
   * As `signIn`, for a protocol whose sessions span connections: opens one, or joins the one that stands; as often as
   * wanted on one connection. The token is verified each time. Absent: sessions are connections.
   */
  join?(request: SignInRequest, member: SessionMember): Promise<JoinedSession>;
  /** The resource of that name that this listener serves, before anybody has signed in: nothing of it may be told. */
  find?(name: string): Resource | undefined;
  /** The resource a token says it is for, by name; not verified: whoever signs in with it is. */
  resourceOfToken?(token: string): string | undefined;
  /** Lower-case domain under which `<resource>.<domain>` names one; '' = none. */
  domain?(): string;
  /**
   * Name of the resource that registers this host for the forward proxy; undefined = none does.
   * @param host canonical
   * @param token unverified: of several resources the one it says it is for is meant
   */
  proxied?(host: string, port: number, token: Secret<string>): string | undefined;
  /**
   * The token would sign in to some resource here: whoever shows it may be told that a host is no resource's. What was asked
   * for stands in the trail.
   * @throws GatewayError `auth.failed`
   */
  unproxied?(token: Secret<string>, host: string, port: number): void;
}

/** One connection in a session that spans several. */
export interface SessionMember {
  /** The session ends: say so and leave. Called once. */
  end(code: ErrorCode): void;
  bundleChanged(): void;
}

/** A session that several connections of one principal share: same token, resource and role. */
export interface JoinedSession {
  readonly road: SignedIn;
  readonly recorder: RecorderPort;
  /** UTC ms: after this the token opens nothing more, and what it opened goes on. */
  readonly tokenExpiresAtMs: number;
  /** This connection needs it no more. Idempotent. */
  leave(): void;
  /**
   * Something of it waits on without a connection: it stays open until what is returned is called (idempotent).
   * @param ended told when the session is ended all the same
   */
  keep(ended: (code: ErrorCode) => void): () => void;
}

/** The road of one signed-in session: judged and recorded through these alone. */
export interface SignedIn {
  readonly info: SessionInfo;
  readonly resource: Resource;
  /** Role to pin upstream, checked against grants; undefined = the credential's own. */
  readonly role: string | undefined;
  /** Every grant of this session gives only `read`: upstream must be opened and pinned read-only. */
  readonly readOnly: boolean;
  readonly gate: GatePorts;
  readonly usage: SessionUsage;
  /** Masks that would apply to this session's answers now, whatever the statement. Reference-stable between bundles. */
  masks(): MaskSet;
  /** @throws GatewayError `credential.unavailable` */
  credential(): Promise<UpstreamCredential>;
  /**
   * The server refused what `credential` gave: another value to try (the one before a rotation), or undefined.
   * Absent: there is never another one.
   */
  refused?(credential: UpstreamCredential): Promise<UpstreamCredential | undefined>;
  /** A host key that nothing is known of: true when it is the one shown here first, or may be remembered from now on. */
  hostKeyRemembered?(blob: Uint8Array): boolean;
  /** Told as soon as a hold waits: id and reason for the client's notice. Undefined before the first hold. */
  onHeld: ((held: HeldNotice) => void) | undefined;
  /** Set by the session: a statement's shape in the state the session is in. Asked for held statements alone. */
  shapes?: ((statement: Statement) => StatementShape | undefined) | undefined;
  /** Set by the session: what any statement's text means something by, beside database and role. Asked for held statements alone. */
  meanings?: (() => readonly string[]) | undefined;
  /** The requester said why; '' takes it back. Stands for what is asked from now on. */
  because?(reason: string): void;
  /**
   * What has to be fetched before a statement can be judged (a share of a budget); undefined, nearly always, when nothing has.
   * It never rejects; while it lasts nothing of the client is judged.
   */
  ready?(): Promise<void> | undefined;
  /**
   * Ends the wait of a held statement, or of all of this session: rejects it with `approval.cancelled` (the client asked, or
   * is gone), or with `approval.expired` when its transaction may not wait longer.
   */
  cancelHeld(code?: 'approval.cancelled' | 'approval.expired', statement?: Statement): void;
  /** The resource as the bundle in force has it; the session's own where it is gone. Absent: it never changes. */
  resourceInForce?(): Resource;
  /** Names of the principal's groups, as the bundle in force has them. Absent: nobody knows. */
  groups?(): readonly string[];
  /** Rules in force may hold this session's COMMITs: what its transactions do is to be kept. Absent: none do. */
  holdsCommits?(): boolean;
  /** For the record: an MCP server describes a tool in another way than at first. Digests as hex; `first` may be ''. */
  toolChanged?(tool: string, first: string, digest: string): void;
  /** What came back; may lag. Called once per judged statement that was forwarded. */
  finished(outcome: StatementOutcome): void;
  /** Number of a statement given to the gate, or of the last one (from 1). */
  statementNumber(statement?: Statement): number;
  /** Keys masks of method `hash`; without it they read as `redact`. */
  readonly maskKey?: MaskKey | undefined;
  /** Hides what detectors find, with this session's detect masks; for error, notice and parameter texts. Pure. */
  hide(text: string): string;
}

export interface HeldNotice {
  readonly approvalId: string;
  readonly statement: Statement;
  readonly verdict: HoldVerdict;
  /** UTC ms, as the next one. */
  readonly requestedAt: number;
  readonly expiresAt: number;
}

/** Keys for PostgreSQL CancelRequest and the like: carry the agent's instance, so that a misplaced one can be passed on. */
export interface CancelPort {
  /** A fresh key for this session: `processId` (int32) and `secret` bytes (4 for protocol 3.0, 32 for 3.2). */
  issue(secretBytes: 4 | 32): { readonly processId: number; readonly secret: Buffer };
  /** A cancel request arrived on this connection; the session it names gets `onCancel`. Always silent. */
  request(processId: number, secret: Uint8Array): void;
  /** Set by the session: its own key was presented. */
  onCancel: (() => void) | undefined;
}

/** What the client saw and what it loaded, for replay; calls copy what they keep and never block. */
export interface RecorderPort {
  /** How much the resource wants kept. */
  readonly level: 'statements' | 'results' | 'full';
  /** True while the writer is behind at level `full`: pause who sends until `onDrained`. */
  readonly saturated: boolean;
  onDrained: (() => void) | undefined;
  statement(number: number, text: string): void;
  /** Column names of an answer, once before its rows. */
  columns(number: number, names: readonly string[]): void;
  /**
   * Protocol bytes of rows as the client sees them (masked): whole messages; of one that is too large to be gathered, pieces.
   * @param rowCount how many rows end in `bytes`
   * @param isPiece of a message larger than `LIMITS.recordedRowBytesPerStatementMax`: only `full` keeps it
   */
  rows(number: number, bytes: Uint8Array, rowCount: number, isPiece?: boolean): void;
  /**
   * What the client sends behind a statement (COPY), without framing and masked, at every level, as parameters are.
   * @param lines line ends in `bytes`
   * @returns false when the level keeps no more of this statement: tell the rest by `inputCut`
   */
  input(number: number, bytes: Uint8Array, lines: number): boolean;
  /** What the client sent and `input` did not take: line ends, bytes and hex SHA-256 of it as it was sent. */
  inputCut(number: number, lines: number, bytes: number, digest: string): void;
  /** Command tag, error or notice text as the client sees it. */
  note(number: number, kind: 'complete' | 'error' | 'notice', text: string): void;
  /** The terminal of this statement has this size from here on. Called first before its first output. */
  resize(number: number, columns: number, rows: number): void;
  /**
   * What a stream of this statement shows, as the client sees it (masked). Several statements may run at once; what is left
   * out (level, limits, a writer that is behind) is counted and digested until `exit`.
   * @param isLater `settle` follows before `bytes` change: what is left out may be digested there
   * @returns true where `settle` has something to do
   */
  streamOutput(number: number, stream: 'stdout' | 'stderr' | 'pty', bytes: Uint8Array, isLater?: boolean): boolean;
  /** Digests what was left out of streams: once the client has it, which so waits for less. */
  settle(): void;
  /** What the client sent to it: only where the resource has input recorded, and never while nothing is echoed. */
  streamInput(number: number, bytes: Uint8Array): void;
  /** The statement's streams have ended, last of all it said; with neither a code nor a signal when it just ended. */
  exit(number: number, end: { readonly code?: number; readonly signal?: string }): void;
  /**
   * A request as it was judged, or the answer's status and headers, as text; credentials taken out by the caller. Several
   * requests may run at once. Kept at every level.
   * @param bodyBytesMax what `results` keeps of the body that follows; absent: `LIMITS.recordedHttpBodyBytes`
   */
  httpHead(number: number, side: 'request' | 'response', text: string, bodyBytesMax?: number): void;
  /** Bytes of the body as the client sent or sees it, masked, in its content coding. Behind `httpHead`. */
  httpBody(number: number, side: 'request' | 'response', bytes: Uint8Array): void;
  /** The body is over, or will not go on. @returns what it was; undefined where no head was given */
  httpEnd(number: number, side: 'request' | 'response'): RecordedBody | undefined;
  /** A file was read, written or changed, at every level; without its contents. */
  file(number: number, file: RecordedFile): void;
}

export interface RecordedBody {
  readonly bytes: number;
  /** Of them, not in the recording. */
  readonly cut: number;
  /** Hex SHA-256 of the whole; '' at level `statements`, which does not read bodies. */
  readonly digest: string;
}

export interface RecordedFile {
  /** `read`, `write`, `rename`, … */
  readonly op: string;
  readonly path: string;
  /** The other path of a rename or link; '' without. */
  readonly target: string;
  /** Bytes that went through; absent where none did. */
  readonly size?: number;
  /** Hex SHA-256 of what went through; '' where it is not known. */
  readonly digest: string;
  /** `sftp`, `scp`, `rsync`, `git`. */
  readonly via: string;
}
