/**
 * One accepted connection: binds a protocol's session to its two sockets, with back-pressure both ways and deadlines.
 * Refuses to know protocols and policy; what the agent adds to the session's host (sign-in, cancel keys, recording) is
 * given by `HostParts`. A session that throws has broken an invariant: both its sides are destroyed, no other is touched.
 */
import type { X509Certificate } from 'node:crypto';
import type net from 'node:net';
import type tls from 'node:tls';
import { type ErrorCode, type GatewayError, LIMITS, type Logger } from '@sallyport/core';
import type {
  CancelPort,
  ClientTls,
  NestedClient,
  NestedWire,
  ProtocolAdapter,
  ProtocolSession,
  RecorderPort,
  SessionHost,
  SignInPort,
  UpstreamOwner,
  UpstreamPort,
  UpstreamTls,
} from '@sallyport/protocol-kit';
import type { AdmissionTicket } from './admission.ts';
import { ByteSocket, type ByteSocketOwner } from './byte-socket.ts';
import { ClientSide, type ClientSideOwner, type ClientSocket } from './client-side.ts';
import { SessionTimers } from './timers.ts';
import type { Turn } from './turn.ts';
import { UpstreamSide, type UpstreamSideOwner } from './upstream-side.ts';

/** What the agent adds to a session's host. */
export interface HostParts {
  readonly signIn: SignInPort;
  readonly cancel: CancelPort;
  readonly recorder: RecorderPort;
  readonly log: Logger;
  nowMs(): number;
  monotonicUs(): number;
  randomBytes(size: number): Buffer;
  /** Both sides are gone. Called once; `code` is what ended it, '' when a peer simply left. */
  closed(code: ErrorCode | ''): void;
}

export interface ConnectionOptions {
  readonly adapter: ProtocolAdapter;
  readonly turn: Turn;
  readonly plaintextAllowed: boolean;
  readonly tlsContext: (() => tls.SecureContext) | undefined;
  /** For TLS inside the connection (CONNECT), by host. */
  readonly innerTlsContext?: ((host: string) => tls.SecureContext | undefined) | undefined;
  readonly admission: AdmissionTicket;
  readonly log: Logger;
  /** A client inside this one's session. */
  readonly nest?: (wire: NestedWire, address: string) => NestedClient | undefined;
}

/** Where a client comes in: an accepted socket, or a stream of a session, with the address of who is at its other end. */
export type ClientSource =
  | { readonly kind: 'socket'; readonly socket: net.Socket }
  | { readonly kind: 'nested'; readonly address: string; open(owner: ByteSocketOwner): ClientSocket };

/** A kill ends both sides within a second, whatever the client reads and the server runs. */
const END_MS_MAX = 800;

export class Connection implements ByteSocketOwner, ClientSideOwner, UpstreamSideOwner {
  readonly #client: ClientSide;
  readonly #upstream: UpstreamSide;
  /** What the session opened besides. */
  readonly #more = new Set<UpstreamSide>();
  readonly #turn: Turn;
  readonly #timers: SessionTimers;
  readonly #parts: HostParts;
  readonly #admission: AdmissionTicket;
  readonly #log: Logger;
  readonly #socket: ClientSocket;
  readonly #nest: ConnectionOptions['nest'];
  readonly #session: ProtocolSession;
  #halfOpen: NodeJS.Timeout | undefined;
  #endCode: ErrorCode | '' = '';
  #clientGone = false;
  #finished = false;
  #sessionPausedClient = false;
  #sessionPausedUpstream = false;
  #clientFull = false;
  #upstreamFull = false;

  /** @param parts made for this connection; may call back only after the constructor returned */
  constructor(source: ClientSource, options: ConnectionOptions, parts: (connection: Connection) => HostParts) {
    const address =
      source.kind === 'nested'
        ? source.address
        : `${source.socket.remoteAddress ?? ''}:${source.socket.remotePort ?? 0}`;
    const { adapter, plaintextAllowed, tlsContext, innerTlsContext } = options;
    const { alpn, alpnOptional } = adapter;
    this.#log = options.log;
    this.#turn = options.turn;
    this.#admission = options.admission;
    this.#client = new ClientSide({ address, plaintextAllowed, tlsContext, innerTlsContext, alpn, alpnOptional }, this);
    this.#upstream = new UpstreamSide(options.turn, this, adapter.alpn, options.log);
    this.#timers = new SessionTimers((name) => this.#guarded(() => this.#session.timer(name)));
    this.#parts = parts(this);
    this.#nest = options.nest;
    this.#socket =
      source.kind === 'nested'
        ? source.open(this)
        : ByteSocket.accept(source.socket, this, adapter.transport === 'relay' && !plaintextAllowed);
    this.#client.attach(this.#socket);
    try {
      this.#session = adapter.openSession(this.#host());
    } catch (error) {
      this.#socket.destroy();
      throw error;
    }
    // Slow or silent peers lose their place; `established` ends this deadline.
    this.#halfOpen = setTimeout(
      () => this.destroy('session.idle'),
      (adapter.loginMsMax ?? LIMITS.loginTimeoutMsMax) + LIMITS.closeTimeoutMsMax,
    );
    this.#socket.resume();
  }

  #host(): SessionHost {
    const parts = this.#parts;
    return {
      client: this.#client,
      upstream: this.#upstream,
      timers: this.#timers,
      signIn: parts.signIn,
      cancel: parts.cancel,
      recorder: parts.recorder,
      log: parts.log,
      ...(this.#nest === undefined ? {} : { nest: (wire: NestedWire) => this.#nest?.(wire, this.address) }),
      openUpstream: (owner, alpn) => this.#openUpstream(owner, alpn),
      failed: (code) => {
        if (this.#endCode === '') this.#endCode = code;
      },
      nowMs: () => parts.nowMs(),
      monotonicUs: () => parts.monotonicUs(),
      randomBytes: (size) => parts.randomBytes(size),
    };
  }

  #openUpstream(owner: UpstreamOwner, alpn: readonly string[]): UpstreamPort {
    const guarded = (act: () => void): void => this.#guarded(act);
    const side: UpstreamSide = new UpstreamSide(
      this.#turn,
      {
        upstreamBytes: (chunk) => {
          try {
            owner.upstreamBytes(chunk);
          } catch (error) {
            this.#broken(error);
          }
        },
        upstreamSecured: (info) => guarded(() => owner.upstreamSecured(info)),
        upstreamDrained: () => guarded(() => owner.upstreamDrained()),
        upstreamClosed: (error) => {
          this.#more.delete(side);
          if (!this.#clientGone) guarded(() => owner.upstreamClosed(error));
          this.#finish();
        },
        // Whoever opened it keeps the pace of its own connections.
        upstreamPaused: (paused) => side.setPaused(paused),
        unrecorded: (error) => this.unrecorded(error),
      },
      alpn,
      this.#log,
    );
    for (const other of this.#more) if (other.over) this.#more.delete(other);
    this.#more.add(side);
    return side;
  }

  /** The peer's `ip:port`. */
  get address(): string {
    return this.#client.address;
  }

  /** The session has signed in: the half-open deadline and its place among the half-open end. */
  established(): void {
    clearTimeout(this.#halfOpen);
    this.#halfOpen = undefined;
    this.#admission.established();
  }

  /**
   * Ends the session in its protocol's own words; both sides are destroyed when it has not closed them in time.
   * May be called at any time, also twice.
   */
  end(code: ErrorCode): void {
    if (this.#finished) return;
    if (this.#endCode === '') this.#endCode = code;
    this.#guarded(() => this.#session.end(code));
    setTimeout(() => this.destroy(code), END_MS_MAX).unref();
  }

  bundleChanged(): void {
    if (!this.#finished) this.#guarded(() => this.#session.bundleChanged());
  }

  /** Ends both sides without a word. */
  destroy(code: ErrorCode): void {
    if (this.#finished) return;
    if (this.#endCode === '') this.#endCode = code;
    this.#client.destroy();
    this.#upstream.destroy();
    for (const side of this.#more) side.destroy();
  }

  #guarded(act: () => void): void {
    try {
      act();
    } catch (error) {
      this.#broken(error);
    }
  }

  #broken(error: unknown): void {
    this.#log.error('a session broke and was ended', { address: this.address, error });
    this.destroy('internal');
  }

  /** See `ClientSide.certificateSha256`. */
  get clientCertificateSha256(): string | undefined {
    return this.#client.certificateSha256;
  }

  /** See `ClientSide.certificate`. */
  get clientCertificate(): X509Certificate | undefined {
    return this.#client.certificate;
  }

  // The client's socket.

  bytes(chunk: Buffer): void {
    try {
      this.#client.received(chunk);
    } catch (error) {
      this.#broken(error);
    }
  }

  secured(socket: tls.TLSSocket): void {
    this.#guarded(() => this.#client.secured(socket));
  }

  drained(): void {
    this.#clientFull = false;
    this.#applyPauses();
    this.#guarded(() => this.#session.clientDrained());
  }

  closed(_error: Error | undefined): void {
    this.#clientGone = true;
    this.#timers.clearAll();
    this.#guarded(() => this.#session.clientClosed());
    this.#upstream.end();
    for (const side of this.#more) side.end();
    this.#finish();
  }

  // The client's side.

  clientBytes(chunk: Buffer): void {
    this.#session.clientBytes(chunk);
    // A server that takes nothing must not make us read on: bounded memory, whatever the session does.
    if (this.#upstream.full !== this.#upstreamFull) {
      this.#upstreamFull = this.#upstream.full;
      this.#applyPauses();
    }
  }

  clientSecured(info: ClientTls): void {
    this.#session.clientSecured(info);
  }

  clientPaused(paused: boolean): void {
    this.#sessionPausedClient = paused;
    this.#applyPauses();
  }

  // The server's side.

  upstreamBytes(chunk: Buffer): void {
    try {
      this.#session.upstreamBytes(chunk);
    } catch (error) {
      this.#broken(error);
    }
    if (this.#socket.full !== this.#clientFull) {
      this.#clientFull = this.#socket.full;
      this.#applyPauses();
    }
  }

  upstreamSecured(info: UpstreamTls): void {
    this.#guarded(() => this.#session.upstreamSecured(info));
  }

  upstreamClosed(error: GatewayError | undefined): void {
    if (!this.#clientGone) {
      this.#guarded(() => this.#session.upstreamClosed(error));
      // The session says why and closes; this is for one that does not.
      setTimeout(() => this.#client.destroy(), LIMITS.closeTimeoutMsMax).unref();
    }
    this.#finish();
  }

  upstreamDrained(): void {
    this.#upstreamFull = false;
    this.#applyPauses();
    this.#guarded(() => this.#session.upstreamDrained());
  }

  upstreamPaused(paused: boolean): void {
    this.#sessionPausedUpstream = paused;
    this.#applyPauses();
  }

  unrecorded(error: GatewayError): void {
    this.#log.error('a statement could not be recorded, so its session was ended', { error });
    this.end('trail.unavailable');
  }

  #clientIsPaused = false;
  #upstreamIsPaused = false;

  #applyPauses(): void {
    const client = this.#sessionPausedClient || this.#upstreamFull;
    if (client !== this.#clientIsPaused) {
      this.#clientIsPaused = client;
      if (client) this.#socket.pause();
      else this.#socket.resume();
    }
    const upstream = this.#sessionPausedUpstream || this.#clientFull;
    if (upstream !== this.#upstreamIsPaused) {
      this.#upstreamIsPaused = upstream;
      this.#upstream.setPaused(upstream);
    }
  }

  #finish(): void {
    if (this.#finished || !this.#clientGone || this.#upstream.open) return;
    for (const side of this.#more) if (side.open) return;
    this.#finished = true;
    clearTimeout(this.#halfOpen);
    this.#timers.clearAll();
    this.#admission.leave();
    this.#parts.closed(this.#endCode);
  }
}
