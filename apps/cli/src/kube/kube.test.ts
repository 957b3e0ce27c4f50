/** kube login and kube token, held against kubectl's own reading of the file (where a kubectl is). */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { parse } from 'yaml';
import { serveRest } from '../testing/control-plane.fixture.ts';
import { newHome, runCli } from '../testing/terminal.fixture.ts';

const KUBECTL = ['/usr/bin/kubectl', '/usr/local/bin/kubectl'].find((file) => existsSync(file));
const cluster = (name: string, type = 'kubernetes'): object => ({
  id: name,
  name,
  type,
  endpoints: [{ protocol: 'http', address: 'agent.example.net:7443', plaintext: false, agent: 'a' }],
});
const serve = () =>
  serveRest({
    'GET /v1/ca': [200, '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n'],
    'GET /v1/resources/prod': [200, cluster('prod')],
    'GET /v1/resources/crm': [200, cluster('crm', 'http')],
    'GET /v1/resources': [200, { items: [cluster('prod'), cluster('test')], nextCursor: null }],
    'POST /v1/oauth/token': [200, { access_token: 'a.b.c', expires_in: 300 }],
  });

interface Config {
  readonly 'current-context'?: string;
  readonly clusters: readonly { readonly name: string; readonly cluster: Record<string, string> }[];
  readonly users: readonly {
    readonly name: string;
    readonly user: { readonly exec: { readonly args: readonly string[]; readonly env: readonly object[] } };
  }[];
  readonly contexts: readonly { readonly name: string }[];
}

const OTHERS = `# mine
apiVersion: v1
kind: Config
current-context: home # where I live
clusters:
  - name: home
    cluster: { server: https://home.example.net }
contexts:
  - { name: home, context: { cluster: home, user: home } }
users:
  - { name: home, user: { token: keep-me } }
`;

test('all clusters go into one file, and what was there stays, with its comments and its current context', async () => {
  await using rest = await serve();
  const home = newHome();
  const file = path.join(home, '.kube', 'config');
  mkdirSync(path.dirname(file));
  writeFileSync(file, OTHERS);
  const env = { HOME: home, SALLYPORT_URL: rest.url, SALLYPORT_TOKEN: 'sp_x' };
  for (let i = 0; i < 2; i++) {
    const ran = await runCli(['kube', 'login', '--json'], env);
    expect(ran, ran.err).toMatchObject({ code: 0 });
  }
  const text = readFileSync(file, 'utf8');
  const config = parse(text) as Config;
  expect(config.contexts.map(({ name }) => name)).toEqual(['home', 'sallyport-prod', 'sallyport-test']);
  expect(config['current-context']).toBe('home');
  expect(text).toContain('# where I live');
  expect(text).toContain('keep-me');
  expect(text).not.toContain('a.b.c');
  expect(config.clusters[1]?.cluster['server']).toBe('https://agent.example.net:7443/r/prod');
  expect(config.users[1]?.user.exec.args.slice(-3)).toEqual(['kube', 'token', 'prod']);
  expect(statSync(file).mode & 0o777).toBe(0o600);
});

test('one who is somebody of the demo stack is the same from every folder', async () => {
  await using rest = await serve();
  const home = newHome();
  const dev = path.join(home, 'dev.json');
  writeFileSync(dev, JSON.stringify({ rest: rest.url, principals: { carla: { token: 'sp_x' } } }), { mode: 0o600 });
  const env = { HOME: home, SALLYPORT_DEV_FILE: path.relative(process.cwd(), dev) };
  const ran = await runCli(['--as', 'carla', 'kube', 'login', 'prod'], env);
  expect(ran, ran.err).toMatchObject({ code: 0 });
  const { users } = parse(readFileSync(path.join(home, '.kube', 'config'), 'utf8')) as Config;
  expect(users[0]?.user.exec).toMatchObject({
    args: expect.arrayContaining(['--as', 'carla']),
    env: [{ name: 'SALLYPORT_DEV_FILE', value: dev }],
  });
});

test('one that is named becomes the current one, unless the context is to be kept', async () => {
  await using rest = await serve();
  const env = { HOME: newHome(), SALLYPORT_URL: rest.url, SALLYPORT_TOKEN: 'sp_x' };
  const current = async (...more: readonly string[]): Promise<unknown> =>
    (JSON.parse((await runCli(['kube', 'login', 'prod', '--json', ...more], env)).out) as { current: unknown }).current;
  expect(await current()).toBe('sallyport-prod');
  expect(await current('--keep-context')).toBe(null);
});

test('what is no cluster, and a file that is no kubeconfig, are refused and left alone', async () => {
  await using rest = await serve();
  const home = newHome();
  const env = { HOME: home, SALLYPORT_URL: rest.url, SALLYPORT_TOKEN: 'sp_x', KUBECONFIG: path.join(home, 'broken') };
  expect((await runCli(['kube', 'login', 'crm'], env)).code).not.toBe(0);
  writeFileSync(env.KUBECONFIG, 'clusters: [');
  expect((await runCli(['kube', 'login', 'prod'], env)).code).not.toBe(0);
  expect(readFileSync(env.KUBECONFIG, 'utf8')).toBe('clusters: [');
});

test('a token is printed as kubectl asks for it, and ends before it ends', async () => {
  await using rest = await serve();
  const env = { HOME: newHome(), SALLYPORT_URL: rest.url, SALLYPORT_TOKEN: 'sp_x' };
  const ran = await runCli(['kube', 'token', 'prod', '--reason', 'INC-7'], env);
  const { kind, status } = JSON.parse(ran.out) as {
    kind: string;
    status: { token: string; expirationTimestamp: string };
  };
  expect(kind).toBe('ExecCredential');
  expect(status.token).toBe('a.b.c');
  const lives = Date.parse(status.expirationTimestamp) - Date.now();
  expect(lives).toBeGreaterThan(200_000);
  expect(lives).toBeLessThan(290_000);
  expect(rest.seen.at(-1)?.body).toContain('INC-7');
});

test.runIf(KUBECTL !== undefined)('kubectl reads the file, and asks this program for its token', async () => {
  await using rest = await serve();
  const file = path.join(newHome(), 'it is mine', 'config');
  const env = { HOME: newHome(), SALLYPORT_URL: rest.url, SALLYPORT_TOKEN: 'sp_x' };
  const wrote = await runCli(['kube', 'login', 'prod', '--kubeconfig', file, '--namespace', 'shop'], env);
  expect(wrote, wrote.err).toMatchObject({ code: 0 });
  const seen = execFileSync(KUBECTL!, ['--kubeconfig', file, 'config', 'view', '--minify', '-o', 'json'], {
    encoding: 'utf8',
  });
  const view = JSON.parse(seen) as {
    clusters: { cluster: { server: string } }[];
    contexts: { context: { namespace: string } }[];
  };
  expect(view.clusters[0]?.cluster.server).toBe('https://agent.example.net:7443/r/prod');
  expect(view.contexts[0]?.context.namespace).toBe('shop');
});
