/**
 * One socket, plain or TLS, as bytes: lent reads from one buffer of the process, writes that take their bytes at once,
 * pausing, TLS on either side, deadlines on closing. Refuses to know whose side it is or what the bytes mean.
 * LIMITS.md findings 1 and 2: reading into a shared buffer and never allocating per chunk is where bulk speed comes from.
 */
import net from 'node:net';
import tls from 'node:tls';
import { LIMITS, Views } from '@sallyport/core';

/** What a ByteSocket tells its owner. Calls are made from the event loop, one at a time. */
export interface ByteSocketOwner {
  /** Lent for the call: the memory is read into again right after. */
  bytes(chunk: Buffer): void;
  /** The TLS handshake is done. */
  secured(socket: tls.TLSSocket): void;
  /** The write queue is empty after `write` returned false. */
  drained(): void;
  /** Once: the peer sent its end, or the socket broke or closed. */
  closed(error: Error | undefined): void;
}

const READ_BYTES = 128 * 1024;
/** What one read brings, with what a protocol puts around it. */
const SLAB_BYTES = 160 * 1024;
const SLABS_KEPT = 16;
/** Behind others, smaller ones get memory of their own size: they may wait for long. */
const QUEUED_SLAB_BYTES_MIN = 64 * 1024;
/** Writes up to this size have a slab of their own: what a slow peer keeps of it is small. */
const SMALL_BYTES_MAX = 4 * 1024;
/** A stretch up to this size is copied byte by byte: a view of it costs more. */
const SHORT_BYTES_MAX = 2 * 1024;
const KEEP_ALIVE_MS = 30_000;

// One read buffer for all sockets of the process: bytes are lent for the call only, so nothing outlives it.
const readBuffer = Buffer.allocUnsafeSlow(READ_BYTES);
// Where large writes are copied to. Reused when the kernel took everything at once; given away to the queue otherwise.
let slab: Buffer = Buffer.allocUnsafeSlow(SLAB_BYTES);
// Such as came back: memory outside of V8's heap that is made and forgotten brings whole collections of garbage with it.
const slabs: Buffer[] = [];
let smallSlab = Buffer.allocUnsafeSlow(SMALL_BYTES_MAX);

const readViews = new Views(readBuffer);
let smallViews = new Views(smallSlab);

/** What to give `net.connect` or `net.Socket` so that reads of a plain socket land in the shared buffer. */
const sharedRead = (deliver: (chunk: Buffer) => void): net.OnReadOpts => ({
  buffer: readBuffer,
  callback: delivered(deliver),
});

const delivered =
  (deliver: (chunk: Buffer) => void) =>
  (size: number): boolean => {
    deliver(readViews.of(size));
    return true;
  };

type PrivateHandle = { _handle?: unknown };

/** TLS towards a server from the first byte on. */
export interface ClientTlsStart {
  readonly options: tls.ConnectionOptions;
  /** Is given what a later connection may take up. */
  keep(socket: tls.TLSSocket, session: Buffer): void;
}

/** Where Node keeps what `onread` was given: a TLS stream over a socket of ours is offered no `onread` of its own. */
interface ReadSlots {
  readonly buffer: symbol;
  readonly callback: symbol;
}

const readSlots = findReadSlots();

function findReadSlots(): ReadSlots | undefined {
  const probe = new net.Socket({ onread: sharedRead(() => undefined) } as net.SocketConstructorOpts);
  const slots = probe as unknown as Record<symbol, unknown>;
  const symbols = Object.getOwnPropertySymbols(probe);
  const buffer = symbols.find((symbol) => slots[symbol] === readBuffer);
  const callback = symbols.find((symbol) => symbol.description === 'kBufferCb');
  probe.destroy();
  if (buffer === undefined || callback === undefined || typeof slots[callback] !== 'function') return undefined;
  return { buffer, callback };
}

/** @returns false where Node's insides are others than these: then the stream's own reads are used, a little slower */
function readsInto(secure: tls.TLSSocket, deliver: (chunk: Buffer) => void): boolean {
  const handle = (secure as unknown as PrivateHandle)._handle as { useUserBuffer?: (buffer: Buffer) => void } | null;
  if (readSlots === undefined || typeof handle?.useUserBuffer !== 'function') return false;
  Object.assign(secure, { [readSlots.buffer]: readBuffer, [readSlots.callback]: delivered(deliver) });
  handle.useUserBuffer(readBuffer);
  return true;
}

export class ByteSocket {
  readonly #owner: ByteSocketOwner;
  #socket: net.Socket;
  #secure: tls.TLSSocket | undefined;
  #failure: Error | undefined;
  #closed = false;
  #ending = false;
  #wantsDrain = false;
  /** Slabs that the queue of a plain socket points into. */
  #away: Buffer[] = [];
  #paused = false;
  /** What TLS had decrypted already as it was told to stop. */
  #held: Buffer[] = [];
  #releasing = false;
  #endHeld = false;
  #taken = false;
  #deadline: NodeJS.Timeout | undefined;

  private constructor(owner: ByteSocketOwner) {
    this.#owner = owner;
    this.#socket = undefined as unknown as net.Socket;
  }

  /**
   * Takes over an accepted socket (of a server with `pauseOnConnect`); reading starts with `resume`.
   * @param willSecure TLS is expected: then reads go through Node's own buffers; it works without, too
   */
  static accept(socket: net.Socket, owner: ByteSocketOwner, willSecure: boolean): ByteSocket {
    const self = new ByteSocket(owner);
    self.#adopt(willSecure ? socket : rehome(socket, (chunk) => self.#deliver(chunk)));
    if (willSecure) self.#socket.on('data', (chunk: Buffer) => self.#deliver(chunk));
    self.#socket.pause();
    return self;
  }

  /**
   * Opens a connection; resolves when it stands.
   * @param willSecure TLS follows on this connection, after words in clear
   * @param secure TLS begins at once: `secured` follows, verification failures arrive as `closed(error)`
   * @throws the socket's error, or a timeout error after `timeoutMs`
   */
  static connect(
    target: net.NetConnectOpts,
    owner: ByteSocketOwner,
    options: { readonly willSecure: boolean; readonly timeoutMs: number; readonly secure?: ClientTlsStart | undefined },
  ): Promise<ByteSocket> {
    return new Promise((resolve, reject) => {
      const self = new ByteSocket(owner);
      const { secure, willSecure } = options;
      const reads = willSecure ? {} : { onread: sharedRead((chunk) => self.#deliver(chunk)) };
      // One stream of Node's, where TLS over a socket that stands would be two.
      const tlsSocket = secure === undefined ? undefined : tls.connect({ ...secure.options, ...target });
      const socket = tlsSocket ?? net.connect({ ...target, ...reads });
      const timer = setTimeout(() => socket.destroy(new Error('connection timed out')), options.timeoutMs);
      const failed = (error: Error): void => {
        clearTimeout(timer);
        reject(error);
      };
      socket.once('error', failed);
      socket.once('connect', () => {
        clearTimeout(timer);
        socket.off('error', failed);
        if (tlsSocket === undefined) self.#adopt(socket);
        else {
          tune(tlsSocket);
          // Not sooner: where a first address does not answer, Node begins anew at the next, and with another handle.
          tlsSocket.on('session', (session) => secure?.keep(tlsSocket, session));
          self.#secureWith(tlsSocket, 'secureConnect');
        }
        if (willSecure) socket.on('data', (chunk: Buffer) => self.#deliver(chunk));
        resolve(self);
      });
    });
  }

  #adopt(socket: net.Socket): void {
    this.#socket = socket;
    tune(socket);
    this.#watch(socket);
  }

  #watch(socket: net.Socket): void {
    socket.on('error', (error) => {
      this.#failure ??= error;
    });
    socket.on('end', () => {
      if (this.#held.length === 0) this.#close(undefined);
      else this.#endHeld = true;
    });
    socket.on('close', () => {
      // A timer would keep all that the connection had for seconds, and the collector would copy it twice.
      if (socket === this.#socket) clearTimeout(this.#deadline);
      if (!this.#endHeld || this.#failure !== undefined) this.#close(this.#failure);
    });
    socket.on('drain', () => this.#drain());
  }

  #deliver(chunk: Buffer): void {
    if (!this.#closed) this.#owner.bytes(chunk);
  }

  /** TLS decrypts what one read brought to its end, whoever told it to stop in between. */
  #decrypted(chunk: Buffer): void {
    if (this.#paused || this.#held.length > 0) this.#held.push(Buffer.from(chunk));
    else this.#deliver(chunk);
  }

  /** What was held comes first, and no sooner than whoever let it go on is done. */
  #release(): void {
    if (this.#releasing) return;
    this.#releasing = true;
    process.nextTick(() => {
      this.#releasing = false;
      while (!this.#paused && this.#held.length > 0) this.#deliver(this.#held.shift() as Buffer);
      if (this.#held.length > 0) return;
      if (this.#endHeld) this.#close(undefined);
      else if (!this.#paused) this.resume();
    });
  }

  #drain(): void {
    if (!this.#wantsDrain || this.#closed) return;
    this.#wantsDrain = false;
    this.#owner.drained();
  }

  #close(error: Error | undefined): void {
    if (this.#closed) return;
    this.#closed = true;
    clearTimeout(this.#deadline);
    // The peer is gone or has said its last: what is still queued gets a moment to leave, then the socket goes.
    const leaving = this.#socket;
    // Node makes an error, stack and all, for one that was ended before.
    if (!leaving.writableEnded && !leaving.destroyed) leaving.end();
    if (!leaving.destroyed) this.#deadline = setTimeout(() => leaving.destroy(), LIMITS.closeTimeoutMsMax).unref();
    this.#owner.closed(error);
  }

  get remoteAddress(): string {
    return this.#socket.remoteAddress ?? '';
  }

  get remotePort(): number {
    return this.#socket.remotePort ?? 0;
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** More is queued than `LIMITS.writeQueueBytesMax`. */
  get full(): boolean {
    return this.#socket.writableLength > LIMITS.writeQueueBytesMax;
  }

  /** Bytes that wait for the peer. */
  get queuedBytes(): number {
    return this.#socket.writableLength;
  }

  /**
   * Takes the bytes at once, whoever owns their memory.
   * @param given as for `give`
   * @returns false when the queue is over `LIMITS.writeQueueBytesMax`: stop until `drained`
   */
  write(bytes: Uint8Array, given = false): boolean {
    return this.#write(bytes, given);
  }

  /** As `write`, for memory that is given away: nobody may write into it again. */
  give(bytes: Uint8Array): boolean {
    return this.#write(bytes, true);
  }

  #write(bytes: Uint8Array, given: boolean): boolean {
    if (this.#closed || this.#ending) return true;
    const socket = this.#socket;
    const size = bytes.length;
    // Writing nothing would make TLS look for more to read, in the middle of what it is telling.
    if (size === 0) return this.#went();
    if (given) socket.write(bytes);
    else if (size > SLAB_BYTES) socket.write(Buffer.from(bytes));
    else if (socket.writableLength > 0) {
      // TLS takes what is behind others later: that may not be used again.
      if (this.#secure !== undefined || size < QUEUED_SLAB_BYTES_MIN) socket.write(Buffer.from(bytes));
      else this.#writeSlab(bytes);
    } else if (size <= SMALL_BYTES_MAX) {
      smallSlab.set(bytes, 0);
      this.#writeSmall(size);
    } else this.#writeSlab(bytes);
    return this.#went();
  }

  #writeSlab(bytes: Uint8Array): void {
    const socket = this.#socket;
    slab.set(bytes, 0);
    socket.write(slab.subarray(0, bytes.length), this.#wrote);
    // Plain, and not all of it fitted into the kernel: the queue points into the slab, which is not touched before it has
    // gone. TLS has encrypted or copied the bytes before it returns (node's TLSWrap::DoWrite), queue or not.
    if (this.#secure !== undefined || socket.writableLength === 0) return;
    this.#away.push(slab);
    slab = slabs.pop() ?? Buffer.allocUnsafeSlow(SLAB_BYTES);
  }

  /** What was queued has gone: its memory is the process's again. Of a socket that broke it is not. */
  readonly #wrote = (error?: Error | null): void => {
    if (this.#away.length === 0 || this.#socket.writableLength > 0) return;
    const back = this.#away;
    this.#away = [];
    const isBroken = (error !== undefined && error !== null) || this.#socket.destroyed;
    if (isBroken || this.#secure !== undefined) return;
    for (const one of back) if (slabs.length < SLABS_KEPT) slabs.push(one);
  };

  /** As `write`, of the bytes of `source` from `start` to `end`. */
  writeRange(source: Uint8Array, start: number, end: number): boolean {
    const size = end - start;
    if (this.#closed || this.#ending || size > SHORT_BYTES_MAX || this.#socket.writableLength > 0)
      return this.#write(source.subarray(start, end), false);
    for (let i = 0; i < size; i++) smallSlab[i] = source[start + i]!;
    this.#writeSmall(size);
    return this.#went();
  }

  /** What stands in the small slab, while nothing is queued. */
  #writeSmall(size: number): void {
    this.#socket.write(smallViews.of(size));
    if (this.#secure !== undefined || this.#socket.writableLength === 0) return;
    smallSlab = Buffer.allocUnsafeSlow(SMALL_BYTES_MAX);
    smallViews = new Views(smallSlab);
  }

  #went(): boolean {
    if (!this.full) return true;
    this.#wantsDrain = true;
    return false;
  }

  /** See `ClientPort.takeStream`: from here on its reader keeps the pace. */
  takeStream(): tls.TLSSocket | undefined {
    const secure = this.#secure;
    if (secure === undefined || this.#closed) return undefined;
    this.#taken = true;
    secure.removeAllListeners('data');
    secure.removeAllListeners('drain');
    // A server's TLSSocket that no tls.Server made says for ever that it connects, and node:http2 would wait for it.
    Object.assign(secure, { secureConnecting: false });
    return secure;
  }

  pause(): void {
    if (this.#taken) return;
    this.#paused = true;
    this.#socket.pause();
  }

  resume(): void {
    if (this.#taken) return;
    this.#paused = false;
    if (this.#closed) return;
    if (this.#held.length > 0) this.#release();
    else this.#socket.resume();
  }

  /**
   * Becomes the server side of TLS, inside the TLS that is there already when there is some.
   * @param first bytes already read that belong to the handshake
   * @param inner nothing is asked of the client: what it proves, it proved outside
   */
  startServerTls(context: tls.SecureContext, alpn: readonly string[], first?: Buffer, inner = false): void {
    const plain = this.#plain();
    for (const held of this.#held.splice(0).reverse()) plain.unshift(held);
    if (first !== undefined) plain.unshift(first);
    this.#secureWith(
      new tls.TLSSocket(plain, {
        isServer: true,
        secureContext: context,
        ALPNProtocols: [...alpn],
        // Asked for and proven to be held, but believed by nobody for who issued it: a token may be bound to it.
        requestCert: !inner,
        rejectUnauthorized: false,
      }),
      'secure',
    );
  }

  /** Becomes the client side of TLS; verification failures arrive as `closed(error)`. */
  startClientTls(options: tls.ConnectionOptions): void {
    this.#secureWith(tls.connect({ ...options, socket: this.#plain() }), 'secureConnect');
  }

  /** The plain socket, without our listeners: from here on TLS reads it. */
  #plain(): net.Socket {
    const plain = this.#socket;
    // A flowing stream without listeners would throw away what is put back for the handshake.
    plain.pause();
    plain.removeAllListeners('data');
    plain.removeAllListeners('end');
    plain.removeAllListeners('drain');
    return plain;
  }

  #secureWith(secure: tls.TLSSocket, event: 'secure' | 'secureConnect'): void {
    this.#secure = secure;
    this.#socket = secure;
    this.#paused = false;
    secure.disableRenegotiation();
    // What waits goes piece by piece: joined, as Node would have it, it is copied once more and encrypted out of the caches.
    Object.assign(secure, { _writev: null });
    this.#watch(secure);
    if (readsInto(secure, (chunk) => this.#decrypted(chunk))) secure.resume();
    else secure.on('data', (chunk: Buffer) => this.#deliver(chunk));
    secure.once(event, () => {
      if (!this.#closed) this.#owner.secured(secure);
    });
  }

  /** Sends what is queued, then closes; destroyed after `LIMITS.closeTimeoutMsMax`. */
  end(): void {
    if (this.#closed || this.#ending) return;
    this.#ending = true;
    this.#socket.end();
    this.#deadline = setTimeout(() => this.#socket.destroy(), LIMITS.closeTimeoutMsMax);
  }

  destroy(): void {
    this.#ending = true;
    this.#held = [];
    // It has closed already, and what it had said was waited for.
    if (this.#endHeld) this.#close(this.#failure);
    this.#socket.destroy();
  }
}

function tune(socket: net.Socket): void {
  socket.setNoDelay(true);
  socket.setKeepAlive(true, KEEP_ALIVE_MS);
}

/**
 * Moves an accepted, still unread socket's handle under a socket that reads into the shared buffer: `net.Server` has no
 * `onread` of its own. Where Node hides the handle the socket is used as it is, a little slower.
 */
function rehome(socket: net.Socket, deliver: (chunk: Buffer) => void): net.Socket {
  const handle = (socket as unknown as PrivateHandle)._handle;
  if (handle === undefined || handle === null) {
    socket.on('data', deliver);
    return socket;
  }
  (socket as unknown as PrivateHandle)._handle = null;
  const options = { handle, readable: true, writable: true, onread: sharedRead(deliver) };
  const rehomed = new net.Socket(options as unknown as net.SocketConstructorOpts);
  // The server counts the first socket, so that one must be closed too, or the server never ends.
  rehomed.once('close', () => socket.destroy());
  return rehomed;
}
