/**
 * What a kind of resource behind the HTTPS listener gives the driver: how a request reads as a statement, what is sent on,
 * how the answer is masked, and how a refusal sounds. The driver owns connections, sign-in, the gate, credentials, recording.
 * Every call is synchronous, on the path of a request: a dialect never awaits, never owns a socket and keeps no token.
 */
import type { ErrorCode } from '@sallyport/core';
import type { BodyMasker, Header, RequestHead, ResponseHead } from '@sallyport/http';
import type { MaskSet, Resource, Statement } from '@sallyport/model';
import type { Permit, RecorderPort, SignedIn } from '@sallyport/protocol-kit';
import type { Look } from './look.ts';

/** What one principal's session on one resource is to a dialect. `state` is the dialect's own, kept as long as the session. */
export interface DialectSession {
  readonly road: SignedIn;
  readonly resource: Resource;
  readonly recorder: RecorderPort;
  /** A place for what a dialect must remember between requests of this session (tools seen, a subject's name). */
  readonly state: Map<string, unknown>;
  nowMs(): number;
}

/** The body that came with a request, as it may be judged. */
export interface RequestBody {
  /** False: longer than may be gathered, or in a coding that is not read; then `bytes` is empty. */
  readonly read: boolean;
  /** As the client sent it, content coding included; see `decodeBody` of packages/http for what it means. */
  readonly bytes: Uint8Array;
  /** Bytes; -1 = not known before it ends. */
  readonly size: number;
}

export interface InsteadOfBody {
  readonly contentType: string;
  /** In no coding. */
  readonly bytes: Uint8Array;
}

/** A request as it goes upstream. Credentials and framing fields are added by the driver after this. */
export interface ForwardedRequest {
  readonly method: string;
  /** Origin-form, below the resource's base path. */
  readonly target: string;
  readonly headers: readonly Header[];
  /** Undefined = as it came. */
  readonly body?: Uint8Array;
}

/** How an answer reaches the client. */
export interface AnswerPlan {
  /** Absent = the bytes pass untouched. Its output has no known length: the answer is sent as a stream. */
  readonly masker?: BodyMasker | undefined;
  /** Absent = as they came. Content-Length and transfer codings are the driver's. */
  readonly headers?: readonly Header[] | undefined;
  readonly status?: number;
  /** Nothing may come for long, and nothing is wrong (a watch, a log that is followed). Absent = it ends by LIMITS.httpStallMsMax. */
  readonly patient?: boolean;
  /** Its body holds a credential, for who asked alone: makes what is recorded of what is shown. Absent = all of it. */
  readonly recorded?: BodyMasker | 'nothing' | undefined;
  /**
   * Between lines of it, what ends the answer when the gateway does (kill, revocation, shutdown), and then it is whole; absent =
   * the client sees that it is cut.
   */
  last?(code: ErrorCode): Uint8Array;
  /** Trailers as they are shown, asked for where there are any; absent = as they came. */
  trailers?(trailers: readonly Header[]): readonly Header[];
  /** How many rows, items or objects the answer holds, asked for at its end. Absent = 0. */
  rows?(): number;
}

/** Bytes pass untouched. */
export const PASS: AnswerPlan = Object.freeze({});

/** What the machine over an upgraded connection may do. */
export interface UpgradeHost {
  /** Under the permit of the request that asked for the upgrade. False = stop until `upstreamDrained`. */
  toUpstream(bytes: Uint8Array): boolean;
  /** False = stop until `clientDrained`. @param given the memory is given away: nobody writes into it again */
  toClient(bytes: Uint8Array, given?: boolean): boolean;
  /** A statement inside the stream. @throws Refusal */
  admit(statement: Statement): Permit | Promise<Permit>;
  pauseClient(paused: boolean): void;
  pauseUpstream(paused: boolean): void;
  /** Sends what is queued to both sides, then closes them. */
  end(code: ErrorCode | ''): void;
  /** Runs `fire` once after so long; replaces what was asked before. */
  wakeAfter(ms: number, fire: () => void): void;
  /** Number of the request's statement, for the recorder. */
  readonly statementNumber: number;
}

/** Both byte streams of a connection after `101 Switching Protocols`. Bytes are lent for the call. */
export interface UpgradeMachine {
  clientBytes(chunk: Buffer): void;
  upstreamBytes(chunk: Buffer): void;
  clientDrained(): void;
  upstreamDrained(): void;
  /** One side is gone, or the session is ended with a code. What is held is shown or dropped; then `host.end`. */
  closed(side: 'client' | 'upstream'): void;
  /** Kill, revocation, shutdown: say it in the protocol's own words, if it has any. */
  ended(code: ErrorCode): void;
  /** Rows (frames, messages) that went to the client, for the statement's outcome. */
  rows(): number;
}

/** A refusal as it is told, whoever made it. */
export interface HttpRefusal {
  readonly code: ErrorCode;
  /** What HTTP says of it. */
  readonly status: number;
  /** `<policy>/<rule>`; '' when no rule was asked. */
  readonly rule: string;
  /** The code's text, or what the rule's author wrote. */
  readonly message: string;
  /** An approval request's id, or `<session>/<number>`; '' before a session. */
  readonly requestId: string;
  /** `no`, `later`, `ask again`, … as the other protocols' machine blocks say it. */
  readonly retry: string;
  /** ISO 8601: when the same would be allowed again. */
  readonly resetAt?: string;
}

export interface DeniedAnswer {
  readonly status: number;
  readonly headers: readonly Header[];
  readonly body: Uint8Array;
}

export interface HttpDialect {
  readonly protocol: 'http' | 'mcp' | 'kubernetes';
  /**
   * It keeps nothing by a request that has no body: one that comes again byte by byte may be the very same object. Absent = each
   * is an object of its own.
   */
  readonly repeats?: true;
  /**
   * Whether this request's body is gathered (to `LIMITS.httpBodyJudgedBytesMax`) before it is judged; else it streams after
   * the verdict and `classify` sees `read: false`.
   */
  gathers(request: RequestHead, session: DialectSession): boolean;
  /**
   * What the gateway reads of the service before this request is judged; undefined, nearly always, when nothing. `classify`
   * follows, whatever came of it. @throws GatewayError as `classify`
   */
  look?(request: RequestHead, body: RequestBody | undefined, session: DialectSession): Look | undefined;
  /**
   * The request as a statement: facts, effects, text, digest. `body` undefined = it has none.
   * @throws GatewayError for what is refused unjudged (impersonation headers, SPDY, a tunnel); it is recorded by the driver
   */
  classify(request: RequestHead, body: RequestBody | undefined, session: DialectSession): Statement;
  /**
   * What a recording keeps in the place of the body, before detectors: what is hidden from readers is hidden in what was written
   * too. Absent or undefined = the body as it came.
   */
  recorded?(request: RequestHead, body: RequestBody, session: DialectSession): InsteadOfBody | undefined;
  /** The request as it goes upstream: headers added or dropped, target changed. */
  forward(
    request: RequestHead,
    body: RequestBody | undefined,
    session: DialectSession,
    masks: MaskSet,
  ): ForwardedRequest;
  /**
   * How the answer is shown. @throws GatewayError `http.body_unmaskable` when it cannot be masked and must be
   */
  answer(
    request: RequestHead,
    response: ResponseHead,
    session: DialectSession,
    masks: MaskSet,
    statement: Statement,
  ): AnswerPlan;
  /**
   * The machine over a connection that the server has switched (101); undefined = the connection is closed with
   * `http.upgrade_refused`.
   */
  upgrade?(
    request: RequestHead,
    response: ResponseHead,
    session: DialectSession,
    masks: MaskSet,
    host: UpgradeHost,
  ): UpgradeMachine | undefined;
  /** Whether an upgrade to `request.upgrade` is understood at all: asked before the request is judged. Absent = none is. */
  upgrades?(request: RequestHead, session: DialectSession): boolean;
  /** Whether a client whom nobody has let in is of this kind, by what it says of itself. Absent = none is known to be. */
  isClient?(headers: readonly Header[]): boolean;
  /** A refusal in the words of this kind of client. */
  deny(refusal: HttpRefusal, request: RequestHead | undefined): DeniedAnswer;
}
