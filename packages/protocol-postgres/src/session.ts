/**
 * One session from the first byte to the last: signing in, signing in upstream, the road, the end; and who may speak when.
 * Refuses to know sockets, clocks and rules: everything goes through the host's ports. Every error ends this session only.
 * Limits: LIMITS.loginTimeoutMsMax, LIMITS.closeTimeoutMsMax.
 */
import { type ErrorCode, GatewayError, LIMITS } from '@sallyport/core';
import {
  type ClientTls,
  OWN_PERMIT,
  type ProtocolSession,
  type SessionHost,
  type SignedIn,
  type TimerName,
  type UpstreamCredential,
  type UpstreamTls,
} from '@sallyport/protocol-kit';
import type { ParsePool } from '@sallyport/sql';
import { Answers } from './answers.ts';
import { fatal, serverFatal } from './deny.ts';
import {
  ClientLogin,
  isPlain,
  type LoginRequest,
  pinnedSettings,
  TLS_UPGRADE,
  UpstreamLogin,
  type UpstreamReady,
} from './login.ts';
import { Meaning } from './meaning.ts';
import {
  authenticationOk,
  backendKeyData,
  cancelRequest,
  type Fields,
  parameterStatus,
  readyForQuery,
  terminate,
} from './messages.ts';
import { Requests } from './requests.ts';
import { Road } from './road.ts';

type Phase =
  | { readonly kind: 'client'; readonly login: ClientLogin }
  /** The token is being checked, or the server being reached: the client has to wait. */
  | { readonly kind: 'opening'; readonly upstream: UpstreamLogin | undefined; readonly begin: (() => void) | undefined }
  | {
      readonly kind: 'open';
      readonly road: Road;
      readonly requests: Requests;
      readonly answers: Answers;
      readonly cancel: () => void;
    }
  | { readonly kind: 'ended' };

export class PostgresSession implements ProtocolSession {
  readonly #host: SessionHost;
  readonly #pool: ParsePool;
  #phase: Phase;

  constructor(host: SessionHost, pool: ParsePool) {
    this.#host = host;
    this.#pool = pool;
    this.#phase = {
      kind: 'client',
      login: new ClientLogin(host.client, (serverName) => host.signIn.resourceOf?.(serverName)),
    };
    host.timers.set('login', LIMITS.loginTimeoutMsMax);
  }

  clientBytes(chunk: Buffer): void {
    const phase = this.#phase;
    try {
      switch (phase.kind) {
        case 'client':
          return this.#clientLogin(phase.login, chunk);
        case 'opening':
          // A client that has sent its token waits for the answer; anything else is no client.
          throw new GatewayError('protocol.unexpected', { phase: 'opening' });
        case 'open':
          this.#moved(phase.road);
          return phase.requests.bytes(chunk);
        case 'ended':
          return;
        default:
          return phase satisfies never;
      }
    } catch (error) {
      this.#fail(error);
    }
  }

  clientSecured(tls: ClientTls): void {
    if (this.#phase.kind === 'client') this.#phase.login.secured(tls);
  }

  clientClosed(): void {
    const phase = this.#phase;
    if (phase.kind === 'ended') return;
    this.#phase = { kind: 'ended' };
    if (phase.kind === 'open') {
      phase.requests.judge.cancelHeld();
      phase.road.close('57014');
      if (phase.road.flight.size > 0) phase.cancel();
      this.#host.upstream.send(OWN_PERMIT, terminate());
      this.#host.upstream.end();
    } else this.#host.upstream.destroy();
  }

  clientDrained(): void {
    if (this.#phase.kind === 'open') this.#phase.road.clientDrained();
  }

  upstreamBytes(chunk: Buffer): void {
    const phase = this.#phase;
    try {
      if (phase.kind === 'open') {
        this.#moved(phase.road);
        phase.answers.bytes(chunk);
      } else if (phase.kind === 'opening' && phase.upstream !== undefined) {
        phase.upstream.bytes(chunk);
        // `ready` has said so inside; the road opens when the chunk is read to its end.
        const after = this.#phase;
        if (after.kind === 'opening') after.begin?.();
      }
    } catch (error) {
      this.#fail(error);
    }
  }

  upstreamSecured(tls: UpstreamTls): void {
    this.#run(() => {
      if (this.#phase.kind === 'opening') this.#phase.upstream?.secured(tls);
    });
  }

  upstreamClosed(error: GatewayError | undefined): void {
    if (this.#phase.kind === 'ended') return;
    this.#fail(error ?? new GatewayError('upstream.unreachable'));
  }

  upstreamDrained(): void {
    if (this.#phase.kind === 'open') this.#phase.road.upstreamDrained();
  }

  timer(name: TimerName): void {
    if (name === 'close') {
      // The session has ended by then: a peer that does not take its last words is left.
      this.#host.client.destroy();
      this.#host.upstream.destroy();
      return;
    }
    this.#run(() => {
      const phase = this.#phase;
      switch (name) {
        case 'login':
          if (phase.kind === 'client') this.#fail(new GatewayError('session.idle'));
          else if (phase.kind === 'opening') this.#fail(new GatewayError('upstream.unreachable'));
          return;
        case 'alive':
        case 'mask':
          return;
        case 'notice':
          if (phase.kind === 'open') phase.requests.judge.remind();
          return;
        case 'held':
          if (phase.kind === 'open') phase.requests.judge.heldTooLong();
          return;
        case 'idle':
          if (phase.kind !== 'open') return;
          // A statement that runs, or waits for a person, is no silence.
          if (phase.road.flight.size > 0 || phase.requests.judge.isHeld) return this.#moved(phase.road);
          return this.#fail(new GatewayError('session.idle'));
        case 'commit':
          return this.#fail(new GatewayError('approval.transaction_timeout'));
        case 'age':
          return this.#fail(new GatewayError('session.too_long'));
        default:
          return name satisfies never;
      }
    });
  }

  end(code: ErrorCode): void {
    this.#fail(new GatewayError(code));
  }

  bundleChanged(): void {
    if (this.#phase.kind === 'open') this.#phase.road.bundleSerial++;
  }

  // --- opening -------------------------------------------------------------------------------------------------------------

  #clientLogin(login: ClientLogin, chunk: Buffer): void {
    const event = login.bytes(chunk);
    switch (event.kind) {
      case 'wait':
        return;
      case 'cancel':
        // Always silent: who asks learns nothing of which keys exist.
        this.#phase = { kind: 'ended' };
        this.#host.timers.clear('login');
        this.#host.cancel.request(event.processId, event.secret);
        this.#host.client.end();
        return;
      case 'request':
        this.#phase = { kind: 'opening', upstream: undefined, begin: undefined };
        this.#host.timers.set('login', LIMITS.loginTimeoutMsMax + LIMITS.upstreamConnectMsMax);
        this.#open(event.request).catch((error: unknown) => this.#fail(error));
        return;
      default:
        return event satisfies never;
    }
  }

  async #open(request: LoginRequest): Promise<void> {
    if (request.resource === '') throw new GatewayError('auth.failed', { why: 'resource name' });
    const { token, resource, role, database, application, reason } = request;
    const signed = await this.#host.signIn.signIn({ token, resource, role, database, application, reason });
    const target = signed.resource.postgres;
    if (target === undefined) throw new GatewayError('upstream.protocol', { why: 'not a PostgreSQL resource' });
    const wanted = database === '' ? (target.databases[0] ?? 'postgres') : database;
    if (target.databases.length > 0 && !target.databases.includes(wanted)) {
      throw new GatewayError('database.unknown');
    }
    const credential = await signed.credential();
    if (this.#phase.kind !== 'opening') return;
    await this.#reach(request, signed, credential, wanted);
  }

  async #reach(
    request: LoginRequest,
    signed: SignedIn,
    credential: UpstreamCredential,
    database: string,
  ): Promise<void> {
    await this.#host.upstream.connect(signed.resource);
    if (this.#phase.kind !== 'opening') return this.#host.upstream.destroy();
    const upstream = this.#upstreamLogin(request, signed, credential, database);
    this.#phase = { kind: 'opening', upstream, begin: undefined };
    this.#run(() => upstream.start());
  }

  /** The server refused the password: after a rotation the value before or after it may be the right one. */
  #refused(
    error: GatewayError,
    request: LoginRequest,
    signed: SignedIn,
    credential: UpstreamCredential,
    database: string,
  ): void {
    if (this.#phase.kind !== 'opening' || signed.refused === undefined) return this.#fail(error);
    this.#phase = { kind: 'opening', upstream: undefined, begin: undefined };
    this.#host.upstream.abandon();
    signed
      .refused(credential)
      .then(async (other) => {
        if (this.#phase.kind !== 'opening') return;
        if (other === undefined) this.#fail(error);
        else await this.#reach(request, signed, other, database);
      })
      .catch((cause: unknown) => this.#fail(cause));
  }

  #upstreamLogin(
    request: LoginRequest,
    signed: SignedIn,
    credential: UpstreamCredential,
    database: string,
  ): UpstreamLogin {
    const { upstream } = this.#host;
    const ports = {
      send: (bytes: Uint8Array) => void upstream.send(OWN_PERMIT, bytes),
      startTls: () => upstream.startTls(signed.resource, credential),
      randomBytes: (size: number) => this.#host.randomBytes(size),
      ready: (ready: UpstreamReady) => {
        if (this.#phase.kind !== 'opening') return;
        this.#phase = { ...this.#phase, begin: () => this.#begin(request, signed, ready) };
      },
      failed: (error: GatewayError, fields?: Fields) =>
        isRefusal(error) ? this.#refused(error, request, signed, credential, database) : this.#fail(error, fields),
    };
    return new UpstreamLogin(ports, signed.resource, credential, database, {
      ...request.settings,
      ...pinnedSettings(signed),
    });
  }

  #begin(request: LoginRequest, signed: SignedIn, ready: UpstreamReady): void {
    const { host } = this;
    const account = ready.parameters.get('session_authorization');
    const meaning = new Meaning(request.settings, () => host.randomBytes(16).toString('hex'));
    for (const [name, value] of ready.parameters) meaning.told(name, value);
    const utf8 = ready.parameters.get('server_encoding') === 'UTF8';
    const road = new Road(host, signed, this.#pool, { major: ready.major, utf8, account, meaning });
    // Each side tells the other of progress; neither exists before the road.
    const answers: Answers = new Answers(road, () => requests.progressed());
    const requests: Requests = new Requests(
      road,
      answers,
      (step) => this.#run(step),
      () => this.#goodbye(),
    );
    const upgrade = isPlain(signed.resource.postgres) ? undefined : TLS_UPGRADE;
    const cancel = (): void =>
      host.upstream.outOfBand(signed.resource, cancelRequest(ready.processId, ready.secret), upgrade);
    this.#phase = { kind: 'open', road, requests, answers, cancel };
    host.timers.clear('login');
    this.#moved(road);
    const { sessionMsMax } = signed.resource;
    if (sessionMsMax !== undefined) host.timers.set('age', sessionMsMax);
    host.cancel.onCancel = () => {
      if (this.#phase.kind === 'open' && !requests.judge.cancelHeld()) cancel();
    };
    const key = host.cancel.issue(request.minor >= 2 ? 32 : 4);
    // The server's own name for the role is the credential's; the client keeps the name it signed in by.
    const parameters = [...ready.parameters].map(([name, value]) =>
      parameterStatus(name, name === 'session_authorization' ? request.user : value),
    );
    host.client.write(
      Buffer.concat([authenticationOk(), ...parameters, backendKeyData(key.processId, key.secret), readyForQuery('I')]),
    );
  }

  /** Something was said: silence begins anew. */
  #moved({ signed, host }: Road): void {
    const { idleMsMax } = signed.resource;
    if (idleMsMax !== undefined) host.timers.set('idle', idleMsMax);
  }

  get host(): SessionHost {
    return this.#host;
  }

  // --- ending --------------------------------------------------------------------------------------------------------------

  /** The client said Terminate, and so was the server told. */
  #goodbye(): void {
    const phase = this.#phase;
    this.#phase = { kind: 'ended' };
    if (phase.kind === 'open') phase.road.close('57014');
    this.#host.client.end();
    this.#host.upstream.end();
    this.#host.timers.set('close', LIMITS.closeTimeoutMsMax);
  }

  #run(step: () => void): void {
    if (this.#phase.kind === 'ended') return;
    try {
      step();
    } catch (error) {
      this.#fail(error);
    }
  }

  #fail(cause: unknown, fields?: Fields): void {
    const phase = this.#phase;
    if (phase.kind === 'ended') return;
    this.#phase = { kind: 'ended' };
    const error = cause instanceof GatewayError ? cause : new GatewayError('internal', {}, { cause });
    const { client, upstream, log, timers } = this.#host;
    if (error.code === 'internal') log.error('a session ended by an error of our own', { error, cause: error.cause });
    else log.info('a session ended', { error });
    this.#host.failed(error.code);
    let midMessage = false;
    if (phase.kind === 'open') {
      phase.requests.judge.cancelHeld();
      // What runs on the server would go on without anybody to answer to.
      if (phase.road.flight.size > 0) phase.cancel();
      phase.road.close('57P01');
      midMessage = phase.answers.midMessage;
    }
    if (!midMessage) client.write(fields === undefined ? fatal(error) : serverFatal(fields));
    client.end();
    upstream.destroy();
    timers.set('close', LIMITS.closeTimeoutMsMax);
  }
}

/** The server's own word about the credential, class 28; not a server that could not prove itself. */
const isRefusal = ({ code, detail }: GatewayError): boolean =>
  code === 'upstream.auth' && String(detail['sqlstate'] ?? '').startsWith('28');
