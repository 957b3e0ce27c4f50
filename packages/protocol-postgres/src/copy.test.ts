import { createHash } from 'node:crypto';
import { type MaskSet, NO_MASKS } from '@sallyport/model';
import { createParsePool, loadSqlParser } from '@sallyport/sql';
import {
  allow,
  connectWire,
  type DemoDatabase,
  digestOfAnswer,
  type Gateway,
  type GatewayOptions,
  type Message,
  passwordCredential,
  say,
  startDemoDatabase,
  startGateway,
  TEST_TOKEN,
  testResource,
  type WireClient,
  wireFrame,
} from '@sallyport/testkit';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { createPostgresAdapter } from './index.ts';

const CARD = '4111111111111111';
const SHOWN = '************1111';
const DETECTS: MaskSet = { columns: [], detect: [{ detect: 'payment_card', with: 'partial' }] };
const COLUMNS: MaskSet = {
  columns: [{ schema: 'public', table: 'customers', column: 'ssn', with: 'redact' }],
  detect: DETECTS.detect,
};

let database: DemoDatabase;
const pool = createParsePool();
const cleanUps: (() => unknown)[] = [];
beforeAll(async () => {
  await loadSqlParser();
  database = await startDemoDatabase();
}, 60_000);
afterAll(() => database.stop());
beforeEach(() => database.ask('create table if not exists loaded (a int, b text); truncate loaded'));
afterEach(async () => {
  for (const undo of cleanUps.splice(0).reverse()) await undo();
});

async function session(
  masks: MaskSet,
  options: Partial<GatewayOptions> = {},
): Promise<{ readonly to: Gateway; readonly client: WireClient }> {
  const to = await startGateway({
    adapter: createPostgresAdapter({ pool }),
    resource: testResource({ port: database.server.port }),
    credential: passwordCredential('postgres', database.server.password),
    decide: () => allow(masks),
    ...options,
  });
  cleanUps.push(() => to.close());
  const client = await connectWire(to.port);
  cleanUps.push(() => client.end());
  await client.signIn({ user: 'payments-db', database: 'postgres' }, TEST_TOKEN);
  return { to, client };
}

const dataOf = (messages: readonly Message[]): Buffer =>
  Buffer.concat(messages.filter(({ type }) => type === 'd').map(({ type, body }) => wireFrame(type, body)));
const digest = (bytes: Uint8Array | string): string => createHash('sha256').update(bytes).digest('hex');
const loaded = (): Promise<readonly unknown[]> => database.ask('select a::text, b from loaded order by a');

async function load(client: WireClient, sql: string, ...messages: readonly Buffer[]): Promise<string> {
  client.send(say.query(sql));
  await client.until('G');
  client.send(...messages, say.copyDone());
  return digestOfAnswer(await client.until('Z'));
}

describe('COPY out', () => {
  const QUERY = `copy (select g, case g when 2 then '${CARD}' else 'plain "x"' end from generate_series(1, 5) g) to stdout`;

  test.each(['', ' with (format csv, header)', ' with (format binary)'])(
    'is recorded byte for byte as the client got it%s',
    async (format) => {
      const { to, client } = await session(NO_MASKS);
      const got = dataOf(await client.query(QUERY + format));
      expect(got.length).toBeGreaterThan(50);
      expect(to.recorded.rows).toEqual(got);
    },
  );

  test.each(['', ' with (format csv)'])('is recorded as the detectors left it%s', async (format) => {
    const { to, client } = await session(DETECTS);
    const got = dataOf(await client.query(QUERY + format));
    expect(got.toString()).toContain(SHOWN);
    expect(to.recorded.rows).toEqual(got);
    expect(to.recorded.rows.includes(CARD)).toBe(false);
  });

  test('a row larger than a chunk is recorded whole, with rows of other answers around it', async () => {
    const { to, client } = await session(NO_MASKS);
    const got = dataOf(
      await client.query(
        `copy (select repeat('x', case g when 2 then 3000000 else 3 end) from generate_series(1, 3) g) to stdout`,
      ),
    );
    expect(to.recorded.rows.equals(got)).toBe(true);
    expect(to.outcomes.at(-1)).toMatchObject({ rows: 3, bytes: got.length });
  });

  test('is not recorded where only statements are', async () => {
    const { to, client } = await session(NO_MASKS, { recording: 'statements' });
    await client.query(QUERY);
    expect(to.recorded.rows.length).toBe(0);
  });
});

describe('COPY in', () => {
  test('is recorded as it was sent where no mask applies, in text, CSV and binary', async () => {
    const { to, client } = await session(NO_MASKS);
    const text = `1\tone\n2\t${CARD}\n`;
    expect(await load(client, 'copy loaded from stdin', say.copyData(text))).toBe('C(COPY 2) ZI');
    expect(to.recorded.input.toString()).toBe(text);
    const csv = 'a,b\n3,"three, ""3"""\n';
    await load(client, 'copy loaded from stdin with (format csv, header)', say.copyData(csv));
    expect(to.recorded.input.toString()).toBe(text + csv);
    to.recorded.input = Buffer.alloc(0);
    const binary = dataOf(await client.query('copy loaded to stdout with (format binary)'));
    const file: Buffer[] = [];
    for (let at = 0; at < binary.length; at += 1 + binary.readInt32BE(at + 1))
      file.push(binary.subarray(at + 5, at + 1 + binary.readInt32BE(at + 1)));
    const sent = file.map((each) => say.copyData(each));
    expect(await load(client, 'copy loaded from stdin with (format binary)', ...sent)).toBe('C(COPY 3) ZI');
    expect(to.recorded.input).toEqual(Buffer.concat(file));
    expect(to.recorded.inputCuts).toEqual([]);
  });

  test('a value is masked in the record wherever messages and packets are cut, and reaches the server as it was sent', async () => {
    const { to, client } = await session(DETECTS);
    const text = `7\t${CARD}\tx\n`.replace('\tx', ' x');
    const stream = Buffer.concat([say.copyData(text.slice(0, 11)), say.copyData(text.slice(11))]);
    for (let cut = 1; cut < stream.length; cut++) {
      client.send(say.query('copy loaded from stdin'));
      await client.until('G');
      client.send(stream.subarray(0, cut));
      await new Promise((resolve) => setTimeout(resolve, 4));
      client.send(stream.subarray(cut), say.copyDone());
      expect(digestOfAnswer(await client.until('Z'))).toBe('C(COPY 1) ZI');
    }
    const count = stream.length - 1;
    expect(to.recorded.input.toString()).toBe(`7\t${SHOWN} x\n`.repeat(count));
    expect(await loaded()).toEqual(Array.from({ length: count }, () => ({ a: '7', b: `${CARD} x` })));
  });

  test.each([
    ['text', `1\tfirst\n2\t4111 1111 1111 1111\n`, '', `1\tfirst\n2\t${SHOWN}\n`],
    ['csv', `1,"first"\n2,"4111-1111-1111-1111"\n`, ' csv', `1,"first"\n2,"${SHOWN}"\n`],
  ])('by the extended protocol, one byte in each message, %s', async (_name, text, option, expected) => {
    const { to, client } = await session(DETECTS);
    client.send(say.parse('', `copy loaded from stdin${option}`), say.bind('', ''), say.execute(''), say.sync());
    await client.until('G');
    client.send(...text.split('').map((letter) => say.copyData(letter)), say.copyDone(), say.sync());
    expect(digestOfAnswer(await client.until('Z'))).toBe('C(COPY 2) ZI');
    expect(to.recorded.input.toString()).toBe(expected);
  });

  test('binary data under a mask leaves its length and digest', async () => {
    const { to, client } = await session(DETECTS);
    const head = Buffer.concat([Buffer.from('PGCOPY\n\xff\r\n\0', 'latin1'), Buffer.alloc(8)]);
    const tuple = Buffer.concat([
      Buffer.from('00020000000400000005', 'hex'),
      Buffer.from('00000010', 'hex'),
      Buffer.from(CARD),
    ]);
    const file = Buffer.concat([head, tuple, Buffer.from('ffff', 'hex')]);
    expect(await load(client, 'copy loaded from stdin with (format binary)', say.copyData(file))).toBe('C(COPY 1) ZI');
    expect(await loaded()).toEqual([{ a: '5', b: CARD }]);
    expect(to.recorded.input.length).toBe(0);
    expect(to.recorded.inputCuts).toEqual([{ lines: 0, bytes: file.length, digest: digest(file) }]);
  });

  test('data for a relation with masked columns leaves its length and digest', async () => {
    const { to, client } = await session(COLUMNS);
    const text = '900\tNobody\tnobody@example.com\n';
    client.send(say.query('copy customers (id, name, email) from stdin'));
    await client.until('G');
    client.send(say.copyData(text), say.copyFail('enough'));
    expect(digestOfAnswer(await client.until('Z'))).toBe('E57014 ZI');
    expect(to.recorded.input.length).toBe(0);
    expect(to.recorded.inputCuts).toEqual([{ lines: 1, bytes: text.length, digest: digest(text) }]);
    expect(await load(client, 'copy loaded from stdin', say.copyData('1\tkept\n'))).toBe('C(COPY 1) ZI');
    expect(to.recorded.input.toString()).toBe('1\tkept\n');
  });

  test('a COPY that fails, is given up, or loses its client keeps no half value', async () => {
    const { to, client } = await session(DETECTS);
    const half = `2\t${CARD.slice(0, 9)}`;
    const cut = { lines: 0, bytes: half.length, digest: digest(half) };
    client.send(say.query('copy loaded from stdin'));
    await client.until('G');
    client.send(say.copyData(`1\tone\n${half}`), say.copyFail('enough'));
    expect(digestOfAnswer(await client.until('Z'))).toBe('E57014 ZI');
    client.send(say.query('copy loaded from stdin'));
    await client.until('G');
    client.send(say.copyData('nonsense\n'), say.copyData(half));
    expect(digestOfAnswer(await client.until('Z'))).toBe('E22P02 ZI');
    client.send(say.query('copy loaded from stdin'));
    await client.until('G');
    client.send(say.copyData(`3\tthree\n${half}`));
    await expect.poll(() => to.recorded.input.toString()).toBe('1\tone\nnonsense\n3\tthree\n');
    client.socket.destroy();
    await expect.poll(() => to.recorded.inputCuts.length).toBe(3);
    expect(to.recorded.inputCuts).toEqual([cut, cut, cut]);
  });

  test('what the recording does not take reaches the server all the same', async () => {
    const { to, client } = await session(DETECTS, { recording: 'results', recordedInputBytesMax: 20_000 });
    const lines = Array.from({ length: 3000 }, (_, i) => `${i}\tline ${i}\n`);
    const text = lines.join('');
    expect(await load(client, 'copy loaded from stdin', ...lines.map((line) => say.copyData(line)))).toBe(
      'C(COPY 3000) ZI',
    );
    const kept = to.recorded.input.toString();
    expect(kept).toBe(text.slice(0, kept.length));
    expect(kept.endsWith('\n')).toBe(true);
    expect(to.recorded.inputCuts).toEqual([
      {
        lines: 3000 - kept.split('\n').length + 1,
        bytes: text.length - kept.length,
        digest: digest(text.slice(kept.length)),
      },
    ]);
  });

  test('is recorded where only statements are, as parameters are', async () => {
    const { to, client } = await session(NO_MASKS, { recording: 'statements' });
    await load(client, 'copy loaded from stdin', say.copyData('1\tone\n'));
    expect(to.recorded.input.toString()).toBe('1\tone\n');
  });

  test('waits while the recording is behind, and goes on when it has caught up', async () => {
    let saturated = false;
    const { to, client } = await session(NO_MASKS, { saturated: () => saturated });
    client.send(say.query('copy loaded from stdin'));
    await client.until('G');
    saturated = true;
    const line = `1\t${'x'.repeat(1000)}\n`;
    const total = 6_000;
    for (let i = 0; i < total; i += 500) client.send(say.copyData(line.repeat(500)));
    client.send(say.copyDone());
    await new Promise((resolve) => setTimeout(resolve, 300));
    const held = to.recorded.input.length;
    expect(held).toBeGreaterThan(0);
    expect(held).toBeLessThan((total * line.length) / 4);
    await new Promise((resolve) => setTimeout(resolve, 200));
    expect(to.recorded.input.length).toBe(held);
    saturated = false;
    to.recorderDrained();
    expect(digestOfAnswer(await client.until('Z'))).toBe(`C(COPY ${total}) ZI`);
    expect(to.recorded.input.length).toBe(total * line.length);
  });
});
