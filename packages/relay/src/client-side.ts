/**
 * The client's side of one session: the first byte decides between direct TLS and the protocol's own words, then bytes go
 * to the session and back. Refuses to know the protocol.
 */
import { createHash, type X509Certificate } from 'node:crypto';
import type { Duplex } from 'node:stream';
import type tls from 'node:tls';
import type { ClientPort, ClientTls } from '@sallyport/protocol-kit';

/** A TLS record of type handshake (RFC 8446 section 5.1): no protocol here starts a message with this byte (SSH: `S`). */
const TLS_HANDSHAKE = 0x16;

/** What carries a client: a socket, or a stream inside another session. */
export interface ClientSocket {
  /** More is queued than `LIMITS.writeQueueBytesMax`. */
  readonly full: boolean;
  write(bytes: Uint8Array, given?: boolean): boolean;
  pause(): void;
  resume(): void;
  end(): void;
  destroy(): void;
  /** @param inner TLS within what the socket carries already: nothing is asked of the client */
  startServerTls(context: tls.SecureContext, alpn: readonly string[], first?: Buffer, inner?: boolean): void;
  /** See `ClientPort.takeStream`. */
  takeStream?(): Duplex | undefined;
}

export interface ClientSideOptions {
  readonly address: string;
  readonly plaintextAllowed: boolean;
  /** Undefined where the listener has no certificate: TLS is then refused by closing. */
  readonly tlsContext: (() => tls.SecureContext) | undefined;
  readonly alpn: readonly string[];
  /** For TLS inside the connection, to whoever takes this for that host; undefined = none. */
  readonly innerTlsContext?: ((host: string) => tls.SecureContext | undefined) | undefined;
  readonly alpnOptional?: boolean | undefined;
}

export interface ClientSideOwner {
  clientBytes(chunk: Buffer): void;
  clientSecured(tls: ClientTls): void;
  /** Reading has been paused or resumed by the session. */
  clientPaused(paused: boolean): void;
}

export class ClientSide implements ClientPort {
  /** SHA-256 of the DER of the certificate whose key the client proved to hold, base64url; undefined without. */
  certificateSha256: string | undefined;
  /** That certificate itself. Nobody has vouched for what it says; its key is what was proven. */
  certificate: X509Certificate | undefined;
  readonly #options: ClientSideOptions;
  readonly #owner: ClientSideOwner;
  #socket: ClientSocket | undefined;
  #first = true;
  #direct = false;
  #inner = false;

  constructor(options: ClientSideOptions, owner: ClientSideOwner) {
    this.#options = options;
    this.#owner = owner;
  }

  /** Called once, before any byte. */
  attach(socket: ClientSocket): void {
    this.#socket = socket;
  }

  get address(): string {
    return this.#options.address;
  }

  get plaintextAllowed(): boolean {
    return this.#options.plaintextAllowed;
  }

  received(chunk: Buffer): void {
    if (this.#first) {
      this.#first = false;
      if (chunk[0] === TLS_HANDSHAKE) {
        this.#direct = true;
        this.#startTls(Buffer.from(chunk));
        return;
      }
    }
    this.#owner.clientBytes(chunk);
  }

  secured(socket: tls.TLSSocket): void {
    const alpn = typeof socket.alpnProtocol === 'string' ? socket.alpnProtocol : undefined;
    // Direct TLS without our protocol's name could be a browser made to talk to us (ALPACA); the name is what forbids it.
    const unnamed = alpn === undefined && this.#options.alpnOptional === true;
    if (this.#direct && !this.#inner && !unnamed && (alpn === undefined || !this.#options.alpn.includes(alpn))) {
      this.destroy();
      return;
    }
    const certificate = this.#inner ? undefined : socket.getPeerX509Certificate();
    if (certificate !== undefined) {
      this.certificateSha256 = createHash('sha256').update(certificate.raw).digest('base64url');
      this.certificate = certificate;
    }
    const name = (socket as tls.TLSSocket & { servername?: string | false | null }).servername;
    this.#owner.clientSecured({ serverName: typeof name === 'string' ? name : undefined, alpn });
  }

  write(bytes: Uint8Array, given = false): boolean {
    return this.#socket?.write(bytes, given) ?? true;
  }

  startTls(): void {
    this.#startTls(undefined);
  }

  hasInnerTls(host: string): boolean {
    return !this.#inner && this.#options.innerTlsContext?.(host) !== undefined;
  }

  startInnerTls(host: string, alpn: readonly string[], first?: Buffer): boolean {
    const context = this.#inner ? undefined : this.#options.innerTlsContext?.(host);
    if (context === undefined || this.#socket === undefined) return false;
    this.#inner = true;
    this.#socket.startServerTls(
      context,
      alpn,
      first === undefined || first.length === 0 ? undefined : Buffer.from(first),
      true,
    );
    return true;
  }

  takeStream(): Duplex | undefined {
    return this.#socket?.takeStream?.();
  }

  #startTls(first: Buffer | undefined): void {
    const context = this.#options.tlsContext;
    if (context === undefined) this.destroy();
    else this.#socket?.startServerTls(context(), this.#options.alpn, first);
  }

  pause(): void {
    this.#owner.clientPaused(true);
  }

  resume(): void {
    this.#owner.clientPaused(false);
  }

  end(): void {
    this.#socket?.end();
  }

  destroy(): void {
    this.#socket?.destroy();
  }
}
