/** SSH through a real relay, between Debian's ssh and a real sshd. */

import { generateKeyPairSync } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { Secret } from '@sallyport/core';
import type { ShellFacts } from '@sallyport/model';
import {
  deny,
  type Gateway,
  type GatewayOptions,
  run,
  type SshServer,
  sshdMissing,
  sshEnv,
  sshOptions,
  startGateway,
  startSshd,
  TEST_TOKEN,
  testSshResource,
} from '@sallyport/testkit';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { createSshAdapter, loadTransport, parsePrivateKey } from './index.ts';

const pem = (): string => generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }) as string;

/** Reads a line as one command of plain words. */
const plainWords = (text: string): ShellFacts => ({
  understood: true,
  commands: [],
  programs: [text.split(' ')[0] ?? ''],
  pathsWritten: [],
  pathsRead: [],
  privilege: false,
  network: false,
  background: false,
  opaque: [],
});

describe.skipIf(sshdMissing)('SSH', () => {
  let server: SshServer;
  let dir: string;
  let env: Record<string, string>;
  const cleanUps: (() => unknown)[] = [];
  beforeAll(async () => {
    await loadTransport();
    server = await startSshd();
    dir = mkdtempSync(path.join(os.tmpdir(), 'sallyport-ssh-'));
    env = sshEnv(dir, TEST_TOKEN);
  });
  afterAll(async () => {
    await server?.stop();
    rmSync(dir, { recursive: true, force: true });
  });
  afterEach(async () => {
    for (const undo of cleanUps.splice(0).reverse()) await undo();
  });

  const hostKey = { key: parsePrivateKey(pem()), certificate: undefined };
  async function gateway(options: Partial<GatewayOptions> = {}): Promise<Gateway> {
    const started = await startGateway({
      adapter: createSshAdapter({
        hostKey: () => hostKey,
        shell: { read: plainWords, transferOf: () => undefined },
      }),
      resource: testSshResource({ port: server.port, logins: [server.login], hostKeys: [server.hostKey] }),
      credential: { username: server.login, secret: new Secret(server.clientKey), certificate: false },
      ...options,
    });
    cleanUps.push(() => started.close());
    return started;
  }
  const ssh = (at: Gateway, args: readonly string[], input?: Uint8Array) =>
    run('ssh', [...sshOptions(at.port), 'web-1@127.0.0.1', ...args], {
      env,
      ...(input === undefined ? {} : { input }),
    });

  test('a command runs, and its output, errors and exit status come back', async () => {
    const at = await gateway();
    const ran = await ssh(at, ['echo out; echo err >&2; exit 7']);
    expect(ran).toMatchObject({ code: 7, stderr: 'err\n' });
    expect(ran.stdout.toString()).toBe('out\n');
    expect(at.judged.map(({ statement }) => statement.text)).toEqual(['echo out; echo err >&2; exit 7']);
    expect(at.judged[0]?.statement.effects).toEqual(['exec']);
  });

  test('a denied command never runs, and the refusal is readable', async () => {
    const at = await gateway({ decide: () => deny('Ask the platform team.') });
    const ran = await ssh(at, [`touch ${dir}/never`]);
    expect(ran.code).toBe(126);
    expect(ran.stderr).toContain('Ask the platform team.');
    expect(ran.stderr).toContain('test/deny');
  });
});
