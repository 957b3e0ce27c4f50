/**
 * `node apps/agent/src/sessions/statement.bench.ts`: what one PostgreSQL transaction costs the agent's own code, in one process and without
 * sockets: the real session, rules, masks, recorder and spool between two peers that answer from memory. `pgbench -S`,
 * prepared and simple, everything on. Options: --transactions N, --runs N (the best counts), --sessions N, --mode M.
 * --cold MB reads that much between any two steps, in all modes but the first, and counts it: for callgrind with a cache of
 * 1 MB, whose misses are then the lines of memory that a step needs (docs/reference/bench-postgres.md).
 * Refuses to say anything of the kernel, of Node's sockets and of shipping the record: `npm run bench` measures those.
 */
import { setImmediate as turn } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { Secret } from '@sallyport/core';
import type { Resource } from '@sallyport/model';
import type { ProtocolSession } from '@sallyport/protocol-kit';
import { createPostgresAdapter } from '@sallyport/protocol-postgres';
import { createParsePool, loadSqlParser } from '@sallyport/sql';
import { Caches, openInProcess, RESOURCE, timed } from './in-process.fixture.ts';

const { values } = parseArgs({
  options: {
    transactions: { type: 'string', default: '8000' },
    runs: { type: 'string', default: '12' },
    sessions: { type: 'string', default: '8' },
    mode: { type: 'string', default: 'prepared,simple' },
    cold: { type: 'string', default: '0' },
  },
});

/** As `npm run bench` has it: what is shipped, and masks of another table. */
const MASKS = `kind: Policy
name: bench-everything
rules:
  - { name: no-ddl, when: 'sql.effects.exists(e, e == "ddl")', verdict: deny }
masks:
  - { columns: [public.wide.email, public.wide.card], with: partial }
  - { detect: [payment_card, email, national_id, iban], with: partial }
`;

const resource: Resource = {
  ...RESOURCE,
  name: 'bench-everything',
  kind: 'postgres',
  postgres: { host: '127.0.0.1', port: 5432, databases: ['bench'], tls: 'disable', auth: ['trust'] },
  credential: { kind: 'none', username: 'postgres' },
  recording: 'results',
};

/** What a server says, in one piece, to what pgbench sends in one piece. */
const message = (type: string, ...parts: readonly (Buffer | string)[]): Buffer => {
  const body = Buffer.concat(parts.map((part) => (typeof part === 'string' ? Buffer.from(part) : part)));
  const head = Buffer.alloc(5);
  head.write(type);
  head.writeInt32BE(body.length + 4, 1);
  return Buffer.concat([head, body]);
};
const DESCRIPTION = message(
  'T',
  Buffer.from([0, 1]),
  'abalance\0',
  Buffer.from([0, 0, 0x40, 1, 0, 3, 0, 0, 0, 23, 0, 4, 0xff, 0xff, 0xff, 0xff, 0, 0]),
);
const ROW = message('D', Buffer.from([0, 1, 0, 0, 0, 1]), '0');
const READY = message('Z', 'I');
const TAG = message('C', 'SELECT 1\0');
const ANSWERS = {
  simple: Buffer.concat([DESCRIPTION, ROW, TAG, READY]),
  prepared: Buffer.concat([message('2'), DESCRIPTION, ROW, TAG, READY]),
};
const SIGNED_IN = Buffer.concat([
  message('R', Buffer.alloc(4)),
  message('S', 'server_version\x0016.4\0'),
  message('S', 'client_encoding\0UTF8\0'),
  message('S', 'standard_conforming_strings\0on\0'),
  message('K', Buffer.alloc(8)),
  READY,
]);

/** Where the masked columns are, as the session itself asks now and then: two of a table that is not read here. */
const cells = (...texts: readonly string[]): Buffer =>
  Buffer.concat([
    Buffer.from([0, texts.length]),
    ...texts.map((text) => Buffer.from([0, 0, 0, text.length, ...Buffer.from(text)])),
  ]);
const LOOKED_UP = Buffer.concat([
  message('1'),
  message('2'),
  message('D', cells('c', '20000', '3', '1', 'wide', 'email')),
  message('D', cells('c', '20000', '4', '2', 'wide', 'card')),
  message('C', 'SELECT 2\0'),
  message('3'),
  message('3'),
]);

const TEXT = 'SELECT abalance FROM pgbench_accounts WHERE aid = ';
const PARSE = message('P', `P_0\0${TEXT}$1;\0`, Buffer.alloc(2));
const SYNC = message('S');
const ask = (aid: string): Buffer =>
  Buffer.concat([
    message('B', '\0P_0\0', Buffer.from([0, 0, 0, 1, 0, 0, 0, aid.length]), aid, Buffer.alloc(2)),
    message('D', 'P\0'),
    message('E', '\0', Buffer.alloc(4)),
    SYNC,
  ]);
const STARTUP = ((): Buffer => {
  const body = Buffer.from(`\0\x03\0\0user\0${resource.name}\0database\0bench\0\0`);
  const size = Buffer.alloc(4);
  size.writeInt32BE(4 + body.length);
  return Buffer.concat([size, body]);
})();
const aids = Array.from({ length: 1_000 }, (_, i) => String(1 + ((i * 7919) % 1_000_000)));
const QUESTIONS = {
  simple: aids.map((aid) => message('Q', `${TEXT}${aid};\0`)),
  prepared: aids.map(ask),
};

await loadSqlParser();
const agent = openInProcess(resource, ['read'], MASKS, {
  username: 'postgres',
  secret: new Secret('x'),
  certificate: false,
});
const adapter = createPostgresAdapter({ pool: createParsePool() });

interface Peer {
  readonly session: ProtocolSession;
  sent: number;
  shown: number;
  /** The session has asked for itself: the answer. */
  asked: Buffer | undefined;
}

async function open(number: number): Promise<Peer> {
  const { road, host } = agent.open(number, { database: 'bench', application: 'pgbench' });
  const peer: Partial<Pick<Peer, 'session'>> & Omit<Peer, 'session'> = { sent: 0, shown: 0, asked: undefined };
  const seen = (bytes: Uint8Array): void => {
    const isLookup = bytes[0] === 0x50 && Buffer.from(bytes.subarray(5, 21)).toString() === 'sallyport_lookup';
    if (isLookup) peer.asked = bytes.at(-5) === 0x53 ? Buffer.concat([LOOKED_UP, READY]) : LOOKED_UP;
  };
  const session = adapter.openSession(host({ passed: peer, seen, signIn: { signIn: () => Promise.resolve(road) } }));
  const opened = Object.assign(peer, { session });
  session.clientBytes(STARTUP);
  session.clientBytes(message('p', 'token\0'));
  while (peer.sent === 0) await turn();
  session.upstreamBytes(SIGNED_IN);
  session.clientBytes(Buffer.concat([PARSE, SYNC]));
  session.upstreamBytes(Buffer.concat([message('1'), READY]));
  return opened;
}

const caches = new Caches(Number(values.cold));

function run(mode: keyof typeof QUESTIONS, transactions: number): void {
  const questions = QUESTIONS[mode];
  const answer = ANSWERS[mode];
  for (let i = 0; i < transactions; ) {
    // A turn: some clients ask, the record is written, some servers answer.
    for (const peer of peers) peer.session.clientBytes(questions[i++ % questions.length]!);
    agent.flush();
    caches.leave();
    for (const peer of peers) {
      if (peer.asked !== undefined) peer.session.upstreamBytes(peer.asked);
      peer.asked = undefined;
      peer.session.upstreamBytes(answer);
    }
    caches.leave();
  }
  for (const peer of peers) if (peer.shown < transactions / peers.length) throw new Error('a session has stopped');
}

const peers: Peer[] = [];
for (let i = 0; i < Number(values.sessions); i++) peers.push(await open(i + 16));
const transactions = Number(values.transactions);
for (const mode of values.mode.split(',') as (keyof typeof QUESTIONS)[]) {
  await timed(mode, Number(values.runs), transactions, () => run(mode, transactions));
  caches.isCold = true;
}
agent.close();
process.exit(0);
