/** docs/reference/attacks.md and ssh-tests.md say which test shows each row: the file is there, and a test of that title in it. */
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';

const ROOT = path.join(import.meta.dirname, '..');
const rowsOf = (page: string) =>
  [
    ...readFileSync(path.join(ROOT, 'docs/reference', page), 'utf8').matchAll(/^\| (.+?) \| (.+?) \| `(.+?)` \|$/gm),
  ].map(([, attack, title, file]) => ({ attack: attack!, title: title!, file: file! }));
const ROWS = rowsOf('attacks.md');

test.each([
  ['attacks.md', 50],
  ['ssh-tests.md', 40],
])('each row of %s has its test', (page, least) => {
  const rows = rowsOf(page);
  expect(rows.length).toBeGreaterThan(least);
  const missing = rows.filter(({ title, file }) => {
    const at = path.join(ROOT, file);
    return !existsSync(at) || !readFileSync(at, 'utf8').includes(`'${title}'`);
  });
  expect(missing).toEqual([]);
});

test('nothing that the page has to show is left out', () => {
  const page = ROWS.map(({ attack }) => attack.toLowerCase()).join('\n');
  for (const attack of [
    'algorithm confusion and `none`',
    'wrong `iss`, `aud`, `azp`, `nonce`',
    'expired and future tokens',
    'key-id injection',
    'mix-up between providers',
    'open redirect',
    'csrf on login',
    'session fixation',
    'saml wrapping',
    'saml comment tricks',
    'scim filter injection',
    'second account',
    'approval race',
    'expired request answered',
    'group removed while a session runs',
    'provider down at login',
    'provider keys rotated',
    'clock skew ±',
    '10,000 groups',
    'chains deeper than one',
    'idor over every rest route',
    'mass assignment',
    'over-long input',
    'smuggling',
    'header injection',
    'absolute-form and authority tricks',
    'connect to unregistered hosts and ip literals',
    'dns rebinding',
    'redirect to elsewhere with credentials',
    'host/sni mismatch',
    'slow headers',
    'slow bodies',
    'h2 rapid reset',
    'continuation flood',
    'ping flood',
    'huge headers',
    'decompression bombs',
    'json depth',
    'duplicate keys',
    'utf-8 tricks',
    'chunk border splits of a secret at every byte',
    'token in url leaking to logs',
    'websocket frames split',
    'cross-resource token use',
    'impersonation headers',
    'path normalisation',
    'crlf',
    'lies about length',
    'dies in mid-body',
    'never ends',
  ])
    expect(page).toContain(attack);
});
