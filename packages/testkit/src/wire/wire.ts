/**
 * A raw PostgreSQL client for tests: any bytes out, every byte that came back kept. One socket, TLS or not.
 * Refuses to help: it answers no authentication unless `signIn` is called, and retries nothing.
 */
import { connect as connectTcp, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { type Answer, answersIn, type Seen, seenIn } from './answers.ts';
import { password, SSL_REQUEST, startup, terminate } from './frames.ts';
import { scramClient } from './scram.ts';

export interface WireOptions {
  readonly host: string;
  readonly port: number;
  /** Absent: in clear. `direct` starts with the handshake (ALPN `postgresql`), else an SSLRequest asks for it. */
  readonly tls?: { readonly ca?: string; readonly servername?: string; readonly direct?: boolean };
}

export interface Wire {
  /** Resolves when the kernel took it; bytes for a closed peer are dropped. */
  send(...parts: Uint8Array[]): Promise<void>;
  /** Everything the server sent after TLS, as it came. */
  raw(): Buffer;
  /** All whole messages so far. */
  answers(): readonly Answer[];
  /** What came since `mark` (a count of messages). */
  seen(mark?: number): Seen;
  mark(): number;
  /** Until `enough`, the peer's end, or the time is up; gives what came since `mark`. */
  until(enough: (seen: Seen) => boolean, options?: { readonly mark?: number; readonly ms?: number }): Promise<Seen>;
  isClosed(): boolean;
  end(): void;
  /** Closes without a word. */
  destroy(): void;
  /** Startup and password (clear text or SCRAM); resolves with what came up to ReadyForQuery or the end. */
  signIn(login: SignIn): Promise<Seen>;
}

export interface SignIn {
  readonly user: string;
  readonly secret: string;
  readonly database?: string;
  readonly parameters?: Readonly<Record<string, string>>;
  readonly version?: number;
}

const DEFAULT_MS = 10_000;

export async function openWire(options: WireOptions): Promise<Wire> {
  return new SocketWire(options.tls === undefined ? await plain(options) : await secured(options));
}

function plain({ host, port }: WireOptions): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connectTcp({ host, port, noDelay: true });
    socket.once('error', reject);
    socket.once('connect', () => {
      socket.off('error', reject);
      socket.on('error', () => undefined);
      resolve(socket);
    });
  });
}

async function secured(options: WireOptions): Promise<Socket> {
  const { tls } = options;
  const socket = await plain(options);
  if (tls?.direct !== true) {
    socket.write(SSL_REQUEST);
    const said = await new Promise<Buffer>((resolve) => {
      socket.once('data', resolve);
      socket.once('close', () => resolve(Buffer.alloc(0)));
    });
    if (said.toString('latin1') !== 'S') throw new Error(`no TLS: ${said.toString('hex')}`);
  }
  return new Promise((resolve, reject) => {
    const secure = connectTls({
      socket,
      servername: tls?.servername ?? '',
      ...(tls?.ca === undefined ? { rejectUnauthorized: false } : { ca: tls.ca, checkServerIdentity: () => undefined }),
      ...(tls?.direct === true ? { ALPNProtocols: ['postgresql'] } : {}),
    });
    secure.once('error', reject);
    secure.once('secureConnect', () => {
      secure.off('error', reject);
      secure.on('error', () => undefined);
      resolve(secure);
    });
  });
}

class SocketWire implements Wire {
  readonly #socket: Socket;
  readonly #chunks: Buffer[] = [];
  readonly #answers: Answer[] = [];
  #rest: Buffer = Buffer.alloc(0);
  #closed = false;
  #wake: () => void = () => undefined;

  constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('data', (chunk: Buffer) => {
      this.#chunks.push(chunk);
      const bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
      const { answers, used } = answersIn(bytes);
      this.#answers.push(...answers);
      this.#rest = bytes.subarray(used);
      this.#wake();
    });
    socket.on('close', () => {
      this.#closed = true;
      this.#wake();
    });
  }

  send(...parts: Uint8Array[]): Promise<void> {
    if (this.#closed || !this.#socket.writable) return Promise.resolve();
    return new Promise((resolve) => {
      this.#socket.write(parts.length === 1 ? parts[0]! : Buffer.concat(parts), () => resolve());
    });
  }

  raw(): Buffer {
    return Buffer.concat(this.#chunks);
  }
  answers(): readonly Answer[] {
    return this.#answers;
  }
  mark(): number {
    return this.#answers.length;
  }
  seen(mark = 0): Seen {
    return seenIn(this.#answers.slice(mark));
  }
  isClosed(): boolean {
    return this.#closed;
  }
  end(): void {
    if (!this.#closed) this.#socket.end(terminate());
  }
  destroy(): void {
    this.#socket.destroy();
  }

  async until(enough: (seen: Seen) => boolean, options: { mark?: number; ms?: number } = {}): Promise<Seen> {
    const deadline = Date.now() + (options.ms ?? DEFAULT_MS);
    for (;;) {
      const seen = this.seen(options.mark);
      const leftMs = deadline - Date.now();
      if (enough(seen) || this.#closed || leftMs <= 0) return seen;
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, leftMs);
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  }

  async signIn({ user, secret, database, parameters, version }: SignIn): Promise<Seen> {
    await this.send(startup({ user, ...(database === undefined ? {} : { database }), ...parameters }, version));
    const scram = scramClient(secret);
    let answered = 0;
    for (;;) {
      const asked = (): Answer[] => this.#answers.filter((answer) => answer.type === 'R');
      const seen = await this.until((now) => now.ready !== '' || now.errors.length > 0 || asked().length > answered);
      const request = asked()[answered];
      if (seen.ready !== '' || seen.errors.length > 0 || request === undefined) return this.seen();
      answered++;
      const code = request.body.readUInt32BE(0);
      if (code === 3) await this.send(password(secret));
      else if (code === 10) await this.send(scram.first());
      else if (code === 11) await this.send(scram.final(request.body.toString('utf8', 4)));
    }
  }
}
