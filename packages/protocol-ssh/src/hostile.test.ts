/** Peers that do not keep to the protocol: each loses its connection, and nothing of it reaches the host. */
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import net from 'node:net';
import { type Gateway, sshdMissing, TEST_TOKEN } from '@sallyport/testkit';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { type Bench, openBench } from '../test/bench.fixture.ts';
import { MODERN } from './codec/algorithms.ts';
import { parsePrivateKey, SshTransport } from './codec.ts';
import { bool, byte, encode, type Field, MSG, Reader, raw, string, uint32 } from './messages.ts';

/** A client of one's own: the transport is right, what goes through it is the test's. */
class Client {
  readonly socket: net.Socket;
  readonly transport: SshTransport;
  readonly heard: Buffer[] = [];
  ready = false;
  closed = false;
  constructor(port: number) {
    this.transport = new SshTransport({ kind: 'client', trusts: () => true }, MODERN, {
      wire: (bytes) => void this.socket.write(Buffer.from(bytes)),
      exchanged: () => {
        this.ready = true;
      },
      message: (payload) => void this.heard.push(Buffer.from(payload)),
      left: () => undefined,
      broken: () => undefined,
    });
    this.socket = net.connect(port, '127.0.0.1', () => this.transport.start());
    this.socket.on('data', (chunk) => this.transport.bytes(chunk));
    this.socket.on('error', () => undefined);
    this.socket.on('close', () => {
      this.closed = true;
    });
  }
  send(...fields: readonly Field[]): void {
    this.transport.send(encode(...fields));
  }
  async hear(type: number): Promise<Buffer> {
    await expect.poll(() => this.heard.some((message) => message[0] === type)).toBe(true);
    const at = this.heard.findIndex((message) => message[0] === type);
    return this.heard.splice(at, 1)[0]!;
  }
  async begin(): Promise<void> {
    await expect.poll(() => this.ready).toBe(true);
    this.send(byte(MSG.serviceRequest), string('ssh-userauth'));
    await this.hear(MSG.serviceAccept);
  }
  password(user: string, password: string): void {
    this.send(
      byte(MSG.userauthRequest),
      string(user),
      string('ssh-connection'),
      string('password'),
      bool(false),
      string(password),
    );
  }
  async signIn(): Promise<void> {
    await this.begin();
    this.password('web-1', TEST_TOKEN);
    await this.hear(MSG.userauthSuccess);
  }
  /** @returns the gateway's number of it */
  async session(sender = 0, window = 1_000_000): Promise<number> {
    this.send(byte(MSG.channelOpen), string('session'), uint32(sender), uint32(window), uint32(32_768));
    const confirmed = new Reader(await this.hear(MSG.channelOpenConfirmation));
    confirmed.uint32();
    return confirmed.uint32();
  }
  async gone(): Promise<void> {
    await expect.poll(() => this.closed).toBe(true);
  }
}

describe.skipIf(sshdMissing)('a hostile client', () => {
  let bench: Bench;
  let at: Gateway;
  const clients: Client[] = [];
  beforeAll(async () => {
    bench = await openBench();
  });
  afterEach(async () => {
    for (const client of clients.splice(0)) client.socket.destroy();
    await bench.tidy();
  });
  afterAll(() => bench?.stop());
  const connect = async (): Promise<Client> => {
    at = await bench.gateway();
    return more();
  };
  const more = (): Client => {
    const client = new Client(at.port);
    clients.push(client);
    return client;
  };

  test('that offers a key is not signed in by the offer, whatever the key', async () => {
    const client = await connect();
    await client.begin();
    const { blob } = parsePrivateKey(bench.server.clientKey);
    client.send(
      byte(MSG.userauthRequest),
      string('web-1'),
      string('ssh-connection'),
      string('publickey'),
      bool(false),
      string('ssh-ed25519'),
      string(blob),
    );
    await client.hear(MSG.userauthFailure);
    client.send(byte(MSG.channelOpen), string('session'), uint32(0), uint32(1000), uint32(1000));
    await client.gone();
    expect(at.judged).toHaveLength(0);
  });

  test('that changes its user name between attempts is sent away', async () => {
    const client = await connect();
    await client.begin();
    client.password('db-1', 'wrong');
    await client.hear(MSG.userauthFailure);
    client.password('web-1', TEST_TOKEN);
    await client.gone();
    expect(client.heard.some((message) => message[0] === MSG.userauthSuccess)).toBe(false);
  });

  test('that tries too often is sent away', async () => {
    const client = await connect();
    await client.begin();
    for (let i = 0; i < 30; i++) client.password('web-1', `wrong ${i}`);
    await client.gone();
  });

  test('that speaks another protocol is sent away, and breaks nothing', async () => {
    at = await bench.gateway();
    for (const words of ['GET / HTTP/1.0\r\n\r\n', 'SSH-1.5-old\r\n', 'SSH-2.0-x\r\n\x7f\xff\xff\xff\x04']) {
      const socket = net.connect(at.port, '127.0.0.1');
      socket.on('error', () => undefined).resume();
      socket.write(Buffer.from(words, 'latin1'));
      await once(socket, 'close');
    }
    await expect.poll(() => at.closed.length).toBe(3);
    expect(at.closed).not.toContain('internal');
  });

  test('that speaks of channels before it is signed in is sent away', async () => {
    for (const type of [MSG.globalRequest, MSG.channelOpen, MSG.channelData, MSG.userauthRequest]) {
      const client = await connect();
      await expect.poll(() => client.ready).toBe(true);
      client.send(byte(type), string('session'), uint32(0), uint32(1000), uint32(1000));
      await client.gone();
    }
  });

  test('that sends beyond its window is sent away', async () => {
    const client = await connect();
    await client.signIn();
    const channel = await client.session();
    client.send(byte(MSG.channelRequest), uint32(channel), string('exec'), bool(false), string('sleep 60'));
    const piece = Buffer.alloc(32_000);
    for (let i = 0; i < 80; i++) client.send(byte(MSG.channelData), uint32(channel), string(piece));
    await client.gone();
  });

  test('that opens channels without end gets no more than the limit', async () => {
    const client = await connect();
    await client.signIn();
    for (let i = 0; i < 150; i++)
      client.send(byte(MSG.channelOpen), string('session'), uint32(i), uint32(1000), uint32(1000));
    await expect.poll(() => client.heard.filter((message) => message[0] === MSG.channelOpenFailure).length).toBe(50);
    expect(client.heard.filter((message) => message[0] === MSG.channelOpenConfirmation)).toHaveLength(100);
  });

  test('that asks twice in one channel runs one thing', async () => {
    const client = await connect();
    await client.signIn();
    const channel = await client.session();
    for (const command of ['echo one', 'echo two'])
      client.send(byte(MSG.channelRequest), uint32(channel), string('exec'), bool(true), string(command));
    await client.hear(MSG.channelSuccess);
    await client.hear(MSG.channelFailure);
    await client.hear(MSG.channelClose);
    expect(at.judged.map(({ statement }) => statement.text)).toEqual(['echo one']);
  });

  test('that announces a window of nothing gets nothing, and holds nothing up', async () => {
    const client = await connect();
    await client.signIn();
    const channel = await client.session(0, 0);
    client.send(byte(MSG.channelRequest), uint32(channel), string('exec'), bool(true), string('echo waits'));
    await client.hear(MSG.channelSuccess);
    const second = await client.session(1, 1000);
    client.send(byte(MSG.channelRequest), uint32(second), string('exec'), bool(true), string('echo goes'));
    expect((await client.hear(MSG.channelData)).includes('goes')).toBe(true);
    client.send(byte(MSG.channelWindowAdjust), uint32(0 + channel), uint32(100));
    expect((await client.hear(MSG.channelData)).includes('waits')).toBe(true);
  });

  test('that sends noise instead of a handshake is sent away, and others are not', async () => {
    at = await bench.gateway();
    const noise = Array.from({ length: 60 }, (_, seed) => {
      const socket = net.connect(at.port, '127.0.0.1');
      socket.on('error', () => undefined);
      socket.resume();
      const bytes = createHash('shake256', { outputLength: 4_000 }).update(`noise ${seed}`).digest();
      // Half of them greet rightly first, and some announce a packet that never ends.
      if (seed % 2 === 0) socket.write('SSH-2.0-noise\r\n');
      if (seed % 5 === 0) socket.write(Buffer.from('7fffffff', 'hex'));
      socket.write(bytes);
      return new Promise<void>((resolve) => socket.once('close', () => resolve()));
    });
    await Promise.all(noise);
    const ran = await bench.ssh(at, ['echo fine']);
    expect(ran.stdout.toString()).toBe('fine\n');
  });

  test('that sends noise under good keys is sent away, and others are not', async () => {
    at = await bench.gateway();
    for (let seed = 0; seed < 40; seed++) {
      const client = more();
      if (seed % 2 === 0) await client.signIn();
      else await client.begin();
      const bytes = createHash('shake256', { outputLength: 200 }).update(`inside ${seed}`).digest();
      for (let i = 0; i < 20; i++)
        client.send(byte(50 + ((bytes[i]! + i * 7) % 60)), raw(bytes.subarray(i, i + 20 + (bytes[i]! % 60))));
      client.socket.end();
      await client.gone();
    }
    expect((await bench.ssh(at, ['echo fine'])).stdout.toString()).toBe('fine\n');
    expect(at.judged.map(({ statement }) => statement.text)).toEqual(['echo fine']);
  });

  test('whose bytes are changed, dropped or put in on the way is cut off (strict key exchange)', async () => {
    for (const tamper of ['ignore before the exchange', 'a byte flipped', 'a packet dropped'] as const) {
      const client = await connect();
      if (tamper === 'ignore before the exchange') {
        // What Terrapin (CVE-2023-48795) puts in: a message that shifts the numbers, before keys are in force.
        client.socket.removeAllListeners('connect');
        client.socket.once('connect', () => {
          client.socket.write('SSH-2.0-terrapin\r\n');
          client.socket.write(
            Buffer.concat([Buffer.from('0000000c06020000000000000000000000', 'hex').subarray(0, 16)]),
          );
          client.transport.start();
        });
        await client.gone();
        expect(client.ready).toBe(false);
        continue;
      }
      await client.begin();
      let last: Buffer = Buffer.alloc(0);
      const write = client.socket.write.bind(client.socket);
      client.socket.write = ((bytes: Buffer) => {
        last = bytes;
        return true;
      }) as typeof client.socket.write;
      client.password('web-1', TEST_TOKEN);
      client.transport.flush();
      client.socket.write = write as typeof client.socket.write;
      if (tamper === 'a byte flipped') {
        last[last.length - 20] = (last[last.length - 20] ?? 0) ^ 1;
        write(last);
      } else client.password('web-1', TEST_TOKEN);
      await client.gone();
      expect(client.heard.some((message) => message[0] === MSG.userauthSuccess)).toBe(false);
    }
  });

  test('that stays half open leaves', async () => {
    at = await bench.gateway();
    const socket = net.connect(at.port, '127.0.0.1');
    const began = Date.now();
    await new Promise((resolve) => socket.once('close', resolve).resume());
    expect(Date.now() - began).toBeGreaterThan(5_000);
  });

  test('that wants new keys all the time gets them, and what it runs goes on', async () => {
    at = await bench.gateway();
    const bytes = randomBytes(6_000_000);
    const ran = await bench.program(at, 'ssh', ['-o', 'RekeyLimit=512K', 'web-1@127.0.0.1', 'cat'], bytes);
    expect(ran.stdout.equals(bytes)).toBe(true);
  });
});
