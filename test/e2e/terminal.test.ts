/** Ctrl-C as people press it: on a real terminal, to psql, to our own prompt, and to `npm start`. */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { afterAll, afterEach, beforeAll, describe, expect, inject, test } from 'vitest';
import { ROOT } from '../../scripts/stack/build.ts';
import { openCli, PROGRAM } from './cli-process.ts';

const dev = inject('dev');
const { env, runJson, end } = openCli(dev);
/** util-linux: a program on a terminal of its own, whose keys are our writes. */
const SCRIPT = '/usr/bin/script';
const PSQL = '/usr/bin/psql';
const CTRL_C = '\x03';
const WAIT = { timeout: 150_000 };

interface Terminal {
  shown(): string;
  keys(text: string): void;
  readonly ended: Promise<number>;
}

const terminals: ChildProcess[] = [];
function onTerminal(command: string, more: { readonly cwd?: string; readonly env?: NodeJS.ProcessEnv } = {}): Terminal {
  const child = spawn(SCRIPT, ['-qfec', command, '/dev/null'], {
    cwd: more.cwd,
    env: { ...env, TERM: 'dumb', PAGER: 'cat', SHELL: '/bin/sh', ...more.env },
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
    ended: new Promise((done) => child.on('close', (code) => done(code ?? -1))),
  };
}
const sallyport = (args: string): Terminal => onTerminal(`${process.execPath} ${PROGRAM} --as payments-bot ${args}`);

const REFUSED = 'Authentication failed';
/** A right that a test before this one took away ends tokens of that whole second: then it is begun again. */
async function promptOf(command: string, ready: string): Promise<Terminal> {
  for (let tries = 1; ; tries++) {
    const terminal = sallyport(command);
    await expect.poll(() => [ready, REFUSED].some((text) => terminal.shown().includes(text)), WAIT).toBe(true);
    if (terminal.shown().includes(ready)) return terminal;
    if (tries === 5) throw new Error(terminal.shown());
    await terminal.ended;
    await sleep(500);
  }
}

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
      missing: !existsSync(PSQL),
    },
    { program: 'sallyport sql', command: 'sql payments-db', ready: 'leaves.', missing: false },
  ];
  for (const { program, command, ready, missing } of prompts) {
    test.skipIf(missing)(
      `Ctrl-C in ${program} cancels a statement that runs and withdraws one that is held; the session goes on`,
      {
        timeout: 600_000,
      },
      async () => {
        const mark = `9${program.length}00000000001`;
        const terminal = await promptOf(command, ready);
        terminal.keys(`select count(*) from generate_series(1, ${mark});\n`);
        await expect.poll(() => running(mark), WAIT).toBe(1);
        terminal.keys(CTRL_C);
        await expect.poll(() => terminal.shown(), WAIT).toContain('57014');
        await expect.poll(() => running(mark), WAIT).toBe(0);

        terminal.keys(`delete from payments where id = -${mark};\n`);
        const id = await requestOf(`-${mark}`);
        terminal.keys(CTRL_C);
        await expect.poll(() => stateOf(id), WAIT).toBe('withdrawn');
        await expect.poll(() => terminal.shown().split('57014').length, WAIT).toBeGreaterThan(2);

        terminal.keys('select 41000 + 77 as sum;\n');
        await expect.poll(() => terminal.shown(), WAIT).toContain('41077');
        terminal.keys('\\q\n');
        await terminal.ended;
      },
    );
  }

  test('Ctrl-C to `npm start` stops everything it started', { timeout: 900_000 }, async () => {
    const dir = mkdtempSync('/var/tmp/sallyport-ctrl-c-');
    const ports = ['rest', 'link', 'enroll', 'postgres', 'plaintext', 'ssh', 'https', 'demo'].map(
      (it) => `--${it}-port 0`,
    );
    try {
      const started = onTerminal(`npm start -- --dir ${dir} ${ports.join(' ')}`, {
        cwd: ROOT,
        env: { HOME: process.env['HOME'], TMPDIR: process.env['TMPDIR'] },
      });
      await expect
        .poll(() => started.shown(), { timeout: 600_000, interval: 500 })
        .toContain('Ctrl-C stops everything');
      expect(processesOf(dir).length).toBeGreaterThan(3);
      started.keys(CTRL_C);
      await expect.poll(() => started.shown(), WAIT).toContain('Stopped. Data is kept');
      await started.ended;
      await expect.poll(() => processesOf(dir), WAIT).toEqual([]);
    } finally {
      for (const pid of processesOf(dir)) process.kill(pid, 'SIGKILL');
      rmSync(dir, { recursive: true, force: true });
    }
  });
});

/** Those that name the folder in their arguments or surroundings. */
const processesOf = (dir: string): number[] =>
  readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    .filter((pid) =>
      ['cmdline', 'environ'].some((file) => {
        try {
          return readFileSync(`/proc/${pid}/${file}`, 'latin1').includes(dir);
        } catch {
          // It has gone meanwhile.
          return false;
        }
      }),
    )
    .map(Number);
