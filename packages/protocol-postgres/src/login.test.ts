import { execFileSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import tls from 'node:tls';
import { Secret } from '@sallyport/core';
import type { Resource } from '@sallyport/model';
import { createParsePool, loadSqlParser } from '@sallyport/sql';
import {
  connectWire,
  type DemoDatabase,
  digestOfAnswer,
  fieldsOf,
  type Gateway,
  type GatewayOptions,
  passwordCredential,
  say,
  startDemoDatabase,
  startGateway,
  TEST_TOKEN,
  testResource,
  WireClient,
} from '@sallyport/testkit';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { createPostgresAdapter } from './index.ts';

const dir = mkdtempSync(path.join(tmpdir(), 'sallyport-tls-'));
const openssl = (...args: readonly string[]): void => void execFileSync('openssl', args, { cwd: dir, stdio: 'ignore' });
const file = (name: string): string => readFileSync(path.join(dir, name), 'utf8');

let database: DemoDatabase;
const cleanUps: (() => unknown)[] = [];
const pool = createParsePool();

beforeAll(async () => {
  await loadSqlParser();
  const ec = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2'];
  openssl('req', '-x509', ...ec, '-subj', '/CN=test root', '-keyout', 'ca.key', '-out', 'ca.pem');
  writeFileSync(path.join(dir, 'san'), 'subjectAltName=DNS:localhost,DNS:payments-db.gw.test,IP:127.0.0.1');
  for (const [name, subject] of [
    ['server', '/CN=localhost'],
    ['client', '/CN=certified'],
  ] as const) {
    openssl('req', ...ec, '-subj', subject, '-keyout', `${name}.key`, '-out', `${name}.csr`);
    openssl(
      'x509',
      '-req',
      '-in',
      `${name}.csr`,
      '-CA',
      'ca.pem',
      '-CAkey',
      'ca.key',
      '-CAcreateserial',
      '-days',
      '2',
      '-out',
      `${name}.pem`,
      '-extfile',
      'san',
    );
  }
  // The server runs as somebody else when the tests run as root.
  chmodSync(dir, 0o755);
  mkdirSync(path.join(dir, 'run'));
  chmodSync(path.join(dir, 'run'), 0o777);
  chmodSync(path.join(dir, 'ca.pem'), 0o644);
  database = await startDemoDatabase({
    tls: { cert: file('server.pem'), key: file('server.key') },
    settings: { fsync: 'off', ssl_ca_file: path.join(dir, 'ca.pem'), unix_socket_directories: path.join(dir, 'run') },
    hba: [
      'local all all scram-sha-256',
      'hostssl all certified 127.0.0.1/32 cert',
      'host all hashed 127.0.0.1/32 md5',
      'host all clear 127.0.0.1/32 password',
      'host all trusted 127.0.0.1/32 trust',
      'host all all 127.0.0.1/32 scram-sha-256',
      '',
    ].join('\n'),
  });
  await database.ask(
    `set password_encryption = 'md5'; create role hashed login password 'm'; set password_encryption = 'scram-sha-256';
     create role clear login password 'c'; create role trusted login; create role certified login;
     create role unicode login password 'pä§ß'; create role limited; grant limited to postgres`,
  );
}, 60_000);
afterAll(async () => {
  await database.stop();
  rmSync(dir, { recursive: true, force: true });
});
afterEach(async () => {
  for (const undo of cleanUps.splice(0).reverse()) await undo();
});

type Target = Partial<NonNullable<Resource['postgres']>>;

async function gateway(target: Target, options: Partial<GatewayOptions> = {}): Promise<Gateway> {
  const made = await startGateway({
    adapter: createPostgresAdapter({ pool }),
    resource: testResource({ port: database.server.port, host: 'localhost', ...target }),
    credential: passwordCredential('postgres', database.server.password),
    ...options,
  });
  cleanUps.push(() => made.close());
  return made;
}

/** What a client gets that signs in: the answer to a question, or the SQLSTATE it is turned away with. */
async function ask(to: Gateway, sql = 'select 1'): Promise<string> {
  const client = await connectWire(to.port);
  cleanUps.push(() => client.end());
  client.send(say.startup({ user: 'payments-db', database: 'postgres' }));
  await client.until('R');
  client.send(say.password(TEST_TOKEN));
  for (;;) {
    const message = await client.next();
    if (message.type === 'E') return fieldsOf(message.body)['C']!;
    // Before 14 a server reports a setting that was set to what it was.
    if (message.type === 'Z') return digestOfAnswer((await client.query(sql)).filter((answer) => answer.type !== 'S'));
  }
}

interface Hop {
  readonly port: number;
  /** What each connection sent towards the server. */
  readonly sent: Buffer[][];
  /** Answers N in the server's place. */
  refuseTls: boolean;
}

/** A hop before the database that listens in, and may change what the server says. */
async function startHop(options: { readonly toClient?: (bytes: Buffer) => void }): Promise<Hop> {
  const sent: Buffer[][] = [];
  const sockets: net.Socket[] = [];
  const server = net.createServer((client) => {
    const chunks: Buffer[] = [];
    sent.push(chunks);
    const refuses = hop.refuseTls;
    const upstream = net.connect(database.server.port, '127.0.0.1');
    for (const socket of [client, upstream]) {
      sockets.push(socket);
      socket.on('error', () => socket.destroy());
    }
    client.on('close', () => upstream.destroy());
    upstream.on('close', () => client.destroy());
    client.on('data', (bytes) => {
      chunks.push(bytes);
      if (refuses) client.write('N');
      else upstream.write(bytes);
    });
    upstream.on('data', (bytes: Buffer) => {
      options.toClient?.(bytes);
      client.write(bytes);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  cleanUps.push(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  const hop: Hop = { port: (server.address() as net.AddressInfo).port, sent, refuseTls: false };
  return hop;
}

const ca = (): string => file('ca.pem');
const DONE = 'T D[1] C(SELECT 1) ZI';

describe('signing in at the server', () => {
  test('over TLS the password is bound to the server’s certificate', async () => {
    const to = await gateway({ tls: 'verify-full', ca: ca(), auth: ['scram-sha-256-plus'] });
    expect(await ask(to, 'select 1 from pg_stat_ssl where pid = pg_backend_pid() and ssl')).toBe(DONE);
  });

  test('without TLS a resource that wants the binding is not answered', async () => {
    const to = await gateway({ tls: 'disable', auth: ['scram-sha-256-plus'] });
    expect(await ask(to)).toBe('08004');
  });

  test('a server of another name or authority is not trusted', async () => {
    expect(
      await ask(await gateway({ tls: 'verify-full', ca: ca(), serverName: 'elsewhere', auth: ['scram-sha-256'] })),
    ).toBe('08006');
    expect(await ask(await gateway({ tls: 'verify-full', auth: ['scram-sha-256'] }))).toBe('08006');
    expect(
      await ask(await gateway({ tls: 'verify-ca', ca: ca(), serverName: 'elsewhere', auth: ['scram-sha-256'] })),
    ).toBe(DONE);
    expect(await ask(await gateway({ tls: 'require', auth: ['scram-sha-256'] }))).toBe(DONE);
  });

  test('a client certificate signs in', async () => {
    const credential = {
      username: 'certified',
      secret: new Secret(file('client.key') + file('client.pem')),
      certificate: true,
    };
    expect(await ask(await gateway({ tls: 'verify-full', ca: ca(), auth: ['certificate'] }, { credential }))).toBe(
      DONE,
    );
  });

  test.each([
    ['md5', 'hashed', 'm'],
    ['password', 'clear', 'c'],
    ['trust', 'trusted', ''],
  ] as const)('%s is used only where the resource says so', async (method, user, password) => {
    const credential = passwordCredential(user, password);
    expect(await ask(await gateway({ tls: 'disable', auth: ['scram-sha-256'] }, { credential }))).toBe('08004');
    expect(await ask(await gateway({ tls: 'disable', auth: [method] }, { credential }))).toBe(DONE);
  });

  test('a unix socket is a way to the server, with a password as elsewhere', async () => {
    const socket = path.join(dir, 'run');
    // Without a mode for TLS: on a socket there is none.
    const resource = testResource({ port: database.server.port, socket, auth: ['scram-sha-256'] });
    const { host: _host, tls: _tls, ...target } = resource.postgres!;
    const to = await gateway({}, { resource: { ...resource, postgres: target as typeof resource.postgres & object } });
    const where = 'select 1 from pg_stat_activity where pid = pg_backend_pid() and client_addr is null';
    expect(await ask(to, where)).toBe(DONE);
    const wrong = await gateway(
      {},
      {
        resource: { ...resource, postgres: target as typeof resource.postgres & object },
        credential: passwordCredential('postgres', 'wrong'),
      },
    );
    expect(await ask(wrong)).toBe('08004');
  });

  test('a server whose SQL this gateway does not read is refused by name', async () => {
    for (const [version, code] of [
      ['12', '0A000'],
      ['19', '0A000'],
      ['xx', '0A000'],
      ['13', DONE],
    ] as const) {
      const hop = await startHop({
        toClient: (bytes) => {
          const at = bytes.indexOf('server_version\0');
          if (at >= 0) bytes.write(version, at + 'server_version\0'.length, 'latin1');
        },
      });
      expect(await ask(await gateway({ host: '127.0.0.1', port: hop.port, tls: 'disable' })), version).toBe(code);
    }
  });

  test('where the session is under TLS, so is the request that cancels', async () => {
    const hop = await startHop({});
    const to = await gateway({ port: hop.port, tls: 'verify-full', ca: ca(), auth: ['scram-sha-256-plus'] });
    const client = await connectWire(to.port);
    cleanUps.push(() => client.end());
    await client.signIn({ user: 'payments-db', database: 'postgres' }, TEST_TOKEN);
    client.send(say.query('select pg_sleep(30)'));
    await new Promise((resolve) => setTimeout(resolve, 100));
    const other = await connectWire(to.port);
    other.send(say.cancel(client.processId, client.secret));
    expect(digestOfAnswer(await client.until('Z'))).toContain('E57014 ZI');
    const CANCEL = Buffer.from([4, 210, 22, 46]);
    expect(hop.sent).toHaveLength(2);
    for (const bytes of hop.sent) expect(Buffer.concat(bytes).includes(CANCEL)).toBe(false);
    // An impostor on the way, who takes the place of the server for the second connection.
    hop.refuseTls = true;
    client.send(say.query('select pg_sleep(0.5)'));
    await new Promise((resolve) => setTimeout(resolve, 100));
    const again = await connectWire(to.port);
    again.send(say.cancel(client.processId, client.secret));
    expect(digestOfAnswer(await client.until('Z'))).toContain('C(SELECT 1) ZI');
    expect(hop.sent).toHaveLength(3);
    expect(Buffer.concat(hop.sent[2]!)).toHaveLength(8);
  });

  test('a password beyond ASCII works', async () => {
    expect(await ask(await gateway({ tls: 'disable' }, { credential: passwordCredential('unicode', 'pä§ß') }))).toBe(
      DONE,
    );
  });

  test('a server that drops TLS, answers in bulk, or hangs up is an error of its own', async () => {
    for (const [answer, code] of [
      ['N', '08006'],
      ['Sx', '08006'],
      ['E', '08006'],
    ] as const) {
      const fake = net.createServer((socket) => {
        socket.on('error', () => undefined);
        socket.once('data', () => socket.write(answer));
      });
      await new Promise<void>((resolve) => fake.listen(0, '127.0.0.1', resolve));
      const { port } = fake.address() as net.AddressInfo;
      const to = await gateway({ host: '127.0.0.1', port, tls: 'require' });
      expect(await ask(to)).toBe(code);
      fake.close();
    }
  });

  test('a role is pinned, and nothing the client says changes it', async () => {
    const to = await gateway({ tls: 'disable' }, { role: 'limited' });
    expect(await ask(to, 'select current_user')).toBe('T D[limited] C(SELECT 1) ZI');
    for (const sql of [
      'set role postgres',
      'set session role none',
      'reset session authorization',
      'set local role postgres',
      'discard all',
      `select set_config('role', 'postgres', false)`,
      `select set_config('ro' || 'le', 'postgres', false)`,
      `update pg_settings set setting = 'postgres' where name = 'role'`,
    ]) {
      expect(await ask(to, sql), sql).toBe('E42501 ZI');
    }
    expect(await ask(to, 'reset role; select current_user')).toBe('C(RESET) T D[limited] C(SELECT 1) ZI');
    expect(await ask(to, 'reset all; select current_user')).toBe('C(RESET) T D[limited] C(SELECT 1) ZI');
  });

  test('a read-only session stays one', async () => {
    const to = await gateway({ tls: 'disable' }, { readOnly: true });
    for (const sql of [
      'set default_transaction_read_only = off',
      'begin read write',
      'start transaction read write',
      'set transaction read write',
      'set session characteristics as transaction read write',
      `set transaction_read_only to default`,
      `select set_config('transaction_read_only', 'off', true)`,
    ]) {
      expect(await ask(to, sql), sql).toBe('E42501 ZI');
    }
    expect(await ask(to, 'create table nothing (a int)')).toBe('E25006 ZI');
    expect(await ask(to, 'reset all; create table nothing (a int)')).toBe('C(RESET) E25006 ZI');
    expect(await ask(to, 'discard all')).toBe('C(DISCARD ALL) ZI');
  });

  test('settings that judging rests on cannot be changed', async () => {
    const to = await gateway({ tls: 'disable' });
    for (const sql of [
      `set standard_conforming_strings = off`,
      `set client_encoding = 'SJIS'`,
      `set names 'latin1'`,
      `set local client_encoding to 'GBK'`,
      `set search_path = evil, pg_catalog`,
      `select set_config('standard_conforming_strings', 'off', false)`,
      `select pg_catalog.set_config('client_encoding', 'SJIS', true)`,
      `with x as (select set_config('search_path', 'evil, pg_catalog', false)) select * from x`,
    ]) {
      expect(await ask(to, sql), sql).toBe('E42501 ZI');
    }
    expect(await ask(to, `set client_encoding = 'UTF-8'`)).toBe('C(SET) ZI');
  });
});

describe('the client’s side over TLS', () => {
  const context = () => tls.createSecureContext({ cert: file('server.pem'), key: file('server.key') });
  const secured = (socket: net.Socket, options: tls.ConnectionOptions = {}): Promise<tls.TLSSocket> =>
    new Promise((resolve, reject) => {
      const up = tls.connect({ socket, ca: ca(), servername: 'localhost', ...options }, () => resolve(up));
      up.once('error', reject);
    });
  const options = (): Partial<GatewayOptions> => ({
    tlsContext: context,
    resourceOf: (name) => (name.endsWith('.gw.test') ? name.slice(0, -'.gw.test'.length) : undefined),
  });

  test('SSLRequest and direct TLS both work; the server name may name the resource', async () => {
    const to = await gateway({ tls: 'disable' }, options());
    const asking = net.connect(to.port, '127.0.0.1');
    asking.write(Buffer.from([0, 0, 0, 8, 4, 210, 22, 47]));
    expect((await new Promise<Buffer>((resolve) => asking.once('data', resolve))).toString()).toBe('S');
    const first = new WireClient(await secured(asking));
    cleanUps.push(() => first.end());
    await first.signIn({ user: 'payments-db' }, TEST_TOKEN);
    expect(digestOfAnswer(await first.query('select 1'))).toBe(DONE);

    const direct = new WireClient(
      await secured(net.connect(to.port, '127.0.0.1'), {
        ALPNProtocols: ['postgresql'],
        servername: 'payments-db.gw.test',
      }),
    );
    cleanUps.push(() => direct.end());
    await direct.signIn({ user: 'whoever' }, TEST_TOKEN);
    expect(digestOfAnswer(await direct.query('select 1'))).toBe(DONE);
  });

  test('a startup in clear is refused where plaintext is not let in', async () => {
    const to = await gateway({ tls: 'disable' }, options());
    const client = await connectWire(to.port);
    cleanUps.push(() => client.end());
    client.send(say.startup({ user: 'payments-db' }));
    expect(fieldsOf((await client.until('E'))[0]!.body)['C']).toBe('28000');
    await client.closed();
  });
});

// The oldest server at hand besides the newest.
test.runIf(existsSync('/usr/lib/postgresql/15/bin/postgres'))(
  'PostgreSQL 15 is served alike',
  async () => {
    const older = await startDemoDatabase({ binDir: '/usr/lib/postgresql/15/bin' });
    cleanUps.push(() => older.stop());
    const to = await gateway(
      { port: older.server.port, tls: 'disable' },
      { credential: passwordCredential('postgres', older.server.password) },
    );
    expect(await ask(to)).toBe(DONE);
  },
  60_000,
);
