/** What every protocol keeps, kept by SSH: a client of one's own, the real session, a real sshd that logs what it runs. */
import { execFileSync } from 'node:child_process';
import { appendFileSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { describeConformance } from '@sallyport/protocol-kit/conformance';
import { sshdMissing, TEST_TOKEN } from '@sallyport/testkit';
import { afterAll, beforeAll, test } from 'vitest';
import { type Bench, openBench } from '../test/bench.fixture.ts';
import { MODERN, SshTransport } from './codec.ts';
import { bool, byte, encode, MSG, parseChannelRequest, Reader, string, uint32 } from './messages.ts';

let bench: Bench;
let ranFile: string;

/** One connection whose commands run one after another, each in a channel of its own. */
class Client {
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

  constructor(port: number) {
    this.#transport = new SshTransport({ kind: 'client', trusts: () => true }, MODERN, {
      wire: (bytes) => void this.#socket.write(bytes),
      exchanged: () => this.#transport.send(encode(byte(MSG.serviceRequest), string('ssh-userauth'))),
      message: (payload) => this.#message(payload),
      left: () => undefined,
      broken: () => undefined,
    });
    this.#socket = net.connect(port, '127.0.0.1', () => this.#transport.start());
    this.#socket.on('data', (chunk) => this.#transport.bytes(chunk));
    this.#socket.on('error', () => undefined);
    this.#socket.on('close', () => this.#closed.resolve());
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
          string('web-1'),
          string('ssh-connection'),
          string('password'),
          bool(false),
          string(TEST_TOKEN),
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
      case MSG.channelData:
        return void channel.out.push(Buffer.from(reader.string()));
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

  begin(command: string): Promise<{ ok: boolean; text: string; rows: Buffer }> {
    const id = this.#next++;
    this.#transport.send(
      encode(byte(MSG.channelOpen), string('session'), uint32(id), uint32(1_000_000), uint32(32_768)),
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

  closed(): Promise<void> {
    return this.#closed.promise;
  }
  destroy(): void {
    this.#socket.destroy();
  }
}

if (sshdMissing) test.skip('conformance needs sshd', () => undefined);
else {
  beforeAll(async () => {
    bench = await openBench();
    ranFile = path.join(bench.dir, 'ran');
    writeFileSync(ranFile, '');
    appendFileSync(ranFile, '');
  });
  afterAll(() => bench?.stop());

  describeConformance('SSH', {
    // What runs leaves its marker on the host.
    reads: (marker) => `echo ${marker} >> ${ranFile}; seq 3`,
    // It ends with its stdin, as sshd ends it: what reads nothing outlives its connection there (SECURITY.md).
    lasts: (marker) => `echo ${marker} >> ${ranFile}; exec sh -c 'read x' ${marker}`,
    unknown: (marker) => `echo ${marker} >> ${ranFile}; echo 'open`,
    start: async (options) => {
      const gateway = await bench.gateway(options);
      return {
        judged: gateway.judged,
        held: () => gateway.holds,
        recordedRows: () =>
          Buffer.concat(
            gateway.recorded.streams.flatMap((frame) =>
              frame.kind === 'output' && frame.stream === 'stdout' ? [frame.bytes] : [],
            ),
          ),
        end: (code) => gateway.end(code),
        close: () => gateway.close(),
        upstreamSaw: (marker) => existsSync(ranFile) && readFileSync(ranFile, 'utf8').includes(marker),
        running: (marker) => {
          const seen = execFileSync('ps', ['-eo', 'args'], { encoding: 'utf8' });
          return Promise.resolve(
            seen.split('\n').filter((line) => line.startsWith('sh -c read x') && line.endsWith(marker)).length,
          );
        },
        connect: async () => {
          const client = new Client(gateway.port);
          await client.ready;
          return {
            ask: (statement) => client.begin(statement),
            push: (statement) => client.push(statement),
            closed: () => client.closed(),
            destroy: () => client.destroy(),
          };
        },
      };
    },
  });
}
