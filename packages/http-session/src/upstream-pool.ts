/**
 * Connections to the service for one client connection and session: never shared between principals, kept while they are
 * whole, opened as needed up to a limit; beyond it requests wait their turn. Refuses to know what is sent.
 */
import { GatewayError, LIMITS } from '@sallyport/core';
import { KnownAnswer } from '@sallyport/http';
import type { Resource } from '@sallyport/model';
import type {
  SessionHost,
  UpstreamCredential,
  UpstreamOwner,
  UpstreamPort,
  UpstreamTls,
} from '@sallyport/protocol-kit';
import type { UpstreamLine } from './upstream-call.ts';
import { Http1Line, type LineOwner } from './upstream-h1.ts';
import { Http2Line } from './upstream-h2.ts';

/** A port's owner before and after its line exists. */
class Link implements UpstreamOwner {
  line: Http1Line | Http2Line | undefined;
  readonly secured = Promise.withResolvers<UpstreamTls>();
  #isSecured = false;
  /** '' where it was closed without a reason. */
  #closed: GatewayError | '' | undefined;

  constructor() {
    // Not everybody waits for TLS.
    this.secured.promise.catch(() => undefined);
  }

  get closed(): GatewayError | undefined {
    return this.#closed === '' ? new GatewayError('upstream.unreachable', { reason: 'closed' }) : this.#closed;
  }

  upstreamBytes(chunk: Buffer): void {
    this.line?.received(chunk);
  }
  upstreamSecured(tls: UpstreamTls): void {
    this.#isSecured = true;
    this.secured.resolve(tls);
  }
  upstreamClosed(error: GatewayError | undefined): void {
    this.#closed = error ?? '';
    if (!this.#isSecured) this.secured.reject(this.closed);
    this.line?.closed(error);
  }
  upstreamDrained(): void {
    this.line?.drained();
  }
}

interface Waiting {
  readonly resolve: (line: UpstreamLine) => void;
  readonly reject: (error: unknown) => void;
}

const HTTP1 = ['http/1.1'] as const;
const BOTH = ['h2', 'http/1.1'] as const;
/** Services that took HTTP/1.1 when they were offered both: nobody waits to see whether a connection can be shared. */
const speakHttp1 = new WeakSet<Resource>();

export class UpstreamPool implements LineOwner {
  readonly #host: SessionHost;
  readonly #resource: Resource;
  readonly #secure: boolean;
  readonly #offersH2: boolean;
  readonly #idle: UpstreamLine[] = [];
  readonly #ports = new Map<UpstreamLine, UpstreamPort>();
  readonly #waiting: Waiting[] = [];
  readonly #known = new KnownAnswer();
  #multiplexed: Http2Line | undefined;
  #opening = 0;
  /** A connection is being opened that all may turn out to share. */
  #opensShared = false;
  #closed = false;

  /** @param offersH2 the client speaks HTTP/2, so that what it multiplexes stays multiplexed where the service can */
  constructor(host: SessionHost, resource: Resource, secure: boolean, offersH2: boolean) {
    this.#host = host;
    this.#resource = resource;
    this.#secure = secure;
    this.#offersH2 = offersH2;
  }

  /**
   * A connection that takes a call now; at once nearly always. @param upgrade it must be HTTP/1.1
   * @throws GatewayError `upstream.unreachable`, `upstream.tls`, `session.limit`
   */
  acquire(credential: UpstreamCredential, upgrade: boolean, fresh = false): UpstreamLine | Promise<UpstreamLine> {
    if (!upgrade && this.#multiplexed?.free === true) return this.#multiplexed;
    while (!fresh && this.#idle.length > 0) {
      const line = this.#idle.pop() as UpstreamLine;
      if (line.free) return line;
    }
    const shares = this.#offersH2 && this.#secure && !upgrade && !speakHttp1.has(this.#resource);
    const hasRoom = this.#ports.size + this.#opening < LIMITS.httpUpstreamConnectionsMax;
    if (hasRoom && !(shares && this.#opensShared)) return this.#open(credential, upgrade, shares);
    if (this.#waiting.length >= LIMITS.httpRequestsInFlightMax)
      return Promise.reject(new GatewayError('session.limit', { reason: 'connections' }));
    return new Promise((resolve, reject) => this.#waiting.push({ resolve, reject }));
  }

  async #open(credential: UpstreamCredential, upgrade: boolean, shares: boolean): Promise<UpstreamLine> {
    if (this.#host.openUpstream === undefined)
      throw new GatewayError('internal', { reason: 'no more connections here' });
    this.#opening++;
    this.#opensShared ||= shares;
    const link = new Link();
    const port = this.#host.openUpstream(link, this.#offersH2 && !upgrade ? BOTH : HTTP1);
    try {
      await port.connect(this.#resource, this.#secure ? credential : undefined);
      let alpn: string | undefined;
      if (this.#secure) {
        const timer = setTimeout(() => port.destroy(), LIMITS.upstreamConnectMsMax);
        alpn = (await link.secured.promise.finally(() => clearTimeout(timer))).alpn;
      }
      if (link.closed !== undefined || this.#closed) throw link.closed ?? new GatewayError('session.closed');
      if (shares) this.#learned(alpn);
      return this.#opened(link, port, alpn);
    } catch (error) {
      port.destroy();
      // Whoever waited to share it would wait as long for the next one.
      if (shares) for (const { reject } of this.#waiting.splice(0)) reject(error);
      else this.#placeIsFree();
      throw error;
    } finally {
      this.#opening--;
      if (shares) this.#opensShared = false;
    }
  }

  /** Nobody else will say so: whoever waits asks again. */
  #placeIsFree(): void {
    this.#waiting.shift()?.reject(RETRY);
  }

  /** Those that waited to see share it, or open connections of their own. */
  #learned(alpn: string | undefined): void {
    this.#opensShared = false;
    if (alpn === 'h2') return;
    speakHttp1.add(this.#resource);
    for (const { reject } of this.#waiting.splice(0)) reject(RETRY);
  }

  #opened(link: Link, port: UpstreamPort, alpn: string | undefined): UpstreamLine {
    const line = alpn === 'h2' ? new Http2Line(port, this) : new Http1Line(port, this, this.#known);
    link.line = line;
    this.#ports.set(line, port);
    if (line instanceof Http2Line) {
      this.#multiplexed = line;
      // Those that waited for a connection of their own share this one.
      for (const { resolve } of this.#waiting.splice(0)) resolve(line);
    }
    return line;
  }

  free(line: UpstreamLine): void {
    if (this.#waiting.length === 0) this.#idle.push(line);
    else (this.#waiting.shift() as Waiting).resolve(line);
  }

  /** It was acquired, and nobody needs it any more. */
  release(line: UpstreamLine): void {
    if (line.free && line !== this.#multiplexed && this.#ports.has(line) && !this.#idle.includes(line)) this.free(line);
  }

  closed(line: UpstreamLine): void {
    this.#ports.delete(line);
    if (this.#multiplexed === line) this.#multiplexed = undefined;
    const at = this.#idle.indexOf(line);
    if (at !== -1) this.#idle.splice(at, 1);
    this.#placeIsFree();
  }

  /** Ends them all; calls that run are failed by their lines. */
  close(): void {
    this.#closed = true;
    for (const port of this.#ports.values()) port.destroy();
    for (const { reject } of this.#waiting.splice(0)) reject(new GatewayError('session.closed'));
  }
}

/** Ask the pool again. */
export const RETRY: unique symbol = Symbol('retry');
