/** What people type: each of kubectl's commands on a real API server through the driver, objects in protobuf among them. */
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import type { MaskSet, Statement, Verdict } from '@sallyport/model';
import { allow, type Cluster, clusterMissing, deny, kubectls, startCluster } from '@sallyport/testkit';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { type KubeBed, type KubeOptions, openKubeBed } from '../test/bed.fixture.ts';

const MERGE = 'application/merge-patch+json';
const MASKS: MaskSet = { columns: [], detect: [], kubernetes: [{ place: 'secrets:data.*', with: 'redact' }] };

describe.skipIf(clusterMissing !== '' || kubectls.length === 0)('kubectl’s commands', { timeout: 120_000 }, () => {
  let cluster: Cluster;
  let bed: KubeBed;
  let verdict: (statement: Statement) => Verdict = () => allow();
  const run = async (words: readonly string[], options: KubeOptions = {}): Promise<string> => {
    const { code, out, err } = await bed.kubectl(words, options);
    expect(code, `${words.join(' ')}: ${err}`).toBe(0);
    return out;
  };
  const factsOf = (found: (statement: Statement) => boolean): NonNullable<Statement['facts']['k8s']> =>
    bed.gateway.judged.find(({ statement }) => found(statement))!.statement.facts.k8s!;
  const created = (resource: string) =>
    factsOf(({ facts }) => facts.k8s?.verb === 'create' && facts.k8s.resource === resource);

  beforeAll(async () => {
    cluster = await startCluster();
    await cluster.call('POST', '/api/v1/namespaces', { metadata: { name: 'shop' } });
    await cluster.pod('shop', 'web');
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

  describe.each(
    kubectls.filter(({ minor }) => minor >= 32).map(({ minor, program }) => [`1.${minor}`, program, minor] as const),
  )('%s', (_name, program, minor) => {
    const at = `v${minor}`;
    const kube = (...words: string[]): Promise<string> => run(words, { program });

    test('makes objects of its own, which are read whatever their form', async () => {
      await kube('create', 'namespace', at);
      await kube('-n', at, 'create', 'deployment', 'web', '--image=busybox', '--replicas=2', '--port=80');
      expect(created('deployments')).toMatchObject({ object: 'read', replicas: 2, images: ['busybox'], name: 'web' });
      await kube('-n', at, 'create', 'secret', 'generic', 'db', '--from-literal=password=hunter2');
      await kube('-n', at, 'create', 'configmap', 'app', '--from-literal=color=red');
      await kube('-n', at, 'create', 'job', 'once', '--image=busybox', '--', 'true');
      await kube('-n', at, 'create', 'cronjob', 'often', '--image=busybox', '--schedule=* * * * *', '--', 'true');
      await kube('-n', at, 'create', 'role', 'reader', '--verb=get', '--resource=pods');
      await kube('-n', at, 'create', 'rolebinding', 'readers', '--role=reader', '--user=ana');
      await kube('-n', at, 'create', 'serviceaccount', 'bot');
      await kube('-n', at, 'create', 'quota', 'small', '--hard=pods=9,requests.memory=1Gi');
      await kube('-n', at, 'create', 'poddisruptionbudget', 'one', '--selector=app=web', '--min-available=50%');
      await kube('-n', at, 'create', 'ingress', 'front', '--rule=shop.test/*=web:80');
      await kube('-n', at, 'create', 'service', 'clusterip', 'cluster', '--tcp=80:8080');
      await kube('create', 'priorityclass', `high-${at}`, '--value=1000');
      await kube('-n', at, 'run', 'alone', '--image=busybox', '--labels=app=alone', '--env=A=b');
      await kube('-n', at, 'expose', 'deployment', 'web', '--port=80');
      await kube('-n', at, 'autoscale', 'deployment', 'web', '--max=3');
      const stored = (what: string) => cluster.call<Record<string, Record<string, unknown>>>('GET', what);
      expect((await stored(`/api/v1/namespaces/${at}/secrets/db`))['data']).toEqual({
        password: Buffer.from('hunter2').toString('base64'),
      });
      const budgets = `/apis/policy/v1/namespaces/${at}/poddisruptionbudgets/one`;
      expect((await stored(budgets))['spec']).toMatchObject({ minAvailable: '50%' });
      const quota = (await stored(`/api/v1/namespaces/${at}/resourcequotas/small`))['spec'];
      expect(quota).toEqual({ hard: { pods: '9', 'requests.memory': '1Gi' } });
      const token = await kube('-n', at, 'create', 'token', 'bot', '--duration=1h');
      expect(token.split('.')).toHaveLength(3);
      expect(bed.gateway.judged.filter(({ statement }) => statement.facts.k8s?.object === 'unread')).toEqual([]);
    });

    test('changes and deletes them', async () => {
      await kube('-n', at, 'scale', 'deployment', 'web', '--replicas=4');
      expect(factsOf(({ facts }) => facts.k8s?.subresource === 'scale' && facts.k8s.verb === 'patch').replicas).toBe(4);
      await kube('-n', at, 'set', 'image', 'deployment/web', 'busybox=busybox:1.36');
      await kube('-n', at, 'set', 'env', 'deployment/web', 'A=b');
      const text = await kube('-n', at, 'get', 'configmap', 'app', '-o', 'json');
      await run(['-n', at, 'replace', '-f', '-'], { program, input: text.replace('red', 'blue') });
      await kube('-n', at, 'delete', 'deployment', 'web', '--cascade=foreground', '--wait=false');
      expect(factsOf(({ facts }) => facts.k8s?.verb === 'delete').fields).toContainEqual(
        expect.objectContaining({ path: 'propagationPolicy', value: 'Foreground' }),
      );
      await kube('-n', at, 'delete', 'pod', 'alone', '--now', '--wait=false');
      await kube('-n', at, 'delete', 'configmap', 'app', '--dry-run=server');
      expect(bed.gateway.judged.at(-1)!.statement.facts.k8s).toMatchObject({ verb: 'delete', dryRun: true });
      await kube('-n', at, 'delete', 'secrets', '--all');
    });

    test('a Secret is made where Secrets are masked, and the answer does not say it back', async () => {
      verdict = () => allow(MASKS);
      const made = await kube('-n', at, 'create', 'secret', 'generic', 'new', '--from-literal=a=hunter2', '-o', 'json');
      expect(made).not.toContain(Buffer.from('hunter2').toString('base64'));
    });

    test('a rule about what is sent holds', async () => {
      verdict = ({ facts }) => (facts.k8s?.images.includes('evil') === true ? deny('Not this one.') : allow());
      const ran = await bed.kubectl(['-n', at, 'create', 'deployment', 'bad', '--image=evil'], { program });
      expect(ran.code).toBe(1);
      expect(ran.err).toContain('Not this one.');
    });
  });

  test('what is not served is said cleanly', async () => {
    const { code, err } = await bed.kubectl(['top', 'pods', '-n', 'shop']);
    expect(code).not.toBe(0);
    expect(err).toContain('Metrics API not available');
  });

  test('who may do what is asked and answered', async () => {
    expect((await run(['auth', 'can-i', 'delete', 'pods'])).trim()).toBe('yes');
    expect(await run(['auth', 'can-i', '--list'])).toContain('*.*');
  });

  test('fields are explained', async () => {
    expect(await run(['explain', 'deployment.spec.replicas'])).toContain('FIELD: replicas');
    expect(await run(['api-resources'])).toContain('deployments');
    expect(await run(['api-versions'])).toContain('apps/v1');
  });

  const deployment = (image: string, name = 'app'): string =>
    JSON.stringify({
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: { name, namespace: 'shop' },
      spec: {
        replicas: 1,
        selector: { matchLabels: { app: name } },
        template: { metadata: { labels: { app: name } }, spec: { containers: [{ name: 'main', image }] } },
      },
    });

  test('a manifest is compared, applied by the client and by the server', async () => {
    await run(['apply', '-f', '-'], { input: deployment('busybox:1') });
    const differs = await bed.kubectl(['diff', '-f', '-'], { input: deployment('busybox:2') });
    expect(differs, differs.err).toMatchObject({ code: 1 });
    expect(differs.out).toContain('busybox:2');
    expect(await run(['diff', '-f', '-'], { input: deployment('busybox:1') })).toBe('');
    const input = deployment('busybox:3', 'server');
    expect(await run(['apply', '--server-side', '-f', '-'], { input })).toContain('serverside-applied');
    expect(await run(['apply', '--server-side', '-f', '-'], { input: input.replace(':3', ':4') })).toContain('applied');
    const other = ['apply', '--server-side', '--field-manager=other', '-f', '-'];
    expect((await bed.kubectl(other, { input: input.replace(':3', ':5') })).err).toContain('conflict');
    await run([...other, '--force-conflicts'], { input: input.replace(':3', ':5') });
  });

  test('a rollout is watched, restarted and undone', async () => {
    const place = '/apis/apps/v1/namespaces/shop/deployments/app';
    // No controllers run here: what they would write is written for them.
    const settle = async (): Promise<void> => {
      const { metadata } = await cluster.call<{ metadata: { generation: number } }>('GET', place);
      const counts = { replicas: 1, updatedReplicas: 1, availableReplicas: 1, readyReplicas: 1 };
      const status = { observedGeneration: metadata.generation, ...counts };
      await cluster.call('PATCH', `${place}/status`, { status }, MERGE);
    };
    await settle();
    expect(await run(['-n', 'shop', 'rollout', 'status', 'deployment/app'])).toContain('successfully rolled out');
    await run(['-n', 'shop', 'rollout', 'restart', 'deployment/app']);
    await run(['-n', 'shop', 'rollout', 'pause', 'deployment/app']);
    await run(['-n', 'shop', 'rollout', 'resume', 'deployment/app']);
    const { metadata } = await cluster.call<{ metadata: { uid: string } }>('GET', place);
    const owner = { apiVersion: 'apps/v1', kind: 'Deployment', name: 'app', uid: metadata.uid, controller: true };
    for (const revision of ['1', '2']) {
      const labels = { app: 'app', revision };
      await cluster.call('POST', '/apis/apps/v1/namespaces/shop/replicasets', {
        metadata: {
          name: `app-${revision}`,
          labels,
          annotations: { 'deployment.kubernetes.io/revision': revision },
          ownerReferences: [owner],
        },
        spec: {
          selector: { matchLabels: labels },
          template: {
            metadata: { labels },
            spec: { containers: [{ name: 'main', image: `busybox:old-${revision}` }] },
          },
        },
      });
    }
    expect(await run(['-n', 'shop', 'rollout', 'history', 'deployment/app'])).toContain('REVISION');
    await run(['-n', 'shop', 'rollout', 'undo', 'deployment/app', '--to-revision=1']);
    expect(JSON.stringify(await cluster.call('GET', place))).toContain('busybox:old-1');
  });

  test('one waits for a condition', async () => {
    expect(await run(['-n', 'shop', 'wait', 'pod/web', '--for=condition=Ready', '--timeout=30s'])).toContain(
      'condition met',
    );
    await cluster.pod('shop', 'going');
    const waiting = run(['-n', 'shop', 'wait', 'pod/going', '--for=delete', '--timeout=50s']);
    await run(['-n', 'shop', 'delete', 'pod', 'going', '--force', '--wait=false']);
    await waiting;
  });

  test('a node is cordoned, drained by evictions, and let in again', async () => {
    await cluster.call('POST', '/api/v1/namespaces', { metadata: { name: 'drained' } });
    await cluster.pod('drained', 'evicted');
    await run(['cordon', 'node-1']);
    const words = ['drain', 'node-1', '--pod-selector=app=evicted', '--force', '--disable-eviction=false'];
    const draining = bed.kubectl([...words, '--timeout=20s']);
    // No kubelet ends the pod: what it would do is done for it.
    const place = '/api/v1/namespaces/drained/pods/evicted';
    for (const end = Date.now() + 20_000; Date.now() < end; await new Promise((next) => setTimeout(next, 50))) {
      const { metadata } = await cluster.call<{ metadata: { deletionTimestamp?: string } }>('GET', place);
      if (metadata.deletionTimestamp !== undefined) break;
    }
    await cluster.call('DELETE', `${place}?gracePeriodSeconds=0`);
    const { code, err } = await draining;
    expect(code, err).toBe(0);
    expect(created('pods')).toMatchObject({ subresource: 'eviction', object: 'read', name: 'evicted' });
    await run(['uncordon', 'node-1']);
    await run(['taint', 'node', 'node-1', 'a=b:NoSchedule']);
    await run(['label', 'node', 'node-1', 'zone=a']);
  });

  test('kubectl’s own proxy serves what the agent lets through', async () => {
    const abort = new AbortController();
    let said = '';
    const proxying = bed.kubectl(['proxy', '--port=0'], { signal: abort.signal, onOut: (text) => (said = text) });
    for (const end = Date.now() + 30_000; !said.includes('127.0.0.1:') && Date.now() < end; )
      await new Promise((next) => setTimeout(next, 20));
    const port = /127\.0\.0\.1:(\d+)/.exec(said)?.[1];
    verdict = ({ facts }) => (facts.k8s?.resource === 'secrets' ? deny('No secrets.') : allow());
    const pods = await fetch(`http://127.0.0.1:${port}/api/v1/namespaces/shop/pods`);
    expect(JSON.stringify(await pods.json())).toContain('"web"');
    expect((await fetch(`http://127.0.0.1:${port}/api/v1/namespaces/shop/secrets`)).status).toBe(403);
    abort.abort();
    await proxying;
  });

  test('a pod is debugged: an ephemeral container, a copy, a node’s', async () => {
    await run(['debug', '-n', 'shop', 'web', '--image=busybox', '--attach=false']);
    expect(factsOf(({ facts }) => facts.k8s?.subresource === 'ephemeralcontainers').images).toContain('busybox');
    await run(['debug', '-n', 'shop', 'web', '--copy-to=web-copy', '--image=busybox:debug', '--attach=false']);
    expect(created('pods').images).toContain('busybox:debug');
    bed.gateway.judged.length = 0;
    await run(['debug', 'node/node-1', '-n', 'shop', '--image=busybox', '--attach=false']);
    expect(created('pods')).toMatchObject({ hostNetwork: true, hostPath: true });
  });

  test('files are copied, also a folder', async () => {
    const folder = path.join(cluster.folder, 'some');
    await run(['exec', '-n', 'shop', 'web', '--', 'mkdir', '-p', folder]);
    writeFileSync(path.join(folder, 'a.txt'), 'a');
    await run(['cp', `shop/web:${folder}`, path.join(cluster.folder, 'copy')]);
    expect(await run(['exec', '-n', 'shop', 'web', '--', 'ls', path.join(cluster.folder, 'copy')])).toContain('a.txt');
  });

  test('what else reads: events, cluster information, a kustomization', async () => {
    await run(['-n', 'shop', 'events']);
    expect(await run(['cluster-info'])).toContain('control plane');
    const folder = path.join(cluster.folder, 'kustomized');
    await run(['exec', '-n', 'shop', 'web', '--', 'mkdir', '-p', folder]);
    writeFileSync(path.join(folder, 'kustomization.yaml'), 'configMapGenerator: [{ name: made, literals: [a=b] }]\n');
    await run(['-n', 'shop', 'apply', '-k', folder]);
  });
});
