/**
 * What a protocol package is and what the agent gives it. A protocol's session is a machine: bytes and events in, calls on
 * the host's ports out; it never owns a socket, a timer, a file or a clock, and never awaits on the path of a statement.
 * All calls into a session and all calls it makes happen on one event loop; buffers given to it are only lent for the call.
 */
import type { Duplex } from 'node:stream';
import type { ErrorCode, GatewayError, Logger } from '@sallyport/core';
import type { Protocol, Resource } from '@sallyport/model';
import type { Permit } from './gate.ts';
import type { RecorderPort } from './recorder.ts';
import type { SignInPort } from './sign-in.ts';
import type { UpstreamCredential } from './upstream-credential.ts';

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
   * Opens the connection to the signed-in resource (TCP or unix socket).
   * @param client TLS begins at once, as by `startTls`; left out, there is none yet
   * @throws GatewayError `upstream.unreachable`; `upstream.tls` when TLS cannot be spoken with what the resource says
   */
  connect(resource: Resource, client?: UpstreamCredential): Promise<void>;
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

/** Keys for PostgreSQL CancelRequest and the like: carry the agent's instance, so that a misplaced one can be passed on. */
export interface CancelPort {
  /** A fresh key for this session: `processId` (int32) and `secret` bytes (4 for protocol 3.0, 32 for 3.2). */
  issue(secretBytes: 4 | 32): { readonly processId: number; readonly secret: Buffer };
  /** A cancel request arrived on this connection; the session it names gets `onCancel`. Always silent. */
  request(processId: number, secret: Uint8Array): void;
  /** Set by the session: its own key was presented. */
  onCancel: (() => void) | undefined;
}
