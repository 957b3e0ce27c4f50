/**
 * The host's side of one session: reached, verified, signed in, and its channels. Whatever is asked of the host here needs
 * the permit of the statement it belongs to. Refuses to know clients.
 */
import { type ErrorCode, GatewayError } from '@sallyport/core';
import {
  isPermit,
  OWN_PERMIT,
  type Permit,
  type SessionHost,
  type SignedIn,
  type UpstreamCredential,
} from '@sallyport/protocol-kit';
import { parsePublicKeyLine } from '@sallyport/ssh-certificates';
import { type Channel, Channels, type ChannelsOwner } from './channels.ts';
import { ALSO_KNOWN, type Algorithms, MODERN } from './codec/algorithms.ts';
import { SshTransport } from './codec.ts';
import { isTrustedHost, UpstreamLogin } from './login.ts';
import { bool, type ChannelOpen, encode, OPEN_FAILURE, string, uint32 } from './messages.ts';

export interface UpstreamOwner {
  /** The connection is gone, or never came to be. Called once. */
  upstreamEnded(error: GatewayError): void;
  /** The host opens a channel: of a forward it was asked for, or it is refused. */
  upstreamOpened(open: ChannelOpen): void;
}

export interface GlobalAnswer {
  readonly ok: boolean;
  readonly data: Buffer;
}

export class Upstream implements ChannelsOwner {
  readonly #host: SessionHost;
  readonly #signed: SignedIn;
  readonly #owner: UpstreamOwner;
  readonly #ready = Promise.withResolvers<void>();
  #transport: SshTransport | undefined;
  #login: UpstreamLogin | undefined;
  #channels: Channels | undefined;
  #isReady = false;
  #ended = false;

  constructor(host: SessionHost, signed: SignedIn, owner: UpstreamOwner) {
    this.#host = host;
    this.#signed = signed;
    this.#owner = owner;
    // Whoever waits for it is told by itself.
    this.#ready.promise.catch(() => undefined);
  }

  get channels(): Channels {
    if (this.#channels === undefined) throw new GatewayError('upstream.unreachable', { reason: 'not signed in' });
    return this.#channels;
  }

  /** Resolves when the host has let us in. Rejects with what went wrong. */
  get ready(): Promise<void> {
    return this.#ready.promise;
  }

  async begin(): Promise<void> {
    try {
      const credential = await this.#signed.credential();
      await this.#attempt(credential);
    } catch (error) {
      this.#fail(
        error instanceof GatewayError ? error : new GatewayError('upstream.unreachable', {}, { cause: error }),
      );
    }
  }

  async #attempt(credential: UpstreamCredential): Promise<void> {
    if (this.#ended) return;
    const { resource } = this.#signed;
    await this.#host.upstream.connect(resource);
    if (this.#ended) return;
    const transport = new SshTransport(
      { kind: 'client', trusts: (blob) => this.#trusts(blob) },
      algorithmsOf(resource.ssh?.algorithms),
      {
        wire: (bytes) => {
          // Transport bytes: what a client chose is in them only where a permit was shown for its channel.
          this.#host.upstream.send(OWN_PERMIT, bytes);
        },
        exchanged: (first) => {
          if (first) this.#login?.begin();
        },
        message: (payload) => this.#message(payload),
        left: (reason) =>
          this.#fail(new GatewayError('upstream.unreachable', { resource: resource.name, disconnected: reason })),
        broken: (error) => this.#fail(this.#brokenBy(error)),
      },
    );
    this.#transport = transport;
    const account = this.#signed.info.role;
    this.#login = new UpstreamLogin(account, credential, {
      sessionId: () => transport.sessionId,
      send: (payload) => transport.send(payload),
      done: () => this.#done(transport),
      refused: () => void this.#refused(credential),
    });
    transport.start();
  }

  #untrusted = false;

  #trusts(blob: Buffer): boolean {
    const { resource } = this.#signed;
    const target = resource.ssh;
    if (target === undefined) return false;
    const trusted = isTrustedHost(blob, {
      keys: target.hostKeys.map((line) => parsePublicKeyLine(line).blob),
      cas: target.hostCas.map((line) => parsePublicKeyLine(line).blob),
      host: target.host,
      nowMs: this.#host.nowMs(),
      ...(target.acceptNewHostKey && this.#signed.hostKeyRemembered !== undefined
        ? { remembered: (key: Buffer) => this.#signed.hostKeyRemembered?.(key) ?? false }
        : {}),
    });
    this.#untrusted = !trusted;
    return trusted;
  }

  #brokenBy(cause: Error): GatewayError {
    if (this.#untrusted) return new GatewayError('upstream.host_key', { resource: this.#signed.resource.name });
    const code: ErrorCode = this.#isReady ? 'upstream.unreachable' : 'upstream.protocol';
    return new GatewayError(code, { resource: this.#signed.resource.name }, { cause });
  }

  #done(transport: SshTransport): void {
    this.#isReady = true;
    this.#login = undefined;
    this.#channels = new Channels(transport, this);
    this.#ready.resolve();
  }

  async #refused(credential: UpstreamCredential): Promise<void> {
    this.#login = undefined;
    try {
      const next = await this.#signed.refused?.(credential);
      if (next === undefined) throw new GatewayError('upstream.auth', { resource: this.#signed.resource.name });
      this.#host.upstream.abandon();
      this.#transport?.close();
      await this.#attempt(next);
    } catch (error) {
      this.#fail(error instanceof GatewayError ? error : new GatewayError('upstream.auth', {}, { cause: error }));
    }
  }

  bytes(chunk: Buffer): void {
    this.#transport?.bytes(chunk);
  }

  #message(payload: Buffer): void {
    try {
      if (this.#channels !== undefined) this.#channels.message(payload);
      else this.#login?.message(payload);
    } catch (error) {
      this.broken(error);
    }
  }

  /** The connection is closed from the host's side, or could not be kept. */
  closed(error: GatewayError | undefined): void {
    this.#fail(error ?? new GatewayError('upstream.unreachable', { resource: this.#signed.resource.name }));
  }

  broken(error: unknown): void {
    const cause = error instanceof Error ? error : new Error(String(error));
    this.#fail(new GatewayError('upstream.protocol', { resource: this.#signed.resource.name }, { cause }));
  }

  #fail(error: GatewayError): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#ready.reject(error);
    this.#channels?.end();
    this.#transport?.close();
    this.#host.upstream.end();
    this.#owner.upstreamEnded(error);
  }

  /** Nothing more is wanted of the host. */
  end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#ready.reject(new GatewayError('upstream.unreachable', { reason: 'ended' }));
    this.#transport?.disconnect(11, 'the session is over');
    this.#transport?.close();
    this.#channels?.end();
    this.#host.upstream.end();
  }

  // What may be asked of the host.

  /** A session channel with nothing running in it. @throws GatewayError `upstream.*` */
  async openSession(permit: Permit): Promise<Channel> {
    return await this.#open(permit, 'session', new Uint8Array());
  }

  /** RFC 4254 section 7.2. @throws GatewayError `upstream.*` */
  async openTcp(
    permit: Permit,
    host: string,
    port: number,
    origin: { readonly host: string; readonly port: number },
  ): Promise<Channel> {
    const data = encode(string(host), uint32(port), string(origin.host), uint32(origin.port));
    return await this.#open(permit, 'direct-tcpip', data);
  }

  /** OpenSSH PROTOCOL section 2.4. @throws GatewayError `upstream.*` */
  async openSocket(permit: Permit, path: string): Promise<Channel> {
    return await this.#open(permit, 'direct-streamlocal@openssh.com', encode(string(path), string(''), uint32(0)));
  }

  async #open(permit: Permit, type: string, data: Uint8Array): Promise<Channel> {
    requirePermit(permit);
    await this.ready;
    return await new Promise((resolve, reject) => {
      this.channels.open(type, data, (result) => (result instanceof GatewayError ? reject(result) : resolve(result)));
    });
  }

  /**
   * RFC 4254 section 7.1. @param answered in the very turn in which the host answers: what it says next may hang on it
   * @throws GatewayError `upstream.*`
   */
  async global(
    permit: Permit,
    name: string,
    data: Uint8Array,
    answered?: (answer: GlobalAnswer) => void,
  ): Promise<GlobalAnswer> {
    requirePermit(permit);
    await this.ready;
    return await new Promise((resolve) => {
      this.channels.globalRequest(name, data, (ok, rest) => {
        const answer = { ok, data: rest };
        answered?.(answer);
        resolve(answer);
      });
    });
  }

  /** Asks the host for any word at all. */
  askAlive(): void {
    this.#channels?.globalRequest('keepalive@openssh.com', new Uint8Array(), () => undefined);
  }

  // From the host.

  opened(open: ChannelOpen): void {
    if (this.#ended) this.channels.refuse(open, OPEN_FAILURE.prohibited, '');
    else this.#owner.upstreamOpened(open);
  }

  globalRequest(_name: string, wantReply: boolean, _data: Buffer): void {
    // Keep-alives, and keys that a host would like to be known: heard, and nothing done.
    if (wantReply) this.channels.answerGlobal(false);
  }
}

/** @throws GatewayError `internal`: the broken invariant ends the session */
function requirePermit(permit: Permit): void {
  if (!isPermit(permit)) throw new GatewayError('internal', { reason: 'no permit' });
}

/** RFC 4254 sections 6.2, 6.4, 6.5: what is set before something runs, and what runs. */
export const requests = {
  env: (name: string, value: string): Uint8Array => encode(string(name), string(value)),
  exec: (command: string): Uint8Array => encode(string(command)),
  subsystem: (name: string): Uint8Array => encode(string(name)),
  exitStatus: (status: number): Uint8Array => encode(uint32(status)),
  exitSignal: (signal: string): Uint8Array => encode(string(signal), bool(false), string(''), string('')),
};

/** Names that are not known here, or not modern enough, are left out: a list of nothing else reaches no host. */
function algorithmsOf(
  chosen: Partial<{ readonly [K in keyof Algorithms]: readonly string[] | undefined }> | undefined,
): Algorithms {
  const of = (kind: keyof Algorithms): readonly string[] => {
    const known = [...MODERN[kind], ...ALSO_KNOWN[kind]];
    return chosen?.[kind]?.filter((name) => known.includes(name)) ?? MODERN[kind];
  };
  return { kex: of('kex'), cipher: of('cipher'), mac: of('mac'), hostKey: of('hostKey') };
}
