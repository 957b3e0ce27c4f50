import {
  connectWire,
  digestOfAnswer,
  fieldsOf,
  passwordCredential,
  say,
  TEST_TOKEN,
  testResource,
} from '@sallyport/testkit';
import { describe, expect, test } from 'vitest';
import { cleanUps, gateway, tap, wire } from '../test/session.fixture.ts';

describe('signing in', () => {
  test('the token opens a session, and the credential reaches the server alone', async () => {
    const to = await gateway();
    const client = await connectWire(to.port);
    cleanUps.push(() => client.end());
    const said = await client.signIn({ user: 'payments-db', database: 'postgres' }, TEST_TOKEN);
    expect(said.at(-1)!.body.toString()).toBe('I');
    expect(tap.sent().includes(TEST_TOKEN)).toBe(false);
    expect(digestOfAnswer(await client.query('select 1 + 1'))).toBe('T D[2] C(SELECT 1) ZI');
  });

  test.each([
    ['a wrong token', { user: 'payments-db' }, 'nonsense'],
    ['a resource that is not there', { user: 'elsewhere' }, TEST_TOKEN],
    ['a name that no resource can have', { user: 'No Such;Name' }, TEST_TOKEN],
  ])('%s reads like any other failure', async (_what, parameters, token) => {
    const to = await gateway();
    const client = await connectWire(to.port);
    cleanUps.push(() => client.end());
    client.send(say.startup(parameters));
    await client.until('R');
    client.send(say.password(token));
    const [error] = await client.until('E');
    expect(fieldsOf(error!.body)).toEqual({
      S: 'FATAL',
      V: 'FATAL',
      C: '28P01',
      M: 'Sallyport: Authentication failed.',
    });
    await client.closed();
  });

  test.each([
    ['options', '-c standard_conforming_strings=off'],
    ['replication', 'database'],
    ['standard_conforming_strings', 'off'],
    ['client_encoding', 'SJIS'],
    ['role', 'postgres'],
    ['session_preload_libraries', 'evil'],
    ['search_path', 'evil, pg_catalog'],
  ])('startup parameter %s is refused by name', async (name, value) => {
    const to = await gateway();
    const client = await connectWire(to.port);
    client.send(say.startup({ user: 'payments-db', [name]: value }));
    const [error] = await client.until('E');
    expect(fieldsOf(error!.body)).toMatchObject({ C: '22023', M: expect.stringContaining(name) });
    await client.closed();
  });

  test.each([
    ['short', Buffer.from([0, 0, 0, 7, 0, 3, 0])],
    ['four bytes', Buffer.from([0, 0, 0, 4])],
    ['long', Buffer.from([0, 1, 0, 0, 0, 3, 0, 0])],
    ['unterminated', Buffer.concat([Buffer.from([0, 0, 0, 17, 0, 3, 0, 0]), Buffer.from('user\0abcd')])],
    [
      'a duplicate',
      Buffer.concat([
        say.startup({}).subarray(0, 0),
        Buffer.from([0, 0, 0, 24 - 1, 0, 3, 0, 0]),
        Buffer.from('user\0a\0user\0b\0\0'),
      ]),
    ],
    ['bytes behind SSLRequest', Buffer.from([0, 0, 0, 8, 4, 210, 22, 47, 1])],
  ])('a startup packet that is %s ends that connection only', async (_what, bytes) => {
    const to = await gateway();
    const other = await wire(to);
    const client = await connectWire(to.port);
    client.send(bytes);
    await client.closed();
    expect(digestOfAnswer(await other.query('select 1'))).toBe('T D[1] C(SELECT 1) ZI');
  });

  test('protocol 3.2 gets a key of 32 bytes, and a later version is negotiated down', async () => {
    const to = await gateway();
    const modern = await wire(to, {}, (3 << 16) | 2);
    expect(modern.secret.length).toBe(32);
    const client = await connectWire(to.port);
    cleanUps.push(() => client.end());
    client.send(say.startup({ user: 'payments-db', '_pq_.unknown': '1' }, (3 << 16) | 9999));
    const said = await client.until('R');
    expect(said[0]!.type).toBe('v');
    expect(said[0]!.body.readInt32BE(0)).toBe((3 << 16) | 2);
    expect(said[0]!.body.toString('latin1', 8)).toBe('_pq_.unknown\0');
  });

  test('GSS encryption is declined, and the session goes on in what is allowed', async () => {
    const to = await gateway();
    const client = await connectWire(to.port);
    cleanUps.push(() => client.end());
    const answer = new Promise<Buffer>((resolve) => client.socket.once('data', resolve));
    client.socket.write(Buffer.from([0, 0, 0, 8, 4, 210, 22, 48]));
    expect((await answer).toString()).toBe('N');
  });

  test('a database that is not offered is refused', async () => {
    const to = await gateway({ resource: testResource({ port: tap.port, databases: ['payments'] }) });
    const client = await connectWire(to.port);
    client.send(say.startup({ user: 'payments-db', database: 'postgres' }));
    await client.until('R');
    client.send(say.password(TEST_TOKEN));
    expect(fieldsOf((await client.until('E')).at(-1)!.body)['C']).toBe('3D000');
  });

  test('a wrong credential is told without a word about it', async () => {
    const to = await gateway({ credential: passwordCredential('postgres', 'wrong-secret') });
    const client = await connectWire(to.port);
    client.send(say.startup({ user: 'payments-db' }));
    await client.until('R');
    client.send(say.password(TEST_TOKEN));
    const fields = fieldsOf((await client.until('E')).at(-1)!.body);
    expect(fields['C']).toBe('08004');
    expect(JSON.stringify(fields)).not.toContain('wrong-secret');
  });

  test('a server that asks for a password in clear is not answered unless the resource says so', async () => {
    const to = await gateway({ resource: testResource({ port: tap.port, auth: ['certificate'] }) });
    const client = await connectWire(to.port);
    client.send(say.startup({ user: 'payments-db' }));
    await client.until('R');
    client.send(say.password(TEST_TOKEN));
    expect(fieldsOf((await client.until('E')).at(-1)!.body)['C']).toBe('08004');
  });
});
