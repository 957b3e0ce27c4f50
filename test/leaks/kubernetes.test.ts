/** Every row of rows/kubernetes.ts through real kubectl or a bare request: neither what comes back nor the recording may show it. */
import { appendFileSync } from 'node:fs';
import https from 'node:https';
import path from 'node:path';
import type { MaskSet } from '@sallyport/model';
import { type KubeBed, openKubeBed } from '@sallyport/protocol-kubernetes/bed';
import { allow, type Cluster, clusterMissing, kubectls, startCluster, TEST_TOKEN } from '@sallyport/testkit';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ADDRESS, FINALIZER, KUBERNETES_LEAKS, type KubeLeak, MAIL, NEVER, PASSWORD } from './rows/kubernetes.ts';

const MASKS: MaskSet = {
  columns: [],
  detect: [{ detect: 'email', with: 'redact' }],
  kubernetes: [
    { place: 'secrets:data.*', with: 'redact' },
    { place: 'configmaps/app:data.password', with: 'redact' },
    { place: 'services:spec.externalIPs[]', with: 'redact' },
    { place: 'services:metadata.finalizers[]', with: 'redact' },
  ],
};
const NAMESPACE = '/api/v1/namespaces/leak';
const data = { password: Buffer.from(PASSWORD).toString('base64') };
const secretOf = (more: object): string =>
  JSON.stringify({ apiVersion: 'v1', kind: 'Secret', metadata: { name: 'db', namespace: 'leak' }, ...more });
const PATCH = (path: string): string => JSON.stringify([{ op: 'replace', path, value: data.password }]);

describe.skipIf(clusterMissing !== '' || kubectls.length === 0)('what masks hide in a cluster', () => {
  let cluster: Cluster;
  let bed: KubeBed;

  beforeAll(async () => {
    cluster = await startCluster();
    await cluster.call('POST', '/api/v1/namespaces', { metadata: { name: 'leak' } });
    const env = [{ name: 'MAIL', value: MAIL }];
    await cluster.pod('leak', 'web', { containers: [{ name: 'main', image: 'busybox', env }] });
    appendFileSync(path.join(cluster.folder, 'log'), `mail of ${MAIL}\n`);
    const secret = (metadata: object, extra: object = {}) =>
      cluster.call('POST', `${NAMESPACE}/secrets`, { metadata, data, ...extra });
    await secret({ name: 'stays' }, { immutable: true });
    await secret({ name: 'kept', finalizers: ['example.com/keep'] });
    for (const name of ['many-1', 'many-2']) await secret({ name, labels: { many: 'yes' } });
    await cluster.call('POST', `${NAMESPACE}/services`, {
      metadata: { name: 'web', finalizers: [FINALIZER] },
      spec: { ports: [{ port: 80 }], externalIPs: [ADDRESS] },
    });
    await cluster.call('POST', `${NAMESPACE}/serviceaccounts`, { metadata: { name: 'robot' } });
    await cluster.call('POST', `${NAMESPACE}/events`, {
      metadata: { name: 'told' },
      involvedObject: { kind: 'Pod', namespace: 'leak', name: 'web' },
      reason: 'Told',
      message: `wrote to ${MAIL}`,
      type: 'Normal',
      lastTimestamp: new Date().toISOString(),
    });
    bed = await openKubeBed(cluster, { decide: () => allow(MASKS), recording: 'results' });
    const applied = (kind: string, name: string, more: object): string =>
      JSON.stringify({ apiVersion: 'v1', kind, metadata: { name, namespace: 'leak' }, ...more });
    for (const input of [
      applied('Secret', 'db', { stringData: { password: PASSWORD } }),
      applied('ConfigMap', 'app', { data: { color: 'red', password: PASSWORD } }),
    ]) {
      const { code, err } = await bed.kubectl(['apply', '-f', '-'], { input });
      expect(code, err).toBe(0);
    }
  }, 180_000);
  afterAll(async () => {
    await bed?.close();
    await cluster?.stop();
  });

  async function shownTo({ kubectl, input, line = '', ...row }: KubeLeak): Promise<string> {
    if (kubectl !== undefined) {
      const env = { EDITOR: 'true' };
      const ran = await bed.kubectl(['-n', 'leak', ...kubectl], { env, ...(input === undefined ? {} : { input }) });
      return ran.out + ran.err;
    }
    const [method, target] = line.split(' ');
    const headers = {
      authorization: `Bearer ${TEST_TOKEN}`,
      ...(row.accept === undefined ? {} : { accept: row.accept }),
      ...(row.body === undefined ? {} : { 'content-type': row.type ?? 'application/json' }),
      ...row.headers,
    };
    return new Promise((resolve, reject) => {
      const request = https.request(
        {
          port: bed.gateway.port,
          host: '127.0.0.1',
          path: `/r/prod${target}`,
          method,
          headers,
          ca: cluster.ca,
          agent: false,
        },
        (response) => {
          const chunks: Buffer[] = [JSON.stringify(response.headers)].map((text) => Buffer.from(text));
          response.on('data', (chunk: Buffer) => void chunks.push(chunk));
          response.once('end', () => resolve(Buffer.concat(chunks).toString()));
          response.once('error', reject);
        },
      );
      request.once('error', reject);
      request.end(row.body === undefined ? undefined : JSON.stringify(row.body));
    });
  }

  test.each([
    ['as a Secret', ['apply', '-f', '-'], secretOf({ stringData: { password: PASSWORD } })],
    ['as base64', ['apply', '-f', '-'], secretOf({ data })],
    ['as YAML', ['apply', '--server-side', '--force-conflicts', '-f', '-'], secretOf({ data })],
    ['in protobuf', ['create', 'secret', 'generic', `made-${Date.now()}`, `--from-literal=password=${PASSWORD}`], ''],
    ['by a merge', ['patch', 'secret', 'db', '--type=merge', '-p', JSON.stringify({ data })], ''],
    ['by a JSON Patch', ['patch', 'secret', 'db', '--type=json', '-p', PATCH('/data/password')], ''],
    [
      'by a key of a ConfigMap',
      ['patch', 'configmap', 'app', '--type=merge', '-p', JSON.stringify({ data: { password: PASSWORD } })],
      '',
    ],
    ['by a JSON Patch of a ConfigMap', ['patch', 'configmap', 'app', '--type=json', '-p', PATCH('/data/password')], ''],
  ])('what is written %s does not stand in the recording', { timeout: 60_000 }, async (_how, words, input) => {
    bed.gateway.recorded.http.length = 0;
    bed.gateway.recorded.statements.length = 0;
    const { code, err } = await bed.kubectl(['-n', 'leak', ...words], { input });
    expect(code, err).toBe(0);
    const requests = bed.gateway.recorded.http.filter(({ side }) => side === 'request');
    const kept = [...requests.map(({ text, body }) => text + body.toString()), ...bed.gateway.recorded.statements];
    expect(kept.join('\n')).toContain('password');
    for (const value of [PASSWORD, data.password]) expect(kept.join('\n')).not.toContain(value);
  });

  test.each([
    ['by kubectl', { kubectl: ['create', 'token', 'robot'] }],
    [
      'by a request',
      { line: 'POST /api/v1/namespaces/leak/serviceaccounts/robot/token', body: { spec: { expirationSeconds: 600 } } },
    ],
  ])('a token that is made %s is for who asked, and not in the recording', { timeout: 60_000 }, async (_how, row) => {
    bed.gateway.recorded.http.length = 0;
    const shown = await shownTo({ name: '', shows: '', ...row });
    const token = /eyJ[\w-]+\.[\w-]+\.[\w-]+/.exec(shown)?.[0] ?? '';
    expect(token).not.toBe('');
    const kept = bed.gateway.recorded.http.map(({ text, body }) => text + body.toString()).join('\n');
    expect(kept).toContain('HTTP/1.1 201');
    for (const part of token.split('.')) expect(kept).not.toContain(part);
  });

  test('a token that is shown to ask whose it is stands neither in the recording nor before approvers', {
    timeout: 60_000,
  }, async () => {
    bed.gateway.recorded.http.length = 0;
    bed.gateway.recorded.statements.length = 0;
    bed.gateway.judged.length = 0;
    const token = 'somebodys-token-of-another-place';
    const line = 'POST /apis/authentication.k8s.io/v1/tokenreviews';
    expect(await shownTo({ name: '', shows: '', line, body: { spec: { token } } })).toContain('"status"');
    const kept = bed.gateway.recorded.http.map(({ text, body }) => text + body.toString());
    const read = bed.gateway.judged.map(({ statement }) => statement.text);
    const all = [...kept, ...bed.gateway.recorded.statements, ...read].join('\n');
    expect(all).toContain('tokenreviews');
    expect(all).toContain('HTTP/1.1 201');
    expect(all).not.toContain(token);
  });

  for (const [title, rows] of Object.entries(KUBERNETES_LEAKS)) {
    describe(title, () => {
      test.each(rows.map((row) => [row.name, row] as const))('%s', { timeout: 60_000 }, async (_name, row) => {
        bed.gateway.recorded.http.length = 0;
        bed.gateway.recorded.streams.length = 0;
        const shown = await shownTo(row);
        expect(shown).toContain(row.shows);
        const film = bed.gateway.recorded.streams.map((one) => (one.kind === 'output' ? one.bytes.toString() : ''));
        const answers = bed.gateway.recorded.http
          .filter(({ side }) => side === 'response')
          .map(({ text, body }) => text + body.toString());
        // What a client sent of its own is its own: `-v=9` says it back.
        const own = row.input ?? JSON.stringify([row.kubectl ?? row.line, row.body]);
        for (const value of NEVER) {
          if (!own.includes(value) || row.shows === '[redacted]') expect(shown, value).not.toContain(value);
          expect(answers.join('\n'), value).not.toContain(value);
          expect(film.join(''), value).not.toContain(value);
        }
      });
    });
  }
});
