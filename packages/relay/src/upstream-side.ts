/**
 * The server's side of one session: opening, TLS, and the queue whose bytes leave at the end of the turn.
 * Refuses to send without a permit, and to send before the turn's records are safe.
 */
import type net from 'node:net';
import type tls from 'node:tls';
import { GatewayError, LIMITS, type Logger } from '@sallyport/core';
import type { Resource } from '@sallyport/model';
import {
  isPermit,
  type Permit,
  type TlsUpgrade,
  type UpstreamCredential,
  type UpstreamPort,
  type UpstreamTls,
} from '@sallyport/protocol-kit';
import { pinnedAddress } from './address-check.ts';
import { ByteSocket, type ByteSocketOwner } from './byte-socket.ts';
import { upstreamTlsOptions, upstreamTlsStart } from './credentials/upstream-tls.ts';
import { sendOutOfBand } from './out-of-band.ts';
import type { Turn, TurnMember } from './turn.ts';
import { webTarget } from './web-target.ts';

export interface UpstreamSideOwner {
  upstreamBytes(chunk: Buffer): void;
  upstreamSecured(tls: UpstreamTls): void;
  upstreamClosed(error: GatewayError | undefined): void;
  upstreamDrained(): void;
  upstreamPaused(paused: boolean): void;
  /** The turn's records could not be written: the session must end with this. */
  unrecorded(error: GatewayError): void;
}

const defaultPort = 5432;

const TURN_BYTES = 128 * 1024;
const SMALL_BYTES_MAX = 2 * 1024;
/** Small messages of one turn, of all sessions one behind another: they leave before the next turn, so nothing is made for each. */
const turnBytes = Buffer.allocUnsafeSlow(TURN_BYTES);
let turnUsed = 0;
/** Sides that have bytes in it. */
let turnSides = 0;

/**
 * Where a resource listens: an address, or a unix socket in PostgreSQL's naming.
 * @throws GatewayError `upstream.unreachable` for an HTTP upstream at an address that may not be dialled
 */
export function upstreamAddress(resource: Resource): net.NetConnectOpts {
  const { postgres, ssh } = resource;
  if (ssh !== undefined) return { host: ssh.host, port: ssh.port };
  const web = webTarget(resource);
  if (web !== undefined) return pinnedAddress(web);
  const port = postgres?.port ?? defaultPort;
  if (postgres?.socket !== undefined) return { path: `${postgres.socket}/.s.PGSQL.${port}` };
  return { host: postgres?.host ?? '', port };
}

export class UpstreamSide implements UpstreamPort, TurnMember {
  readonly #turn: Turn;
  readonly #owner: UpstreamSideOwner;
  readonly #alpn: readonly string[];
  readonly #log: Logger;
  #socket: ByteSocket | undefined;
  strict = false;
  /** As the session's own connection was verified. */
  #tlsOptions: tls.ConnectionOptions | undefined;
  #securing = false;
  /** Which connection is in use: an abandoned one is not heard any more. */
  #attempt = 0;
  #ending = false;
  #gone = false;
  #joined = false;
  /** The first bytes of this turn, in `turnBytes`. */
  #start = 0;
  #end = 0;
  /** Bytes of this turn behind those, in order. */
  #queue: Buffer[] = [];
  #queued = 0;
  /** Somebody was told to stop, and not to go on since. */
  #stopped = false;
  /** Batches taken that wait for the disk (`durability: strict`). */
  #waiting = 0;

  constructor(turn: Turn, owner: UpstreamSideOwner, alpn: readonly string[], log: Logger) {
    this.#turn = turn;
    this.#owner = owner;
    this.#alpn = alpn;
    this.#log = log;
  }

  /** More is queued than `LIMITS.writeQueueBytesMax`. */
  get full(): boolean {
    return this.#queued + (this.#socket?.queuedBytes ?? 0) > LIMITS.writeQueueBytesMax;
  }

  get open(): boolean {
    return this.#socket !== undefined && !this.#gone;
  }

  /** Nothing will ever come of it. */
  get over(): boolean {
    return this.#gone || (this.#ending && this.#socket === undefined);
  }

  abandon(): void {
    this.#attempt++;
    const old = this.#socket;
    this.#socket = undefined;
    this.#securing = false;
    this.#drop();
    old?.destroy();
  }

  /** What a socket says counts only while it is the one in use. */
  #ownerOf(attempt: number): ByteSocketOwner {
    const current = (): boolean => attempt === this.#attempt;
    return {
      bytes: (chunk) => {
        if (current()) this.#owner.upstreamBytes(chunk);
      },
      secured: (socket) => {
        if (current()) this.#secured(socket);
      },
      drained: () => {
        if (current()) this.#drained();
      },
      closed: (error) => {
        if (current()) this.#closed(error);
      },
    };
  }

  async connect(resource: Resource, client?: UpstreamCredential): Promise<void> {
    const attempt = ++this.#attempt;
    this.strict = resource.durability === 'strict';
    // A protocol that brings its own encryption is passed through in the shared buffer, as clear text is.
    const willSecure = resource.kind === 'postgres' && (resource.postgres?.tls ?? 'verify-full') !== 'disable';
    const secure = client === undefined ? undefined : upstreamTlsStart(resource, client, this.#alpn);
    try {
      const socket = await ByteSocket.connect(upstreamAddress(resource), this.#ownerOf(attempt), {
        willSecure,
        secure,
        timeoutMs: LIMITS.upstreamConnectMsMax,
      });
      this.#securing = secure !== undefined;
      if (this.#ending || attempt !== this.#attempt) socket.destroy();
      this.#socket = socket;
    } catch (cause) {
      throw new GatewayError('upstream.unreachable', { resource: resource.name }, { cause });
    }
    if (this.#ending) throw new GatewayError('upstream.unreachable', { resource: resource.name, reason: 'ended' });
  }

  startTls(resource: Resource, client: UpstreamCredential): void {
    try {
      this.#securing = true;
      this.#tlsOptions = upstreamTlsOptions(resource, client, this.#alpn);
      this.#socket?.startClientTls(this.#tlsOptions);
    } catch (error) {
      this.#fail(error instanceof GatewayError ? error : new GatewayError('upstream.tls', {}, { cause: error }));
    }
  }

  /** @throws GatewayError `internal` for what is no permit: the broken invariant ends the session */
  send(permit: Permit, bytes: Uint8Array, given = false): boolean {
    if (!isPermit(permit)) throw new GatewayError('internal', { reason: 'no permit' });
    if (this.#ending || this.#gone || bytes.length === 0) return true;
    if (given && Buffer.isBuffer(bytes)) this.#queue.push(bytes);
    else if (!this.#keep(bytes)) this.#queue.push(Buffer.from(bytes));
    this.#queued += bytes.length;
    if (!this.#joined) {
      this.#joined = true;
      this.#turn.join(this);
    }
    if (!this.full) return true;
    this.#stopped = true;
    return false;
  }

  /** False where the bytes need memory of their own: they may wait for the disk, are many, or stand behind such. */
  #keep(bytes: Uint8Array): boolean {
    const size = bytes.length;
    const isFirst = this.#end === this.#start;
    if (this.strict || this.#queue.length > 0 || size > SMALL_BYTES_MAX || turnUsed + size > TURN_BYTES) return false;
    if (!isFirst && this.#end !== turnUsed) return false;
    if (isFirst) {
      this.#start = turnUsed;
      turnSides++;
    }
    turnBytes.set(bytes, turnUsed);
    turnUsed += size;
    this.#end = turnUsed;
    return true;
  }

  #release(): void {
    if (this.#end === this.#start) return;
    this.#start = this.#end = 0;
    if (--turnSides === 0) turnUsed = 0;
  }

  #drop(): void {
    this.#release();
    this.#queue = [];
    this.#queued = 0;
  }

  take(): readonly Buffer[] {
    const batch = this.#queue;
    if (batch.length > 0) this.#queue = [];
    this.#joined = false;
    this.#waiting++;
    return batch;
  }

  forward(batch: readonly Buffer[]): void {
    this.#waiting--;
    if (this.#gone) return;
    const ready = this.#forward(batch);
    // What the socket held as somebody was stopped may have left since: nothing else would say so.
    if (ready && this.#stopped) this.#drained();
    if (this.#ending) this.#endWhenSent();
  }

  #forward(batch: readonly Buffer[]): boolean {
    const [start, end] = [this.#start, this.#end];
    if (batch.length === 0) {
      if (end === start) return true;
      this.#queued -= end - start;
      const ready = this.#socket?.writeRange(turnBytes, start, end) ?? true;
      this.#release();
      return ready;
    }
    const bytes =
      batch.length === 1 && end === start
        ? (batch[0] as Buffer)
        : Buffer.concat([turnBytes.subarray(start, end), ...batch]);
    this.#release();
    this.#queued -= bytes.length;
    return this.#socket?.give(bytes) ?? true;
  }

  refuse(error: GatewayError): void {
    this.#ending = true;
    this.#drop();
    this.#joined = false;
    this.#owner.unrecorded(error);
    this.destroy();
  }

  #endWhenSent(): void {
    if (this.#queue.length === 0 && this.#end === this.#start && this.#waiting === 0) this.#socket?.end();
  }

  pause(): void {
    this.#owner.upstreamPaused(true);
  }

  resume(): void {
    this.#owner.upstreamPaused(false);
  }

  /** Applies what the connection decided from both the session's wish and the client's queue. */
  setPaused(paused: boolean): void {
    if (paused) this.#socket?.pause();
    else this.#socket?.resume();
  }

  end(): void {
    if (this.#ending) return;
    this.#ending = true;
    this.#endWhenSent();
  }

  destroy(): void {
    this.#ending = true;
    this.#drop();
    this.#socket?.destroy();
  }

  outOfBand(resource: Resource, bytes: Uint8Array, upgrade: TlsUpgrade | undefined): void {
    const failed = (error: Error): void =>
      this.#log.warn('a cancel request did not arrive', { resource: resource.name, error });
    if (upgrade === undefined) return sendOutOfBand(upstreamAddress(resource), bytes, undefined, failed);
    const options = this.#tlsOptions;
    if (options === undefined) return failed(new GatewayError('upstream.tls', { reason: 'no session under TLS' }));
    sendOutOfBand(upstreamAddress(resource), bytes, { ...upgrade, options }, failed);
  }

  #drained(): void {
    this.#stopped = this.full;
    this.#owner.upstreamDrained();
  }

  // From the socket.

  #secured(socket: tls.TLSSocket): void {
    this.#securing = false;
    const alpn = typeof socket.alpnProtocol === 'string' ? socket.alpnProtocol : undefined;
    this.#owner.upstreamSecured({
      alpn,
      // Parsed for who asks: channel binding does, HTTP does not.
      get certificate() {
        return socket.getPeerX509Certificate()?.raw ?? Buffer.alloc(0);
      },
    });
  }

  #closed(error: Error | undefined): void {
    this.#fail(
      this.#securing
        ? new GatewayError('upstream.tls', {}, { cause: error })
        : error === undefined
          ? undefined
          : new GatewayError('upstream.unreachable', {}, { cause: error }),
    );
  }

  #fail(error: GatewayError | undefined): void {
    if (this.#gone) return;
    this.#gone = true;
    this.#drop();
    this.#socket?.destroy();
    this.#owner.upstreamClosed(error);
  }
}
