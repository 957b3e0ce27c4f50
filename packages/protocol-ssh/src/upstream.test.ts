/** The way to the host: kinds of keys, certified hosts, credentials that are refused, and sessions that end by themselves. */
import { execFileSync } from 'node:child_process';
import { appendFileSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { Secret } from '@sallyport/core';
import type { Verdict } from '@sallyport/model';
import { deny, makeKey, sshdMissing } from '@sallyport/testkit';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { type Bench, openBench } from '../test/bench.fixture.ts';

const allowed: Verdict = { kind: 'allow', rule: 'test/allow', masks: { columns: [], detect: [] } };
const LIFE = ['-I', 'host', '-h', '-n', '127.0.0.1', '-V', '+1h'];

describe.skipIf(sshdMissing)('the host’s side', () => {
  let bench: Bench;
  let ca: { readonly file: string; readonly publicLine: string };
  beforeAll(async () => {
    bench = await openBench(['HostCertificate $DIR/host_key-cert.pub']);
    ca = makeKey(path.join(bench.dir, 'host-ca'));
    execFileSync('ssh-keygen', ['-q', '-s', ca.file, ...LIFE, path.join(bench.server.dir, 'host_key.pub')]);
    // Host certificates are read at the start.
    await bench.restart();
  });
  afterEach(() => bench.tidy());
  afterAll(() => bench?.stop());
  const login = (secret: string) => ({ username: bench.server.login, secret: new Secret(secret), certificate: false });

  test.each([
    ['rsa', ['-b', '3072']],
    ['ecdsa', ['-b', '256']],
    ['ecdsa', ['-b', '521']],
    ['ed25519', []],
  ] as const)('a stored %s key %j signs in', async (type, more) => {
    const file = path.join(bench.dir, `key-${type}-${more.join('')}`);
    execFileSync('ssh-keygen', ['-q', '-t', type, ...more, '-N', '', '-f', file]);
    appendFileSync(path.join(bench.server.dir, 'authorized_keys'), readFileSync(`${file}.pub`));
    const at = await bench.gateway({ credential: login(readFileSync(file, 'utf8')) });
    expect(await bench.ssh(at, ['echo in'])).toMatchObject({ code: 0, stderr: '' });
  });

  test('a key that the host does not know is refused, and the client hears that the credential was', async () => {
    const { file } = makeKey(path.join(bench.dir, 'stranger'));
    const at = await bench.gateway({ credential: login(readFileSync(file, 'utf8')) });
    const ran = await bench.ssh(at, ['echo in']);
    expect(ran.code).toBe(255);
    expect(ran.stderr).toContain('upstream.auth');
    expect(ran.stderr).not.toContain('PRIVATE');
  });

  test('a certificate that another signer made for the session’s key signs in, and one of a stranger’s CA does not', async () => {
    // As Vault's SSH engine signs; what is asked of it and taken from it is tested in packages/credentials.
    const signer = makeKey(path.join(bench.dir, 'signer'));
    const signing = await openBench([`TrustedUserCAKeys ${signer.file}.pub`, 'AuthorizedKeysFile none']);
    try {
      const certified = (by: string) => {
        const key = makeKey(path.join(bench.dir, `session-key-${path.basename(by)}`));
        const user = ['-I', 'vault-session', '-n', bench.server.login, '-V', '+5m', '-O', 'clear', '-O', 'permit-pty'];
        execFileSync('ssh-keygen', ['-q', '-s', by, ...user, `${key.file}.pub`]);
        const certificate = readFileSync(`${key.file}-cert.pub`, 'utf8').split(' ')[1]!;
        const privateKey = new Secret(readFileSync(key.file, 'utf8'));
        return {
          username: bench.server.login,
          secret: undefined,
          certificate: false,
          ssh: { privateKey, certificate },
        };
      };
      const good = await signing.gateway({ credential: certified(signer.file) });
      expect(await signing.ssh(good, ['echo in'])).toMatchObject({ code: 0, stderr: '' });
      expect(signing.server.log()).toContain('vault-session');
      const stranger = makeKey(path.join(bench.dir, 'stranger-ca'));
      const bad = await signing.gateway({ credential: certified(stranger.file) });
      expect((await signing.ssh(bad, ['echo in'])).stderr).toContain('upstream.auth');
    } finally {
      await signing.tidy();
      await signing.stop();
    }
  });

  test('a host is known by the CA that certified its key, and by no other', async () => {
    const good = await bench.gateway({}, { hostKeys: [], hostCas: [ca.publicLine] });
    expect(await bench.ssh(good, ['echo certified'])).toMatchObject({ code: 0, stderr: '' });
    const other = makeKey(path.join(bench.dir, 'other-ca'));
    const bad = await bench.gateway({}, { hostKeys: [], hostCas: [other.publicLine] });
    expect((await bench.ssh(bad, ['true'])).stderr).toContain('upstream.host_key');
    const elsewhere = await bench.gateway({}, { hostKeys: [], hostCas: [ca.publicLine], host: 'localhost' });
    expect((await bench.ssh(elsewhere, ['true'])).stderr).toContain('upstream.host_key');
  });

  test('algorithms below what is modern reach no host, whatever the resource says', async () => {
    const at = await bench.gateway(
      {},
      { algorithms: { cipher: ['aes128-cbc'], kex: undefined, mac: undefined, hostKey: undefined } },
    );
    expect((await bench.ssh(at, ['true'])).code).toBe(255);
    const ctr = await bench.gateway(
      {},
      { algorithms: { cipher: ['aes256-ctr'], kex: ['ecdh-sha2-nistp256'], mac: undefined, hostKey: undefined } },
    );
    expect((await bench.ssh(ctr, ['head -c 3000000 /dev/zero | wc -c'])).stdout.toString()).toBe('3000000\n');
  });

  test('a host that is not there is said to be unreachable', async () => {
    const at = await bench.gateway({}, { port: 1 });
    const ran = await bench.ssh(at, ['true']);
    expect(ran.code).toBe(255);
    expect(ran.stderr).toContain('could not be reached');
  });

  test('a silent session ends after its time, and a busy one does not', async () => {
    const at = await bench.gateway({}, {}, { idleMsMax: 1_500 });
    const busy = bench.ssh(at, ['sleep 4; echo done']);
    const silent = bench.talk(at, ['-N', 'web-1@127.0.0.1']);
    expect((await silent.ended).code).toBe(255);
    expect((await busy).stdout.toString()).toBe('done\n');
    await expect.poll(() => at.closed.toSorted()).toEqual(['', 'session.idle']);
  });

  test('a session ends at its age, whatever it does', async () => {
    const at = await bench.gateway({}, {}, { sessionMsMax: 700 });
    expect((await bench.ssh(at, ['while :; do echo x; sleep 0.1; done'])).code).toBe(255);
    await expect.poll(() => at.closed).toEqual(['session.too_long']);
  });

  test('what runs ends when another bundle forbids it, and what is still allowed goes on', async () => {
    let forbidden = false;
    const at = await bench.gateway({
      decide: ({ text }) => (forbidden && text.includes('forbidden') ? deny('Not any more.') : allowed),
    });
    const one = bench.ssh(at, ['echo forbidden; sleep 600']);
    const file = path.join(bench.dir, 'go-on');
    const two = bench.ssh(at, [`until [ -e ${file} ]; do sleep 0.1; done; echo goes on`]);
    await expect.poll(() => at.judged, { timeout: 10_000 }).toHaveLength(2);
    await expect
      .poll(() => at.recorded.streams.filter(({ kind }) => kind === 'output').length, { timeout: 10_000 })
      .toBeGreaterThan(0);
    forbidden = true;
    at.bundleChanged();
    writeFileSync(file, '');
    const ended = await one;
    expect(ended.stderr).toContain('Not any more.');
    expect(ended.code).toBe(126);
    expect((await two).stdout.toString()).toBe('goes on\n');
  });
});
