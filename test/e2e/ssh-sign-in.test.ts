/**
 * Signing in over SSH on a whole stack: what opens a session, and what reads alike and opens nothing. By OpenSSH's own
 * programs; machines without sshd leave these out by name.
 */
import { execFileSync } from 'node:child_process';
import { copyFileSync, existsSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { jwkThumbprint, parsePublicKeyLine } from '@sallyport/ssh-certificates';
import { makeKey, type Ran, run, sshdMissing, sshEnv, sshOptions, talk } from '@sallyport/testkit';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { clientToken } from '../../scripts/stack/rest.ts';
import { confirmDevice, demoPasswords } from './device.ts';
import { type Host, openBed, type SshBed, until } from './ssh-bed.ts';

const dev = inject('dev');

describe.skipIf(sshdMissing)('signing in over SSH', () => {
  let bed: SshBed;
  let host: Host;
  let other: Host;
  beforeAll(async () => {
    bed = await openBed(dev);
    host = await bed.host('sign-in-1');
    other = await bed.host('sign-in-2');
  }, 60_000);
  afterAll(() => bed?.stop());

  const accepted = (): number => bed.server.log().match(/Accepted publickey/g)?.length ?? 0;
  /** By a password, the access token's place. */
  const byPassword = (user: string, password: string, ...more: readonly string[]): Promise<Ran> =>
    run('ssh', [...sshOptions(dev.agent.ssh), ...more, `${user}@127.0.0.1`, 'echo in'], {
      env: sshEnv(bed.dir, password),
    });
  const loud = (): string[] =>
    sshOptions(dev.agent.ssh).map((word) => (word === 'LogLevel=ERROR' ? 'LogLevel=INFO' : word));
  const isDenied = ({ code, stderr }: Ran): boolean => code === 255 && stderr.includes('Permission denied');
  /** The words a client is refused in, without its own name. */
  const words = ({ stderr }: Ran, user: string): string => stderr.replaceAll(user, 'USER').trim();

  test('plain ssh signs in with what `sallyport ssh-config` wrote, which gets its certificate by itself', async () => {
    const certificate = /CertificateFile "(.+)"/.exec(readFileSync(host.renewing, 'utf8'))![1]!;
    rmSync(certificate);
    const ran = await run('ssh', ['-F', host.renewing, host.name, 'id -un'], { env: bed.env });
    expect(ran, ran.stderr).toMatchObject({ code: 0 });
    expect(ran.stdout.toString().trim()).toBe(bed.server.login);
    expect(existsSync(certificate)).toBe(true);
    const before = statSync(certificate).mtimeMs;
    expect((await run('ssh', ['-F', host.renewing, host.name, 'true'], { env: bed.env })).code).toBe(0);
    expect(statSync(certificate).mtimeMs).toBe(before);
  });

  test('the account stands before the name, and one that the resource does not have opens nothing', async () => {
    const named = await bed.program('ssh', host, ['-l', `${bed.server.login}+${host.name}`, host.name, 'id -un']);
    expect(named.stdout.toString().trim(), named.stderr).toBe(bed.server.login);
    const only = ['-o', 'PreferredAuthentications=publickey', '-l', `nobody+${host.name}`];
    const strange = await bed.program('ssh', host, [...only, host.name, 'id -un']);
    expect(strange.code).toBe(255);
  });

  test('the account alone is enough with a certificate, which names the resource', async () => {
    const ran = await bed.program('ssh', host, ['-l', bed.server.login, host.name, 'id -un']);
    expect(ran.stdout.toString().trim(), ran.stderr).toBe(bed.server.login);
  });

  test('an access token is a password, and every other password is refused in the same words', async () => {
    const good = await bed.token(host.name);
    expect((await byPassword(host.name, good)).stdout.toString()).toBe('in\n');
    const key = makeKey(path.join(bed.dir, 'bound'));
    const bound = await bed.token(host.name, { cnf_jkt: jwkThumbprint(parsePublicKeyLine(key.publicLine).key) });
    const before = accepted();
    const refused: Readonly<Record<string, readonly [user: string, password: string]>> = {
      'a word of 5 KB': [host.name, 'x'.repeat(5_000)],
      'a word': [host.name, 'letmein'],
      'a token cut short': [host.name, good.slice(0, -3)],
      'a token with another signature': [host.name, `${good.slice(0, -6)}AAAAAA`],
      'a token for another host': [host.name, await bed.token(other.name)],
      'a token for a database': [host.name, await bed.token('payments-db')],
      'an API token': [host.name, dev.principals['carla']?.token ?? ''],
      'a token that is bound to a key': [host.name, bound],
      'a good token for a host that is not there': ['nowhere-1', good],
      'a good token for a name that is none': ['../..', good],
      'a good token for an account that is not there': [`nobody+${host.name}`, good],
    };
    const said = new Map<string, string>();
    for (const [name, [user, password]] of Object.entries(refused)) {
      const ran = await byPassword(user, password);
      expect(ran.code, name).toBe(255);
      expect(ran.stdout.toString(), name).toBe('');
      said.set(name, words(ran, `${user}@`));
    }
    expect([...new Set(said.values())], JSON.stringify([...said])).toHaveLength(1);
    expect(accepted()).toBe(before);
  });

  test('a token whose grant has ended, and one of a principal that was removed, open nothing', async () => {
    const { admin } = bed;
    const name = `sign-in-bot-${process.pid}`;
    await admin.call('POST', '/v1/principals', { name, kind: 'service', displayName: 'Bot' });
    const { clientId, clientSecret } = await admin.call<{ clientId: string; clientSecret: string }>(
      'POST',
      `/v1/principals/${name}/secrets`,
      {},
    );
    await admin.call('POST', '/v1/grants', { name, principal: name, resource: host.name, effects: ['exec'] });
    const apiToken = await clientToken(dev.rest, clientId, clientSecret);
    const token = await bed.token(host.name, {}, apiToken);
    await until(async () => ((await byPassword(host.name, token)).code === 0 ? true : undefined));
    await admin.call('DELETE', `/v1/grants/${name}`);
    await until(async () => (isDenied(await byPassword(host.name, token)) ? true : undefined), 5_000);
    await admin.call('POST', '/v1/grants', { name, principal: name, resource: host.name, effects: ['exec'] });
    const again = await bed.token(host.name, {}, apiToken);
    await until(async () => ((await byPassword(host.name, again)).code === 0 ? true : undefined));
    await admin.call('DELETE', `/v1/principals/${name}`);
    await until(async () => (isDenied(await byPassword(host.name, again)) ? true : undefined), 5_000);
    await admin.call('DELETE', `/v1/grants/${name}`).catch(() => undefined);
  });

  test('a principal that is disabled, and an API token that is taken away, end the session they opened', async () => {
    const { admin } = bed;
    const name = `sign-in-cut-${process.pid}`;
    await admin.call('POST', '/v1/principals', { name, kind: 'service', displayName: 'Cut' });
    await admin.call('POST', '/v1/grants', { name, principal: name, resource: host.name, effects: ['exec'] });
    try {
      for (const what of ['token', 'principal'] as const) {
        const made = await admin.call<{ id: string; token: string }>('POST', `/v1/principals/${name}/tokens`, {
          name: `cut-${what}`,
        });
        const env = sshEnv(bed.dir, await bed.token(host.name, {}, made.token));
        const open = () =>
          talk('ssh', [...sshOptions(dev.agent.ssh), `${host.name}@127.0.0.1`, 'echo up; sleep 300'], env);
        // The agent hears of a new grant in a moment.
        await until(async () =>
          (await byPassword(host.name, await bed.token(host.name, {}, made.token))).code === 0 ? true : undefined,
        );
        const talking = open();
        await talking.heard('up');
        if (what === 'token') await admin.call('DELETE', `/v1/tokens/${made.id}`);
        else await admin.call('PATCH', `/v1/principals/${name}`, { disabled: true });
        const began = Date.now();
        expect((await talking.ended).code, what).toBe(255);
        // A second, and what a busy machine takes for it.
        expect(Date.now() - began, what).toBeLessThan(5_000);
      }
    } finally {
      await admin.call('DELETE', `/v1/grants/${name}`).catch(() => undefined);
      await admin.call('DELETE', `/v1/principals/${name}`).catch(() => undefined);
    }
  });

  test('a program whose certificate is not taken hears so at once, and waits for nobody to open a link', async () => {
    const of = ({ config }: Host, word: string): string =>
      new RegExp(`${word} "(.+)"`).exec(readFileSync(config, 'utf8'))![1]!;
    const key = path.join(bed.dir, 'not-taken');
    copyFileSync(of(other, 'IdentityFile'), key);
    copyFileSync(of(other, 'CertificateFile'), `${key}-cert.pub`);
    const only = [
      '-o',
      'PreferredAuthentications=publickey,keyboard-interactive',
      '-o',
      'IdentitiesOnly=yes',
      '-i',
      key,
    ];
    const talking = talk('ssh', [...loud(), ...only, `${host.name}@127.0.0.1`, 'echo in'], bed.env);
    try {
      const code = await Promise.race([
        talking.ended.then((ended) => ended.code),
        new Promise((resolve) => setTimeout(resolve, 40_000, 'waits')),
      ]);
      expect(code, talking.said).toBe(255);
      expect(talking.said).toContain('sallyport ssh-cert --renew');
      expect(talking.said).not.toContain('This window goes on by itself');
    } finally {
      talking.kill();
    }
  });

  test('a token whose grant has run out opens nothing', async () => {
    const { admin } = bed;
    const name = `short-${process.pid}`;
    const short = await bed.host(name, { effects: [] });
    await admin.call('POST', '/v1/grants', {
      name,
      principal: 'carla',
      resource: name,
      effects: ['exec'],
      notAfter: new Date(Date.now() + 9_000).toISOString(),
    });
    const token = await bed.token(short.name);
    await until(async () => ((await byPassword(short.name, token)).code === 0 ? true : undefined), 8_000);
    await until(async () => (isDenied(await byPassword(short.name, token)) ? true : undefined), 20_000);
  });

  test('a certificate opens the host it is for, by the key it is over, and nothing else', async () => {
    const of = ({ config }: Host): { readonly key: string; readonly certificate: string } => ({
      key: /IdentityFile "(.+)"/.exec(readFileSync(config, 'utf8'))![1]!,
      certificate: /CertificateFile "(.+)"/.exec(readFileSync(config, 'utf8'))![1]!,
    });
    const before = accepted();
    const wrong = path.join(bed.dir, 'wrong');
    const attempts: Readonly<Record<string, () => string>> = {
      'of another host': () => {
        copyFileSync(of(other).key, wrong);
        copyFileSync(of(other).certificate, `${wrong}-cert.pub`);
        return wrong;
      },
      'with another key': () => {
        copyFileSync(makeKey(path.join(bed.dir, 'stranger')).file, wrong);
        copyFileSync(of(host).certificate, `${wrong}-cert.pub`);
        return wrong;
      },
      'a plain key, the right one': () => {
        copyFileSync(of(host).key, wrong);
        rmSync(`${wrong}-cert.pub`, { force: true });
        return wrong;
      },
      'of a CA of one’s own': () => {
        const ca = makeKey(path.join(bed.dir, 'own-ca'));
        const { file, publicLine } = makeKey(path.join(bed.dir, 'mine'));
        expect(publicLine).toContain('ssh-ed25519');
        execFileSync('ssh-keygen', ['-q', '-s', ca.file, '-I', 'x', '-n', host.name, `${file}.pub`]);
        return file;
      },
    };
    for (const [name, make] of Object.entries(attempts)) {
      rmSync(wrong, { force: true });
      const key = make();
      const ran = await run(
        'ssh',
        [
          ...sshOptions(dev.agent.ssh),
          '-o',
          'PreferredAuthentications=publickey',
          '-o',
          'IdentitiesOnly=yes',
          '-i',
          key,
          `${host.name}@127.0.0.1`,
          'echo in',
        ],
        { env: bed.env },
      );
      expect(ran, name).toMatchObject({ code: 255, stderr: expect.stringContaining('Permission denied') as string });
      expect(ran.stdout.toString(), name).toBe('');
    }
    expect(accepted()).toBe(before);
  });

  test('an offer of a good certificate without a signature signs nobody in', async () => {
    // An ssh-agent that asks before it signs, and is told no: ssh has offered, was told to go on, and has no signature.
    const { config } = host;
    const key = /IdentityFile "(.+)"/.exec(readFileSync(config, 'utf8'))![1]!;
    const socket = path.join(bed.dir, 'asking');
    const no = path.join(bed.dir, 'no');
    writeFileSync(no, '#!/bin/sh\nexit 1\n', { mode: 0o700 });
    const env = { ...bed.env, SSH_AUTH_SOCK: socket, SSH_ASKPASS: no, SSH_ASKPASS_REQUIRE: 'force', DISPLAY: ':0' };
    const agent = talk('ssh-agent', ['-D', '-a', socket], env);
    try {
      await until(async () => (existsSync(socket) ? true : undefined));
      const added = await run('ssh-add', ['-c', key], { env });
      expect(added.code, added.stderr).toBe(0);
      const only = path.join(bed.dir, 'only-offered');
      copyFileSync(`${key}.pub`, `${only}.pub`);
      copyFileSync(/CertificateFile "(.+)"/.exec(readFileSync(config, 'utf8'))![1]!, `${only}-cert.pub`);
      const ran = await run(
        'ssh',
        [
          ...sshOptions(dev.agent.ssh).map((word) => (word === 'LogLevel=ERROR' ? 'LogLevel=DEBUG1' : word)),
          '-o',
          'PreferredAuthentications=publickey',
          '-o',
          'IdentitiesOnly=yes',
          '-i',
          `${only}.pub`,
          '-o',
          `CertificateFile=${only}-cert.pub`,
          `${host.name}@127.0.0.1`,
          'echo in',
        ],
        { env },
      );
      expect(ran.stderr).toContain('Server accepts key');
      expect(ran.stderr).toContain('agent refused operation');
      expect(ran.code).toBe(255);
      expect(ran.stdout.toString()).toBe('');
    } finally {
      agent.kill();
      await agent.ended;
    }
  });

  test('a person without a certificate opens a link, and ssh goes on by itself', async () => {
    const talking = talk(
      'ssh',
      [
        ...loud(),
        '-o',
        'PreferredAuthentications=keyboard-interactive',
        `${host.name}@127.0.0.1`,
        'echo "came by $((6*7))"',
      ],
      bed.env,
    );
    try {
      await talking.heard('This window goes on by itself');
      expect(talking.said).not.toContain('came by');
      const url = /Open (\S+)/.exec(talking.said)![1]!;
      await confirmDevice(url, 'carla', demoPasswords(dev)['carla']!);
      expect((await talking.ended).code, talking.said).toBe(0);
      expect(talking.said).toContain('came by 42');
    } finally {
      talking.kill();
    }
  });

  test('a link that another person confirms, who has no right here, opens nothing', async () => {
    const talking = talk(
      'ssh',
      [...loud(), '-o', 'PreferredAuthentications=keyboard-interactive', `${host.name}@127.0.0.1`, 'echo came'],
      bed.env,
    );
    try {
      await talking.heard('This window goes on by itself');
      await confirmDevice(/Open (\S+)/.exec(talking.said)![1]!, 'ben', demoPasswords(dev)['ben']!);
      expect((await talking.ended).code).toBe(255);
      expect(talking.said).not.toContain('\ncame');
      expect(talking.said).toContain('Permission denied');
    } finally {
      talking.kill();
    }
  });

  test('one connection is one resource: a second name on it reaches the first, and never another host', async () => {
    const socket = path.join(bed.dir, 'm');
    const master = bed.talk(host, ['-M', '-N', '-o', `ControlPath=${socket}`, host.name]);
    await until(async () => (existsSync(socket) ? true : undefined));
    const through = await bed.program('ssh', other, ['-o', `ControlPath=${socket}`, other.name, 'echo through']);
    expect(through.stdout.toString()).toBe('through\n');
    master.kill();
    await master.ended;
    const { items } = await until(async () => {
      const found = await bed.admin.call<{ items: { statements: number; closedAt: string | null }[] }>(
        'GET',
        `/v1/sessions?resource=${host.name}&sort=-openedAt&limit=1`,
      );
      return found.items[0]?.closedAt == null ? undefined : found;
    });
    expect(items[0]?.statements).toBe(1);
  });

  test('the agent proves itself by the host CA alone: another CA, and no certificate is taken', async () => {
    const known = path.join(bed.dir, 'other-known');
    writeFileSync(known, `@cert-authority * ${makeKey(path.join(bed.dir, 'other-ca')).publicLine}\n`);
    const ran = await bed.program('ssh', host, ['-o', `UserKnownHostsFile=${known}`, host.name, 'echo in']);
    expect(ran.code).toBe(255);
    expect(ran.stderr).toContain('Host key verification failed');
    expect(readFileSync(host.config, 'utf8')).toContain('StrictHostKeyChecking yes');
  });

  test('a host that shows another key than its resource says gets no sign-in, and the client is told why', async () => {
    const before = bed.server.log().length;
    const swapped = await bed.host('sign-in-swapped', {
      ssh: { hostKeys: [makeKey(path.join(bed.dir, 'not-its')).publicLine.split(' ').slice(0, 2).join(' ')] },
    });
    const ran = await bed.ssh(swapped, ['echo in']);
    expect(ran.code).toBe(255);
    expect(ran.stdout.toString()).toBe('');
    expect(ran.stderr).toContain('did not prove its identity');
    expect(bed.server.log().slice(before)).not.toContain('Accepted');
  });
});
