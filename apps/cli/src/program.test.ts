import { chmodSync, existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { buildProgram } from './program.ts';
import { renderReference } from './reference.ts';
import { serveRest } from './testing/control-plane.fixture.ts';
import { collectingTerminal, newHome, runCli } from './testing/terminal.fixture.ts';
import { VERSION } from './version.ts';

const ROOT = path.join(import.meta.dirname, '../../..');
const WHOAMI = {
  principal: { id: 'p', name: 'ana', kind: 'person' },
  roles: ['member'],
  groups: ['dba'],
  permissions: ['approval:read'],
  project: { id: 'd', name: 'default' },
};

test('the version is the package’s', () => {
  const manifest = JSON.parse(readFileSync(path.join(import.meta.dirname, '../package.json'), 'utf8')) as {
    version: string;
  };
  expect(VERSION).toBe(manifest.version);
});

test('the reference page is what the command tree says', () => {
  const page = readFileSync(path.join(ROOT, 'docs/reference/cli.md'), 'utf8');
  expect(page, 'node apps/cli/scripts/reference.ts').toBe(renderReference(buildProgram(collectingTerminal())));
});

test('a wrong command line ends with the usage code and says so on stderr', async () => {
  for (const args of [
    ['nope'],
    ['sessions', 'kill'],
    ['approvals', 'deny', 'x'],
    ['grants', 'create', 'g', '--effect', 'read'],
    ['proxy', 'db', '--port', 'x'],
    ['resources', 'ls', '--label', 'prod'],
    ['grants', 'create', 'g', '--group', 'dba', '--label', 'prod', '--effect', 'read'],
    ['completion', 'tcsh'],
  ]) {
    const ran = await runCli(args, { SALLYPORT_TOKEN: 'sp_x' });
    expect(ran, args.join(' ')).toMatchObject({ code: 2, out: '' });
    expect(ran.err).not.toBe('');
  }
});

test('help and version end well', async () => {
  expect(await runCli(['--version'])).toMatchObject({ code: 0, out: `${VERSION}\n` });
  expect((await runCli(['sessions', '--help'])).code).toBe(0);
});

test('without a token the code says not signed in', async () => {
  expect((await runCli(['whoami'])).code).toBe(3);
});

test('each kind of refusal has its exit code, and the request id is told', async () => {
  const cases = [
    [401, 'auth.required', 3],
    [403, 'grant.missing', 4],
    [404, 'request.not_found', 5],
    [409, 'request.conflict', 6],
    [410, 'recording.erased', 5],
    [422, 'policy.invalid', 7],
    [503, 'policy.unavailable', 8],
  ] as const;
  for (const [status, code, exit] of cases) {
    await using rest = await serveRest({ 'GET /v1/whoami': [status, { code, title: 'No.', requestId: 'req-7' }] });
    const ran = await runCli(['whoami', '--url', rest.url], { SALLYPORT_TOKEN: 'sp_x' });
    expect(ran.code, code).toBe(exit);
    expect(ran.err).toContain(code);
    expect(ran.err).toContain('req-7');
    const json = await runCli(['whoami', '--url', rest.url, '--json'], { SALLYPORT_TOKEN: 'sp_x' });
    expect(JSON.parse(json.err)).toMatchObject({ error: { code, status, requestId: 'req-7' } });
  }
});

test('the token endpoint answers 400 whatever is wrong: its code says how the command ends', async () => {
  const dev = path.join(newHome(), 'dev.json');
  const env = { SALLYPORT_DEV_FILE: dev };
  for (const [error, code, exit] of [
    ['invalid_grant', 'auth.failed', 3],
    ['invalid_target', 'grant.missing', 4],
    ['invalid_request', 'request.invalid', 7],
    ['server_error', 'of.another.version', 7],
  ] as const) {
    await using rest = await serveRest({ 'POST /v1/oauth/token': [400, { code, title: 'No.', error }] });
    writeFileSync(dev, JSON.stringify({ rest: rest.url, principals: { bot: { token: 'sp_b' } } }), { mode: 0o600 });
    expect((await runCli(['--as', 'bot', 'token', 'db'], env)).code, error).toBe(exit);
  }
});

test('a control plane that does not answer is unavailable', async () => {
  expect((await runCli(['whoami', '--url', 'http://127.0.0.1:1'], { SALLYPORT_TOKEN: 'sp_x' })).code).toBe(8);
});

test('a token is not sent over plain http to another host', async () => {
  for (const url of [
    'http://sallyport.example',
    'http://127.0.0.1.evil.example',
    'ftp://127.0.0.1',
    'http://user:pw@127.0.0.1',
    'nonsense',
  ]) {
    expect((await runCli(['whoami', '--url', url], { SALLYPORT_TOKEN: 'sp_x' })).code, url).toBe(2);
  }
});

test('the token comes from file, then environment, then client credentials', async () => {
  await using rest = await serveRest({
    'GET /v1/whoami': [200, WHOAMI],
    'POST /v1/oauth/token': [200, { access_token: 'sp_session', token_type: 'Bearer', expires_in: 600 }],
  });
  const file = path.join(newHome(), 'token');
  writeFileSync(file, 'sp_file\n', { mode: 0o600 });
  const env = { SALLYPORT_URL: rest.url, SALLYPORT_CLIENT_ID: 'etl', SALLYPORT_CLIENT_SECRET: 'sps_1' };
  await runCli(['whoami'], { ...env, SALLYPORT_TOKEN: 'sp_env', SALLYPORT_TOKEN_FILE: file });
  await runCli(['whoami'], { ...env, SALLYPORT_TOKEN: 'sp_env' });
  await runCli(['whoami'], env);
  await runCli(['whoami', '--token-file', '-'], env, 'sp_stdin\n');
  expect(rest.seen.filter((one) => one.route === 'GET /v1/whoami').map((one) => one.authorization)).toEqual([
    'Bearer sp_file',
    'Bearer sp_env',
    'Bearer sp_session',
    'Bearer sp_stdin',
  ]);
});

test('a token file that others can read is refused', async () => {
  const file = path.join(newHome(), 'token');
  writeFileSync(file, 'sp_file');
  for (const mode of [0o644, 0o640, 0o604]) {
    chmodSync(file, mode);
    expect((await runCli(['whoami', '--token-file', file])).code).toBe(2);
  }
  chmodSync(file, 0o600);
  expect((await runCli(['whoami', '--token-file', file, '--url', 'http://127.0.0.1:1'])).code).toBe(8);
});

test('login keeps the token in a file of one’s own, whoami uses it, logout forgets it', async () => {
  await using rest = await serveRest({
    'GET /v1/whoami': [200, WHOAMI],
    'GET /v1/ca': [200, 'PEM'],
    'POST /v1/oauth/token': [200, { access_token: 'sp_session', token_type: 'Bearer', expires_in: 600 }],
  });
  const env = { HOME: newHome() };
  const config = path.join(env.HOME, '.config/sallyport/config.json');
  const login = await runCli(
    ['login', '--client-id', 'etl', '--secret-file', '-', '--url', rest.url],
    env,
    'sps_secret',
  );
  expect(login).toMatchObject({ code: 0 });
  expect(login.out + login.err).not.toContain('sp_session');
  expect(statSync(config).mode & 0o777).toBe(0o600);
  expect(statSync(path.dirname(config)).mode & 0o777).toBe(0o700);
  const me = await runCli(['whoami', '--json'], env);
  expect(JSON.parse(me.out)).toEqual(WHOAMI);
  expect(rest.seen.at(-1)).toMatchObject({ authorization: 'Bearer sp_session' });
  expect((await runCli(['logout'], env)).code).toBe(0);
  expect(readFileSync(config, 'utf8')).not.toContain('sp_session');
  expect((await runCli(['whoami'], env)).code).toBe(3);
});

test('login takes a token from a file or stdin, keeps it only when it works, and names a new profile', async () => {
  await using rest = await serveRest({
    'GET /v1/whoami': (seen) =>
      seen.authorization === 'Bearer sp_good' ? [200, WHOAMI] : [401, { code: 'auth.required', title: 'No.' }],
    'GET /v1/ca': [200, 'PEM'],
  });
  const env = { HOME: newHome() };
  const config = path.join(env.HOME, '.config/sallyport/config.json');
  expect((await runCli(['login', '--token-file', '-', '--url', rest.url], env, 'sp_bad')).code).toBe(3);
  expect(existsSync(config)).toBe(false);
  const login = ['login', '--token-file', '-', '--profile', 'work'];
  expect((await runCli(login, env, 'sp_good')).code).toBe(2);
  expect((await runCli([...login, '--url', rest.url], env, 'sp_good\n')).code).toBe(0);
  expect(JSON.parse(readFileSync(config, 'utf8'))).toEqual({
    current: 'work',
    profiles: { work: { url: rest.url, token: 'sp_good', root: 'PEM' } },
  });
  expect((await runCli(['whoami', '--profile', 'other'], env)).code).toBe(2);
});

test('a profile’s token is not sent to another control plane', async () => {
  await using rest = await serveRest({ 'GET /v1/whoami': [200, WHOAMI] });
  const home = newHome();
  const config = path.join(home, '.config/sallyport/config.json');
  mkdirSync(path.dirname(config), { recursive: true });
  writeFileSync(
    config,
    JSON.stringify({ current: 'a', profiles: { a: { url: 'https://other.example', token: 'sp_other' } } }),
    { mode: 0o600 },
  );
  expect((await runCli(['whoami', '--url', rest.url], { HOME: home })).code).toBe(3);
  expect(rest.seen).toEqual([]);
});

test('a config that others can read, or that is damaged, is not used', async () => {
  const home = newHome();
  const config = path.join(home, '.config/sallyport/config.json');
  mkdirSync(path.dirname(config), { recursive: true });
  writeFileSync(config, JSON.stringify({ profiles: { default: { url: 'https://x.example', token: 'sp_x' } } }));
  chmodSync(config, 0o644);
  expect((await runCli(['whoami'], { HOME: home })).code).toBe(2);
  writeFileSync(config, '{"profiles":{"default":{"url":1}}}');
  chmodSync(config, 0o600);
  expect((await runCli(['whoami'], { HOME: home })).code).toBe(2);
});

test('--as finds a demo principal and signs in for it', async () => {
  await using rest = await serveRest({
    'GET /v1/whoami': [200, WHOAMI],
    'POST /v1/oauth/token': [200, { access_token: 'sp_bot', token_type: 'Bearer', expires_in: 600 }],
  });
  const dev = path.join(newHome(), 'dev.json');
  writeFileSync(
    dev,
    JSON.stringify({
      rest: rest.url,
      principals: { ana: { token: 'sp_ana' }, bot: { clientId: 'bot', clientSecret: 'sps_b' } },
    }),
    { mode: 0o600 },
  );
  const env = { SALLYPORT_DEV_FILE: dev };
  expect((await runCli(['--as', 'ana', 'whoami'], env)).code).toBe(0);
  expect(rest.seen.at(-1)?.authorization).toBe('Bearer sp_ana');
  expect((await runCli(['--as', 'bot', 'whoami'], env)).code).toBe(0);
  expect(rest.seen.at(-1)?.authorization).toBe('Bearer sp_bot');
  expect((await runCli(['--as', 'nobody', 'whoami'], env)).code).toBe(2);
});

test('acting for somebody sends their token as the subject and one’s own as the actor', async () => {
  await using rest = await serveRest({
    'POST /v1/oauth/token': [200, { access_token: 'jwt', token_type: 'N_A', expires_in: 300 }],
  });
  const dev = path.join(newHome(), 'dev.json');
  writeFileSync(
    dev,
    JSON.stringify({ rest: rest.url, principals: { ana: { token: 'sp_ana' }, bot: { token: 'sp_bot' } } }),
    { mode: 0o600 },
  );
  const ran = await runCli(['--as', 'bot', 'token', 'payments-db', '--for', 'ana', '--role', 'reader'], {
    SALLYPORT_DEV_FILE: dev,
  });
  expect(ran).toMatchObject({ code: 0, out: 'jwt\n' });
  const form = new URLSearchParams(rest.seen.at(-1)?.body);
  expect([form.get('subject_token'), form.get('actor_token'), form.get('role'), form.get('resource')]).toEqual([
    'sp_ana',
    'sp_bot',
    'reader',
    'payments-db',
  ]);
});

test('apply sends every YAML file of a folder and shows what is wrong by file and line', async () => {
  await using rest = await serveRest({
    'POST /v1/apply': [
      422,
      {
        code: 'request.invalid',
        title: 'The request is not valid.',
        errors: [{ file: 'a/b.yaml', line: 4, field: 'effects[0]', message: 'unknown' }],
      },
    ],
  });
  const dir = newHome();
  mkdirSync(path.join(dir, 'a'));
  writeFileSync(path.join(dir, 'a/b.yaml'), 'kind: Group\nname: dba\n');
  writeFileSync(path.join(dir, 'notes.txt'), 'no');
  const more = path.join(newHome(), 'more.yaml');
  writeFileSync(more, 'kind: Group\nname: sre\n');
  const files = ['-f', dir, '-f', more];
  const ran = await runCli(['apply', ...files, '--dry-run', '--url', rest.url], { SALLYPORT_TOKEN: 'sp_x' });
  expect(ran.code).toBe(7);
  expect(ran.err).toContain('a/b.yaml:4');
  expect(JSON.parse(rest.seen[0]!.body)).toEqual({
    documents: [
      { file: path.join(dir, 'a/b.yaml'), text: 'kind: Group\nname: dba\n' },
      { file: more, text: 'kind: Group\nname: sre\n' },
    ],
    dryRun: true,
    prune: false,
  });
});

test('one thing is an object for scripts, and a list is a list', async () => {
  const group = { id: 'g', name: 'dba', description: '', members: [] };
  await using rest = await serveRest({
    'GET /v1/groups/dba': [200, group],
    'GET /v1/groups': [200, { items: [group], nextCursor: null }],
  });
  const answer = async (...args: string[]): Promise<unknown> =>
    JSON.parse((await runCli([...args, '--json', '--url', rest.url], { SALLYPORT_TOKEN: 'sp_x' })).out);
  expect(await answer('groups', 'show', 'dba')).toEqual(group);
  expect(await answer('groups')).toEqual([group]);
});

test('what an approver is shown cannot drive the terminal', async () => {
  const text = 'delete from payments\u001b[2K\u001b[1A -- select 1 \u202e';
  const item = {
    id: 'apr-1',
    state: 'pending',
    principal: WHOAMI.principal,
    onBehalfOf: null,
    resource: 'db',
    database: 'app',
    clientAddress: '127.0.0.1:1',
    sessionId: 's',
    digest: 'd',
    statement: text,
    parameters: ['\u001b]0;x\u0007'],
    effects: ['write'],
    rule: 'p/r',
    ruleReason: '',
    groups: ['dba'],
    count: 1,
    statementsBefore: 0,
    writesBefore: 0,
    recentStatements: [],
    votes: [],
    askedReason: text,
    shape: { text, tables: [], bound: 'cut', minutesMax: 1, rowsMax: 1, note: text },
    work: {
      statements: [
        {
          number: 1,
          text,
          parameters: [text],
          rows: 1,
          counted: false,
          rolledBack: true,
          sample: { columns: [text], rows: [[text]] },
        },
      ],
      count: 2,
      rows: 1,
      rowsRolledBack: 0,
      uncounted: 1,
      since: '2026-01-01T00:00:00Z',
      note: text,
    },
    granted: null,
    escalatesAt: null,
    escalatedAt: null,
    comments: [{ id: 'c', principalId: 'p', principal: 'ana\u001b[2K', text, at: '2026-01-01T00:00:00Z' }],
    reason: null,
    requestedAt: 1,
    expiresAt: 2,
  };
  await using rest = await serveRest({
    'GET /v1/approvals': [200, { items: [item], nextCursor: null }],
    'GET /v1/approvals/apr-1': [200, item],
  });
  for (const args of [
    ['approvals', 'ls'],
    ['approvals', 'show', 'apr-1'],
  ]) {
    const ran = await runCli([...args, '--url', rest.url], { SALLYPORT_TOKEN: 'sp_x' });
    expect(ran.code).toBe(0);
    expect(ran.out).toContain('delete from payments\\x1b[2K');
    expect(ran.out).not.toMatch(/[\u001b\u0007\u202e]/);
  }
});

test('the shipped rule packs hold their tables, offline', async () => {
  const ran = await runCli(['policy', 'test', path.join(ROOT, 'policies'), '--json']);
  const report = JSON.parse(ran.out) as { passed: number; failed: number };
  expect(report.failed).toBe(0);
  expect(report.passed).toBeGreaterThan(50);
  expect(ran.code).toBe(0);
});

test('a table that does not hold fails, and so does a folder without one', async () => {
  const dir = newHome();
  expect((await runCli(['policy', 'test', dir])).code).toBe(2);
  writeFileSync(
    path.join(dir, 'p.yaml'),
    'kind: Policy\nname: p\nresources: { labels: { env: prod } }\nrules:\n  - name: r\n    when: sql.effects.exists(e, e == "ddl")\n    verdict: deny\n',
  );
  expect((await runCli(['policy', 'test', dir])).code).toBe(1);
  writeFileSync(
    path.join(dir, 't.yaml'),
    'kind: PolicyTest\ndefaults: { labels: { env: prod } }\ncases:\n  - { statement: drop table x, expect: deny, rule: p/r }\n  - { statement: select 1, expect: deny }\n',
  );
  const ran = await runCli(['policy', 'test', dir]);
  expect(ran.code).toBe(1);
  expect(ran.out).toContain('t.yaml:5');
  expect(ran.out).toContain('1 passed, 1 failed');
});

test('a policy with an unknown fact is refused with its line', async () => {
  const ran = await runCli(
    ['policy', 'check', '-', '--json'],
    {},
    'kind: Policy\nname: p\nresources: { labels: { env: prod } }\nrules:\n  - name: r\n    when: nonsense.x\n    verdict: deny\n',
  );
  expect(ran.code).toBe(7);
  expect(JSON.parse(ran.out)).toMatchObject({ valid: false, problems: [{ line: 6 }] });
});

test('completion offers commands, their parts and options', async () => {
  expect((await runCli(['__complete', '--', 'sess'])).out).toBe('sessions\n');
  expect((await runCli(['__complete', '--', 'sessions', 'k'])).out).toBe('kill\n');
  expect((await runCli(['__complete', '--', 'sessions', 'replay', '--sp'])).out).toBe('--speed\n');
  for (const shell of ['bash', 'zsh', 'fish'])
    expect((await runCli(['completion', shell])).out).toContain('__complete');
});

test('logging in never happens without a place to keep the token', async () => {
  const ran = await runCli(['logout'], { HOME: '' });
  expect(ran.code).toBe(2);
  expect(existsSync('/.config/sallyport')).toBe(false);
});
