/** ssh, ssh-cert and ssh-config, held against OpenSSH's own reading of what they write (openssh-client). */
import { execFile } from 'node:child_process';
import { createPublicKey, generateKeyPairSync, randomBytes, sign } from 'node:crypto';
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import {
  certificateBlob,
  certificateToSign,
  certificateType,
  jwkThumbprint,
  parsePublicKeyLine,
  publicKeyBlob,
  publicKeyLine,
} from '@sallyport/ssh-certificates';
import { expect, test } from 'vitest';
import { serveRest } from '../testing/control-plane.fixture.ts';
import { newHome, runCli } from '../testing/terminal.fixture.ts';

const run = promisify(execFile);
const hasSsh = existsSync('/usr/bin/ssh');
const ca = generateKeyPairSync('ed25519');
const RESOURCE = {
  id: 'r1',
  name: 'web-1',
  type: 'ssh',
  endpoints: [{ protocol: 'ssh', address: 'agent.example.net:7422', plaintext: false, agent: 'a' }],
  databases: [],
  logins: ['deploy'],
};

function certificateFor(line: string, seconds: number): string {
  const publicKey = parsePublicKeyLine(line);
  const now = Math.floor(Date.now() / 1000);
  const signed = certificateToSign({
    kind: 'user',
    publicKey,
    ca: publicKeyBlob(ca.publicKey),
    nonce: randomBytes(32),
    serial: 1n,
    keyId: 'jti',
    principals: ['web-1'],
    validAfter: now - 60,
    validBefore: now + seconds,
  });
  return publicKeyLine(
    certificateType('ssh-ed25519'),
    certificateBlob(signed, 'ssh-ed25519', sign(null, signed, ca.privateKey)),
  );
}
const serve = (seconds = 600) =>
  serveRest({
    'GET /v1/resources/web-1': [200, RESOURCE],
    'GET /v1/resources': [200, { items: [RESOURCE], nextCursor: null }],
    'GET /v1/resources/payments-db': [200, { ...RESOURCE, name: 'payments-db', type: 'postgres' }],
    'POST /v1/oauth/token': [200, { access_token: 'a.b.c', expires_in: seconds }],
    'POST /v1/ssh/certificates': ({ body }) => [
      200,
      {
        certificate: certificateFor((JSON.parse(body) as { publicKey: string }).publicKey, seconds),
        expiresAt: new Date(Date.now() + seconds * 1000).toISOString(),
      },
    ],
    'GET /v1/ssh/authorities': [200, { hosts: [], knownHosts: '@cert-authority * ssh-ed25519 AAAA\n' }],
  });

test('ssh-cert asks once while the certificate is good, binds the token to its key, and keeps the key to itself', async () => {
  await using rest = await serve();
  const home = newHome();
  const env = { HOME: home, SALLYPORT_URL: rest.url, SALLYPORT_TOKEN: 'sp_x' };
  const first = await runCli(['ssh-cert', 'web-1', '--json'], env);
  expect(first, first.err).toMatchObject({ code: 0 });
  const files = JSON.parse(first.out) as { key: string; certificate: string; renewed: boolean };
  expect(files.renewed).toBe(true);
  expect(statSync(files.key).mode & 0o777).toBe(0o600);
  const key = parsePublicKeyLine(readFileSync(`${files.key}.pub`, 'utf8'));
  const asked = new URLSearchParams(rest.seen.find(({ route }) => route === 'POST /v1/oauth/token')!.body);
  expect(asked.get('cnf_jkt')).toBe(jwkThumbprint(key.key));
  expect(asked.get('resource')).toBe('web-1');
  const exchanges = () => rest.seen.filter(({ route }) => route === 'POST /v1/oauth/token').length;
  expect(JSON.parse((await runCli(['ssh-cert', 'web-1', '--json'], env)).out)).toMatchObject({ renewed: false });
  expect(exchanges()).toBe(1);
  await runCli(['ssh-cert', 'web-1', '--renew', '--quiet'], env);
  await runCli(['ssh-cert', 'web-1', '--reason', 'INC-7'], env);
  expect(exchanges()).toBe(3);
});

test('a certificate about to end is renewed, and so is one that is not its key’s', async () => {
  await using rest = await serve(20);
  const env = { HOME: newHome(), SALLYPORT_URL: rest.url, SALLYPORT_TOKEN: 'sp_x' };
  for (let i = 0; i < 2; i++)
    expect(JSON.parse((await runCli(['ssh-cert', 'web-1', '--json'], env)).out)).toMatchObject({ renewed: true });
});

test.runIf(hasSsh)('ssh reads the block, and renews the certificate while it does', async () => {
  await using rest = await serve();
  // A folder that a careless writer would break.
  const home = path.join(newHome(), "it's 100% mine");
  const env = {
    HOME: home,
    SALLYPORT_URL: rest.url,
    SALLYPORT_TOKEN: 'sp_x',
    SALLYPORT_CONFIG: path.join(home, 'c.json'),
  };
  const wrote = await runCli(['ssh-config', '--write', '--json'], env);
  expect(wrote, wrote.err).toMatchObject({ code: 0 });
  const { file, include } = JSON.parse(wrote.out) as { file: string; include: string };
  expect(include).toBe(`Include "${file}"`);
  const config = path.join(home, 'ssh_config');
  // The program that runs is vitest; what a user's run writes is the CLI's own start.
  const main = path.join(import.meta.dirname, '../main.ts');
  const text = readFileSync(file, 'utf8').replace(/exec ".*? ssh-cert/, `exec "${process.execPath} ${main} ssh-cert`);
  writeFileSync(config, text);
  const { stdout } = await run('ssh', ['-F', config, '-G', 'web-1'], { env: { ...process.env, ...env } });
  const said = new Map(stdout.split('\n').map((line) => [line.split(' ')[0], line.slice(line.indexOf(' ') + 1)]));
  expect(said.get('hostname')).toBe('agent.example.net');
  expect(said.get('port')).toBe('7422');
  expect(said.get('user')).toBe('web-1');
  expect(said.get('stricthostkeychecking')).toBe('true');
  expect(said.get('forwardagent')).toBe('no');
  const key = said.get('identityfile')!.replaceAll('%%', '%').replaceAll('"', '');
  expect(existsSync(key), key).toBe(true);
  expect(existsSync(`${key}-cert.pub`)).toBe(true);
  const { stdout: shown } = await run('ssh-keygen', ['-L', '-f', `${key}-cert.pub`]);
  expect(shown).toContain('web-1');
  // Another host is not this block's.
  const other = await run('ssh', ['-F', config, '-G', 'web-2'], { env: { ...process.env, ...env } });
  expect(other.stdout).toContain('hostname web-2');
});

test('a resource that is no SSH host, and one that nobody offers, are refused with what to do', async () => {
  await using rest = await serve();
  const env = { HOME: newHome(), SALLYPORT_URL: rest.url, SALLYPORT_TOKEN: 'sp_x' };
  const database = await runCli(['ssh', 'payments-db'], env);
  expect(database).toMatchObject({ code: 2, err: expect.stringContaining('sallyport connect payments-db') });
  expect(await runCli(['ssh', 'web-1', '--login', 'a', '--role', 'b'], env)).toMatchObject({ code: 2 });
});

test('a certificate of another key is replaced', async () => {
  await using rest = await serve();
  const env = { HOME: newHome(), SALLYPORT_URL: rest.url, SALLYPORT_TOKEN: 'sp_x' };
  const { certificate } = JSON.parse((await runCli(['ssh-cert', 'web-1', '--json'], env)).out) as {
    certificate: string;
  };
  const other = publicKeyLine('ssh-ed25519', publicKeyBlob(createPublicKey(generateKeyPairSync('ed25519').privateKey)));
  writeFileSync(certificate, `${certificateFor(other, 600)}\n`);
  expect(JSON.parse((await runCli(['ssh-cert', 'web-1', '--json'], env)).out)).toMatchObject({ renewed: true });
});
