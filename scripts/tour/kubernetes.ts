/**
 * Chapter `kubernetes`: unchanged kubectl and a real API server with Sallyport between. Left out by name where no kube-apiserver
 * was built (`node scripts/test-kubernetes.ts`) or no kubectl is. Its node is the tests' own, named as a fake one.
 */
import path from 'node:path';
import { type Cluster, clusterMissing, kubectls, type Ran, run, startCluster } from '@sallyport/testkit';
import { eventually, type TourContext } from './context.ts';
import { type Chapter, promise } from './story.ts';

const CLUSTER = 'tour-cluster';
const PASSWORD = 'correct-horse-battery';
const MAIL = 'mary.miller@example.com';

const documents = (cluster: Cluster): readonly object[] => [
  {
    kind: 'Resource',
    name: CLUSTER,
    type: 'kubernetes',
    credential: CLUSTER,
    recording: 'results',
    kubernetes: {
      url: cluster.url,
      ca: cluster.ca,
      private: true,
      identity: { mode: 'impersonate', groups: ['sallyport-ops'] },
    },
  },
  { kind: 'Grant', name: CLUSTER, principal: 'carla', resource: CLUSTER, effects: ['read', 'write', 'exec'] },
  {
    kind: 'Policy',
    name: CLUSTER,
    resources: { names: [CLUSTER] },
    rules: [
      {
        name: 'fewer',
        when: 'k8s.replicas == 1',
        verdict: 'hold',
        message: 'One is not many.',
        approval: { groups: ['dba'], count: 1, expires: '5m' },
      },
    ],
    masks: [
      { kubernetes: ['secrets:data.*'], with: 'redact' },
      { detect: ['email'], with: 'partial' },
    ],
  },
];

export const kubernetes: Chapter<TourContext> = {
  name: 'kubernetes',
  title: 'Carla works on a cluster with plain kubectl, and holds no key of it',
  intro:
    'Her kubeconfig names the agent. Requests are judged by what they mean, Secrets stay hidden, and exec is filmed.',
  run: async (tour, step) => {
    if (clusterMissing !== '' || kubectls.length === 0) {
      await step(
        'left out here: `node scripts/test-kubernetes.ts` builds what is missing',
        () => clusterMissing || 'kubectl',
      );
      return;
    }
    const cluster = await startCluster();
    try {
      await fill(cluster);
      await play(tour, step, cluster);
    } finally {
      for (const what of ['policies', 'grants', 'resources', 'credentials'])
        await tour.stack.admin.call('DELETE', `/v1/${what}/${CLUSTER}`).catch(() => undefined);
      await cluster.stop();
    }
  },
};

async function fill(cluster: Cluster): Promise<void> {
  await cluster.call('POST', '/apis/rbac.authorization.k8s.io/v1/clusterrolebindings', {
    metadata: { name: 'sallyport-ops' },
    roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'cluster-admin' },
    subjects: [{ apiGroup: 'rbac.authorization.k8s.io', kind: 'Group', name: 'sallyport-ops' }],
  });
  await cluster.call('POST', '/api/v1/namespaces', { metadata: { name: 'shop' } });
  await cluster.pod('shop', 'web');
  const stringData = { password: PASSWORD };
  await cluster.call('POST', '/api/v1/namespaces/shop/secrets', { metadata: { name: 'db' }, stringData });
  const template = { metadata: { labels: { app: 'web' } }, spec: { containers: [{ name: 'main', image: 'busybox' }] } };
  const spec = { replicas: 3, selector: { matchLabels: { app: 'web' } }, template };
  await cluster.call('POST', '/apis/apps/v1/namespaces/shop/deployments', { metadata: { name: 'web' }, spec });
}

async function play(
  tour: TourContext,
  step: Parameters<Chapter<TourContext>['run']>[1],
  cluster: Cluster,
): Promise<void> {
  const { admin } = tour.stack;
  const config = path.join(cluster.folder, 'kubeconfig');
  const env = await tour.cliEnv('carla');
  const kubectl = (...words: string[]): Promise<Ran> =>
    run(kubectls[0]!.program, ['--kubeconfig', config, ...words], {
      env: env as Record<string, string>,
      timeoutMs: 60_000,
    });

  await step('one command writes her kubeconfig; there is no token in it', async () => {
    await admin.call('POST', '/v1/credentials', { name: CLUSTER, kind: 'stored', username: '' });
    await admin.call('PUT', `/v1/credentials/${CLUSTER}/secret`, { secret: cluster.adminToken });
    await admin.call('POST', '/v1/apply', {
      documents: documents(cluster).map((one, i) => ({ file: `${CLUSTER}-${i}.yaml`, text: JSON.stringify(one) })),
      dryRun: false,
      prune: false,
    });
    const login = await tour.cli('carla', 'kube', 'login', CLUSTER, '--kubeconfig', config);
    promise(login.code === 0, login.err);
    await eventually(async () => ((await kubectl('get', 'ns')).code === 0 ? true : undefined), 20_000, 'the cluster');
    return login.out.trim();
  });
  await step('Secrets are there, and what they hold is not', async () => {
    const { stdout } = await kubectl('get', 'secret', 'db', '-n', 'shop', '-o', 'yaml');
    const shown = stdout.toString();
    promise(shown.includes('password:'), `no secret: ${shown}`);
    promise(!shown.includes(Buffer.from(PASSWORD).toString('base64')), 'in clear');
    const raw = await kubectl('get', '--raw', '/api/v1/namespaces/shop/secrets/db');
    promise(raw.code === 0 && !raw.stdout.includes(Buffer.from(PASSWORD).toString('base64')), 'in clear, raw');
    return shown
      .split('\n')
      .find((line) => line.includes('password:'))!
      .trim();
  });
  await step('a namespace is not deleted: a shipped rule says why', async () => {
    const { code, stderr } = await kubectl('delete', 'namespace', 'shop', '--wait=false');
    promise(code !== 0 && stderr.includes('delete-namespace'), stderr);
    return stderr.trim();
  });
  await step('scaling down waits for somebody else, and then happens', async () => {
    const scaling = kubectl('scale', 'deployment', 'web', '-n', 'shop', '--replicas=1');
    const request = await tour.pending('ana');
    await (await tour.as('ana')).call('POST', `/v1/approvals/${request.id}/approve`, { reason: 'Ticket 4712' });
    const { code, stdout, stderr } = await scaling;
    promise(code === 0, stderr);
    return stdout.toString().trim();
  });
  await step('a command in a pod is masked and filmed, and its film can be played', async () => {
    const ran = await kubectl('exec', '-n', 'shop', 'web', '--', 'echo', `mail for ${MAIL}`);
    promise(ran.code === 0, ran.stderr);
    promise(!ran.stdout.includes(MAIL), `in clear: ${ran.stdout.toString()}`);
    const film = await eventually(
      async () => {
        const { items } = await admin.call<{ items: { id: string }[] }>('GET', `/v1/sessions?resource=${CLUSTER}`);
        for (const { id } of items) {
          const played = await tour.cli('admin', 'sessions', 'replay', id, '--speed', '0');
          if (played.code === 0 && played.out.includes('mail for')) return played.out;
        }
        return undefined;
      },
      90_000,
      'the film',
    );
    promise(!film.includes(MAIL), 'the film has it in clear');
    return ran.stdout.toString().trim();
  });
}
