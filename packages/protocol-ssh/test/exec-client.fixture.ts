/** A client of one's own, for tests that ask more of one connection than OpenSSH's programs do. */
import net from 'node:net';
import { TEST_TOKEN } from '@sallyport/testkit';
import { MODERN } from '../src/codec/algorithms.ts';
import { SshTransport } from '../src/codec.ts';
import { bool, byte, encode, MSG, parseChannelRequest, Reader, string, uint32 } from '../src/messages.ts';

/** One connection whose commands run one after another, each in a channel of its own. */
export class ExecClient {
  readonly #socket: net.Socket;
  readonly #transport: SshTransport;
  readonly #closed = Promise.withResolvers<void>();
  readonly #signedIn = Promise.withResolvers<void>();
  #next = 0;
  readonly #channels = new Map<
    number,
    { remote: number; out: Buffer[]; err: Buffer[]; code: number; command: string; done(): void }
  >();
  #waiting = 0;

  /** Most bytes that came without new window. */
  mostUnasked = 0;
  readonly #window: number;
  readonly #user: string;
  readonly #token: string;
  readonly #keeps: boolean;
  #unasked = 0;
  #giving = false;
  #said = 0;
  #heard: { readonly bytes: number; done(): void; closed(): void } | undefined;

  /**
   * `window`: of each channel, in bytes; given anew only when half of it was used. `keeps: false`: what a command says is
   * counted and not kept.
   */
  constructor(
    port: number,
    options: {
      readonly window?: number;
      readonly user?: string;
      readonly token?: string;
      readonly keeps?: boolean;
    } = {},
  ) {
    this.#keeps = options.keeps ?? true;
    this.#window = options.window ?? 1_000_000;
    this.#user = options.user ?? 'web-1';
    this.#token = options.token ?? TEST_TOKEN;
    this.#transport = new SshTransport({ kind: 'client', trusts: () => true }, MODERN, {
      wire: (bytes) => void this.#socket.write(Buffer.from(bytes)),
      exchanged: () => this.#transport.send(encode(byte(MSG.serviceRequest), string('ssh-userauth'))),
      message: (payload) => this.#message(payload),
      left: () => undefined,
      broken: () => undefined,
    });
    this.#socket = net.connect({ port, host: '127.0.0.1', noDelay: true }, () => this.#transport.start());
    this.#socket.on('data', (chunk) => this.#transport.bytes(chunk));
    this.#socket.on('error', () => undefined);
    this.#socket.on('close', () => {
      this.#heard?.closed();
      this.#closed.resolve();
    });
  }

  get ready(): Promise<void> {
    return this.#signedIn.promise;
  }

  #message(payload: Buffer): void {
    const reader = new Reader(payload);
    if (payload[0] === MSG.serviceAccept)
      this.#transport.send(
        encode(
          byte(MSG.userauthRequest),
          string(this.#user),
          string('ssh-connection'),
          string('password'),
          bool(false),
          string(this.#token),
        ),
      );
    else if (payload[0] === MSG.userauthSuccess) this.#signedIn.resolve();
    else if (payload[0]! >= MSG.channelOpenConfirmation && payload[0]! <= MSG.channelFailure)
      this.#onChannel(payload, reader);
  }

  #onChannel(payload: Buffer, reader: Reader): void {
    const channel = this.#channels.get(reader.uint32());
    if (channel === undefined) return;
    switch (payload[0]) {
      case MSG.channelOpenConfirmation:
        channel.remote = reader.uint32();
        this.#transport.send(
          encode(
            byte(MSG.channelRequest),
            uint32(channel.remote),
            string('exec'),
            bool(false),
            string(channel.command),
          ),
        );
        return;
      case MSG.channelData: {
        const bytes = reader.string();
        if (this.#keeps) channel.out.push(Buffer.from(bytes));
        this.#said += bytes.length;
        if (this.#heard !== undefined && this.#said >= this.#heard.bytes) this.#heard.done();
        return this.#came(channel.remote, bytes.length);
      }
      case MSG.channelExtendedData:
        reader.uint32();
        return void channel.err.push(Buffer.from(reader.string()));
      case MSG.channelRequest: {
        const { type, data } = parseChannelRequest(payload);
        if (type === 'exit-status') channel.code = data.readUInt32BE();
        return;
      }
      case MSG.channelClose:
        this.#transport.send(encode(byte(MSG.channelClose), uint32(channel.remote)));
        return channel.done();
      default:
    }
  }

  #came(remote: number, bytes: number): void {
    this.#unasked += bytes;
    this.mostUnasked = Math.max(this.mostUnasked, this.#unasked);
    if (this.#giving || this.#unasked <= this.#window / 2) return;
    this.#giving = true;
    // As late as a slow reader is: what was sent meanwhile must fit into the window that was given before.
    setTimeout(() => {
      this.#giving = false;
      const given = this.#unasked;
      this.#unasked = 0;
      this.#transport.send(encode(byte(MSG.channelWindowAdjust), uint32(remote), uint32(given)));
    }, 5);
  }

  begin(command: string): Promise<{ ok: boolean; text: string; rows: Buffer }> {
    const id = this.#next++;
    this.#transport.send(
      encode(byte(MSG.channelOpen), string('session'), uint32(id), uint32(this.#window), uint32(32_768)),
    );
    return new Promise((resolve, reject) => {
      void this.#closed.promise.then(() => reject(new Error('closed')));
      const channel = {
        remote: 0,
        out: [] as Buffer[],
        err: [] as Buffer[],
        code: -1,
        command,
        done: () =>
          resolve({
            ok: channel.code === 0,
            text: Buffer.concat(channel.err).toString(),
            rows: Buffer.concat(channel.out),
          }),
      };
      this.#channels.set(id, channel);
    });
  }

  /** Bytes behind a held command: its stdin, of which the gateway takes no more than a window. */
  push(command: string): number {
    if (this.#channels.size === 0) {
      this.begin(command).catch(() => undefined);
      return 0;
    }
    const [first] = this.#channels.values();
    this.#waiting += command.length;
    // What a right client does: no more than its window.
    if (first !== undefined && this.#waiting < 1_900_000)
      this.#transport.send(encode(byte(MSG.channelData), uint32(first.remote), string(command)));
    return Math.max(0, this.#waiting - 1_900_000);
  }

  /** Bytes that its commands have said. */
  get saidBytes(): number {
    return this.#said;
  }

  /** Resolves when they have said so many. One waits at a time. @throws Error when the connection closes before */
  heard(bytes: number): Promise<void> {
    if (this.#said >= bytes) return Promise.resolve();
    return new Promise((resolve, reject) => {
      this.#heard = { bytes, done: resolve, closed: () => reject(new Error('closed')) };
    });
  }

  /** For the first command's stdin; the caller keeps within its window. */
  say(text: string): void {
    const [first] = this.#channels.values();
    if (first !== undefined) this.#transport.send(encode(byte(MSG.channelData), uint32(first.remote), string(text)));
  }

  /** One message as it is. */
  send(payload: Uint8Array): void {
    this.#transport.send(payload);
  }

  closed(): Promise<void> {
    return this.#closed.promise;
  }
  destroy(): void {
    this.#socket.destroy();
  }
}
