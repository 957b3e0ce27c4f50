/**
 * Every row of rows/streams.ts by a real ssh through the gateway to a real sshd: what the client got, what the recording has
 * (the same, byte for byte), and what its film shows. Machines without sshd leave these out by name.
 */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { type SshServer, sshdMissing, sshEnv, sshOptions, startSshd, talk } from '@sallyport/testkit';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { restClient } from '../../scripts/stack/rest.ts';
import { apiToken } from '../../scripts/stack/sql-client.ts';
import { DOWNLOADS, STREAM_FILES, STREAMS, type StreamRow, VALUES } from './rows/streams.ts';

const dev = inject('dev');
const admin = restClient(dev.rest, dev.principals['admin']?.token ?? '');
const ana = restClient(dev.rest, dev.principals['ana']?.token ?? '');
const HOST = 'leaks-host';
const DETECTORS = ['payment_card', 'email', 'national_id', 'iban', 'phone', 'secret_key', 'jwt'];

interface Frame {
  readonly kind: string;
  readonly stream?: string;
  readonly bytes?: string;
  readonly text?: string;
}

/** What a person reads: without escapes, what was struck over, and spaces. */
const read = (bytes: string): string =>
  bytes
    // biome-ignore lint/suspicious/noControlCharactersInRegex: those are what it is about
    .replace(/\u001b\[[0-9;?]*[A-Za-z]|\u001b[()][A-Z0-9]|\u001b\][^\u0007]*(\u0007|\u001b\\)/g, (all) =>
      all.startsWith('\u001b]') ? all : '',
    )
    // biome-ignore lint/suspicious/noControlCharactersInRegex: as above
    .replace(/.\u0008|[\u0000\r ]/g, '');

/** An agent says what it holds before the control plane knows of it. */
async function eventually(act: () => Promise<unknown>): Promise<void> {
  for (const until = Date.now() + 20_000; ; ) {
    try {
      await act();
      return;
    } catch (error) {
      if (Date.now() > until) throw error;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
}

describe.skipIf(sshdMissing)('streams of a host', () => {
  let server: SshServer;
  let dir: string;
  beforeAll(async () => {
    server = await startSshd();
    dir = mkdtempSync(path.join(os.tmpdir(), 'sallyport-leaks-ssh-'));
    for (const [name, text] of Object.entries(STREAM_FILES)) writeFileSync(path.join(dir, name), text);
    await admin.call('POST', '/v1/credentials', {
      name: 'leaks-key',
      kind: 'stored',
      username: server.login,
      secret: server.clientKey,
    });
    await admin.call('POST', '/v1/resources', {
      name: HOST,
      type: 'ssh',
      credential: 'leaks-key',
      ssh: {
        host: '127.0.0.1',
        port: server.port,
        logins: [server.login],
        hostKeys: [server.hostKey],
        shell: 'recorded',
        downloadDetect: DETECTORS,
      },
    });
    await admin.call('POST', '/v1/grants', {
      name: 'leaks-host',
      principal: 'carla',
      resource: HOST,
      effects: ['read', 'write', 'exec', 'admin'],
    });
    const masks = DETECTORS.map((one) => `{ detect: [${one}], with: redact }`).join(', ');
    await admin.call('POST', '/v1/apply', {
      documents: [
        {
          file: 'leaks.yaml',
          text: `kind: Policy\nname: leaks-streams\nresources: { names: [${HOST}] }\nmasks: [${masks}]\n`,
        },
      ],
      dryRun: false,
      prune: false,
    });
    for (const until = Date.now() + 30_000; ; ) {
      const { out } = await show({ name: 'ready', command: 'echo ready', never: [], shows: '' });
      if (out.includes('ready')) break;
      if (Date.now() > until) throw new Error(`the host cannot be reached: ${out}`);
    }
  }, 60_000);
  afterAll(async () => {
    await admin.call('DELETE', '/v1/policies/leaks-streams').catch(() => undefined);
    await admin.call('DELETE', `/v1/resources/${HOST}`).catch(() => undefined);
    await server?.stop();
    if (dir !== undefined) rmSync(dir, { recursive: true, force: true });
  });

  async function token(): Promise<string> {
    const answer = await fetch(`${dev.rest}/v1/oauth/token`, {
      method: 'POST',
      body: new URLSearchParams({
        grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
        subject_token: dev.principals['carla']?.token ?? '',
        subject_token_type: 'urn:ietf:params:oauth:token-type:access_token',
        resource: HOST,
      }),
    });
    return ((await answer.json()) as { access_token: string }).access_token;
  }

  async function show(row: StreamRow): Promise<{ readonly out: string }> {
    const talking = talk(
      'ssh',
      [
        ...sshOptions(dev.agent.ssh),
        ...(row.keys === undefined ? [] : ['-tt']),
        `${HOST}@127.0.0.1`,
        row.command.replaceAll('$DIR', dir),
      ],
      sshEnv(dir, await token()),
    );
    // Pagers and editors can start a shell: the shipped rules ask somebody.
    if (row.approved === true) {
      await talking.heard('apr-');
      const id = /apr-[a-z0-9]+/.exec(talking.said)?.[0] ?? '';
      await eventually(() => ana.call('POST', `/v1/approvals/${id}/approve`, {}));
    }
    for (const [seen, keys] of row.keys ?? []) {
      await talking.heard(seen);
      await new Promise((resolve) => setTimeout(resolve, 300));
      talking.say(keys);
    }
    await talking.ended;
    return { out: talking.said };
  }

  /** Both streams of the newest session, as it was recorded. */
  async function recorded(): Promise<{ readonly id: string; readonly bytes: string } | undefined> {
    const { items } = await admin.call<{ items: { id: string; live: boolean }[] }>(
      'GET',
      `/v1/sessions?resource=${HOST}&limit=1`,
    );
    const session = items[0];
    if (session === undefined || session.live) return undefined;
    const response = await fetch(`${dev.rest}/v1/sessions/${session.id}/recording?clear=true`, {
      headers: { authorization: `Bearer ${await apiToken(dev, 'admin')}` },
    });
    if (response.status !== 200) return undefined;
    const frames = (await response.text())
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line) as Frame);
    if (!frames.some((frame) => frame.kind === 'exit')) return undefined;
    const out = frames.filter((frame) => frame.kind === 'terminal_output');
    return {
      id: session.id,
      bytes: Buffer.concat(out.map((frame) => Buffer.from(frame.bytes ?? '', 'base64'))).toString('latin1'),
    };
  }

  test.each(STREAMS.map((row) => [row.name, row] as const))(
    '%s: nothing leaves, and nothing is kept',
    async (_name, row) => {
      const { out } = await show(row);
      expect(out, 'something came').toContain(row.shows);
      for (const secret of row.never) expect(read(out), secret).not.toContain(secret);
      const before = { bytes: '' };
      await expect
        .poll(
          async () => {
            const found = await recorded();
            if (found !== undefined) Object.assign(before, found);
            return before.bytes.includes(row.shows);
          },
          { timeout: 20_000, interval: 250 },
        )
        .toBe(true);
      const sorted = (text: string): string => Array.from(text).sort().join('');
      const host = out.replace(/Sallyport: [^\n]*\n/g, '');
      expect(sorted(before.bytes), 'the recording is what the client got').toBe(sorted(host));
      for (const secret of row.never) expect(read(before.bytes), secret).not.toContain(secret);
    },
  );

  /** @returns what the client has of it in the end, each in a way of its own: scp over sftp, the older scp, sftp behind what it `has` */
  async function downloaded(content: string, has: string): Promise<readonly string[]> {
    const [from, batch] = [path.join(dir, 'download'), path.join(dir, 'batch')];
    writeFileSync(from, content);
    const to = ['-s', '-O', 'rest'].map((way) => path.join(dir, `got${way}`));
    const [over, older, rest] = to as [string, string, string];
    writeFileSync(rest, has);
    writeFileSync(batch, `reget ${from} ${rest}\n`);
    const [options, env] = [sshOptions(dev.agent.ssh), sshEnv(dir, await token())];
    const host = `${HOST}@127.0.0.1`;
    await talk('scp', ['-s', ...options, `${host}:${from}`, over], env).ended;
    await talk('scp', ['-O', ...options, `${host}:${from}`, older], env).ended;
    await talk('sftp', [...options, '-b', batch, host], env).ended;
    return to.map((file) => {
      const got = existsSync(file) ? readFileSync(file, 'latin1') : '';
      rmSync(file, { force: true });
      return got;
    });
  }

  test.each(Object.entries(DOWNLOADS))('%s: the download is cut before it', async (_name, content) => {
    const half = content.slice(0, -8);
    const [over, older, rest] = await downloaded(content, half);
    for (const value of VALUES) {
      expect(over).not.toContain(value);
      expect(older).not.toContain(value);
    }
    expect(rest).toBe(half);
  });
  test('nothing is cut of a file that holds nothing', async () => {
    expect(await downloaded('nothing in here', '')).toEqual(Array(3).fill('nothing in here'));
  });
});
