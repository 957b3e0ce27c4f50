/**
 * Before anybody is signed in: packets that are malformed, in the wrong order, or ask for what would change how SQL is read.
 * Each ends its own connection; nothing reaches the database's server.
 */
import { readFileSync } from 'node:fs';
import { connect as connectTls } from 'node:tls';
import { frames, openWire, type Seen, type Wire } from '@sallyport/testkit';
import { afterAll, describe, expect, inject, test } from 'vitest';
import { gatewayTo, type Road, settled } from '../wire/gateway.ts';

const dev = inject('dev');
const gateway = gatewayTo(dev, inject('serverLog'));
afterAll(() => gateway.close());

const { GSSENC_REQUEST, int32, password, query, SSL_REQUEST, startup, untyped } = frames;
const V3 = int32(3 << 16);
const good = { user: 'payments-db', database: dev.demo.database };
const cat = (...parts: (Uint8Array | string)[]): Buffer => Buffer.concat(parts.map((part) => Buffer.from(part)));

interface StartupRow {
  readonly name: string;
  readonly send: Uint8Array;
  readonly road?: Road;
  /** Default: an error or silence, and the end. */
  readonly sqlstate?: string;
}

const MALFORMED: readonly StartupRow[] = [
  { name: 'a packet of four bytes', send: int32(4) },
  { name: 'a packet of five bytes', send: cat(int32(5), 'x') },
  { name: 'a packet of seven bytes', send: cat(int32(7), 'xyz') },
  { name: 'a length of zero', send: cat(int32(0), V3) },
  { name: 'a negative length', send: cat(int32(-1), V3, 'user\0x\0\0') },
  { name: 'a length beyond the limit', send: cat(int32(10_001), V3) },
  { name: 'a length of two GiB', send: cat(int32(0x7fffffff), V3) },
  { name: 'a length shorter than the packet', send: untyped(cat(V3, 'user\0payments-db\0\0'), 12) },
  { name: 'parameters that do not end', send: untyped(cat(V3, 'user\0payments-db\0')) },
  { name: 'a value that does not end', send: untyped(cat(V3, 'user\0payments-db')) },
  { name: 'a name without a value', send: untyped(cat(V3, 'user\0\0')) },
  { name: 'bytes behind the end of the parameters', send: untyped(cat(V3, 'user\0payments-db\0\0rest')) },
  { name: 'no parameters', send: untyped(V3) },
  { name: 'a user twice', send: untyped(cat(V3, 'user\0payments-db\0user\0postgres\0\0')) },
  { name: 'a user of invalid UTF-8', send: untyped(cat(V3, 'user\0', Buffer.of(0xff, 0xfe), '\0\0')) },
  { name: 'a name of invalid UTF-8', send: untyped(cat(V3, 'user\0payments-db\0', Buffer.of(0xc0), '\0x\0\0')) },
  { name: 'protocol 2.0', send: startup(good, 2 << 16) },
  { name: 'protocol 4.0', send: startup(good, 4 << 16) },
  { name: 'an unknown request code', send: untyped(int32(80877105)) },
  { name: 'an SSLRequest with a body', send: untyped(cat(int32(80877103), 'x')) },
  { name: 'a GSSENCRequest with a body', send: untyped(cat(int32(80877104), 'x')) },
  { name: 'a cancel request without a secret', send: untyped(int32(80877102, 1)) },
  { name: 'a cancel request with a secret of 300 bytes', send: untyped(cat(int32(80877102, 1), Buffer.alloc(300))) },
  { name: 'a query instead of a startup packet', send: query('drop table ledger') },
  { name: 'a password instead of a startup packet', send: password('x') },
  { name: 'HTTP', send: Buffer.from('GET / HTTP/1.1\r\nHost: x\r\n\r\n') },
  { name: 'SSH', send: Buffer.from('SSH-2.0-OpenSSH_9.2\r\n') },
  { name: 'two SSLRequests at once', send: cat(SSL_REQUEST, SSL_REQUEST) },
  { name: 'zeros', send: Buffer.alloc(64) },
];

const PARAMETERS: readonly StartupRow[] = [
  ...[
    'options',
    'replication',
    'role',
    'session_authorization',
    'standard_conforming_strings',
    'default_transaction_read_only',
    'session_replication_role',
    'log_statement',
    'local_preload_libraries',
    'row_security',
    'backslash_quote',
    'made.up',
    'geqo',
  ].map((name) => ({
    name: `parameter ${name}`,
    send: startup({ ...good, [name]: name === 'options' ? '-c standard_conforming_strings=off' : 'off' }),
    sqlstate: '22023',
  })),
  { name: 'another encoding', send: startup({ ...good, client_encoding: 'SJIS' }), sqlstate: '22023' },
  { name: 'another encoding in capitals', send: startup({ ...good, CLIENT_ENCODING: 'SJIS' }), sqlstate: '22023' },
  { name: 'replication for a database', send: startup({ ...good, replication: 'database' }), sqlstate: '22023' },
];

async function ended(wire: Wire): Promise<Seen> {
  const seen = await wire.until(() => false, { ms: 3_000 });
  expect(wire.isClosed(), `still open after ${JSON.stringify(seen)}`).toBe(true);
  expect(seen.types).not.toContain('R');
  return seen;
}

describe('packets', () => {
  for (const road of ['plain', 'tls'] as const) {
    for (const row of MALFORMED) {
      test(`${row.name} (${road}): the connection ends`, async () => {
        const from = gateway.logPosition();
        const wire = await gateway.wire(road);
        await wire.send(row.send);
        // What is shorter than it says is waited for; its sender has no more to say.
        const timer = setTimeout(() => wire.destroy(), 1_000);
        await wire.until(() => false, { ms: 3_000 });
        clearTimeout(timer);
        wire.destroy();
        expect(wire.seen().types.replaceAll(/[EN]/g, '')).toBe('');
        expect(await gateway.serverRan(from)).not.toContain('drop table');
      });
    }
  }
  for (const row of PARAMETERS) {
    test(`${row.name}: refused by name`, async () => {
      const wire = await gateway.wire();
      await wire.send(row.send);
      const asked = await wire.until((seen) => seen.types !== '', { ms: 3_000 });
      if (asked.types === 'R') await wire.send(password(await gateway.token('carla')));
      const seen = await wire.until((now) => now.errors.length > 0 || now.ready !== '', { ms: 5_000 });
      wire.destroy();
      expect(seen.errors[0]?.sqlstate, JSON.stringify(seen)).toBe(row.sqlstate);
      expect(seen.ready).toBe('');
    });
  }
});

describe('order', () => {
  test('bytes behind an SSLRequest are not taken for the session that follows', async () => {
    const wire = await openWire({ host: dev.agent.host, port: dev.agent.postgres });
    await wire.send(cat(SSL_REQUEST, startup(good), query('drop table ledger')));
    await wire.until(() => false, { ms: 2_000 });
    // CVE-2021-23214: what was sent in clear must not be read as if it had come through TLS.
    expect(wire.seen().types.includes('R')).toBe(false);
    wire.destroy();
  });

  test('a startup packet in clear on the TLS listener is refused', async () => {
    const wire = await openWire({ host: dev.agent.host, port: dev.agent.postgres });
    await wire.send(startup(good));
    const seen = await ended(wire);
    expect(seen.errors[0]?.sqlstate).toBe('28000');
  });

  test('a GSSENCRequest is answered with N, and TLS may follow', async () => {
    const wire = await openWire({ host: dev.agent.host, port: dev.agent.postgres });
    await wire.send(GSSENC_REQUEST);
    await wire.until(() => wire.raw().length > 0, { ms: 2_000 });
    expect(wire.raw().toString('latin1')).toBe('N');
    wire.destroy();
  });

  test('direct TLS asks for the protocol by its name', async () => {
    const wire = await gateway.signedIn('carla', { road: 'direct-tls' });
    await wire.send(query('select 1'));
    expect((await wire.until((seen) => seen.ready.length === 2)).rows).toEqual([['1']]);
    wire.end();
  });

  test('direct TLS without the protocol’s name is refused', async () => {
    const answered = await new Promise<string>((resolve) => {
      const socket = connectTls({
        host: dev.agent.host,
        port: dev.agent.postgres,
        ca: readFileSync(dev.ca),
        checkServerIdentity: () => undefined,
      });
      socket.on('secureConnect', () => socket.write(startup(good)));
      socket.on('data', (data: Buffer) => resolve(String.fromCharCode(data[0] ?? 0)));
      socket.on('error', () => resolve('refused'));
      socket.on('close', () => resolve('closed'));
      setTimeout(() => resolve('silent'), 3_000).unref();
    });
    expect(answered).not.toBe('R');
  });

  test('a password before it is asked for ends the connection', async () => {
    const wire = await gateway.wire();
    await wire.send(cat(startup(good), password('x'), query('drop table ledger')));
    const seen = await wire.until(() => false, { ms: 3_000 });
    expect(seen.ready).toBe('');
    expect(wire.isClosed()).toBe(true);
  });

  test('a second startup packet instead of the password ends the connection', async () => {
    const wire = await gateway.wire();
    await wire.send(startup(good));
    await wire.until((seen) => seen.types === 'R');
    await wire.send(startup({ user: 'postgres' }));
    const seen = await wire.until(() => false, { ms: 3_000 });
    expect(seen.ready).toBe('');
    expect(wire.isClosed()).toBe(true);
  });

  test('a query behind the password waits for nobody', async () => {
    const from = gateway.logPosition();
    const wire = await gateway.wire();
    await wire.send(startup(good));
    await wire.until((seen) => seen.types === 'R');
    await wire.send(cat(password(await gateway.token('payments-bot')), query('drop table ledger')));
    await wire.until(() => false, { ms: 3_000 });
    wire.destroy();
    expect(await gateway.serverRan(from)).not.toContain('drop table ledger');
  });

  test('an unknown minor version and unknown options are negotiated down', async () => {
    const wire = await gateway.wire();
    const seen = await wire.signIn({
      user: 'payments-db',
      secret: await gateway.token('carla'),
      database: dev.demo.database,
      parameters: { '_pq_.made_up': '1' },
      version: (3 << 16) | 99,
    });
    expect(seen.types).toMatch(/^v?Rv?/);
    expect(seen.types).toContain('v');
    expect(seen.ready).toBe('I');
    wire.end();
  });
});

describe('who and where', () => {
  const REFUSED: readonly { name: string; user: string; database?: string; sqlstate?: string }[] = [
    { name: 'a resource that does not exist', user: 'no-such-db', sqlstate: '28P01' },
    { name: 'no user', user: '', sqlstate: '28P01' },
    { name: 'a role nobody granted', user: 'postgres+payments-db', sqlstate: '28P01' },
    { name: 'the credential’s own role', user: 'payments_app+payments-db', sqlstate: '28P01' },
    { name: 'an empty role', user: '+payments-db', sqlstate: '28P01' },
    { name: 'two roles', user: 'a+b+payments-db', sqlstate: '28P01' },
    { name: 'the upstream’s user', user: 'payments_app', sqlstate: '28P01' },
    { name: 'a name in capitals', user: 'PAYMENTS-DB', sqlstate: '28P01' },
    { name: 'a path', user: '../payments-db', sqlstate: '28P01' },
    { name: 'another database', user: 'payments-db', database: 'postgres', sqlstate: '3D000' },
    { name: 'a template database', user: 'payments-db', database: 'template1', sqlstate: '3D000' },
    {
      name: 'a database as a connection string',
      user: 'payments-db',
      database: 'dbname=postgres host=127.0.0.1',
      sqlstate: '3D000',
    },
  ];
  for (const row of REFUSED) {
    test(`${row.name} is refused`, async () => {
      const from = gateway.logPosition();
      const wire = await gateway.wire();
      const seen = await wire.signIn({
        user: row.user,
        secret: await gateway.token('payments-bot'),
        database: row.database ?? dev.demo.database,
      });
      expect(seen.ready).toBe('');
      expect(seen.errors[0]?.sqlstate, JSON.stringify(seen.errors)).toBe(row.sqlstate);
      expect(await gateway.serverRan(from)).not.toMatch(/statement/);
    });
  }
});

describe('split at every byte', () => {
  for (const road of ['plain', 'tls'] as const) {
    test(`a whole session in pieces answers the same (${road})`, async () => {
      const hello = startup({ ...good, application_name: 'split' });
      const secret = password(await gateway.token('carla'));
      const first = cat(
        frames.parse('select $1::text'),
        frames.bind({ values: ['é'] }),
        frames.describe('P'),
        frames.execute(),
        frames.sync(),
      );
      const second = query('drop table ledger');
      const wires: Wire[] = [];
      // One connection for each position, in parallel by a few; every message of the session is cut there.
      const cut = async (at: number): Promise<Seen> => {
        const wire = await gateway.wire(road);
        wires.push(wire);
        const inPieces = async (bytes: Buffer): Promise<void> => {
          const where = at % bytes.length;
          await wire.send(bytes.subarray(0, where));
          await new Promise((resolve) => setTimeout(resolve, 2));
          await wire.send(bytes.subarray(where));
        };
        await inPieces(hello);
        await wire.until((seen) => seen.types.startsWith('R'));
        await inPieces(secret);
        await wire.until((seen) => seen.ready === 'I');
        const mark = wire.mark();
        await inPieces(cat(first, second));
        const seen = await wire.until(settled(2), { mark });
        wire.end();
        return seen;
      };
      const positions = Array.from({ length: first.length + second.length }, (_, i) => i);
      for (let i = 0; i < positions.length; i += 8) {
        const batch = await Promise.all(positions.slice(i, i + 8).map(cut));
        for (const seen of batch) {
          expect(seen.rows).toEqual([['é']]);
          expect(seen.errors.map((error) => error.sqlstate)).toEqual(['42501']);
          expect(seen.ready).toBe('II');
        }
      }
      for (const wire of wires) wire.destroy();
    }, 60_000);
  }

  test('a session a byte at a time answers the same', async () => {
    const wire = await gateway.wire();
    const trickle = async (bytes: Buffer): Promise<void> => {
      for (const byte of bytes) await wire.send(Buffer.of(byte));
    };
    await trickle(startup(good));
    await wire.until((seen) => seen.types.startsWith('R'));
    await trickle(password(await gateway.token('carla')));
    await wire.until((seen) => seen.ready === 'I');
    const mark = wire.mark();
    await trickle(cat(query('select card_number from customers where id = 1'), query('drop table ledger')));
    const seen = await wire.until(settled(2), { mark });
    expect(seen.rows[0]?.[0]).toMatch(/^\*+\d{4}$/);
    expect(seen.errors[0]?.sqlstate).toBe('42501');
    wire.end();
  });
});

describe('cancel keys', () => {
  test('a guessed key, and another session’s number with a wrong secret, cancel nothing', async () => {
    const wire = await gateway.signedIn('carla');
    const key = wire.answers().find((answer) => answer.type === 'K')!.body;
    const processId = key.readInt32BE(0);
    const mark = wire.mark();
    await wire.send(query('select count(*) from generate_series(1, 3000000)'));
    for (let i = 0; i < 50; i++) {
      const guess = await gateway.wire();
      await guess.send(frames.cancelRequest(i % 2 === 0 ? processId : processId + i, Buffer.alloc(4, i)));
      await guess.until(() => false, { ms: 1_000 });
      expect(guess.raw().length).toBe(0);
    }
    const seen = await wire.until(settled(), { mark, ms: 20_000 });
    expect(seen.errors).toEqual([]);
    expect(seen.rows).toEqual([['3000000']]);
    wire.end();
  });

  test('the right key cancels, silently', async () => {
    const wire = await gateway.signedIn('carla');
    const key = wire.answers().find((answer) => answer.type === 'K')!.body;
    const mark = wire.mark();
    await wire.send(query('select count(*) from generate_series(1, 300000000)'));
    await new Promise((resolve) => setTimeout(resolve, 300));
    const cancel = await gateway.wire();
    await cancel.send(frames.cancelRequest(key.readInt32BE(0), key.subarray(4)));
    const seen = await wire.until(settled(), { mark });
    expect(seen.errors[0]?.sqlstate).toBe('57014');
    expect(cancel.raw().length).toBe(0);
    wire.end();
  });
});
