/** Budgets at real agents: what sessions and principals may use, over two agents of one control plane, and with the link cut. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { BudgetAsk, BudgetLease } from '@sallyport/contract';
import { createLogger, type ErrorCode, type GatewayError, Secret } from '@sallyport/core';
import type { Statement } from '@sallyport/model';
import { admit, type ProtocolAdapter, type Refusal, type SignedIn } from '@sallyport/protocol-kit';
import { afterAll, afterEach, describe, expect, test } from 'vitest';
import { Agent } from '../src/agent.ts';
import { parseConfig } from '../src/config.ts';
import { ANA, accessToken, ControlPlane, documents, PROJECT_ID } from './control-plane.fixture.ts';

const undo: (() => unknown)[] = [];
const dirs = mkdtempSync(path.join(tmpdir(), 'sallyport-budgets-'));
afterAll(() => rmSync(dirs, { recursive: true, force: true }));
afterEach(async () => {
  for (const act of undo.splice(0).reverse()) await act();
});

const statement = (text: string): Statement => ({
  protocol: 'postgres',
  digest: 'd'.repeat(64),
  text,
  parameters: [],
  effects: text.startsWith('write') ? ['write'] : ['read'],
  understood: true,
  inTransaction: false,
  wroteInTransaction: false,
  facts: {
    sql: {
      literalFree: true,
      statements: [
        {
          kind: 'select',
          effects: ['read'],
          filtered: true,
          limit: undefined,
          relations: [],
          functions: [],
          opaque: [],
          columns: [],
          object: '',
          start: 0,
          end: 1,
          transaction: text === 'commit' ? 'commit' : undefined,
          setting: undefined,
        },
      ],
    },
  },
});

/** Lines: `token <jwt>` signs in; any other line is a statement, whose answer has as many rows as its last word says. */
const lines: ProtocolAdapter = {
  name: 'postgres',
  transport: 'relay',
  defaultPort: 0,
  alpn: ['postgresql'],
  openSession(host) {
    let road: SignedIn | undefined;
    let work = Promise.resolve();
    const say = (text: string): void => void host.client.write(Buffer.from(`${text}\n`));
    const run = async (line: string): Promise<void> => {
      try {
        if (line.startsWith('token ')) {
          const token = new Secret(line.slice(6));
          road = await host.signIn.signIn({
            token,
            resource: 'payments-db',
            role: undefined,
            database: 'd',
            application: 'a',
          });
          say('in');
        } else if (road !== undefined) {
          await road.ready?.();
          await admit(statement(line), road.gate);
          const rows = Number(/\d+$/.exec(line)?.[0] ?? 0);
          road.finished({
            number: road.statementNumber(),
            rows,
            bytes: rows * 10,
            error: '',
            durationUs: 1,
            masked: 0,
          });
          say('ok');
        }
      } catch (error) {
        const verdict = (error as Refusal).verdict as { readonly resetAt?: number } | undefined;
        say(`no ${(error as GatewayError).code} ${verdict?.resetAt === undefined ? '' : 'resets'}`);
      }
    };
    return {
      clientBytes: (chunk) => {
        for (const line of chunk.toString().split('\n')) if (line !== '') work = work.then(() => run(line));
      },
      clientSecured() {},
      clientClosed() {},
      clientDrained() {},
      upstreamBytes() {},
      upstreamSecured() {},
      upstreamClosed() {},
      upstreamDrained() {},
      timer() {},
      bundleChanged() {},
      end: (code: ErrorCode) => {
        say(`end ${code}`);
        host.client.end();
      },
    };
  },
};

const log = createLogger('agent', { level: 'error', write: () => undefined, nowMs: () => Date.now() });

class MovedClock {
  offsetMs = 0;
  nowMs(): number {
    return Date.now() + this.offsetMs;
  }
  monotonicMs(): number {
    return performance.now() + this.offsetMs;
  }
}

async function start(plane: ControlPlane, clock = new MovedClock()): Promise<number> {
  const dataDir = mkdtempSync(path.join(dirs, 'agent-'));
  const env = {
    SALLYPORT_DATA_DIR: dataDir,
    SALLYPORT_JOIN_TOKEN: plane.joinToken(),
    SALLYPORT_LISTEN_POSTGRES: '127.0.0.1:0',
    SALLYPORT_LISTEN_POSTGRES_PLAINTEXT: '127.0.0.1:0',
  };
  const agent = await Agent.start(
    parseConfig(env, []),
    { load: () => Promise.resolve(lines), sshNative: true, restartNeeded: false, close: async () => {} },
    clock,
    log,
  );
  undo.push(() => agent.stop());
  const ready = JSON.parse(readFileSync(path.join(dataDir, 'ready.json'), 'utf8')) as { postgresPlaintext: string };
  return Number(ready.postgresPlaintext.split(':')[1]);
}

const policy = (budget: object, id = 'p') => ({
  [`policy/${id}`]: {
    id,
    projectId: PROJECT_ID,
    name: id,
    subjects: {},
    resources: {},
    mode: 'enforce',
    rules: [],
    masks: [],
    budgets: [{ name: 'b', exceeded: 'deny', ...budget }],
  },
});

async function planeWith(budget: object): Promise<ControlPlane> {
  const plane = new ControlPlane();
  await plane.start();
  undo.push(() => plane.stop());
  plane.manifest = plane.sign(1, 1, documents(1, policy(budget)));
  return plane;
}

class Client {
  #socket: net.Socket;
  #text = '';
  constructor(port: number) {
    this.#socket = net.connect(port, '127.0.0.1');
    this.#socket.on('data', (chunk) => {
      this.#text += chunk;
    });
    this.#socket.on('error', () => {});
    undo.push(() => this.#socket.destroy());
  }
  /** The next line of answer. */
  async ask(line: string): Promise<string> {
    this.#text = '';
    this.#socket.write(`${line}\n`);
    for (const end = Date.now() + 8_000; !this.#text.includes('\n'); ) {
      if (Date.now() > end) throw new Error(`no answer to ${line}`);
      await new Promise((next) => setTimeout(next, 2));
    }
    return this.#text.split('\n')[0]!.trim();
  }
  async all(count: number, line: string): Promise<string[]> {
    const answers: string[] = [];
    for (let i = 0; i < count; i++) answers.push(await this.ask(line));
    return answers;
  }
  async hangUp(): Promise<void> {
    this.#socket.destroy();
    await new Promise((next) => setTimeout(next, 100));
  }
}

async function signedIn(port: number, jti = 'j'): Promise<Client> {
  const client = new Client(port);
  expect(await client.ask(`token ${accessToken({ jti })}`)).toBe('in');
  return client;
}
const okay = (answers: readonly string[]): number => answers.filter((answer) => answer === 'ok').length;

/** What control-plane/budgets does, for one budget: a tenth at a time, what comes back counts again. */
class Purse {
  leased = 0;
  readonly asks: BudgetAsk[] = [];
  readonly limit: number;
  readonly share: number;
  readonly meter: 'statements' | 'rows';
  readonly resetInMs: number;
  constructor(limit: number, share: number, meter: 'statements' | 'rows' = 'statements', resetInMs = 3_600_000) {
    this.limit = limit;
    this.share = share;
    this.meter = meter;
    this.resetInMs = resetInMs;
  }
  lease = (ask: BudgetAsk): BudgetLease | undefined => {
    this.asks.push(ask);
    this.leased -= ask.back?.[this.meter] ?? 0;
    if (ask.ends === true) return undefined;
    const granted = Math.min(this.limit - this.leased, this.share + (ask.owed?.[this.meter] ?? 0));
    this.leased += granted;
    return { id: ask.id ?? '', granted: { [this.meter]: granted }, window: '1', resetInMs: this.resetInMs };
  };
}

describe('a session', () => {
  test('has so many statements a window, is told when it starts anew, and may then go on', async () => {
    const clock = new MovedClock();
    // At the beginning of a window, so that none ends in between.
    clock.offsetMs = 10_001 - (Date.now() % 10_000);
    const plane = await planeWith({ per: 'session', everyMs: 10_000, limits: { statements: 3 } });
    const client = await signedIn(await start(plane, clock));
    expect(await client.all(3, 'read')).toEqual(['ok', 'ok', 'ok']);
    expect(await client.ask('read')).toBe('no budget.exceeded resets');
    clock.offsetMs += 10_000;
    expect(await client.ask('read')).toBe('ok');
  });

  test('ends its transaction whatever is used up; another session has its own', async () => {
    const port = await start(await planeWith({ per: 'session', limits: { statements: 1 } }));
    const client = await signedIn(port);
    expect(await client.ask('read')).toBe('ok');
    expect(await client.ask('read')).toBe('no budget.exceeded');
    expect(await client.ask('commit')).toBe('ok');
    expect(await (await signedIn(port)).ask('read')).toBe('ok');
  });

  test.each([
    ['writes', { writes: 1 }, ['write'], 'write', 'read'],
    ['rows', { rows: 10 }, ['read 6', 'read 6'], 'read', undefined],
    ['bytes', { bytes: 100 }, ['read 6', 'read 6'], 'read', undefined],
  ])('%s', async (_what, limits, before, refused, passes) => {
    const client = await signedIn(await start(await planeWith({ per: 'session', limits })));
    for (const line of before) expect(await client.ask(line)).toBe('ok');
    expect(await client.ask(refused)).toBe('no budget.exceeded');
    if (passes !== undefined) expect(await client.ask(passes)).toBe('ok');
  });

  test('time it is open', async () => {
    const clock = new MovedClock();
    const client = await signedIn(await start(await planeWith({ per: 'session', limits: { seconds: 30 } }), clock));
    expect(await client.ask('read')).toBe('ok');
    clock.offsetMs += 31_000;
    expect(await client.ask('read')).toBe('no budget.exceeded');
  });

  test('another bundle does not give it back what it used', async () => {
    const plane = await planeWith({ per: 'session', limits: { statements: 2 } });
    const client = await signedIn(await start(plane));
    expect(await client.all(2, 'read')).toEqual(['ok', 'ok']);
    plane.offer(
      plane.sign(1, 2, documents(1, { ...policy({ per: 'session', limits: { statements: 2 }, message: 'Enough.' }) })),
    );
    await new Promise((next) => setTimeout(next, 300));
    expect(await client.ask('read')).toBe('no budget.exceeded');
  });
});

describe('a principal', () => {
  const per = { per: 'principal', everyMs: 3_600_000, limits: { statements: 20 } };

  test('over two agents and four sessions uses the budget and no more', async () => {
    const purse = new Purse(20, 2);
    const planes = [await planeWith(per), await planeWith(per)];
    for (const plane of planes) plane.lease = purse.lease;
    const ports = await Promise.all(planes.map((plane) => start(plane)));
    const clients = await Promise.all([...ports, ...ports].map((port, i) => signedIn(port, `j${i}`)));
    const answers = await Promise.all(clients.map((client) => client.all(12, 'read')));
    expect(okay(answers.flat())).toBe(20);
    expect(answers.flat().filter((answer) => answer !== 'ok')).toEqual(
      Array.from({ length: 28 }, () => 'no budget.exceeded resets'),
    );
    expect(purse.asks.every((ask) => ask.budget === 'p/b' && ask.principalId === ANA)).toBe(true);
  });

  test('an agent that is cut off keeps to its share, and then stops', async () => {
    const plane = await planeWith(per);
    const purse = new Purse(20, 5);
    plane.lease = purse.lease;
    const port = await start(plane);
    const client = await signedIn(port);
    expect(await client.ask('read')).toBe('ok');
    plane.stop();
    await new Promise((next) => setTimeout(next, 300));
    const answers = await client.all(10, 'read');
    // Four are left of the five; the fifth of the next share may have been on its way.
    expect(okay(answers)).toBe(4);
    expect(answers.at(-1)).toBe('no budget.unavailable resets');
    expect(await client.ask('commit')).toBe('ok');
  });

  test('a share ends with its window, with and without a link', async () => {
    const clock = new MovedClock();
    const plane = await planeWith(per);
    const purse = new Purse(1_000, 5, 'statements', 10_000);
    plane.lease = purse.lease;
    const client = await signedIn(await start(plane, clock));
    expect(await client.ask('read')).toBe('ok');
    clock.offsetMs += 11_000;
    expect(await client.ask('read')).toBe('ok');
    expect(purse.asks.length).toBe(2);
    plane.stop();
    await new Promise((next) => setTimeout(next, 300));
    clock.offsetMs += 11_000;
    expect(await client.ask('read')).toBe('no budget.unavailable resets');
  });

  test('what a statement uses beyond the share is made up for by the next', async () => {
    const plane = await planeWith({ ...per, limits: { rows: 1_000 } });
    const purse = new Purse(1_000, 100, 'rows');
    plane.lease = purse.lease;
    const client = await signedIn(await start(plane));
    expect(await client.ask('read 950')).toBe('ok');
    const answers = await client.all(5, 'read 30');
    // Rows are known when they have come: one answer may go beyond the end, and then it is over.
    expect(okay(answers)).toBeLessThanOrEqual(2);
    expect(answers.at(-1)).toBe('no budget.exceeded resets');
    expect(purse.leased).toBe(1_000);
  });

  test('the last session gives back what is left', async () => {
    const plane = await planeWith(per);
    const purse = new Purse(20, 5);
    plane.lease = purse.lease;
    const port = await start(plane);
    const [first, second] = [await signedIn(port, 'a'), await signedIn(port, 'b')];
    expect(await first.ask('read')).toBe('ok');
    expect(await second.ask('read')).toBe('ok');
    await first.hangUp();
    expect(purse.asks.some((ask) => ask.ends === true)).toBe(false);
    await second.hangUp();
    await expect.poll(() => purse.asks.at(-1)?.ends).toBe(true);
    expect(purse.leased).toBe(2);
  });

  test('a control plane that refuses or does not answer leaves it without a share', async () => {
    const plane = await planeWith(per);
    plane.lease = (ask) => ({ id: ask.id ?? '', code: 'request.not_found' });
    const port = await start(plane);
    const client = await signedIn(port);
    expect(await client.ask('read')).toBe('no budget.unavailable resets');
    plane.lease = () => undefined;
    const other = await signedIn(port);
    const began = Date.now();
    await other.ask('read');
    expect(await other.ask('read')).toBe('no budget.unavailable resets');
    expect(Date.now() - began).toBeLessThan(5_000);
  });

  test('a lease nobody asked for, or of less than nothing, changes nothing', async () => {
    const plane = await planeWith(per);
    plane.lease = (ask) => ({ id: ask.id ?? '', granted: { statements: -5 }, window: '1', resetInMs: 60_000 });
    const client = await signedIn(await start(plane));
    plane.send({
      body: 'budgetLease',
      budgetLease: { id: 'guess', granted: { statements: 100 }, window: '1', resetInMs: 60_000 },
    });
    expect(await client.ask('read')).toBe('no budget.exceeded resets');
  });
});
