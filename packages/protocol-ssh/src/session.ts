/**
 * One SSH connection from the first byte to the last: keys, signing in, its channels, the end; and who may speak when.
 * Refuses to know sockets, clocks and rules: everything goes through the host's ports. Every error ends this session only.
 * Limits: LIMITS.loginTimeoutMsMax for the key exchange, LIMITS.sshLoginMsMax for signing in, LIMITS.closeTimeoutMsMax.
 */
import { CODES, type ErrorCode, GatewayError, LIMITS } from '@sallyport/core';
import type {
  ClientTls,
  ProtocolSession,
  SessionHost,
  SignedIn,
  TimerName,
  UpstreamTls,
} from '@sallyport/protocol-kit';
import { Channels } from './channels.ts';
import { type Algorithms, MODERN } from './codec/algorithms.ts';
import { type HostKey, SshTransport } from './codec.ts';
import { Forwards } from './forward.ts';
import { ClientLogin } from './login.ts';
import { type ChannelOpen, DISCONNECT, MSG } from './messages.ts';
import { SessionChannel } from './session-channel.ts';
import { Upstream } from './upstream.ts';
import { Work } from './work.ts';

export interface SshOptions {
  /** The agent's own key, and its certificate once it has one; asked for at each connection. */
  hostKey(): HostKey;
  /** What clients may choose from; absent: the modern ones. */
  readonly algorithms?: Algorithms;
}

type Phase =
  | { readonly kind: 'exchange' }
  | { readonly kind: 'login'; readonly login: ClientLogin }
  | {
      readonly kind: 'open';
      readonly channels: Channels;
      readonly upstream: Upstream;
      readonly work: Work;
      readonly signed: SignedIn;
      readonly forwards: Forwards;
    }
  | { readonly kind: 'ended' };

const KEEPALIVE = 'keepalive@openssh.com';
const NOTHING = new Uint8Array();
const SILENCES_MAX = 3;

export class SshSession implements ProtocolSession {
  readonly #host: SessionHost;
  readonly #transport: SshTransport;
  #phase: Phase = { kind: 'exchange' };
  /** How often each was asked since it said something. */
  readonly #silence = { client: 0, upstream: 0 };

  constructor(host: SessionHost, options: SshOptions) {
    this.#host = host;
    this.#transport = new SshTransport({ kind: 'server', hostKey: options.hostKey() }, options.algorithms ?? MODERN, {
      wire: (bytes) => void host.client.write(bytes),
      exchanged: (first) => {
        if (first) this.#exchanged();
      },
      message: (payload) => this.#message(payload),
      left: () => this.#peerLeft(),
      broken: (error) =>
        this.#fail(
          error instanceof GatewayError && this.#phase.kind === 'open'
            ? error
            : new GatewayError('protocol.malformed', {}, { cause: error }),
        ),
    });
    host.timers.set('login', LIMITS.loginTimeoutMsMax);
    this.#transport.start();
  }

  clientBytes(chunk: Buffer): void {
    this.#silence.client = 0;
    if (this.#phase.kind === 'open') this.#moved();
    if (this.#phase.kind !== 'ended') this.#transport.bytes(chunk);
  }

  clientSecured(_tls: ClientTls): void {
    this.#host.client.destroy();
  }

  clientClosed(): void {
    const phase = this.#phase;
    if (phase.kind === 'ended') return;
    this.#leave();
  }

  clientDrained(): void {}

  upstreamBytes(chunk: Buffer): void {
    const phase = this.#phase;
    if (phase.kind !== 'open') return;
    this.#silence.upstream = 0;
    this.#moved();
    phase.upstream.bytes(chunk);
  }

  upstreamSecured(_tls: UpstreamTls): void {}

  upstreamClosed(error: GatewayError | undefined): void {
    if (this.#phase.kind === 'open') this.#phase.upstream.closed(error);
  }

  upstreamDrained(): void {}

  timer(name: TimerName): void {
    switch (name) {
      case 'login':
        return this.#fail(new GatewayError('session.idle'));
      case 'idle':
        if (this.#phase.kind === 'open' && this.#phase.work.isBusy) return this.#moved();
        return this.#fail(new GatewayError('session.idle'));
      case 'age':
        return this.#fail(new GatewayError('session.too_long'));
      case 'alive':
        return this.#askAlive();
      case 'mask':
        if (this.#phase.kind === 'open') this.#phase.work.quiet();
        return;
      case 'notice':
      case 'held':
      case 'commit':
        return;
      case 'close':
        this.#host.client.destroy();
        return this.#host.upstream.destroy();
      default:
        return name satisfies never;
    }
  }

  end(code: ErrorCode): void {
    this.#fail(new GatewayError(code));
  }

  bundleChanged(): void {
    if (this.#phase.kind === 'open') this.#phase.work.bundleChanged();
  }

  #exchanged(): void {
    const login = new ClientLogin({
      signIn: this.#host.signIn,
      address: this.#host.client.address,
      sessionId: () => this.#transport.sessionId,
      nowMs: () => this.#host.nowMs(),
      send: (payload) => this.#transport.send(payload),
      done: (signed) => this.#open(signed),
      asked: () => this.#host.timers.set('login', LIMITS.sshLoginMsMax),
      give: (error) => this.#fail(error),
    });
    this.#phase = { kind: 'login', login };
    this.#host.timers.set('login', LIMITS.sshPasswordMsMax);
  }

  #open(signed: SignedIn): void {
    const { timers } = this.#host;
    timers.clear('login');
    const channels = new Channels(this.#transport, {
      opened: (open) => this.#opened(open),
      globalRequest: (name, wantReply, data) => this.#global(name, wantReply, data),
      broken: (error) => this.#fail(error),
    });
    const upstream = new Upstream(this.#host, signed, {
      upstreamEnded: (error) => this.#upstreamEnded(error),
      upstreamOpened: (open) => forwards.fromHost(open),
    });
    const work = new Work(this.#host, signed, upstream);
    const forwards = new Forwards(work, channels);
    this.#phase = { kind: 'open', channels, upstream, work, signed, forwards };
    const { sessionMsMax } = signed.resource;
    if (sessionMsMax !== undefined) timers.set('age', sessionMsMax);
    this.#moved();
    timers.set('alive', LIMITS.sshAliveMs);
    void upstream.begin();
  }

  /** Each peer that was silent is asked for a word; one that stays silent is gone. */
  #askAlive(): void {
    const phase = this.#phase;
    if (phase.kind !== 'open') return;
    this.#host.timers.set('alive', LIMITS.sshAliveMs);
    if (this.#silence.client >= SILENCES_MAX || this.#silence.upstream >= SILENCES_MAX)
      return this.#fail(
        new GatewayError(this.#silence.client >= SILENCES_MAX ? 'session.idle' : 'upstream.unreachable'),
      );
    if (this.#silence.client++ > 0) phase.channels.globalRequest(KEEPALIVE, NOTHING, () => undefined);
    if (this.#silence.upstream++ > 0) phase.upstream.askAlive();
  }

  /** Something was said: the silence begins anew. */
  #moved(): void {
    if (this.#phase.kind !== 'open') return;
    const { idleMsMax } = this.#phase.signed.resource;
    if (idleMsMax !== undefined) this.#host.timers.set('idle', idleMsMax);
  }

  #message(payload: Buffer): void {
    const phase = this.#phase;
    try {
      if (phase.kind === 'login') phase.login.message(payload);
      else if (phase.kind === 'open') this.#connected(phase.channels, payload);
      else if (phase.kind === 'exchange') throw new GatewayError('protocol.unexpected', { phase: 'exchange' });
    } catch (error) {
      this.#fail(error);
    }
  }

  #connected(channels: Channels, payload: Buffer): void {
    const type = payload[0]!;
    // Late requests to sign in are passed over (RFC 4252 section 5.3).
    if (type < MSG.globalRequest) return;
    channels.message(payload);
  }

  #opened(open: ChannelOpen): void {
    const phase = this.#phase;
    if (phase.kind !== 'open') return;
    if (open.type !== 'session') return phase.forwards.open(open);
    const channel = phase.channels.accept(open);
    if (channel !== undefined) new SessionChannel(phase.work, channel);
  }

  #global(name: string, wantReply: boolean, data: Buffer): void {
    if (this.#phase.kind === 'open') this.#phase.forwards.request(name, wantReply, data);
  }

  #upstreamEnded(error: GatewayError): void {
    const phase = this.#phase;
    if (phase.kind !== 'open') return;
    // Channels that wait say why themselves; with none there is nobody left to tell.
    this.#host.failed(error.code);
    setImmediate(() => this.#fail(error));
  }

  /** The client says goodbye: that is no failure. */
  #peerLeft(): void {
    if (this.#phase.kind === 'ended') return;
    this.#leave();
    this.#host.client.end();
    this.#host.timers.set('close', LIMITS.closeTimeoutMsMax);
  }

  #fail(error: unknown): void {
    if (this.#phase.kind === 'ended') return;
    const code: ErrorCode = error instanceof GatewayError ? error.code : 'internal';
    if (!(error instanceof GatewayError)) this.#host.log.error('an SSH session broke', { error });
    this.#host.failed(code);
    const wasOpen = this.#phase.kind === 'open';
    if (this.#phase.kind === 'open') this.#phase.work.terminate();
    this.#leave();
    const reason = code.startsWith('protocol.') ? DISCONNECT.protocolError : DISCONNECT.byApplication;
    this.#transport.disconnect(
      reason,
      wasOpen ? `Sallyport: ${CODES[code].text} (${code})` : CODES['auth.failed'].text,
    );
    this.#host.client.end();
    this.#host.timers.set('close', LIMITS.closeTimeoutMsMax);
  }

  #leave(): void {
    const phase = this.#phase;
    this.#phase = { kind: 'ended' };
    if (phase.kind === 'login') phase.login.close();
    if (phase.kind === 'open') {
      phase.signed.cancelHeld();
      phase.forwards.close();
      phase.channels.end();
      phase.upstream.end();
    } else this.#host.upstream.destroy();
  }
}
