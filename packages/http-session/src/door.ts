/**
 * The HTTPS listener's adapter: one connection's session for all kinds of resource that are reached over HTTP. Signs members
 * in, gives requests to exchanges, and keeps the time of the connection. Refuses to know what requests mean.
 */
import { type ErrorCode, GatewayError, LIMITS } from '@sallyport/core';
import { encodeResponseHead, type Header, RefusedTarget, type RequestHead } from '@sallyport/http';
import type { ClientTls, ProtocolAdapter, ProtocolSession, SessionHost, TimerName } from '@sallyport/protocol-kit';
import { Http1Client } from './client-h1.ts';
import { Http2Client } from './client-h2.ts';
import type { ClientStream, RequestSink } from './client-stream.ts';
import { DEADLINES, type Deadlines } from './deadlines.ts';
import type { HttpDialect } from './dialect.ts';
import { Exchange, type ExchangeHome } from './exchange.ts';
import { HeldRequests } from './held.ts';
import { MemberSession } from './member.ts';
import { refusalOf } from './refusal.ts';
import { Running } from './running.ts';
import { type Named, TLS_HANDSHAKE, type Tunnel } from './tunnel.ts';
import { LastShown, LastWay, requireOwnHost, type Shown, secretToken, type WayIn, wayIn } from './way-in.ts';

const SWEEP_MS = 1_000;

/**
 * @param dialects the first one's refusals are told where no resource is known
 * @param deadlines how long peers are waited for, where LIMITS does not say it; they are looked at each second
 */
export function createHttpDoor(
  dialects: readonly [HttpDialect, ...HttpDialect[]],
  deadlines: Partial<Deadlines> = {},
): ProtocolAdapter {
  const waits = { ...DEADLINES, ...deadlines };
  const held = new HeldRequests();
  return {
    name: 'http',
    defaultPort: 7443,
    transport: 'relay',
    // A client may open its connection before it knows what to ask.
    loginMsMax: LIMITS.httpIdleMsMax,
    alpn: ['h2', 'http/1.1'],
    alpnOptional: true,
    openSession: (host) => new DoorSession(host, dialects, held, waits),
  };
}

class DoorSession implements ProtocolSession, ExchangeHome {
  serverName: string | undefined;
  tunnel: Tunnel | undefined;
  version: '1' | '2' = '1';
  readonly #fallback: HttpDialect;
  readonly deadlines: Deadlines;
  readonly #host: SessionHost;
  readonly #dialects: readonly HttpDialect[];
  readonly #held: HeldRequests;
  readonly #exchanges = new Running<Exchange>();
  readonly #members = new Map<string, MemberSession | Promise<MemberSession>>();
  readonly #lastShown = new LastShown();
  readonly #lastWay = new LastWay();
  /** Who was asked for last: nearly always the same. */
  #last: { resource: string; token: string; readonly member: MemberSession } | undefined;
  #client: Http1Client | Http2Client | undefined;
  #sweeping = false;
  #ended = false;
  #isIdle = false;
  #idleSince = 0;
  #watchesIdle = false;
  #headSince = 0;
  #wake: (() => void) | undefined;

  constructor(
    host: SessionHost,
    dialects: readonly [HttpDialect, ...HttpDialect[]],
    held: HeldRequests,
    deadlines: Deadlines,
  ) {
    this.#host = host;
    this.deadlines = deadlines;
    this.#dialects = dialects;
    this.#fallback = dialects[0];
    this.#held = held;
  }

  // The relay.

  clientSecured(tls: ClientTls): void {
    this.serverName = tls.serverName;
    if (tls.alpn === 'h2') {
      this.version = '2';
      this.#client = new Http2Client(this.#host.client, {
        exchange: (stream) => this.#exchange(stream),
        malformed: (error, stream) => this.#malformed(error, stream),
        idle: (idle) => this.#idle(idle),
      });
    } else this.#client = this.#http1('https');
    this.#idle(true);
  }

  #http1(scheme: 'http' | 'https'): Http1Client {
    return new Http1Client(
      this.#host.client,
      {
        exchange: (stream) => this.#exchange(stream),
        malformed: (error, stream) => this.#malformed(error, stream),
        idle: (idle) => this.#idle(idle),
      },
      scheme,
    );
  }

  clientBytes(chunk: Buffer): void {
    if (this.#ended) return;
    if (this.#client === undefined) {
      if (!this.#host.client.plaintextAllowed) return this.#refuseClear();
      this.#client = this.#http1('http');
    }
    this.#client.receive(chunk);
    // A head that does not come is a place that is taken.
    if (this.#client instanceof Http1Client && this.#client.begun) {
      if (this.#headSince === 0) this.#headSince = this.#host.nowMs();
      this.#sweep();
    } else this.#headSince = 0;
  }

  #refuseClear(): void {
    this.#ended = true;
    const text = 'This listener speaks TLS: use https.\n';
    const type = [['content-type', 'text/plain']] as const;
    const head = encodeResponseHead(400, type, { kind: 'length', bytes: text.length }, 'connection: close\r\n');
    this.#host.client.write(Buffer.concat([head, Buffer.from(text)]));
    this.#host.client.end();
  }

  clientClosed(): void {
    this.#ended = true;
    this.#client?.closed();
    for (const exchange of this.#exchanges.now()) exchange.gone();
    for (const member of this.#members.values()) {
      if (member instanceof Promise)
        void member.then(
          (joined) => joined.leave(),
          () => undefined,
        );
      else member.leave();
    }
  }

  clientDrained(): void {
    this.#client?.drained();
  }

  upstreamBytes(): void {
    // Its connections to services are opened besides: the session's own is never.
  }
  upstreamSecured(): void {}
  upstreamClosed(): void {}
  upstreamDrained(): void {}

  timer(name: TimerName): void {
    if (name === 'alive') this.#swept();
    else if (name === 'idle') this.#idleFor();
    else if (name === 'mask') {
      const wake = this.#wake;
      this.#wake = undefined;
      wake?.();
    }
  }

  end(code: ErrorCode): void {
    for (const exchange of this.#exchanges.now()) exchange.end(code);
    this.#leave();
  }

  bundleChanged(): void {
    // Members are told by their sessions.
  }

  #leave(): void {
    if (this.#client instanceof Http2Client) this.#client.goAway();
    else this.#host.client.end();
  }

  // Requests.

  #exchange(stream: ClientStream): RequestSink {
    const exchange = new Exchange(this, stream);
    this.#exchanges.add(exchange);
    this.#sweep();
    return exchange;
  }

  #malformed(error: GatewayError, stream: ClientStream): void {
    if (!(error instanceof RefusedTarget)) return this.#refuse(error, this.#fallback, stream);
    this.#dialectFor(error).then(
      (dialect) => this.#refuse(error, dialect, stream),
      // Nobody who may know what is there.
      () => this.#refuse(error, this.strangers(error.headers), stream),
    );
  }

  /** @throws GatewayError for who cannot sign in */
  async #dialectFor({ target, authority, headers }: RefusedTarget): Promise<HttpDialect> {
    requireOwnHost({ authority }, this.serverName);
    const named = wayIn({ authority, target, path: target }, this.domain);
    const { token } = this.shown(headers, named?.resource);
    const { dialect } = await this.member((named ?? this.wayOf(token))?.resource ?? '', token);
    return dialect;
  }

  #refuse(error: GatewayError, dialect: HttpDialect, stream: ClientStream): void {
    const { status, headers, body } = dialect.deny(refusalOf(error, ''), undefined);
    stream.head(status, headers, { kind: 'length', bytes: body.length }, undefined);
    stream.body(body);
    stream.end([]);
  }

  /** Each request ends in idleness; one timer looks now and then how long it has been. */
  #idle(idle: boolean): void {
    this.#isIdle = idle;
    if (!idle) return;
    this.#idleSince = this.#host.nowMs();
    if (this.#watchesIdle) return;
    this.#watchesIdle = true;
    this.#host.timers.set('idle', LIMITS.httpIdleMsMax);
  }

  #idleFor(): void {
    this.#watchesIdle = false;
    if (!this.#isIdle) return;
    const leftMs = LIMITS.httpIdleMsMax - (this.#host.nowMs() - this.#idleSince);
    if (leftMs <= 0) return this.#leave();
    this.#watchesIdle = true;
    // A clock that jumped back makes nobody wait longer than from now on.
    this.#host.timers.set('idle', Math.min(leftMs, LIMITS.httpIdleMsMax));
  }

  #sweep(): void {
    if (this.#sweeping) return;
    this.#sweeping = true;
    this.#host.timers.set('alive', SWEEP_MS);
  }

  #swept(): void {
    this.#sweeping = false;
    const nowMs = this.#host.nowMs();
    for (const exchange of this.#exchanges.now()) exchange.sweep(nowMs);
    if (this.#headSince !== 0 && nowMs - this.#headSince > this.deadlines.headMs) {
      this.#headSince = 0;
      if (this.#client instanceof Http1Client) this.#client.malformed(new GatewayError('http.slow'));
    }
    if (this.#exchanges.size > 0 || this.#headSince !== 0) this.#sweep();
  }

  // What exchanges ask.

  get domain(): string {
    return this.#host.signIn.domain?.() ?? '';
  }

  wayIn(request: RequestHead): WayIn | undefined {
    return this.#lastWay.of(request, this.domain);
  }

  shown(headers: readonly Header[], resource: string | undefined): Shown {
    const found = resource === undefined ? undefined : this.#host.signIn.find?.(resource);
    return this.#lastShown.of(headers, (found?.http ?? found?.mcp ?? found?.kubernetes)?.tokenHeader);
  }

  /** `kubectl get --raw` leaves out the path of the cluster's server: its token says which cluster is meant. */
  wayOf(token: string): WayIn | undefined {
    const { signIn } = this.#host;
    const resource = signIn.resourceOfToken?.(token) ?? '';
    return signIn.find?.(resource)?.kind === 'kubernetes' ? { resource, prefix: '' } : undefined;
  }

  proxied({ host, port }: Named, token: string): string | undefined {
    return this.#host.signIn.proxied?.(host, port, secretToken(token));
  }

  unproxied(token: string, { host, port }: Named): void {
    const { signIn } = this.#host;
    if (signIn.unproxied === undefined) throw new GatewayError('auth.failed', { reason: 'no proxy here' });
    signIn.unproxied(secretToken(token), host, port);
  }

  hasInnerTls(host: string): boolean {
    return this.#host.client.hasInnerTls?.(host) === true;
  }

  openTunnel(stream: ClientStream, tunnel: Tunnel): void {
    this.tunnel = tunnel;
    // Until the inside says which version it speaks, nothing is read of it.
    const first = stream.tunnel?.((chunk) => this.#inside(chunk, tunnel));
    this.#idle(true);
    if (first !== undefined && first.length > 0) this.#inside(first, tunnel);
  }

  /** The first bytes in a tunnel: TLS, or plain HTTP where the service itself speaks no other. */
  #inside(chunk: Buffer, { host, member }: Tunnel): void {
    const { client } = this.#host;
    if (chunk[0] === TLS_HANDSHAKE) {
      this.#client = undefined;
      if (client.startInnerTls?.(host, ['h2', 'http/1.1'], chunk) !== true) client.destroy();
      return;
    }
    if (member.upstream.secure) return client.destroy();
    this.serverName = undefined;
    this.#client = this.#http1('http');
    this.clientBytes(chunk);
  }

  strangers(headers: readonly Header[]): HttpDialect {
    return this.#dialects.find((dialect) => dialect.isClient?.(headers) === true) ?? this.#fallback;
  }

  monotonicUs(): number {
    return this.#host.monotonicUs();
  }

  wake(ms: number, fire: () => void): void {
    this.#wake = fire;
    this.#host.timers.set('mask', ms);
  }

  over(exchange: Exchange): void {
    this.#exchanges.delete(exchange);
  }

  member(resource: string, token: string): MemberSession | Promise<MemberSession> {
    const last = this.#last;
    if (last !== undefined && last.token === token && last.resource === resource) {
      // The very same texts are the next request's: what only reads alike is compared letter by letter, outside of compiled code.
      last.token = token;
      last.resource = resource;
      if (last.member.isFresh(this.#host.nowMs())) return last.member;
    }
    const key = `${resource} ${token}`;
    const known = this.#members.get(key);
    if (known instanceof Promise) return known;
    if (known?.isFresh(this.#host.nowMs()) === true) {
      this.#last = { resource, token, member: known };
      return known;
    }
    if (this.#members.size >= LIMITS.httpSessionsPerConnectionMax && known === undefined)
      return Promise.reject(new GatewayError('session.limit', { reason: 'tokens of one connection' }));
    const joining = this.#join(resource, token, key);
    this.#members.set(key, joining);
    return joining;
  }

  async #join(resource: string, token: string, key: string): Promise<MemberSession> {
    const { signIn, log } = this.#host;
    const member = new MemberSession(this.#held, log, (left) => {
      if (this.#members.get(key) === left) this.#members.delete(key);
    });
    try {
      if (signIn.join === undefined) throw new GatewayError('internal', { reason: 'sessions cannot be joined here' });
      const request = { token: secretToken(token), resource, role: undefined, database: '', application: '' };
      const joined = await signIn.join(request, member);
      const dialect = this.#dialects.find(({ protocol }) => protocol === joined.road.resource.kind);
      if (dialect === undefined) {
        joined.leave();
        throw new GatewayError('auth.failed', { why: 'another protocol' });
      }
      member.bind(joined, dialect, this.#host, this.version === '2');
      this.#members.set(key, member);
      return member;
    } catch (error) {
      this.#members.delete(key);
      throw error;
    }
  }
}
