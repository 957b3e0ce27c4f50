import { setTimeout as sleep } from 'node:timers/promises';
import type { MaskSet } from '@sallyport/model';
import { createParsePool, loadSqlParser } from '@sallyport/sql';
import {
  allow,
  connectWire,
  type DemoDatabase,
  deny,
  digestOfAnswer,
  type Gateway,
  type Message,
  passwordCredential,
  say,
  startDemoDatabase,
  startGateway,
  TEST_TOKEN,
  testResource,
  type WireClient,
} from '@sallyport/testkit';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createPostgresAdapter } from './index.ts';

// Whatever a client says, in whatever order: a gateway that allows everything answers as the server itself.

let database: DemoDatabase;
const gateways: Gateway[] = [];
let denies = false;
const pool = createParsePool();
/** Masks of a table nobody names: every look-up and description of the gateway's own happens, and nothing is masked. */
const MASKS: MaskSet = {
  columns: [{ schema: 'public', table: 'customers', column: 'ssn', with: 'redact' }],
  detect: [{ detect: 'payment_card', with: 'partial' }],
};

beforeAll(async () => {
  await loadSqlParser();
  database = await startDemoDatabase({
    hba: 'host all plain 127.0.0.1/32 password\nhost all all 127.0.0.1/32 scram-sha-256\n',
  });
  await database.ask(`create role plain login superuser password 'p'`);
  for (const masks of [undefined, MASKS]) {
    gateways.push(
      await startGateway({
        adapter: createPostgresAdapter({ pool }),
        credential: passwordCredential('plain', 'p'),
        decide: (statement) => (denies && statement.text.includes('payments') ? deny('No.') : allow(masks)),
        resource: testResource({ port: database.server.port, auth: ['password'] }),
      }),
    );
  }
}, 60_000);
afterAll(async () => {
  for (const gateway of gateways) await gateway.close();
  await database.stop();
});

function random(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1103515245) + 12345) & 0x7fffffff;
    return (state >>> 12) % below;
  };
}

const STATEMENTS = [
  'select 1',
  'select $1::int + 1',
  'select id, name from customers order by id',
  'select generate_series(1, 5)',
  'select nothing_of_that_name',
  'select 1/0',
  'begin',
  'commit',
  'rollback',
  'savepoint a',
  'rollback to a',
  '',
  'update payments set amount = amount where id = 1',
  'insert into payments values (1, 1, 1)',
  'set application_name = x',
  'select 1; select 2',
  'prepare a as select 11',
  'deallocate a',
  'deallocate all',
  'declare cur cursor for select 5',
  'close cur',
  'select ssn is null from customers where id = 1',
] as const;
/**
 * Only as simple queries: a server parses EXECUTE of a name that is not there, and fails when it runs; the gateway refuses
 * what it cannot tell the meaning of.
 */
const NAMED = ['execute a', 'execute b', 'fetch 1 from cur', 'fetch 1 from p'] as const;
const NAMES = ['', 'a', 'b'] as const;
const PORTALS = ['', 'p', 'q'] as const;

/** @param mixed simple queries also come in the middle of pipelines */
function conversation(seed: number, mixed: boolean): Buffer[] {
  const pick = random(seed);
  const one = <T>(list: readonly T[]): T => list[pick(list.length)]!;
  const frames: Buffer[] = [];
  let unsynced = false;
  for (let i = 3 + pick(25); i > 0; i--) {
    const portal = one(PORTALS);
    const choice = pick(12);
    if (choice > 1) unsynced = choice !== 11;
    switch (choice) {
      case 0:
      case 1: {
        if (!mixed && unsynced) frames.push(say.sync());
        unsynced = false;
        frames.push(say.query(one(pick(4) === 0 ? NAMED : STATEMENTS)));
        break;
      }
      case 2:
      case 3:
        frames.push(say.parse(one(NAMES), one(STATEMENTS)));
        break;
      case 4:
        frames.push(say.bind(portal, one(NAMES), pick(2) === 0 ? [] : ['1']));
        break;
      case 5:
        frames.push(say.execute(portal, pick(3)));
        break;
      case 6:
        frames.push(pick(2) === 0 ? say.describe('S', one(NAMES)) : say.describe('P', portal));
        break;
      case 7:
        frames.push(pick(2) === 0 ? say.close('S', one(NAMES)) : say.close('P', portal));
        break;
      case 8:
        frames.push(say.flush());
        break;
      case 9:
      case 10: {
        const name = one(NAMES);
        frames.push(
          say.parse(name, one(STATEMENTS)),
          say.bind(portal, name),
          say.describe('P', portal),
          say.execute(portal),
        );
        break;
      }
      default:
        frames.push(say.sync());
    }
  }
  frames.push(say.sync(), say.query('rollback'), say.query(`select 'the end'`));
  return frames;
}

/** A crash of one of the server's sessions (see `answer`) makes it start again: a sign-in then takes a while. */
async function signedIn(port: number, user: string, password: string): Promise<WireClient> {
  for (let left = 50; ; left--) {
    const client = await connectWire(port);
    const failure: unknown = await client.signIn({ user, database: 'postgres' }, password).then(
      () => undefined,
      (error: unknown) => error,
    );
    if (failure === undefined) return client;
    client.end();
    if (left === 0) throw failure;
    await sleep(100);
  }
}

const shown = (frames: readonly Buffer[]): string =>
  frames.map((frame) => frame.toString('latin1').replaceAll(/[^ -~]+/g, '.')).join(' ');

async function answer(client: WireClient, frames: readonly Buffer[], cut: boolean): Promise<string> {
  if (cut) for (const frame of frames) client.send(frame);
  else client.send(...frames);
  const seen: Message[] = [];
  for (;;) {
    const messages = await client.until('Z', 5_000).catch((error: unknown) => {
      // Some orders crash the server's side of a session (EXECUTE of a prepared SAVEPOINT does).
      if (client.isClosed) return [];
      throw new Error(`${digestOfAnswer([...seen, ...client.messages])}: ${shown(frames)}`, { cause: error });
    });
    if (messages.length === 0) return 'closed';
    seen.push(...messages);
    if (messages.some((message) => message.type === 'D' && message.body.includes('the end'))) break;
  }
  if (seen.some((message) => message.type === 'E' && message.body.includes('send Sync'))) return 'refused';
  // What a name's error is called may differ: the gateway says "not understood" of an EXECUTE the server says "no such name" of.
  return digestOfAnswer(seen.filter((message) => message.type !== 'N' && message.type !== 'S')).replaceAll(
    /E\w{5}/g,
    'E',
  );
}

/** Another number, other conversations. */
const MULTIPLIER = Number(process.env['SALLYPORT_TEST_SEED'] ?? 7919);

test.each(Array.from({ length: 12 }, (_, block) => block))(
  'conversations of block %i are answered alike',
  async (block) => {
    for (let seed = block * 40 + 1; seed <= block * 40 + 40; seed++) {
      const mixed = seed % 3 === 0;
      const frames = conversation(seed * MULTIPLIER, mixed);
      const direct = await signedIn(database.server.port, 'plain', 'p');
      const expected = await answer(direct, frames, false);
      direct.end();
      if (expected === 'closed') continue;
      for (const [i, gateway] of gateways.entries()) {
        // In the middle of a pipeline the gateway cannot describe a query without ending it, and refuses.
        if (mixed && i === 1) continue;
        const client = await signedIn(gateway.port, 'payments-db', TEST_TOKEN);
        const got = await answer(client, frames, seed % 2 === i);
        client.end();
        if (got === 'refused') continue;
        expect(got, `seed ${seed}, gateway ${i}: ${shown(frames)}`).toBe(expected);
        client.end();
      }
    }
  },
  120_000,
);

const ONCE_DIFFERENT: Readonly<Record<string, readonly Buffer[]>> = {
  'the unnamed portal stays when a simple query fails before it runs': [
    say.parse('', 'begin'),
    say.bind('', ''),
    say.execute(''),
    say.sync(),
    say.query('nonsense'),
    say.describe('P', ''),
    say.sync(),
  ],
  'a simple query that fails in a transaction leaves an unnamed portal of its own': [
    say.query('begin'),
    say.query('select 1'),
    say.query('close cur'),
    say.describe('P', ''),
    say.sync(),
  ],
  'the unnamed portal is gone when a simple query ran, and one bound behind it is another': [
    say.query('begin'),
    say.parse('', 'select 1'),
    say.bind('', ''),
    say.sync(),
    say.query('select 2'),
    say.describe('P', ''),
    say.sync(),
    say.query('rollback'),
    say.query('begin'),
    say.query('select 3'),
    say.parse('', 'select 4'),
    say.bind('', ''),
    say.execute(''),
    say.sync(),
  ],
  'a pipeline behind the end of a failed transaction runs': [
    say.query('begin'),
    say.query('nonsense'),
    say.query('rollback'),
    say.parse('', 'select ssn is null from customers where id = 1'),
    say.bind('', ''),
    say.describe('P', ''),
    say.execute(''),
    say.sync(),
  ],
  'a pipeline behind a pipeline that ends a failed transaction runs': [
    say.query('begin'),
    say.query('nonsense'),
    say.parse('', 'rollback'),
    say.bind('', ''),
    say.execute(''),
    say.sync(),
    say.parse('', 'select ssn is null from customers where id = 1'),
    say.bind('', ''),
    say.execute(''),
    say.sync(),
  ],
};

test.each(Object.keys(ONCE_DIFFERENT))('%s', async (name) => {
  const frames = [...ONCE_DIFFERENT[name]!, say.query('rollback'), say.query(`select 'the end'`)];
  const direct = await signedIn(database.server.port, 'plain', 'p');
  const expected = await answer(direct, frames, false);
  direct.end();
  for (const gateway of gateways) {
    for (const cut of [true, false]) {
      const client = await signedIn(gateway.port, 'payments-db', TEST_TOKEN);
      expect(await answer(client, frames, cut)).toBe(expected);
      client.end();
    }
  }
});

/** The same conversation with a statement that fails wherever one is denied. */
function failing(frames: readonly Buffer[]): Buffer[] {
  const bad = 'select nothing_of_that_name';
  return frames.map((frame) => {
    if (!frame.includes('payments')) return frame;
    return frame[0] === 0x51 ? say.query(bad) : say.parse(frame.toString('latin1', 5, frame.indexOf(0, 5)), bad);
  });
}

const statuses = (answered: string): string => (answered.match(/Z\w/g) ?? []).join(' ');

// Other numbers may find a name that was parsed in one pipeline with a denial: here it never was, there it is (ADR 0007).
test.each(Array.from({ length: 6 }, (_, block) => block))(
  'denials of block %i leave the statuses of failures',
  async (block) => {
    denies = true;
    try {
      for (let seed = block * 40 + 1; seed <= block * 40 + 40; seed++) {
        const frames = conversation(seed * MULTIPLIER, false);
        const direct = await signedIn(database.server.port, 'plain', 'p');
        const expected = await answer(direct, failing(frames), false);
        direct.end();
        if (expected === 'closed') continue;
        for (const [i, gateway] of gateways.entries()) {
          const client = await signedIn(gateway.port, 'payments-db', TEST_TOKEN);
          const got = await answer(client, frames, seed % 2 === i);
          client.end();
          if (got !== 'refused')
            expect(statuses(got), `seed ${seed}, gateway ${i}: ${shown(frames)}`).toBe(statuses(expected));
        }
      }
    } finally {
      denies = false;
    }
  },
  120_000,
);
