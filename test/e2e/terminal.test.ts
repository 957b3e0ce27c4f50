/** Ctrl-C as people press it: on a real terminal, to psql and to our own prompt. */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import pg from 'pg';
import { afterAll, afterEach, beforeAll, describe, expect, inject, test } from 'vitest';
import { openCli, PROGRAM } from './cli-process.ts';

const dev = inject('dev');
const { env, runJson, end } = openCli(dev);
/** util-linux: a program on a terminal of its own, whose keys are our writes. */
const SCRIPT = '/usr/bin/script';
const PSQL = '/usr/bin/psql';
const CTRL_C = '\x03';
const WAIT = { timeout: 45_000 };

interface Terminal {
  shown(): string;
  keys(text: string): void;
  readonly ended: Promise<unknown>;
}

const terminals: ChildProcess[] = [];
function onTerminal(command: string): Terminal {
  const child = spawn(SCRIPT, ['-qfec', command, '/dev/null'], {
    env: { ...env, TERM: 'dumb', PAGER: 'cat', SHELL: '/bin/sh' },
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  terminals.push(child);
  let shown = '';
  child.stdout?.on('data', (chunk: Buffer) => {
    shown += chunk.toString();
  });
  child.stdin?.on('error', () => undefined);
  return {
    shown: () => shown,
    keys: (text) => void child.stdin?.write(text),
    ended: new Promise((done) => child.on('close', done)),
  };
}
const sallyport = (args: string): Terminal => onTerminal(`${process.execPath} ${PROGRAM} --as payments-bot ${args}`);

const server = new pg.Client({
  host: dev.demo.host,
  port: dev.demo.port,
  user: dev.demo.superuser,
  password: dev.demo.superuserPassword,
  database: dev.demo.database,
  ssl: { ca: readFileSync(dev.demo.ca, 'utf8') },
});
beforeAll(() => server.connect());
afterEach(() => {
  for (const child of terminals.splice(0)) child.kill('SIGKILL');
});
afterAll(async () => {
  await server.end();
  end();
});

/** How many sessions of the server run it just now. */
const running = async (mark: string): Promise<number> =>
  (
    await server.query<{ n: number }>(
      "select count(*)::int as n from pg_stat_activity where state = 'active' and pid <> pg_backend_pid() and strpos(query, $1) > 0",
      [mark],
    )
  ).rows[0]!.n;

interface Item {
  readonly id: string;
  readonly statement: string;
  readonly state: string;
}
async function requestOf(mark: string): Promise<string> {
  const found = async (): Promise<string | undefined> =>
    (await runJson<Item[]>(['--as', 'ana', 'approvals', 'ls'])).find(({ statement }) => statement.includes(mark))?.id;
  await expect.poll(found, WAIT).toBeDefined();
  return (await found())!;
}
const stateOf = async (id: string): Promise<string> =>
  (await runJson<Item>(['--as', 'ana', 'approvals', 'show', id])).state;

describe.skipIf(!existsSync(SCRIPT))('on a terminal', () => {
  const prompts = [
    {
      program: 'psql',
      command: 'connect payments-db -- -X -v VERBOSITY=verbose',
      ready: '=>',
      cancelled: '57014',
      missing: !existsSync(PSQL),
    },
    {
      program: 'sallyport sql',
      command: 'sql payments-db',
      ready: 'leaves.',
      cancelled: 'canceling statement due to user request',
      missing: false,
    },
  ];
  for (const { program, command, ready, cancelled, missing } of prompts) {
    test.skipIf(missing)(
      `Ctrl-C in ${program} cancels a statement that runs and withdraws one that is held; the session goes on`,
      {
        timeout: 180_000,
      },
      async () => {
        const mark = `9${program.length}00000000001`;
        const terminal = sallyport(command);
        await expect.poll(() => terminal.shown(), WAIT).toContain(ready);
        terminal.keys(`select count(*) from generate_series(1, ${mark});\n`);
        await expect.poll(() => running(mark), WAIT).toBe(1);
        terminal.keys(CTRL_C);
        await expect.poll(() => terminal.shown(), WAIT).toContain(cancelled);
        await expect.poll(() => running(mark), WAIT).toBe(0);

        terminal.keys(`delete from payments where id = -${mark};\n`);
        const id = await requestOf(`-${mark}`);
        terminal.keys(CTRL_C);
        await expect.poll(() => stateOf(id), WAIT).toBe('withdrawn');

        terminal.keys('select 41000 + 77 as sum;\n');
        await expect.poll(() => terminal.shown(), WAIT).toContain('41077');
        terminal.keys('\\q\n');
        await terminal.ended;
      },
    );
  }
});
