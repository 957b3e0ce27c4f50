/**
 * A terminal session by a real ssh through a whole stack, then its film: as asciicast, in the command line, as a list of
 * commands, live, and after its key was destroyed. Machines without sshd leave these out by name.
 */
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import {
  run as runProgram,
  type SshServer,
  sshdMissing,
  sshEnv,
  sshOptions,
  startSshd,
  type Talk,
  talk,
} from '@sallyport/testkit';
import { Terminal } from '@xterm/headless';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { restClient } from '../../scripts/stack/rest.ts';
import { openCli, until } from './cli-process.ts';

const dev = inject('dev');
const admin = restClient(dev.rest, dev.principals['admin']?.token ?? '');
const { run, runJson, start, end } = openCli(dev);
const HOST = 'film-host';
interface FoundPage {
  readonly items: readonly {
    readonly text: string;
    readonly number: number;
    readonly session: { readonly id: string };
  }[];
  readonly nextCursor: string | null;
  readonly looked: number;
}
/** Debian's, where it is installed. */
const ASCIINEMA = '/usr/bin/asciinema';
const SIZE = { columns: 80, rows: 24 };

/** What a terminal of that size shows at the end. */
async function screenOf(text: string): Promise<string> {
  const terminal = new Terminal({ cols: SIZE.columns, rows: SIZE.rows, allowProposedApi: true });
  await new Promise<void>((resolve) => terminal.write(text, resolve));
  const { active } = terminal.buffer;
  return Array.from(
    { length: SIZE.rows },
    (_, i) => active.getLine(active.baseY + i)?.translateToString(true) ?? '',
  ).join('\n');
}

describe.skipIf(sshdMissing)('films', () => {
  let server: SshServer;
  let dir: string;
  beforeAll(async () => {
    server = await startSshd();
    dir = mkdtempSync(path.join(os.tmpdir(), 'sallyport-e2e-film-'));
    await admin.call('POST', '/v1/credentials', {
      name: 'film-key',
      kind: 'stored',
      username: server.login,
      secret: server.clientKey,
    });
    await admin.call('POST', '/v1/resources', {
      name: HOST,
      type: 'ssh',
      credential: 'film-key',
      ssh: {
        host: '127.0.0.1',
        port: server.port,
        logins: [server.login],
        hostKeys: [server.hostKey],
        shell: 'recorded',
        inputRecorded: true,
      },
    });
    await admin.call('POST', '/v1/grants', {
      name: 'film-host',
      principal: 'carla',
      resource: HOST,
      effects: ['read', 'write', 'exec'],
    });
    await until(async () => ((await shell()).said.includes('ready') ? true : undefined));
  }, 60_000);
  afterAll(async () => {
    await admin.call('DELETE', `/v1/resources/${HOST}`).catch(() => undefined);
    await server?.stop();
    if (dir !== undefined) rmSync(dir, { recursive: true, force: true });
    end();
  });

  async function connected(...command: readonly string[]): Promise<Talk> {
    const answer = await fetch(`${dev.rest}/v1/oauth/token`, {
      method: 'POST',
      body: new URLSearchParams({
        grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
        subject_token: dev.principals['carla']?.token ?? '',
        subject_token_type: 'urn:ietf:params:oauth:token-type:access_token',
        resource: HOST,
      }),
    });
    const { access_token: token } = (await answer.json()) as { access_token: string };
    return talk('ssh', [...sshOptions(dev.agent.ssh), '-tt', `${HOST}@127.0.0.1`, ...command], sshEnv(dir, token));
  }

  async function shell(): Promise<Talk> {
    const talking = await connected('echo ready');
    await talking.ended;
    return talking;
  }

  const newest = (live: boolean): Promise<string> =>
    until(async () => {
      const items = await runJson<{ id: string; live: boolean }[]>([
        '--as',
        'admin',
        'sessions',
        'ls',
        '--resource',
        HOST,
        '--limit',
        '1',
      ]);
      return items[0]?.live === live ? items[0].id : undefined;
    });

  test('a shell is watched live, and its film shows what its client saw', async () => {
    const talking = await connected();
    await talking.heard('# ');
    talking.say('stty cols 80 rows 24\r');
    await talking.heard('rows 24');
    const id = await newest(true);
    const watching = start(['--as', 'admin', '--json', 'sessions', 'watch', id]);
    await until(() => (watching.out().includes('watching') ? true : undefined));
    talking.say('printf "\\033[32mgreen\\033[0m %s\\n" Größe\r');
    await talking.heard('green');
    await until(() => (watching.out().includes('terminal_output') ? true : undefined));
    talking.say('echo ask-$((1+1)); read -s word; echo got-$((1+1))\r');
    await talking.heard('ask-2');
    await new Promise((resolve) => setTimeout(resolve, 300));
    talking.say('hunter2\r');
    await talking.heard('got-2');
    talking.say('exit 3\r');
    expect((await talking.ended).code).toBe(3);
    expect((await watching.ended).code).toBe(0);

    const cast = await until(async () => {
      const ran = await run(['--as', 'admin', 'sessions', 'replay', id, '--format', 'asciicast', '--clear']);
      return ran.out.includes('exit 3') ? ran.out : undefined;
    });
    const [header, ...events] = cast
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as unknown);
    expect(header).toMatchObject({ version: 2, title: `carla on ${HOST}` });
    const shown = (events as [number, string, string][]).filter(([, code]) => code === 'o').map(([, , text]) => text);
    const seen = Buffer.from(talking.said, 'latin1').toString('utf8');
    expect(shown.join(''), 'the film is what the client saw').toBe(seen);
    expect(await screenOf(shown.join(''))).toBe(await screenOf(seen));
    if (existsSync(ASCIINEMA)) {
      // Its reader wants a terminal to be there.
      const file = path.join(dir, 'session.cast');
      writeFileSync(file, cast);
      const read = await runProgram('script', ['-qec', `${ASCIINEMA} cat ${file}`, '/dev/null']);
      expect(read.code, read.stdout.toString()).toBe(0);
      expect(read.stdout.toString().replaceAll('\r', ''), 'asciinema reads it').toBe(seen.replaceAll('\r', ''));
    }
    const typed = (events as [number, string, string][]).filter(([, code]) => code === 'i').map(([, , text]) => text);
    expect(typed.join('')).toContain('read -s word');
    expect(cast, 'a password is not in it').not.toContain('hunter2');

    const played = await run(['--as', 'admin', 'sessions', 'replay', id, '--format', 'film', '--speed', '0']);
    expect(played.out).toContain('\u001b[32mgreen\u001b[0m Größe');
    const commands = await runJson<{ text: string; terminal: boolean; code: number | null }[]>([
      '--as',
      'admin',
      'sessions',
      'commands',
      id,
    ]);
    expect(commands[0]).toMatchObject({ terminal: true, code: 3 });
    const found = await runJson<{ text: string }[]>([
      '--as',
      'admin',
      'sessions',
      'commands',
      id,
      '--search',
      'PRINTF',
    ]);
    expect(found.map(({ text }) => text.slice(0, 6))).toEqual(['printf']);
    const everywhere = ['--as', 'admin', 'sessions', 'commands', '--search', 'PRINTF', '--since', '1h'];
    const all = await runJson<{ text: string; session: { id: string } }[]>(everywhere);
    expect(all.find(({ session }) => session.id === id)?.text.slice(0, 6)).toBe('printf');
    expect((await run(['--as', 'admin', 'sessions', 'commands'])).code).not.toBe(0);
    // The same by REST, a command at a time, over its pages.
    const asked = `/v1/sessions/commands?q=e&resource=${HOST}`;
    const whole = await admin.call<FoundPage>('GET', `${asked}&limit=100`);
    expect(whole.nextCursor).toBeNull();
    expect(whole.items.length).toBeGreaterThan(2);
    const paged: FoundPage['items'][number][] = [];
    for (let cursor: string | null = ''; cursor !== null; ) {
      const page: FoundPage = await admin.call<FoundPage>(
        'GET',
        `${asked}&limit=1&sessions=1${cursor === '' ? '' : `&cursor=${cursor}`}`,
      );
      expect(page.items.length).toBeLessThanOrEqual(1);
      expect(page.looked).toBeLessThanOrEqual(1);
      paged.push(...page.items);
      cursor = page.nextCursor;
    }
    expect(paged).toEqual(whole.items);
    await expect(admin.call('GET', `${asked}&cursor=e30`)).rejects.toThrow('400');
    // Who may not see others' sessions looks into none of them, and each that was looked into is a viewing on the record.
    const bots = ['--as', 'payments-bot', 'sessions', 'commands', '--search', 'e', '--resource', HOST];
    expect(await runJson(bots)).toEqual([]);
    expect((await runJson<unknown[]>(['--as', 'carla', ...bots.slice(2)])).length).toBe(whole.items.length);
    await expect(admin.call('GET', '/v1/acts?limit=50')).resolves.toMatchObject({
      items: expect.arrayContaining([
        expect.objectContaining({
          action: 'statements.viewed',
          target: `session/${id}`,
          detail: expect.objectContaining({ form: 'search' }) as unknown,
        }),
      ]) as unknown,
    });

    expect((await run(['--as', 'admin', 'sessions', 'erase', id, '--reason', 'test'])).code).toBe(0);
    const gone = await run(['--as', 'admin', 'sessions', 'replay', id, '--format', 'asciicast']);
    expect(gone.code).not.toBe(0);
    expect(gone.out).not.toContain('green');
    expect((await run(['--as', 'admin', 'sessions', 'commands', id])).code).not.toBe(0);
    const others = await run(everywhere);
    expect(others.code, others.err).toBe(0);
    expect(others.out).not.toContain(id);
    expect(others.err + others.out).toContain('cannot be read');
  });

  test('a refused command is found by its text, marked as refused, though its session has no recording', async () => {
    const refused = await connected('sudo id -un');
    expect((await refused.ended).code).toBe(126);
    const id = await newest(false);
    const search = ['--as', 'admin', 'sessions', 'commands', '--search', 'sudo id', '--resource', HOST];
    const found = await until(async () => {
      const items = await runJson<{ verdict: string; refused: object | null; session: { id: string } }[]>(search);
      return items.find(({ session }) => session.id === id);
    });
    expect(found).toMatchObject({
      verdict: 'deny',
      refused: { code: expect.stringMatching(/^(grant|policy)\./) as unknown },
    });
    const shown = await run(['--as', 'admin', 'sessions', 'commands', id]);
    expect(shown.code, shown.err).toBe(0);
    expect(shown.out).toMatch(/\bdeny\b.*sudo id -un/);
  });

  test('who may not see it sees no film, and a film from the middle begins with the screen as it was', async () => {
    const talking = await connected('printf "one\\n"; sleep 1; printf "two\\n"');
    await talking.ended;
    const id = await newest(false);
    const whole = await until(async () => {
      const ran = await run(['--as', 'admin', 'sessions', 'replay', id, '--format', 'asciicast']);
      return ran.out.includes('two') ? ran.out : undefined;
    });
    expect(whole).toContain('one');
    const began = /\[([0-9.]+),"o","one/.exec(whole)?.[1] ?? '';
    const from = `${Math.round(Number(began) * 1000) + 300}ms`;
    const late = await run(['--as', 'admin', 'sessions', 'replay', id, '--format', 'asciicast', '--from', from]);
    expect(late.out).toContain('[0,"o","one');
    expect(late.out).toMatch(/\[0\.[0-9]+,"o","two/);
    expect((await run(['--as', 'payments-bot', 'sessions', 'replay', id, '--format', 'asciicast'])).code).not.toBe(0);
  });
});
