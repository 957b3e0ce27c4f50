/**
 * The ways to one host that the SSH bench compares: sshd itself, an OpenSSH relay, and us. Each is an ssh_config of its own, so
 * that ssh, sftp and rsync run unchanged. Refuses to touch the user's keys and known hosts.
 */
import { spawn } from 'node:child_process';
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type SshServer, startSshd } from '@sallyport/testkit';
import { ROOT } from '../../scripts/stack/build.ts';
import { clientToken } from '../../scripts/stack/rest.ts';
import { ANY_PORTS, type Stack, startStack } from '../../scripts/stack/stack.ts';

export const SSHD = 'sshd itself';
export const RELAY = 'OpenSSH relay';
export const PLAIN = 'us, plain';
export const RECORDED = 'us, recording';
export const EVERYTHING = 'us, everything on';

export interface SshWay {
  readonly name: string;
  /** Arguments of ssh and sftp before the host's name. */
  readonly options: readonly string[];
  readonly host: string;
}

export interface AgentMemory {
  /** Resident. */
  readonly rss: number;
  /** Objects, and bytes beside them. */
  readonly used: number;
}
export interface Stall {
  readonly ms: number;
  /** Of the second in which it was: how long the agent could have run and got no processor, in ms. */
  readonly waitedMs: number;
}

export interface SshBench {
  readonly ways: readonly SshWay[];
  readonly stack: Stack;
  /** Certificates live for minutes: called before each measurement. */
  renew(): Promise<void>;
  /** An access token for one of our ways. */
  token(way: SshWay): Promise<string>;
  /** What the agent has in memory when garbage is gone. @throws Error when it does not say so within 30 s */
  memory(): Promise<AgentMemory>;
  /** The longest that the agent's event loop stood still since the last call. */
  stall(): Stall;
  stop(): Promise<void>;
}

const RESOURCES: Readonly<
  Record<string, { readonly name: string; readonly recording: string; readonly mask: boolean }>
> = {
  [PLAIN]: { name: 'bench-ssh-plain', recording: 'statements', mask: false },
  [RECORDED]: { name: 'bench-ssh-recorded', recording: 'results', mask: false },
  [EVERYTHING]: { name: 'bench-ssh-everything', recording: 'results', mask: true },
};

const POLICY = `kind: Policy
name: bench-ssh
resources: { names: [bench-ssh-everything] }
rules:
  - name: no-privilege
    when: shell.privilege
    verdict: deny
  - name: no-opaque
    when: shell.opaque.size() > 0
    verdict: deny
  - name: restarts
    when: shell.commands.exists(c, c.program == "systemctl")
    verdict: hold
    approval: { groups: [dba], count: 1, expires: 10m }
masks:
  - { detect: [payment_card, email, national_id, iban], with: partial }
`;

const resource = (name: string, recording: string, mask: boolean, server: SshServer): string => `kind: Resource
name: ${name}
type: ssh
labels: { env: bench-ssh }
credential: bench-hosts
recording: ${recording}
ssh:
  host: 127.0.0.1
  port: ${server.port}
  logins: [${server.login}]
  hostKeys: ["${server.hostKey}"]
  maskStreams: ${mask}
`;

const CIPHER = 'aes128-gcm@openssh.com';

/** @param dir a folder of its own */
export async function startSshBench(
  dir: string,
  say: (line: string) => void,
  agentEnv: Readonly<Record<string, string>> = {},
): Promise<SshBench> {
  const stops: (() => Promise<void>)[] = [];
  const stop = async (): Promise<void> => {
    for (const end of stops.splice(0).reverse()) await end();
  };
  try {
    const server = await startSshd(['TrustedUserCAKeys $DIR/ca.pub']);
    stops.push(() => server.stop());
    const key = path.join(dir, 'client_key');
    writeFileSync(key, server.clientKey, { mode: 0o600 });
    const base = [
      '-F',
      '/dev/null',
      '-o',
      'LogLevel=ERROR',
      '-o',
      `Ciphers=${CIPHER}`,
      '-o',
      'StrictHostKeyChecking=no',
    ];
    const plainSsh = (port: number): readonly string[] => [
      ...base,
      '-o',
      'UserKnownHostsFile=/dev/null',
      '-o',
      `IdentityFile=${key}`,
      '-o',
      'IdentitiesOnly=yes',
      '-o',
      `Port=${port}`,
      '-o',
      `User=${server.login}`,
    ];
    const onward = ['ssh', ...plainSsh(server.port), '127.0.0.1'].join(' ');
    const relay = await startSshd([`ForceCommand ${onward} "$SSH_ORIGINAL_COMMAND"`]);
    stops.push(() => relay.stop());
    writeFileSync(path.join(dir, 'relay_key'), relay.clientKey, { mode: 0o600 });
    say('Starting a control plane and an agent');
    const stalls = path.join(dir, 'stalls');
    writeFileSync(stalls, '');
    const watch = `--import=${path.join(ROOT, 'test/bench/loop-stalls.ts')}`;
    const stack = await startStack({
      dir: path.join(dir, 'stack'),
      ports: ANY_PORTS,
      fresh: true,
      say,
      agentEnv: {
        ...agentEnv,
        NODE_OPTIONS: [agentEnv['NODE_OPTIONS'], watch].filter((word) => word !== undefined).join(' '),
        BENCH_STALLS: stalls,
      },
    });
    stops.push(() => stack.stop());
    const asClient = await setUp(stack, server);
    const env = async (): Promise<NodeJS.ProcessEnv> => ({
      ...process.env,
      SALLYPORT_URL: stack.dev.rest,
      SALLYPORT_TOKEN: await asClient(),
      SALLYPORT_CONFIG: path.join(dir, 'cli.json'),
    });
    const cli = path.join(ROOT, 'apps/cli/dist/sallyport.mjs');
    const names = Object.entries(RESOURCES);
    const renew = async (): Promise<void> => {
      for (const [, { name }] of names) await ran(process.execPath, [cli, 'ssh-cert', '--renew', name], await env());
    };
    const ours: SshWay[] = [];
    for (const [way, { name }] of names) {
      const config = path.join(dir, name);
      const text = await ran(process.execPath, [cli, 'ssh-config', name], await env());
      // Renewed by hand here, so that it does not stand in what is measured.
      const lines = text.split('\n').filter((line) => !line.startsWith('Match '));
      writeFileSync(config, `${lines.join('\n')}\n`);
      ours.push({ name: way, options: ['-F', config, '-o', 'LogLevel=ERROR', '-o', `Ciphers=${CIPHER}`], host: name });
    }
    const direct: SshWay = { name: SSHD, options: plainSsh(server.port), host: '127.0.0.1' };
    const relayOptions = plainSsh(relay.port).map((word) => word.replace(key, path.join(dir, 'relay_key')));
    const token = async ({ host }: SshWay): Promise<string> => {
      const answer = await fetch(`${stack.dev.rest}/v1/oauth/token`, {
        method: 'POST',
        body: new URLSearchParams({
          grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
          subject_token: await asClient(),
          subject_token_type: 'urn:ietf:params:oauth:token-type:access_token',
          resource: host,
        }),
      });
      if (!answer.ok) throw new Error(`no access token: ${answer.status} ${await answer.text()}`);
      return ((await answer.json()) as { access_token: string }).access_token;
    };
    const memory = async (): Promise<AgentMemory> => {
      const answer = `${stalls}.memory`;
      rmSync(answer, { force: true });
      writeFileSync(`${stalls}.ask`, '');
      for (const until = Date.now() + 30_000; !existsSync(answer); await sleep(100))
        if (Date.now() > until) throw new Error('the agent does not say what it has in memory');
      return JSON.parse(readFileSync(answer, 'utf8')) as AgentMemory;
    };
    const stall = (): Stall => {
      let longest: Stall = { ms: 0, waitedMs: 0 };
      for (const line of readFileSync(stalls, 'utf8').split('\n')) {
        const [ms = 0, waitedMs = 0] = line.split(' ').map(Number);
        if (ms > longest.ms) longest = { ms, waitedMs };
      }
      writeFileSync(stalls, '');
      return longest;
    };
    const ways = [direct, { name: RELAY, options: relayOptions, host: '127.0.0.1' }, ...ours];
    return { ways, stack, renew, token, memory, stall, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** @returns a way to get an API token of who works on the hosts */
async function setUp(stack: Stack, server: SshServer): Promise<() => Promise<string>> {
  const { admin } = stack;
  const made = await admin.call<{ settings: Record<string, string> }>('POST', '/v1/credentials', {
    name: 'bench-hosts',
    kind: 'ssh_ca',
  });
  writeFileSync(path.join(server.dir, 'ca.pub'), `${made.settings['public_key']!}\n`);
  await admin.call('POST', '/v1/principals', { name: 'bencher', kind: 'service', displayName: 'Benchmark' });
  const documents = [
    ...Object.values(RESOURCES).map(({ name, recording, mask }) => resource(name, recording, mask, server)),
    'kind: Grant\nname: bench-ssh\nprincipal: bencher\nlabels: { env: bench-ssh }\neffects: [read, write, exec]\n',
    POLICY,
  ].map((text, i) => ({ file: `ssh-${i}.yaml`, text }));
  await admin.call('POST', '/v1/apply', { documents, dryRun: false, prune: false });
  const { clientId, clientSecret } = await admin.call<{ clientId: string; clientSecret: string }>(
    'POST',
    '/v1/principals/bencher/secrets',
    {},
  );
  return () => clientToken(stack.dev.rest, clientId, clientSecret);
}

/** Runs a program to its end. @throws Error with what it said */
export function ran(program: string, args: readonly string[], env = process.env): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, [...args], { stdio: ['ignore', 'pipe', 'pipe'], env });
    let [out, err] = ['', ''];
    child.stdout.on('data', (chunk: Buffer) => {
      out += chunk.toString();
    });
    child.stderr.on('data', (chunk: Buffer) => {
      err += chunk.toString();
    });
    child.once('error', reject);
    child.once('close', (code) =>
      code === 0 ? resolve(out) : reject(new Error(`${program} ${args.at(-1)} ended with ${code}: ${err || out}`)),
    );
  });
}
