/** Other clients than kubectl, as they are, on a real API server through the driver: helm, and client libraries of three languages. */
import { mkdirSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import { createRequire } from 'node:module';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import type { MaskSet, Statement, Verdict } from '@sallyport/model';
import {
  allow,
  type Cluster,
  kubernetesClients as clients,
  clusterMissing,
  kubectls,
  startCluster,
} from '@sallyport/testkit';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { type KubeBed, openKubeBed } from '../test/bed.fixture.ts';

const MASKS: MaskSet = {
  columns: [],
  detect: [{ detect: 'email', with: 'redact' }],
  kubernetes: [{ place: 'secrets:data.*', with: 'redact' }],
};
const PASSWORD = 'correct-horse-battery';
const until = async (what: () => boolean): Promise<void> => {
  for (const end = Date.now() + 60_000; !what(); await new Promise((next) => setTimeout(next, 20)))
    if (Date.now() > end) throw new Error('nothing came');
};
const CHART: Readonly<Record<string, string>> = {
  'Chart.yaml': 'apiVersion: v2\nname: demo\nversion: 0.1.0\n',
  'values.yaml': 'color: red\nreplicas: 1\n',
  'templates/all.yaml': `apiVersion: v1
kind: ConfigMap
metadata: { name: {{ .Release.Name }} }
data: { color: {{ .Values.color }} }
---
apiVersion: apps/v1
kind: Deployment
metadata: { name: {{ .Release.Name }} }
spec:
  replicas: {{ .Values.replicas }}
  selector: { matchLabels: { app: {{ .Release.Name }} } }
  template:
    metadata: { labels: { app: {{ .Release.Name }} } }
    spec: { containers: [{ name: main, image: busybox }] }
---
apiVersion: v1
kind: Secret
metadata: { name: {{ .Release.Name }} }
stringData: { password: {{ .Values.color }}-horse-battery }
`,
};
const PYTHON = `
import sys
from kubernetes import client, config, watch
from kubernetes.stream import portforward, stream
config.load_kube_config(sys.argv[1])
core = client.CoreV1Api()
print('pods', [pod.metadata.name for pod in core.list_namespaced_pod('shop').items])
core.create_namespaced_config_map('shop', {'metadata': {'name': 'python'}, 'data': {'a': 'b'}})
core.patch_namespaced_config_map('python', 'shop', {'data': {'a': 'c'}})
for event in watch.Watch().stream(core.list_namespaced_config_map, 'shop', field_selector='metadata.name=python', timeout_seconds=20):
    print('watched', event['type'], event['object'].data)
    break
core.delete_namespaced_config_map('python', 'shop', body=client.V1DeleteOptions(grace_period_seconds=0))
print('secret', core.read_namespaced_secret('db', 'shop').data)
print('log', core.read_namespaced_pod_log('web', 'shop').strip())
print('exec', stream(core.connect_get_namespaced_pod_exec, 'web', 'shop', command=['echo', 'to ana.smith@example.com'], stdout=True, stderr=True, stdin=False, tty=False).strip())
port = int(sys.argv[2])
forwarded = portforward(core.connect_get_namespaced_pod_portforward, 'web', 'shop', ports=str(port)).socket(port)
forwarded.setblocking(True)
forwarded.sendall(b'GET / HTTP/1.0\\r\\n\\r\\n')
said = b''
while chunk := forwarded.recv(4096):
    said += chunk
print('forwarded', said.decode().splitlines()[-1])
print('scale', client.AppsV1Api().patch_namespaced_deployment_scale('web', 'shop', {'spec': {'replicas': 2}}).spec.replicas)
`;
const SDK = path.join(import.meta.dirname, '../../../test/sdks/package.json');
const sdkMissing = ((): string => {
  try {
    createRequire(SDK).resolve('@kubernetes/client-node');
    return '';
  } catch (error) {
    // Said in the test's name.
    return String(error).split('\n', 1)[0]!;
  }
})();
const NODE = `
import { createRequire } from 'node:module';
import { PassThrough, Writable } from 'node:stream';
const k8s = await import(createRequire(process.argv[2]).resolve('@kubernetes/client-node'));
const config = new k8s.KubeConfig();
config.loadFromFile(process.argv[3]);
const core = config.makeApiClient(k8s.CoreV1Api);
const say = (...words) => console.log(words.map((word) => (typeof word === 'string' ? word : JSON.stringify(word))).join(' '));
const text = () => { let all = ''; return Object.assign(new Writable({ write(chunk, _coding, next) { all += chunk; next(); } }), { all: () => all.trim() }); };
const namespace = 'shop';
say('pods', (await core.listNamespacedPod({ namespace })).items.map(({ metadata }) => metadata.name));
let seen;
const watched = new Promise((resolve) => (seen = resolve));
const { metadata: { resourceVersion } } = await core.listNamespacedConfigMap({ namespace });
const watching = await new k8s.Watch(config).watch('/api/v1/namespaces/shop/configmaps', { fieldSelector: 'metadata.name=node', resourceVersion }, (type, object) => seen([type, object.data]), () => {});
await core.createNamespacedConfigMap({ namespace, body: { metadata: { name: 'node' }, data: { a: 'b' } } });
const [type, data] = await watched;
say('watched', type, data);
watching.abort();
const made = await core.readNamespacedConfigMap({ namespace, name: 'node' });
made.data.a = 'c';
say('replaced', (await core.replaceNamespacedConfigMap({ namespace, name: 'node', body: made })).data);
say('patched', (await core.patchNamespacedConfigMap({ namespace, name: 'node', body: [{ op: 'replace', path: '/data/a', value: 'd' }] }, k8s.setHeaderOptions('Content-Type', 'application/json-patch+json'))).data);
await core.deleteNamespacedConfigMap({ namespace, name: 'node' });
say('secret', (await core.readNamespacedSecret({ namespace, name: 'db' })).data);
const log = text();
await new k8s.Log(config).log(namespace, 'web', 'main', log, { follow: false });
await new Promise((next) => log.once('finish', next));
say('log', log.all());
const out = text();
await new Promise((resolve, reject) => new k8s.Exec(config).exec(namespace, 'web', 'main', ['echo', 'to ana.smith@example.com'], out, text(), null, false, resolve).catch(reject));
say('exec', out.all());
const said = text();
const spoken = new PassThrough();
await new k8s.PortForward(config).portForward(namespace, 'web', [Number(process.argv[4])], said, null, spoken);
spoken.write('GET / HTTP/1.0\\r\\n\\r\\n');
while (!said.all().includes('from the pod')) await new Promise((next) => setTimeout(next, 20));
say('forwarded', said.all().split('\\n').at(-1));
process.exit(0);
`;

describe.skipIf(clusterMissing !== '' || kubectls.length === 0)('clients of a cluster', () => {
  let cluster: Cluster;
  let bed: KubeBed;
  let verdict: (statement: Statement) => Verdict = () => allow();
  const at = (name: string): string => path.join(cluster.folder, name);

  beforeAll(async () => {
    cluster = await startCluster();
    await cluster.call('POST', '/api/v1/namespaces', { metadata: { name: 'shop' } });
    await cluster.pod('shop', 'web');
    const labels = { app: 'web' };
    await cluster.call('POST', '/apis/apps/v1/namespaces/shop/deployments', {
      metadata: { name: 'web' },
      spec: {
        replicas: 1,
        selector: { matchLabels: labels },
        template: { metadata: { labels }, spec: { containers: [{ name: 'main', image: 'busybox' }] } },
      },
    });
    await cluster.call('POST', '/api/v1/namespaces/shop/secrets', {
      metadata: { name: 'db' },
      stringData: { password: PASSWORD },
    });
    bed = await openKubeBed(cluster, { decide: (statement) => verdict(statement) });
  }, 120_000);
  afterAll(async () => {
    await bed?.close();
    await cluster?.stop();
  });
  afterEach(() => {
    verdict = () => allow();
    bed.gateway.judged.length = 0;
  });

  describe.skipIf(clients.helm === '')('helm', () => {
    beforeAll(() => {
      for (const [name, text] of Object.entries(CHART)) {
        mkdirSync(path.dirname(at(`chart/${name}`)), { recursive: true });
        writeFileSync(at(`chart/${name}`), text);
      }
    });
    const helm = async (env: Record<string, string>, ...words: string[]): Promise<string> => {
      const { code, out, err } = await bed.run(clients.helm, ['--kubeconfig', bed.config, '-n', 'shop', ...words], {
        env,
      });
      expect(code, `${words.join(' ')}: ${err}`).toBe(0);
      return out;
    };
    const color = async (): Promise<string> =>
      (await cluster.call<{ data: { color: string } }>('GET', '/api/v1/namespaces/shop/configmaps/demo')).data.color;
    const password = async (): Promise<string> => {
      const path = '/api/v1/namespaces/shop/secrets/demo';
      const { data } = await cluster.call<{ data: { password: string } }>('GET', path);
      return Buffer.from(data.password, 'base64').toString();
    };

    test.each([
      ['with nothing masked', {}, undefined],
      ['with Secrets masked and its releases in ConfigMaps', { HELM_DRIVER: 'configmap' }, MASKS],
    ] as const)(
      'installs, upgrades, lists, rolls back and uninstalls, %s',
      { timeout: 300_000 },
      async (_name, env, masks) => {
        if (masks !== undefined) verdict = () => allow(masks);
        await helm(env, 'install', 'demo', at('chart'));
        expect(await color()).toBe('red');
        expect(await password()).toBe('red-horse-battery');
        await helm(env, 'upgrade', 'demo', at('chart'), '--set', 'color=blue,replicas=3');
        expect(await color()).toBe('blue');
        expect(await password()).toBe('blue-horse-battery');
        const scaled = bed.gateway.judged.find(({ statement }) => statement.facts.k8s?.replicas === 3)!;
        expect(scaled.statement.facts.k8s).toMatchObject({ resource: 'deployments', verb: 'patch' });
        const listed = JSON.parse(await helm(env, 'list', '-o', 'json')) as unknown[];
        expect(listed).toMatchObject([{ name: 'demo', revision: '2', status: 'deployed' }]);
        await helm(env, 'rollback', 'demo', '1');
        expect(await color()).toBe('red');
        expect(await password()).toBe('red-horse-battery');
        expect(await helm(env, 'history', 'demo')).toContain('Rollback to 1');
        expect(await helm(env, 'get', 'manifest', 'demo')).toContain('kind: Deployment');
        expect(await helm(env, 'status', 'demo')).toContain('deployed');
        await helm(env, 'uninstall', 'demo');
        await expect(color()).rejects.toThrow('404');
      },
    );

    test('finds no release in Secrets that are masked, one of them by name alike', { timeout: 120_000 }, async () => {
      await helm({}, 'install', 'demo', at('chart'));
      for (const place of ['secrets:data.*', 'secrets/db:data.*']) {
        verdict = () => allow({ columns: [], detect: [], kubernetes: [{ place, with: 'redact' }] });
        expect(JSON.parse(await helm({}, 'list', '-o', 'json')), place).toEqual([]);
      }
      verdict = () => allow();
      await helm({}, 'uninstall', 'demo');
    });
  });

  test.skipIf(clients.informer === '')(
    'an informer of client-go lists and watches, and writes in protobuf',
    { timeout: 120_000 },
    async () => {
      let out = '';
      const abort = new AbortController();
      const running = bed.run(clients.informer, [bed.config, 'shop'], {
        onOut: (text) => (out = text),
        signal: abort.signal,
      });
      await until(() => out.includes('written'));
      expect(out).toContain('synced');
      expect(out).toContain(`added db ${PASSWORD}`);
      expect(out).toContain('written c 2');
      await cluster.call('POST', '/api/v1/namespaces/shop/secrets', {
        metadata: { name: 'two' },
        stringData: { password: 'x' },
      });
      await until(() => out.includes('added two x'));
      await cluster.call('DELETE', '/api/v1/namespaces/shop/secrets/two');
      await until(() => out.includes('deleted two'));
      const writes = bed.gateway.judged.filter(({ statement }) => statement.facts.k8s?.name === 'informer');
      expect(writes.map(({ statement }) => statement.facts.k8s?.object)).not.toContain('unread');
      expect(writes.map(({ statement }) => statement.facts.k8s?.verb)).toEqual(['create', 'update', 'get', 'delete']);
      abort.abort();
      await running;
    },
  );

  test.skipIf(clients.informer === '')(
    'an informer whose answers are masked sees them so',
    { timeout: 120_000 },
    async () => {
      verdict = () => allow(MASKS);
      let out = '';
      const abort = new AbortController();
      const running = bed.run(clients.informer, [bed.config, 'shop'], {
        onOut: (text) => (out = text),
        signal: abort.signal,
      });
      await until(() => out.includes('written'));
      abort.abort();
      await running;
      expect(out).toContain('added db [redacted]');
      expect(out).not.toContain(PASSWORD);
    },
  );

  /** What a pod of the node serves: its ports are this machine's. */
  const served = async (): Promise<http.Server> => {
    const server = http.createServer((_request, response) => response.end('from the pod')).listen(0, '127.0.0.1');
    await new Promise((up) => server.once('listening', up));
    return server;
  };
  const portOf = (server: http.Server): string => String((server.address() as AddressInfo).port);

  const asSeen = (out: string): void => {
    expect(out).toMatch(/^pods .*web/m);
    expect(out).toMatch(/^watched ADDED/m);
    expect(out).toContain(Buffer.from('[redacted]').toString('base64'));
    expect(out).not.toMatch(new RegExp(`${PASSWORD}|${Buffer.from(PASSWORD).toString('base64')}|smith`));
    expect(out).toMatch(/^log started$/m);
    expect(out).toMatch(/^exec to \[redacted\]$/m);
    expect(out).toMatch(/^forwarded from the pod$/m);
    expect(bed.gateway.judged.some(({ statement }) => statement.effects.includes('forward'))).toBe(true);
  };

  test.skipIf(clients.python === '')('the client library of Python', { timeout: 120_000 }, async () => {
    verdict = () => allow(MASKS);
    const server = await served();
    const { code, out, err } = await bed.run(clients.python, ['-c', PYTHON, bed.config, portOf(server)]);
    server.close();
    expect(code, err).toBe(0);
    asSeen(out);
    expect(out).toContain('scale 2');
  });

  test.skipIf(sdkMissing !== '')('the client library of JavaScript', { timeout: 120_000 }, async () => {
    verdict = () => allow(MASKS);
    writeFileSync(at('client.mjs'), NODE);
    const server = await served();
    const { code, out, err } = await bed.run(process.execPath, [at('client.mjs'), SDK, bed.config, portOf(server)]);
    server.close();
    expect(code, err).toBe(0);
    asSeen(out);
    expect(out).toContain('patched {"a":"d"}');
  });
});
