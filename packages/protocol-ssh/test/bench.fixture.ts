/** A gateway for SSH with a real sshd behind it, and Debian's clients before it. For this package's tests. */
import { generateKeyPairSync } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { Secret } from '@sallyport/core';
import type { Resource, SshTarget } from '@sallyport/model';
import { privateKeyOf } from '@sallyport/ssh-certificates';
import {
  type Gateway,
  type GatewayOptions,
  type Ran,
  run,
  type SshServer,
  sshEnv,
  sshOptions,
  startGateway,
  startSshd,
  type Talk,
  TEST_TOKEN,
  talk,
  testSshResource,
} from '@sallyport/testkit';
import { createSshAdapter, loadTransport } from '../src/index.ts';

export interface Bench {
  readonly server: SshServer;
  /** Gone at the end. */
  readonly dir: string;
  gateway(
    options?: Partial<GatewayOptions>,
    target?: Partial<SshTarget>,
    resource?: Partial<Resource>,
  ): Promise<Gateway>;
  /** Debian's ssh, by token as password. */
  ssh(at: Gateway, args: readonly string[], input?: Uint8Array): Promise<Ran>;
  program(at: Gateway, program: string, args: readonly string[], input?: Uint8Array, cwd?: string): Promise<Ran>;
  /** An ssh that is talked to; killed by `tidy`. */
  talk(at: Gateway, args: readonly string[]): Talk;
  /** For programs that run ssh themselves. */
  sshCommand(at: Gateway): string;
  readonly env: Record<string, string>;
  /** The sshd reads its settings again. */
  restart(): Promise<void>;
  /** After each test. */
  tidy(): Promise<void>;
  stop(): Promise<void>;
}

const hostKey = { key: privateKeyOf(generateKeyPairSync('ed25519').privateKey), certificate: undefined };

export async function openBench(more: readonly string[] = []): Promise<Bench> {
  await loadTransport();
  const server = await startSshd(more);
  const dir = mkdtempSync(path.join(os.tmpdir(), 'sallyport-ssh-'));
  const env = sshEnv(dir, TEST_TOKEN);
  const open: Gateway[] = [];
  const talks: Talk[] = [];
  const options = (at: Gateway): readonly string[] => sshOptions(at.port);
  return {
    server,
    dir,
    env,
    gateway: async (gateway = {}, target = {}, resource = {}) => {
      const started = await startGateway({
        adapter: createSshAdapter({ hostKey: () => hostKey }),
        resource: testSshResource(
          { port: server.port, logins: [server.login], hostKeys: [server.hostKey], ...target },
          resource,
        ),
        credential: { username: server.login, secret: new Secret(server.clientKey), certificate: false },
        ...gateway,
      });
      open.push(started);
      return started;
    },
    ssh: (at, args, input) =>
      run('ssh', [...options(at), 'web-1@127.0.0.1', ...args], { env, ...(input === undefined ? {} : { input }) }),
    program: (at, program, args, input, cwd) =>
      run(program, [...options(at), ...args], {
        env,
        ...(input === undefined ? {} : { input }),
        ...(cwd === undefined ? {} : { cwd }),
      }),
    talk: (at, args) => {
      const talking = talk('ssh', [...options(at), ...args], env);
      talks.push(talking);
      return talking;
    },
    sshCommand: (at) => ['ssh', ...options(at)].join(' '),
    restart: () => server.reload(),
    tidy: async () => {
      for (const talking of talks.splice(0)) talking.kill();
      await Promise.all(open.splice(0).map((gateway) => gateway.close()));
    },
    stop: async () => {
      await server.stop();
      rmSync(dir, { recursive: true, force: true });
    },
  };
}
