/**
 * SSH on a running stack, for the tests of it: a real sshd that trusts one CA line, hosts described over REST, and what
 * `sallyport ssh-config` writes, for unchanged programs of OpenSSH. Refuses to touch the user's own keys and known hosts.
 */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { type Ran, type RunOptions, run, type SshServer, startSshd, type Talk, talk } from '@sallyport/testkit';
import { expect } from 'vitest';
import type { DevFile } from '../../scripts/stack/dev-file.ts';
import { type Rest, restClient } from '../../scripts/stack/rest.ts';
import { type Cli, openCli } from './cli-process.ts';

export interface HostPlan {
  /** Of carla's grant; none: no grant. */
  readonly effects?: readonly string[];
  /** What else the `ssh` block says. */
  readonly ssh?: Readonly<Record<string, unknown>>;
  /** What else the resource says. */
  readonly resource?: Readonly<Record<string, unknown>>;
  /** Rules and masks: the rest of a policy document, for this host alone. */
  readonly policy?: string;
}

export interface Host {
  readonly name: string;
  /** As `sallyport ssh-config` writes it. */
  readonly renewing: string;
  /** The same without renewal, which is not what each test is about. */
  readonly config: string;
}

export interface SshBed {
  readonly dev: DevFile;
  /** Gone at the end; short enough for sockets in it. */
  readonly dir: string;
  readonly server: SshServer;
  readonly cli: Cli;
  readonly env: Record<string, string>;
  readonly admin: Rest;
  rest(principal: string): Rest;
  /** In force when this returns. */
  host(name: string, plan?: HostPlan): Promise<Host>;
  ssh(host: Host, args: readonly string[], options?: RunOptions): Promise<Ran>;
  /** Any program that takes `-F`. */
  program(name: string, host: Host, args: readonly string[], options?: RunOptions): Promise<Ran>;
  /** For programs that start ssh themselves. */
  sshCommand(host: Host): string;
  /** An ssh to talk to; killed at the end. */
  talk(host: Host, args: readonly string[]): Talk;
  /** An access token of carla's, or of whose API token that is. */
  token(resource: string, more?: Readonly<Record<string, string>>, apiToken?: string): Promise<string>;
  /** The approval that waits for a statement with this in it. */
  pending(text: string): Promise<string>;
  answer(id: string, what: 'approve' | 'deny'): Promise<void>;
  stop(): Promise<void>;
}

export async function openBed(dev: DevFile, sshdLines: readonly string[] = []): Promise<SshBed> {
  const server = await startSshd(['TrustedUserCAKeys $DIR/user_ca.pub', 'AuthorizedPrincipalsFile none', ...sshdLines]);
  const dir = mkdtempSync('/var/tmp/slyssh-');
  const cli = openCli(dev);
  const env = { ...cli.env, LC_ALL: 'C.UTF-8' } as Record<string, string>;
  const people = new Map<string, Rest>();
  const rest = (name: string): Rest => {
    const known = people.get(name) ?? restClient(dev.rest, dev.principals[name]?.token ?? '');
    people.set(name, known);
    return known;
  };
  const admin = rest('admin');
  const talks: Talk[] = [];
  const made: string[] = [];
  const ca = `ca-${path.basename(dir).toLowerCase()}`;
  const close = async (): Promise<void> => {
    await server.stop();
    cli.end();
    rmSync(dir, { recursive: true, force: true });
  };
  const { settings } = await admin
    .call<{ settings: Record<string, string> }>('POST', '/v1/credentials', {
      name: ca,
      kind: 'ssh_ca',
      settings: { ttl_seconds: '120' },
    })
    .catch(async (error: unknown) => {
      await close();
      throw error;
    });
  writeFileSync(path.join(server.dir, 'user_ca.pub'), `${settings['public_key']}\n`);

  const bed: SshBed = {
    dev,
    dir,
    server,
    cli,
    env,
    admin,
    rest,
    host: async (name, plan = {}) => {
      const { effects = ['read', 'write', 'exec'] } = plan;
      const documents = [
        {
          kind: 'Resource',
          name,
          type: 'ssh',
          credential: ca,
          ...plan.resource,
          ssh: {
            host: '127.0.0.1',
            port: server.port,
            logins: [server.login],
            hostKeys: [server.hostKey],
            ...plan.ssh,
          },
        },
        ...(effects.length === 0 ? [] : [{ kind: 'Grant', name, principal: 'carla', resource: name, effects }]),
      ].map((document, i) => ({ file: `${name}-${i}.yaml`, text: JSON.stringify(document) }));
      if (plan.policy !== undefined) {
        const text = `kind: Policy\nname: ${name}\nresources: { names: [${name}] }\n${plan.policy}`;
        documents.push({ file: `${name}-policy.yaml`, text });
        made.push(`/v1/policies/${name}`);
      }
      made.push(`/v1/resources/${name}`);
      await admin.call('POST', '/v1/apply', { documents, dryRun: false, prune: false });
      const [renewing, config] = [path.join(dir, `${name}.full`), path.join(dir, name)];
      const host = { name, renewing, config };
      if (effects.length === 0) return host;
      const written = await cli.run(['--as', 'carla', 'ssh-config', name]);
      expect(written.code, written.err).toBe(0);
      writeFileSync(renewing, written.out);
      const lines = written.out.split('\n').filter((line) => !line.startsWith('Match '));
      writeFileSync(config, `LogLevel ERROR\nPreferredAuthentications publickey\n${lines.join('\n')}\n`);
      const certified = await cli.run(['--as', 'carla', 'ssh-cert', name]);
      expect(certified.code, certified.err).toBe(0);
      // What the agent was told a moment ago takes a moment; a host that cannot be reached has its say in a test.
      await until(async () => {
        const ran = await bed.ssh(host, ['true']);
        return ran.code === 0 || !ran.stderr.includes('Permission denied') ? true : undefined;
      });
      return host;
    },
    ssh: (host, args, options) => bed.program('ssh', host, [host.name, ...args], options),
    program: (name, host, args, options = {}) =>
      run(name, ['-F', host.config, ...args], { ...options, env: { ...env, ...options.env } }),
    sshCommand: (host) => `ssh -F ${host.config}`,
    talk: (host, args) => {
      const one = talk('ssh', ['-F', host.config, ...args], env);
      talks.push(one);
      return one;
    },
    token: async (resource, more = {}, apiToken = dev.principals['carla']?.token ?? '') => {
      const answer = await fetch(`${dev.rest}/v1/oauth/token`, {
        method: 'POST',
        body: new URLSearchParams({
          grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
          subject_token: apiToken,
          subject_token_type: 'urn:ietf:params:oauth:token-type:access_token',
          resource,
          ...more,
        }),
      });
      const body = (await answer.json()) as { readonly access_token: string };
      expect(answer.status, JSON.stringify(body)).toBe(200);
      return body.access_token;
    },
    pending: (text) =>
      until(async () => {
        const { items } = await rest('ana').call<{ items: { id: string; statement: string }[] }>(
          'GET',
          '/v1/approvals?state=pending',
        );
        return items.find(({ statement }) => statement.includes(text))?.id;
      }),
    answer: async (id, what) => {
      await rest('ana').call('POST', `/v1/approvals/${id}/${what}`, { reason: 'because' });
    },
    stop: async () => {
      for (const one of talks) one.kill('SIGKILL');
      for (const what of made) await admin.call('DELETE', what).catch(() => undefined);
      await admin.call('DELETE', `/v1/credentials/${ca}`).catch(() => undefined);
      await close();
    },
  };
  return bed;
}

/** Asks until there is an answer; errors count as none. */
export async function until<T>(ask: () => Promise<T | undefined>, withinMs = 30_000): Promise<T> {
  let last: unknown;
  for (const end = Date.now() + withinMs; Date.now() < end; await new Promise((next) => setTimeout(next, 100))) {
    try {
      const answer = await ask();
      if (answer !== undefined) return answer;
    } catch (error) {
      last = error;
    }
  }
  throw new Error(`nothing in ${withinMs} ms`, { cause: last });
}

/** Bytes of a process in memory. */
export const residentBytes = (pid: number): number =>
  Number(/^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) * 1024;

/** A folder of many small files, all different. @returns their names */
export function manyFiles(dir: string, count: number): readonly string[] {
  const names = Array.from({ length: count }, (_, i) => `d${i % 20}/file-${i}.txt`);
  for (let i = 0; i < 20; i++) mkdirSync(path.join(dir, `d${i}`), { recursive: true });
  for (const name of names)
    writeFileSync(path.join(dir, name), `${name} ana@example.com ${'x'.repeat(name.length * 20)}\n`);
  return names;
}
