/**
 * SSH on a whole stack: certificates of the control plane, a user CA that a real sshd trusts, rights, rules, holds and
 * revocation, by OpenSSH's own programs. Machines without sshd leave these out by name.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { jwkThumbprint, parsePublicKeyLine } from '@sallyport/ssh-certificates';
import {
  makeKey,
  type Ran,
  run,
  type SshServer,
  sshdMissing,
  sshEnv,
  sshOptions,
  startSshd,
  talk,
} from '@sallyport/testkit';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { restClient } from '../../scripts/stack/rest.ts';

const dev = inject('dev');
const admin = restClient(dev.rest, dev.principals['admin']?.token ?? '');
const carla = dev.principals['carla']?.token ?? '';
const ana = restClient(dev.rest, dev.principals['ana']?.token ?? '');

const POLICY = `kind: Policy
name: e2e-ssh
resources: { names: [web-1] }
rules:
  - name: no-removal-of-everything
    when: shell.commands.exists(c, c.program == "rm" && c.arguments.exists(a, a.startsWith("-") && a.contains("r")))
    verdict: deny
    message: Nothing is removed recursively here.
  - name: restarts
    when: shell.programs.exists(p, p == "restart-something")
    verdict: hold
    approval: { groups: [dba], count: 1, expires: 5m }
`;

interface Access {
  readonly access_token: string;
}

describe.skipIf(sshdMissing)('SSH on a stack', () => {
  let server: SshServer;
  let dir: string;
  let certified: { readonly key: string; readonly knownHosts: string };
  beforeAll(async () => {
    server = await startSshd(['TrustedUserCAKeys $DIR/user_ca.pub', 'AuthorizedPrincipalsFile none']);
    dir = mkdtempSync(path.join(os.tmpdir(), 'sallyport-e2e-ssh-'));
    const ca = await admin.call<{ settings: Record<string, string> }>('POST', '/v1/credentials', {
      name: 'hosts-ca',
      kind: 'ssh_ca',
      settings: { ttl_seconds: '120' },
    });
    writeFileSync(path.join(server.dir, 'user_ca.pub'), `${ca.settings['public_key']}\n`);
    await admin.call('POST', '/v1/resources', {
      name: 'web-1',
      type: 'ssh',
      credential: 'hosts-ca',
      ssh: { host: '127.0.0.1', port: server.port, logins: [server.login], hostKeys: [server.hostKey] },
    });
    await admin.call('POST', '/v1/grants', {
      name: 'e2e-ssh',
      principal: 'carla',
      resource: 'web-1',
      effects: ['read', 'write', 'exec'],
    });
    await admin.call('POST', '/v1/apply', {
      documents: [{ file: 'ssh.yaml', text: POLICY }],
      dryRun: false,
      prune: false,
    });
    await until(async () => (await ssh(await byToken(), ['true'])).code === 0);
    certified = await certificate();
  }, 60_000);
  afterAll(async () => {
    await admin.call('DELETE', '/v1/policies/e2e-ssh').catch(() => undefined);
    await admin.call('DELETE', '/v1/resources/web-1').catch(() => undefined);
    await server?.stop();
    if (dir !== undefined) rmSync(dir, { recursive: true, force: true });
  });

  const exchange = async (more: Record<string, string> = {}): Promise<string> => {
    const answer = await fetch(`${dev.rest}/v1/oauth/token`, {
      method: 'POST',
      body: new URLSearchParams({
        grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
        subject_token: carla,
        subject_token_type: 'urn:ietf:params:oauth:token-type:access_token',
        resource: 'web-1',
        ...more,
      }),
    });
    const body = (await answer.json()) as Access;
    expect(answer.status, JSON.stringify(body)).toBe(200);
    return body.access_token;
  };

  const byToken = async (): Promise<{ readonly env: Record<string, string>; readonly options: readonly string[] }> => ({
    env: sshEnv(dir, await exchange()),
    options: sshOptions(dev.agent.ssh),
  });
  const byCertificate = (): { readonly env: Record<string, string>; readonly options: readonly string[] } => ({
    env: {},
    options: [
      ...sshOptions(dev.agent.ssh, certified.knownHosts),
      '-o',
      'PreferredAuthentications=publickey',
      '-o',
      'IdentitiesOnly=yes',
      '-o',
      `HostKeyAlias=${dev.agent.host}`,
      '-o',
      'HostKeyAlgorithms=ssh-ed25519-cert-v01@openssh.com',
      '-i',
      certified.key,
    ],
  });

  /** A key with its certificate beside it, and the line that trusts the agent's host key. */
  async function certificate(): Promise<{ readonly key: string; readonly knownHosts: string }> {
    const { file, publicLine } = makeKey(path.join(dir, `id-${Date.now()}`));
    const accessToken = await exchange({ cnf_jkt: jwkThumbprint(parsePublicKeyLine(publicLine).key) });
    const made = await restClient(dev.rest, carla).call<{ certificate: string }>('POST', '/v1/ssh/certificates', {
      publicKey: publicLine,
      accessToken,
    });
    writeFileSync(`${file}-cert.pub`, `${made.certificate}\n`);
    const { hosts } = await restClient(dev.rest).call<{ hosts: readonly string[] }>('GET', '/v1/ssh/authorities');
    const knownHosts = path.join(dir, 'known_hosts');
    writeFileSync(knownHosts, hosts.map((line) => `@cert-authority * ${line}\n`).join(''));
    return { file, key: file, knownHosts } as { readonly key: string; readonly knownHosts: string };
  }

  const ssh = (
    { env, options }: { readonly env: Record<string, string>; readonly options: readonly string[] },
    args: readonly string[],
    input?: Uint8Array,
  ): Promise<Ran> =>
    run('ssh', [...options, 'web-1@127.0.0.1', ...args], { env, ...(input === undefined ? {} : { input }) });

  test('an access token is the password, and a certificate of this session alone signs in at the host', async () => {
    const ran = await ssh(await byToken(), ['id -un; echo $SSH_CONNECTION']);
    expect(ran).toMatchObject({ code: 0, stderr: '' });
    expect(ran.stdout.toString().split('\n')[0]).toBe(server.login);
    expect(server.log()).toMatch(/Accepted publickey for \S+ .*ED25519-CERT .*ID sallyport carla session/);
  });

  test('a certificate of the control plane signs in, and the agent’s own host key is certified by it', async () => {
    const ran = await ssh(byCertificate(), ['echo by certificate']);
    expect(ran, ran.stderr).toMatchObject({ code: 0 });
    expect(ran.stdout.toString()).toBe('by certificate\n');
  });

  test('a certificate for another key, of another CA, or with an option we do not know opens nothing', async () => {
    const good = readFileSync(`${certified.key}-cert.pub`, 'utf8');
    const other = makeKey(path.join(dir, 'other'));
    const ca = makeKey(path.join(dir, 'own-ca'));
    const cases: (() => void)[] = [
      () => writeFileSync(`${other.file}-cert.pub`, good),
      () => void execFileSync('ssh-keygen', ['-q', '-s', ca.file, '-I', 'x', '-n', 'web-1', `${other.file}.pub`]),
      () =>
        void execFileSync('ssh-keygen', [
          '-q',
          '-s',
          ca.file,
          '-I',
          'x',
          '-n',
          'web-1',
          '-O',
          'force-command=true',
          `${other.file}.pub`,
        ]),
    ];
    for (const make of cases) {
      rmSync(`${other.file}-cert.pub`, { force: true });
      make();
      const { env, options } = byCertificate();
      const ran = await ssh({ env, options: options.map((word) => (word === certified.key ? other.file : word)) }, [
        'true',
      ]);
      expect(ran.code).toBe(255);
      expect(ran.stderr).toContain('Permission denied');
    }
  });

  test('a login that the resource or the grants do not have opens nothing', async () => {
    const { env, options } = await byToken();
    const ran = await run('ssh', [...options, 'nobody+web-1@127.0.0.1', 'true'], { env });
    expect(ran.code).toBe(255);
    expect(ran.stderr).toContain('Permission denied');
  });

  test('a rule refuses, a rule holds, and a person lets it run', async () => {
    const denied = await ssh(byCertificate(), ["cd /tmp && r''m -r -f ./nothing-here"]);
    expect(denied.code).toBe(126);
    expect(denied.stderr).toContain('Nothing is removed recursively here.');
    expect(denied.stderr).toContain('e2e-ssh/no-removal-of-everything');
    const held = ssh(byCertificate(), ['restart-something || echo ran']);
    const item = await until(async () => {
      const { items } = await ana.call<{ items: { id: string; statement: string }[] }>(
        'GET',
        '/v1/approvals?state=pending',
      );
      return items.find(({ statement }) => statement.includes('restart-something'));
    });
    await ana.call('POST', `/v1/approvals/${item.id}/approve`, {});
    const ran = await held;
    expect(ran.stdout.toString()).toBe('ran\n');
    expect(ran.stderr).toContain(item.id);
  });

  test('what a grant does not hold is refused: no forward without its effect', async () => {
    const { env, options } = byCertificate();
    const ran = await run('ssh', [...options, '-W', `127.0.0.1:${server.port}`, 'web-1@127.0.0.1'], { env });
    expect(ran.code).toBe(255);
  });

  test('the session, its statements and its files stand on the record', async () => {
    const local = path.join(dir, 'upload');
    writeFileSync(local, 'on the trail');
    const { env, options } = byCertificate();
    const sftp = await run('sftp', [...options, '-b', '-', 'web-1@127.0.0.1'], {
      env,
      input: Buffer.from(`put ${local} ${dir}/there\n`),
    });
    expect(sftp.code, sftp.stderr).toBe(0);
    await until(async () => {
      const { items } = await admin.call<{ items: { id: string; protocol: string }[] }>(
        'GET',
        '/v1/sessions?resource=web-1',
      );
      expect(items.every(({ protocol }) => protocol === 'ssh')).toBe(true);
      for (const { id } of items) {
        const told = JSON.stringify(
          await admin.call('GET', `/v1/sessions/${id}/statements?clear=true`).catch(() => ''),
        );
        if (told.includes(`${dir}/there`)) return true;
      }
      return undefined;
    });
  });

  test('a revoked principal loses its running shell', async () => {
    const { env, options } = byCertificate();
    const talking = talk('ssh', [...options, '-tt', 'web-1@127.0.0.1'], env);
    talking.say('echo up-$((1+1))\n');
    await talking.heard('up-2');
    await admin.call('DELETE', '/v1/grants/e2e-ssh');
    expect((await talking.ended).code).toBe(255);
    expect((await ssh(byCertificate(), ['true'])).code).toBe(255);
  });
});

/** Asks until there is an answer; errors count as none. */
async function until<T>(ask: () => Promise<T | undefined | false>): Promise<T> {
  let last: unknown;
  for (const end = Date.now() + 30_000; Date.now() < end; await new Promise((next) => setTimeout(next, 150))) {
    try {
      const answer = await ask();
      if (answer !== undefined && answer !== false) return answer;
    } catch (error) {
      last = error;
    }
  }
  throw new Error('nothing in 30 s', { cause: last });
}
