/**
 * Kubernetes on a whole stack: `sallyport kube login`, then real kubectl as it is, through the agent to a real API server.
 * Machines without kubectl or a built kube-apiserver leave these out by name (`node scripts/test-kubernetes.ts`).
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import {
  type Cluster,
  kubernetesClients as clients,
  clusterMissing,
  kubectls,
  type Ran,
  run,
  startCluster,
} from '@sallyport/testkit';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { accessToken, restClient } from '../../scripts/stack/rest.ts';
import { type Cli, openCli } from './cli-process.ts';
import { openStream, soonestCut } from './cut.ts';
import { until } from './ssh-bed.ts';

const dev = inject('dev');
const admin = restClient(dev.rest, dev.principals['admin']?.token ?? '');
const ana = restClient(dev.rest, dev.principals['ana']?.token ?? '');
const PASSWORD = 'correct-horse-battery';
const POLICY = `kind: Policy
name: e2e-kube
resources: { names: [e2e-kube] }
rules:
  - name: configuration-stays
    when: k8s.resource == "configmaps" && k8s.verb == "delete"
    verdict: deny
    message: Configuration stays.
  - name: scale-to-one
    when: k8s.replicas == 1
    verdict: hold
    message: One is not many.
    approval: { groups: [dba], count: 1, expires: 5m }
  - name: no-touch
    when: shell.programs.exists(p, p == "touch")
    verdict: deny
    message: Nothing is touched.
masks:
  - { kubernetes: ["secrets:data.*"], with: redact }
  - { detect: [email], with: redact }
`;

describe.skipIf(clusterMissing !== '' || kubectls.length === 0)('Kubernetes on a stack', () => {
  let cluster: Cluster;
  let cli: Cli;
  let config: string;
  const kubectl = (...words: string[]): Promise<Ran> =>
    run(kubectls[0]!.program, ['--kubeconfig', config, ...words], {
      env: cli.env as Record<string, string>,
      timeoutMs: 60_000,
    });
  const grant = (effects: readonly string[]): Promise<unknown> =>
    admin.call('POST', '/v1/apply', {
      documents: [
        {
          file: 'grant.yaml',
          text: JSON.stringify({ kind: 'Grant', name: 'e2e-kube', principal: 'carla', resource: 'e2e-kube', effects }),
        },
      ],
      dryRun: false,
      prune: false,
    });

  const apply = (text: string): Promise<unknown> =>
    admin.call('POST', '/v1/apply', { documents: [{ file: 'policy.yaml', text }], dryRun: false, prune: false });

  beforeAll(async () => {
    cluster = await startCluster();
    await cluster.call('POST', '/api/v1/namespaces', { metadata: { name: 'shop' } });
    await cluster.call('POST', '/apis/rbac.authorization.k8s.io/v1/clusterrolebindings', {
      metadata: { name: 'sallyport-ops' },
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'cluster-admin' },
      subjects: [{ apiGroup: 'rbac.authorization.k8s.io', kind: 'Group', name: 'sallyport-ops' }],
    });
    await cluster.pod('shop', 'web');
    await cluster.call('POST', '/api/v1/namespaces/shop/secrets', {
      metadata: { name: 'db' },
      stringData: { password: PASSWORD },
    });
    await cluster.call('POST', '/apis/apps/v1/namespaces/shop/deployments', {
      metadata: { name: 'web' },
      spec: {
        replicas: 3,
        selector: { matchLabels: { app: 'web' } },
        template: { metadata: { labels: { app: 'web' } }, spec: { containers: [{ name: 'main', image: 'busybox' }] } },
      },
    });
    cli = openCli(dev);
    config = path.join(cluster.folder, 'kubeconfig');
    await admin.call('POST', '/v1/credentials', { name: 'e2e-kube', kind: 'stored', username: '' });
    await admin.call('PUT', '/v1/credentials/e2e-kube/secret', { secret: cluster.adminToken });
    await admin.call('POST', '/v1/resources', {
      name: 'e2e-kube',
      type: 'kubernetes',
      credential: 'e2e-kube',
      recording: 'results',
      kubernetes: {
        url: cluster.url,
        ca: cluster.ca,
        private: true,
        identity: { mode: 'impersonate', groups: ['sallyport-ops'] },
        execRecorded: true,
        inject: { as: 'bearer' },
      },
    });
    await grant(['read', 'write', 'exec', 'forward']);
    await apply(POLICY);
    const login = await cli.run(['--as', 'carla', 'kube', 'login', 'e2e-kube', '--kubeconfig', config]);
    expect(login.code, login.err).toBe(0);
    await until(async () => ((await kubectl('get', 'ns')).code === 0 ? true : undefined));
  }, 120_000);
  afterAll(async () => {
    for (const what of ['policies', 'grants', 'resources', 'credentials'])
      await admin.call('DELETE', `/v1/${what}/e2e-kube`).catch(() => undefined);
    cli?.end();
    await cluster?.stop();
  });

  test('the API server knows who asks, by name', async () => {
    const { stdout } = await kubectl('auth', 'whoami', '-o', 'json');
    const seen = JSON.parse(stdout.toString()) as { status: { userInfo: { username: string; extra: object } } };
    expect(seen.status.userInfo.username).toBe('carla');
    expect(seen.status.userInfo.extra).toHaveProperty(['sallyport.dev/session']);
  });

  test('secrets are masked, also raw and where the path names no cluster', async () => {
    const stored = Buffer.from(PASSWORD).toString('base64');
    for (const words of [
      ['get', 'secret', 'db', '-n', 'shop', '-o', 'yaml'],
      ['get', 'secrets', '-A', '-o', 'json'],
      ['get', '--raw', '/api/v1/namespaces/shop/secrets/db'],
    ]) {
      const { code, stdout, stderr } = await kubectl(...words);
      expect(code, stderr).toBe(0);
      expect(stdout.toString()).not.toContain(stored);
      expect(stdout.toString()).toContain(Buffer.from('[redacted]').toString('base64'));
    }
  });

  test('a denial is read in kubectl', async () => {
    const { code, stderr } = await kubectl('delete', 'configmap', 'any', '-n', 'shop');
    expect(code).toBe(1);
    expect(stderr).toContain('Configuration stays.');
  });

  test('a path in another form is refused in words that kubectl shows, over either HTTP', async () => {
    for (const target of ['/api//v1', '/api/v1/../v1', '/api/v1/nodes/%2e%2e']) {
      const { code, stderr } = await kubectl('get', '--raw', target);
      expect(code).toBe(1);
      expect(stderr, target).toContain('http.malformed');
    }
    const token = await accessToken(dev.rest, dev.principals['carla']?.token ?? '', 'e2e-kube');
    const said = async (shown: string): Promise<string> =>
      (
        await run('curl', [
          '-s',
          '--http1.1',
          '--path-as-is',
          '--cacert',
          dev.ca,
          '-H',
          `authorization: Bearer ${shown}`,
          `https://127.0.0.1:${dev.agent.https}/r/e2e-kube/api//v1`,
        ])
      ).stdout.toString();
    expect(JSON.parse(await said(token))).toMatchObject({ kind: 'Status', code: 400, reason: 'BadRequest' });
    // Whoever may not know what is there is told as everybody.
    expect(JSON.parse(await said('none'))).toMatchObject({ code: 'http.malformed', status: 400 });
  });

  test('a token that nobody takes is refused in words that kubectl shows, the same whatever the name stands for', async () => {
    const words = [
      '--kubeconfig',
      '/dev/null',
      '--certificate-authority',
      dev.ca,
      '--token',
      'none',
      'get',
      '--raw',
      '/api/v1/namespaces',
    ];
    const told = await Promise.all(
      ['e2e-kube', 'payments-db', 'not-there'].map(async (name) => {
        const server = `https://127.0.0.1:${dev.agent.https}/r/${name}`;
        const { code, stderr } = await run(kubectls[0]!.program, ['--server', server, ...words], { timeoutMs: 60_000 });
        expect(code, name).toBe(1);
        return stderr.replaceAll(/^[EWI]\d{4}.*$/gm, '').trim();
      }),
    );
    expect(told[0]).toContain('auth.failed');
    expect(new Set(told).size).toBe(1);
    const plain = ['-s', '--cacert', dev.ca, '-H', 'authorization: Bearer none'];
    const { stdout } = await run('curl', [...plain, `https://127.0.0.1:${dev.agent.https}/r/e2e-kube/api/v1/pods`]);
    expect(JSON.parse(stdout.toString())).toMatchObject({ code: 'auth.failed', status: 401 });
  });

  test('a hold waits until somebody answers', async () => {
    const scaling = kubectl('scale', 'deployment', 'web', '-n', 'shop', '--replicas=1');
    const id = await until(async () => {
      const { items } = await ana.call<{ items: { id: string; statement: string }[] }>(
        'GET',
        '/v1/approvals?state=pending',
      );
      return items.find(({ statement }) => statement.includes('deployments.apps/web'))?.id;
    });
    await ana.call('POST', `/v1/approvals/${id}/approve`, { reason: 'at night' });
    const { code, stderr } = await scaling;
    expect(code, stderr).toBe(0);
  });

  test('a command is judged, masked, filmed and played', async () => {
    const script = 'echo to ana.smith@example.com; exit 3';
    const ran = await kubectl('exec', '-n', 'shop', 'web', '--', 'sh', '-c', script);
    expect(ran).toMatchObject({ code: 3 });
    expect(ran.stdout.toString()).toBe('to [redacted]\n');
    const denied = await kubectl('exec', '-n', 'shop', 'web', '--', 'touch', '/tmp/x');
    expect(denied.stderr).toContain('Nothing is touched.');
    // Each kubectl has a token of its own, and so a session.
    const shown = await until(async () => {
      const { items } = await admin.call<{ items: { id: string }[] }>('GET', '/v1/sessions?resource=e2e-kube');
      for (const { id } of items) {
        const replay = await cli.run(['--as', 'admin', 'sessions', 'replay', id, '--speed', '0']);
        if (replay.out.includes('to [redacted]')) return replay.out;
      }
      return undefined;
    }, 90_000);
    expect(shown).not.toContain('smith');
    expect(shown).not.toContain(cluster.adminToken);
  }, 120_000);

  test('a watch survives another policy, and ends with its right', async () => {
    const watching = kubectl('get', 'pods', '-n', 'shop', '-w', '-o', 'name');
    const isOpen = async (): Promise<true | undefined> => {
      const { items } = await admin.call<{ items: { usage?: { statements: number } }[] }>(
        'GET',
        '/v1/sessions?resource=e2e-kube',
      );
      return items.length > 0 ? true : undefined;
    };
    await until(isOpen);
    await admin.call('POST', '/v1/apply', {
      documents: [{ file: 'policy.yaml', text: POLICY.replace('Configuration stays.', 'They stay.') }],
      dryRun: false,
      prune: false,
    });
    await until(async () =>
      (await kubectl('delete', 'configmap', 'any', '-n', 'shop')).stderr.includes('They stay.') ? true : undefined,
    );
    await cluster.pod('shop', 'later');
    const still = await Promise.race([
      watching.then(() => 'ended'),
      new Promise((next) => setTimeout(() => next('open'), 500)),
    ]);
    expect(still).toBe('open');
    const end = Date.now();
    await admin.call('DELETE', '/v1/grants/e2e-kube');
    const { stdout } = await watching;
    // kubectl's own end on a busy machine; the next test has the time of the cut.
    expect(Date.now() - end).toBeLessThan(10_000);
    expect(stdout.toString()).toContain('pod/later');
    await grant(['read', 'write', 'exec', 'forward']);
  });

  test('a watch whose right is taken away ends within a second', async () => {
    const token = await accessToken(dev.rest, dev.principals['carla']?.token ?? '', 'e2e-kube');
    const url = `https://127.0.0.1:${dev.agent.https}/r/e2e-kube/api/v1/namespaces/shop/pods?watch=true`;
    const ms = await soonestCut(
      1_000,
      async () => {
        await grant(['read', 'write', 'exec', 'forward']);
        return until(() => openStream(url, token).catch(() => undefined));
      },
      () => admin.call('DELETE', '/v1/grants/e2e-kube'),
    );
    expect(ms).toBeLessThanOrEqual(1_000);
    await grant(['read', 'write', 'exec', 'forward']);
  }, 180_000);

  test('what follows and what waits is told when its right is taken away', async () => {
    await until(async () => ((await kubectl('get', 'ns')).code === 0 ? true : undefined));
    const watching = kubectl('get', 'pods', '-n', 'shop', '-w');
    const following = kubectl('logs', '-n', 'shop', '-f', 'web');
    const waiting = kubectl('wait', '-n', 'shop', '--for=delete', 'pod/web', '--timeout=20s');
    await new Promise((next) => setTimeout(next, 4_000));
    const endMs = Date.now();
    await admin.call('DELETE', '/v1/grants/e2e-kube');
    const [watched, followed] = await Promise.all([watching, following]);
    expect(Date.now() - endMs).toBeLessThan(10_000);
    expect(watched.stdout.toString()).toContain('session.revoked');
    expect(followed.code).toBe(1);
    expect(followed.stderr).toContain('session.revoked');
    // kubectl asks again until its own time is over, whatever it is answered; it says so, and fails.
    const waited = await waiting;
    expect(waited.code).toBe(1);
    expect(waited.stderr).toContain('Sallyport: ');
    await grant(['read', 'write', 'exec', 'forward']);
  }, 120_000);

  test.skipIf(clients.helm === '')(
    'helm works where Secrets are masked once its releases are in ConfigMaps',
    async () => {
      await until(async () => ((await kubectl('get', 'ns')).code === 0 ? true : undefined));
      const chart = path.join(cluster.folder, 'chart');
      mkdirSync(path.join(chart, 'templates'), { recursive: true });
      writeFileSync(path.join(chart, 'Chart.yaml'), 'apiVersion: v2\nname: demo\nversion: 0.1.0\n');
      writeFileSync(
        path.join(chart, 'templates/all.yaml'),
        'apiVersion: v1\nkind: Secret\nmetadata: { name: demo }\nstringData: { password: {{ .Values.password }} }\n',
      );
      const helm = async (env: Record<string, string>, ...words: string[]): Promise<string> => {
        const ran = await run(clients.helm, ['--kubeconfig', config, '-n', 'shop', ...words], {
          env: { ...(cli.env as Record<string, string>), ...env },
          timeoutMs: 60_000,
        });
        expect(ran, ran.stderr).toMatchObject({ code: 0 });
        return ran.stdout.toString();
      };
      const stored = async (): Promise<string> => {
        const secret = '/api/v1/namespaces/shop/secrets/demo';
        const { data } = await cluster.call<{ data: { password: string } }>('GET', secret);
        return Buffer.from(data.password, 'base64').toString();
      };
      const releases = async (env: Record<string, string>): Promise<unknown> =>
        JSON.parse(await helm(env, 'list', '-o', 'json'));
      const inConfigMaps = { HELM_DRIVER: 'configmap' };
      await helm(inConfigMaps, 'install', 'demo', chart, '--set', 'password=one');
      await helm(inConfigMaps, 'upgrade', 'demo', chart, '--set', 'password=two');
      expect(await releases(inConfigMaps)).toMatchObject([{ name: 'demo', revision: '2', status: 'deployed' }]);
      await helm(inConfigMaps, 'rollback', 'demo', '1');
      expect(await stored()).toBe('one');
      // In Secrets that are masked it finds none.
      expect(await releases({})).toEqual([]);
    },
    180_000,
  );

  test.skipIf(clients.python === '')('so does the client library of Python', async () => {
    await until(async () => ((await kubectl('get', 'ns')).code === 0 ? true : undefined));
    const program = `
import sys
from kubernetes import client, config
config.load_kube_config(sys.argv[1])
print([pod.metadata.name for pod in client.CoreV1Api().list_namespaced_pod('shop').items])`;
    const ran = await run(clients.python, ['-c', program, config], {
      env: cli.env as Record<string, string>,
      timeoutMs: 60_000,
    });
    expect(ran, ran.stderr).toMatchObject({ code: 0 });
    expect(ran.stdout.toString()).toContain('web');
  });
});
