/**
 * What the Kubernetes bench runs on: a real API server filled with pods and Secrets, a stack whose agent has it twice (plain;
 * everything on), and a kubeconfig for each way. Refuses a cluster that is not its own; its node is a fake one.
 */
import { existsSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Cluster, startCluster } from '@sallyport/testkit';
import { ROOT } from '../../scripts/stack/build.ts';
import { accessToken, clientToken } from '../../scripts/stack/rest.ts';
import { ANY_PORTS, type Stack, startStack } from '../../scripts/stack/stack.ts';

export const DIRECT = 'direct';
export const PLAIN = 'us, plain';
export const EVERYTHING = 'us, everything on';
const RESOURCES = { [PLAIN]: 'bench-kube-plain', [EVERYTHING]: 'bench-kube-everything' } as const;
const AT_ONCE = 16;

const POLICY = `kind: Policy
name: bench-kube
resources: { names: [bench-kube-everything] }
rules:
  - name: namespaces-stay
    when: k8s.resource == "namespaces" && k8s.verb == "delete"
    verdict: deny
  - name: scaling
    when: k8s.replicas > 100
    verdict: hold
    approval: { groups: [dba], count: 1, expires: 10m }
  - name: no-touch
    when: shell.programs.exists(p, p == "touch")
    verdict: deny
masks:
  - { kubernetes: ["secrets:data.*"], with: redact }
  - { detect: [payment_card, email], with: redact }
`;

export interface KubeWay {
  readonly name: string;
  /** `https://host:port`, and what stands before an API path. */
  readonly base: string;
  readonly prefix: string;
  readonly kubeconfig: string;
  readonly token: () => string;
}

export interface KubeBench {
  readonly ways: readonly KubeWay[];
  readonly stack: Stack;
  readonly cluster: Cluster;
  /** CPU that the agent uses with nothing to do: milliseconds for each. */
  idleShare: number;
  /** Tokens live for minutes: called before each measurement. */
  renew(): Promise<void>;
  collectGarbage(): Promise<void>;
  /** Another agent process in the place of the one there was. */
  freshAgent(): Promise<void>;
  stop(): Promise<void>;
}

/** @param dir a folder of its own @param objects so many pods, and as many Secrets */
export async function startKubeBench(dir: string, objects: number, say: (line: string) => void): Promise<KubeBench> {
  const stops: (() => Promise<void>)[] = [];
  const stop = async (): Promise<void> => {
    for (const end of stops.splice(0).reverse()) await end();
  };
  try {
    say('Starting the API server');
    const cluster = await startCluster();
    stops.push(() => cluster.stop());
    say(`Filling it with ${objects} pods and ${objects} Secrets`);
    await fill(cluster, objects);
    const stalls = path.join(dir, 'stalls');
    writeFileSync(stalls, '');
    const watch = `--import=${path.join(ROOT, 'test/bench/loop-stalls.ts')}`;
    const stack = await startStack({
      dir: path.join(dir, 'stack'),
      fresh: false,
      ports: ANY_PORTS,
      say,
      agentEnv: { NODE_OPTIONS: watch, BENCH_STALLS: stalls },
    });
    stops.push(() => stack.stop());
    await seed(stack, cluster);
    const tokens = new Map<string, string>([[DIRECT, cluster.adminToken]]);
    const wayOf = (name: string, base: string, prefix: string): KubeWay => ({
      name,
      base,
      prefix,
      kubeconfig: path.join(dir, `${name.replaceAll(/[^a-z]/g, '')}.kubeconfig`),
      token: () => tokens.get(name) ?? '',
    });
    const agent = `https://127.0.0.1:${stack.dev.agent.https}`;
    const ways = [
      wayOf(DIRECT, cluster.url, ''),
      ...Object.entries(RESOURCES).map(([name, resource]) => wayOf(name, agent, `/r/${resource}`)),
    ];
    const renew = async (): Promise<void> => {
      const bot = stack.dev.principals['payments-bot'];
      const api = await clientToken(stack.dev.rest, bot?.clientId ?? '', bot?.clientSecret ?? '');
      for (const [name, resource] of Object.entries(RESOURCES))
        tokens.set(name, await accessToken(stack.dev.rest, api, resource));
      for (const way of ways) writeFileSync(way.kubeconfig, kubeconfig(way), { mode: 0o600 });
    };
    await renew();
    const bench: KubeBench = {
      ways,
      stack,
      cluster,
      idleShare: 0,
      renew,
      collectGarbage: async () => {
        writeFileSync(`${stalls}.ask`, '');
        while (existsSync(`${stalls}.ask`)) await sleep(100);
      },
      freshAgent: async () => {
        await stack.agent().stop();
        await stack.restartAgent();
        await renew();
        await settled(bench);
      },
      stop,
    };
    await settled(bench);
    return bench;
  } catch (error) {
    await stop();
    throw error;
  }
}

const kubeconfig = ({ base, prefix, token }: KubeWay): string =>
  JSON.stringify({
    apiVersion: 'v1',
    kind: 'Config',
    'current-context': 'bench',
    clusters: [{ name: 'bench', cluster: { server: base + prefix, 'insecure-skip-tls-verify': true } }],
    users: [{ name: 'bench', user: { token: token() } }],
    contexts: [{ name: 'bench', context: { cluster: 'bench', user: 'bench', namespace: 'bench' } }],
  });

async function fill(cluster: Cluster, objects: number): Promise<void> {
  await cluster.call('POST', '/api/v1/namespaces', { metadata: { name: 'bench' } });
  await cluster.call('POST', '/apis/rbac.authorization.k8s.io/v1/clusterrolebindings', {
    metadata: { name: 'bench' },
    roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'cluster-admin' },
    subjects: [{ apiGroup: 'rbac.authorization.k8s.io', kind: 'Group', name: 'bench' }],
  });
  await cluster.pod('bench', 'web');
  let next = 0;
  const some = async (): Promise<void> => {
    while (next < objects) {
      const i = next++;
      await cluster.call('POST', '/api/v1/namespaces/bench/pods', pod(i));
      await cluster.call('POST', '/api/v1/namespaces/bench/secrets', {
        metadata: { name: `secret-${i}`, labels: { app: `app-${i % 50}` } },
        stringData: { username: `service-${i}`, password: `correct-horse-battery-${i}`, host: 'db.internal' },
      });
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, some));
}

/** About what a deployment's pod is: two containers with probes, settings and mounts. */
const pod = (i: number): object => ({
  metadata: {
    name: `app-${i}`,
    labels: { app: `app-${i % 50}`, tier: 'backend', 'pod-template-hash': `7c9f${i % 97}` },
    annotations: { 'example.com/owner': 'payments', 'example.com/checksum': `${i}`.padStart(64, '0') },
  },
  spec: {
    nodeName: 'node-1',
    containers: ['main', 'sidecar'].map((name) => ({
      name,
      image: `registry.example.com/team/${name}:1.${i % 30}.0`,
      env: Array.from({ length: 6 }, (_, k) => ({ name: `SETTING_${k}`, value: `value of setting ${k}` })),
      resources: { requests: { cpu: '100m', memory: '128Mi' }, limits: { cpu: '500m', memory: '256Mi' } },
      livenessProbe: { httpGet: { path: '/healthz', port: 8080 }, periodSeconds: 10 },
      ports: [{ containerPort: 8080, name: name === 'main' ? 'http' : 'admin' }],
      volumeMounts: [{ name: 'tmp', mountPath: '/tmp' }],
    })),
    volumes: [{ name: 'tmp', emptyDir: {} }],
  },
});

async function seed({ admin }: Stack, cluster: Cluster): Promise<void> {
  await admin.call('POST', '/v1/credentials', { name: 'bench-kube', kind: 'stored', username: '' });
  await admin.call('PUT', '/v1/credentials/bench-kube/secret', { secret: cluster.adminToken });
  for (const name of Object.values(RESOURCES)) {
    await admin.call('POST', '/v1/resources', {
      name,
      type: 'kubernetes',
      credential: 'bench-kube',
      recording: name === RESOURCES[PLAIN] ? 'statements' : 'results',
      kubernetes: {
        url: cluster.url,
        ca: cluster.ca,
        private: true,
        identity: { mode: 'impersonate', groups: ['bench'] },
        execRecorded: true,
        inject: { as: 'bearer' },
      },
    });
    await admin.call('POST', '/v1/grants', {
      name,
      group: 'payments-bots',
      resource: name,
      effects: ['read', 'write', 'exec'],
    });
  }
  await admin.call('POST', '/v1/apply', {
    documents: [{ file: 'policy.yaml', text: POLICY }],
    dryRun: false,
    prune: false,
  });
}

/** Every way answers; Secrets come masked by both of ours, since no grant shows them. */
async function settled({ ways }: KubeBench): Promise<void> {
  const { request } = await import('node:https');
  const get = (way: KubeWay): Promise<string> =>
    new Promise((resolve, reject) => {
      const headers = { authorization: `Bearer ${way.token()}` };
      const url = `${way.base}${way.prefix}/api/v1/namespaces/bench/secrets/secret-0`;
      const asked = request(url, { headers, rejectUnauthorized: false }, (answer) => {
        let text = '';
        answer.setEncoding('utf8').on('data', (more: string) => {
          text += more;
        });
        answer.once('end', () => resolve(`${answer.statusCode} ${text}`));
      });
      asked.once('error', reject).end();
    });
  const shown = Buffer.from('correct-horse-battery-0').toString('base64');
  for (const way of ways)
    for (let i = 0; ; i++) {
      const said = await get(way);
      if (said.startsWith('200') && said.includes(shown) === (way.name === DIRECT)) break;
      if (i === 100) throw new Error(`${way.name} answers ${said}`);
      await sleep(100);
    }
}
