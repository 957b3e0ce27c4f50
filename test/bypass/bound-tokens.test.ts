/** Access tokens that are bound to a certificate or a key: worth nothing to whoever only holds the token. Real psql. */
import { execFile, execFileSync } from 'node:child_process';
import { createHash, X509Certificate } from 'node:crypto';
import { copyFileSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, inject, test } from 'vitest';
import { apiToken } from '../../scripts/stack/sql-client.ts';
import { gatewayTo } from '../wire/gateway.ts';

const dev = inject('dev');
const gateway = gatewayTo(dev, inject('serverLog'));
const dir = mkdtempSync(path.join(tmpdir(), 'sallyport-bound-'));
const file = (name: string): string => path.join(dir, name);
function certificate(name: string): string {
  execFileSync(
    'openssl',
    [
      'req',
      '-x509',
      '-newkey',
      'ec',
      '-pkeyopt',
      'ec_paramgen_curve:P-256',
      '-nodes',
      '-days',
      '2',
      '-subj',
      `/CN=${name}`,
    ].concat(['-keyout', file(`${name}.key`), '-out', file(`${name}.pem`)]),
    { stdio: 'ignore' },
  );
  return createHash('sha256')
    .update(new X509Certificate(readFileSync(file(`${name}.pem`))).raw)
    .digest('base64url');
}
let mine = '';
beforeAll(() => {
  mine = certificate('mine');
  certificate('other');
});
afterAll(async () => {
  rmSync(dir, { recursive: true, force: true });
  await gateway.close();
});

async function bound(more: Record<string, string>): Promise<string> {
  const response = await fetch(`${dev.rest}/v1/oauth/token`, {
    method: 'POST',
    body: new URLSearchParams({
      grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
      subject_token: await apiToken(dev, 'payments-bot'),
      subject_token_type: 'urn:ietf:params:oauth:token-type:access_token',
      resource: 'payments-db',
      ...more,
    }),
  });
  expect(response.status).toBe(200);
  return ((await response.json()) as { access_token: string }).access_token;
}

/** What psql says. */
function psql(token: string, name: string | undefined, port = dev.agent.postgres): Promise<string> {
  const tls = port === dev.agent.postgres ? 'sslmode=require' : 'sslmode=disable';
  const shown = name === undefined ? 'sslcert=/none' : `sslcert=${file(`${name}.pem`)} sslkey=${file(`${name}.key`)}`;
  const target = `host=${dev.agent.host} port=${port} dbname=${dev.demo.database} user=payments-db ${tls} ${shown}`;
  return new Promise((resolve) => {
    execFile(
      'psql',
      ['-XAtc', `select 40 + 2 as ${name ?? 'nothing'}_${port}`, target],
      { env: { ...process.env, PGPASSWORD: token } },
      (_error, out, err) => resolve(`${out}${err}`.trim()),
    );
  });
}
const REFUSED = 'Sallyport: Authentication failed.';

test('a token bound to a certificate opens a session over TLS with that certificate, and in no other way', async () => {
  const token = await bound({ cnf_x5t_s256: mine });
  const from = gateway.logPosition();
  expect(await psql(token, 'mine')).toBe('42');
  expect(await psql(token, 'other')).toContain(REFUSED);
  expect(await psql(token, undefined)).toContain(REFUSED);
  expect(await psql(token, 'mine', dev.agent.postgresPlaintext)).toContain(REFUSED);
  expect((await gateway.serverRan(from)).match(/select 40 \+ 2 as \w+/g)).toEqual([
    `select 40 + 2 as mine_${dev.agent.postgres}`,
  ]);
});

test('a token bound to a key that no certificate shown is of opens nothing', async () => {
  const from = gateway.logPosition();
  expect(await psql(await bound({ cnf_jkt: mine }), 'mine')).toContain(REFUSED);
  expect(await psql(await bound({ cnf_jkt: mine, cnf_x5t_s256: mine }), 'mine')).toContain(REFUSED);
  expect(await gateway.serverRan(from)).not.toContain('select 40');
});

test('a token bound to a key opens a session over TLS with a certificate of that key, and in no other way', async () => {
  const { kty, crv, x, y } = new X509Certificate(readFileSync(file('mine.pem'))).publicKey.export({ format: 'jwk' });
  const thumbprint = createHash('sha256').update(JSON.stringify({ crv, kty, x, y })).digest('base64url');
  const token = await bound({ cnf_jkt: thumbprint });
  // Another certificate of the same key: nobody has to vouch for it.
  execFileSync('openssl', [
    'req',
    '-x509',
    '-key',
    file('mine.key'),
    '-days',
    '2',
    '-subj',
    '/CN=again',
    '-out',
    file('again.pem'),
  ]);
  copyFileSync(file('mine.key'), file('again.key'));
  // And the certificate's own words with a key of somebody else: TLS itself refuses to show it.
  copyFileSync(file('mine.pem'), file('stolen.pem'));
  copyFileSync(file('other.key'), file('stolen.key'));
  const from = gateway.logPosition();
  expect(await psql(token, 'mine')).toBe('42');
  expect(await psql(token, 'again')).toBe('42');
  expect(await psql(token, 'other')).toContain(REFUSED);
  expect(await psql(token, undefined)).toContain(REFUSED);
  expect(await psql(token, 'stolen')).not.toBe('42');
  expect(await psql(token, 'mine', dev.agent.postgresPlaintext)).toContain(REFUSED);
  const both = await bound({ cnf_jkt: thumbprint, cnf_x5t_s256: mine });
  expect(await psql(both, 'mine')).toBe('42');
  expect(await psql(both, 'again')).toContain(REFUSED);
  expect((await gateway.serverRan(from)).match(/select 40 \+ 2 as [a-z]+/g)).toEqual(
    ['mine', 'again', 'mine'].map((name) => `select 40 + 2 as ${name}`),
  );
});

test('a token that is not bound opens a session with any certificate or none', async () => {
  const token = await gateway.token('payments-bot');
  expect(await psql(token, 'other')).toBe('42');
  expect(await psql(token, undefined)).toBe('42');
});
