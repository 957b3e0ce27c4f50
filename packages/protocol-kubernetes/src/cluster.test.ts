/** Real kubectl and a real API server, with the driver between them: what is asked, masked, streamed, refused and ended. */
import { appendFileSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import type { MaskSet, Statement, Verdict } from '@sallyport/model';
import {
  allow,
  type Cluster,
  clusterMissing,
  deny,
  hold,
  kubectls,
  startCluster,
  TEST_TOKEN,
} from '@sallyport/testkit';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { type KubeBed, openKubeBed } from '../test/bed.fixture.ts';

const MASKS: MaskSet = {
  columns: [],
  detect: [{ detect: 'email', with: 'redact' }],
  kubernetes: [{ place: 'secrets:data.*', with: 'redact' }],
};
const PASSWORD = 'correct-horse-battery';
const SECRET = Buffer.from(PASSWORD).toString('base64');
const until = async (what: () => boolean): Promise<void> => {
  for (const end = Date.now() + 30_000; !what(); await new Promise((next) => setTimeout(next, 20)))
    if (Date.now() > end) throw new Error('nothing came');
};

describe.skipIf(clusterMissing !== '' || kubectls.length === 0)(
  'kubectl on a real API server',
  { timeout: 120_000 },
  () => {
    let cluster: Cluster;
    let bed: KubeBed;
    let verdict: (statement: Statement) => Verdict = () => allow();
    let masks: MaskSet = { columns: [], detect: [] };

    beforeAll(async () => {
      cluster = await startCluster();
      await cluster.call('POST', '/api/v1/namespaces', { metadata: { name: 'shop' } });
      await cluster.pod('shop', 'web');
      const deployment = {
        metadata: { name: 'web' },
        spec: {
          replicas: 3,
          selector: { matchLabels: { app: 'web' } },
          template: {
            metadata: { labels: { app: 'web' } },
            spec: { containers: [{ name: 'main', image: 'busybox' }] },
          },
        },
      };
      await cluster.call('POST', '/apis/apps/v1/namespaces/shop/deployments', deployment);
      bed = await openKubeBed(cluster, {
        decide: (statement, approval) => (approval ? allow(masks) : verdict(statement)),
      });
      const manifest = JSON.stringify({
        apiVersion: 'v1',
        kind: 'Secret',
        metadata: { name: 'db', namespace: 'shop' },
        stringData: { password: PASSWORD },
      });
      const applied = await bed.kubectl(['apply', '-f', '-'], { input: manifest });
      expect(applied, applied.err).toMatchObject({ code: 0 });
    }, 120_000);
    afterAll(async () => {
      await bed?.close();
      await cluster?.stop();
    });
    afterEach(() => {
      verdict = () => allow();
      masks = { columns: [], detect: [] };
      bed.gateway.judged.length = 0;
    });
    const masked = (): void => {
      masks = MASKS;
      verdict = () => allow(MASKS);
    };
    /** A stream of the API's, and how it ends. */
    const watched = async (
      target: string,
    ): Promise<{ readonly body: () => string; readonly ended: Promise<'whole' | 'cut'> }> => {
      const response = await new Promise<http.IncomingMessage>((resolve, reject) => {
        const to = {
          port: bed.gateway.port,
          host: '127.0.0.1',
          path: `/r/prod${target}`,
          ca: cluster.ca,
          agent: false,
        };
        https.get({ ...to, headers: { authorization: `Bearer ${TEST_TOKEN}` } }, resolve).on('error', reject);
      });
      let body = '';
      response.setEncoding('utf8').on('data', (chunk: string) => (body += chunk));
      const ended = new Promise<'whole' | 'cut'>((resolve) => {
        response.on('error', () => resolve('cut')).on('end', () => resolve('whole'));
      });
      return { body: () => body, ended };
    };
    const seen = (): readonly string[] => bed.gateway.judged.map(({ statement }) => statement.text.split('\n', 1)[0]!);

    test.each(kubectls.map(({ minor, program }) => [`1.${minor}`, program]))(
      'kubectl %s lists, reads and writes',
      async (_name, program) => {
        const run = (...words: string[]) => bed.kubectl(words, { program });
        expect((await run('get', 'pods', '-n', 'shop')).out).toContain('web');
        expect((await run('-n', 'shop', 'annotate', 'pod', 'web', `by=${program.slice(-2)}`, '--overwrite')).code).toBe(
          0,
        );
        expect((await run('-n', 'shop', 'describe', 'secret', 'db')).out).toContain(`${PASSWORD.length} bytes`);
        expect(bed.gateway.judged.some(({ statement }) => statement.facts.k8s?.verb === 'patch')).toBe(true);
      },
    );

    test('the API server takes it for the principal, with its groups and the session’s id', async () => {
      const { out } = await bed.kubectl(['auth', 'whoami', '-o', 'json']);
      const { userInfo } = (
        JSON.parse(out) as {
          status: { userInfo: { username: string; groups: string[]; extra: Record<string, string[]> } };
        }
      ).status;
      expect(userInfo.username).toBe('carla');
      expect(userInfo.groups).toContain('system:masters');
      expect(userInfo.extra['sallyport.dev/session']).toHaveLength(1);
    });

    test('a client that wants to be somebody else is refused', async () => {
      const { code, err } = await bed.kubectl(['get', 'pods', '--as', 'root']);
      expect(code).not.toBe(0);
      expect(err).toContain('kubernetes.impersonation');
    });

    test('Secret data is masked however it is asked for', async () => {
      masked();
      for (const words of [
        ['get', 'secrets', '-A', '-o', 'yaml'],
        ['get', 'secret', 'db', '-n', 'shop', '-o', 'json'],
        ['get', 'secret', 'db', '-n', 'shop', '-o', 'jsonpath={.data.password}{.metadata.annotations}'],
        ['get', '--raw', '/api/v1/namespaces/shop/secrets/db'],
        ['get', '--raw', '/api/v1/watch/namespaces/shop/secrets?timeoutSeconds=1'],
        ['get', '--raw', '/api/v1/secrets?watch=1&timeoutSeconds=1'],
        ['label', 'secret', 'db', '-n', 'shop', `at=${Date.now()}`, '-o', 'yaml'],
        ['describe', 'secret', 'db', '-n', 'shop'],
      ]) {
        const { code, out, err } = await bed.kubectl(words);
        expect(code, err).toBe(0);
        expect(out, words.join(' ')).not.toMatch(new RegExp(`${SECRET}|${PASSWORD}`));
      }
      const { out } = await bed.kubectl(['get', 'secret', 'db', '-n', 'shop', '-o', 'jsonpath={.data.password}']);
      expect(Buffer.from(out, 'base64').toString()).toBe('[redacted]');
    });

    test('a masked Secret can be applied again, and what stands for its values cannot be written', async () => {
      masked();
      const manifest = JSON.stringify({
        apiVersion: 'v1',
        kind: 'Secret',
        metadata: { name: 'db', namespace: 'shop' },
        stringData: { password: PASSWORD },
      });
      const again = await bed.kubectl(['apply', '-f', '-'], { input: manifest });
      expect(again, again.err).toMatchObject({ code: 0 });
      const { out } = await bed.kubectl(['get', 'secret', 'db', '-n', 'shop', '-o', 'json']);
      const replaced = await bed.kubectl(['replace', '-f', '-'], { input: out });
      expect(replaced.err).toContain('kubernetes.masked_value');
      const stored = await cluster.call<{ data: { password: string } }>('GET', '/api/v1/namespaces/shop/secrets/db');
      expect(stored.data.password).toBe(SECRET);
    });

    test('nothing says whether a guess is what is masked, and a wrong patch does not tell what is stored', async () => {
      masked();
      const patch = (type: string, body: object, ...words: string[]) =>
        bed.kubectl(['-n', 'shop', 'patch', 'secret', 'db', `--type=${type}`, '-p', JSON.stringify(body), ...words]);
      for (const guess of [SECRET, Buffer.from('another').toString('base64')]) {
        const tested = await patch('json', [{ op: 'test', path: '/data/password', value: guess }]);
        expect(tested.err).toContain('kubernetes.masked_comparison');
        const dry = await patch('merge', { data: { password: guess } }, '--dry-run=server', '-o', 'yaml');
        expect(dry.err).toContain('kubernetes.masked_comparison');
        const manifest = { apiVersion: 'v1', kind: 'Secret', metadata: { name: 'db' }, data: { password: guess } };
        const applied = await bed.kubectl(['-n', 'shop', 'apply', '--server-side', '-f', '-'], {
          input: JSON.stringify(manifest),
        });
        expect(applied.err).toContain('kubernetes.masked_comparison');
      }
      for (const type of ['json', 'merge', 'strategic']) {
        const body = type === 'json' ? [{ op: 'add', path: '/immutable', value: 'x' }] : { immutable: 'x' };
        const { code, out, err } = await patch(type, body, '-v=9');
        expect(code).not.toBe(0);
        expect(out + err, type).not.toMatch(new RegExp(`${SECRET}|${PASSWORD}`));
      }
      const missing = await bed.kubectl(['-n', 'shop', 'delete', 'secret', 'no-such']);
      expect(missing.err).toContain('not found');
      // The server itself tells all of it.
      const wrong = [{ op: 'add', path: '/immutable', value: 'x' }];
      const place = '/api/v1/namespaces/shop/secrets/db';
      await expect(cluster.call('PATCH', place, wrong, 'application/json-patch+json')).rejects.toThrow(SECRET);
    });

    test('an immutable Secret does not say whether a guess is what it holds', async () => {
      const secret = (name: string, immutable: boolean) => ({
        metadata: { name },
        immutable,
        data: { password: SECRET },
      });
      for (const immutable of [true, false])
        await cluster.call('POST', '/api/v1/namespaces/shop/secrets', secret(immutable ? 'fixed' : 'free', immutable));
      masked();
      const patch = (name: string, type: string, body: object) =>
        bed.kubectl(['-n', 'shop', 'patch', 'secret', name, `--type=${type}`, '-p', JSON.stringify(body)]);
      for (const guess of [SECRET, Buffer.from('another').toString('base64')]) {
        const put = [{ op: 'replace', path: '/data/password', value: guess }];
        for (const [type, body] of [
          ['merge', { data: { password: guess } }],
          ['strategic', { data: { password: guess } }],
          ['json', put],
        ] as const)
          expect((await patch('fixed', type, body)).err, type).toContain('kubernetes.masked_comparison');
        expect((await patch('free', 'merge', { data: { password: guess } })).code).toBe(0);
      }
      expect((await patch('fixed', 'merge', { metadata: { labels: { a: 'b' } } })).code).toBe(0);
    });

    test('a denial reads as the API server’s own', async () => {
      verdict = ({ facts }) => (facts.k8s?.verb === 'delete' ? deny('Namespaces stay.') : allow());
      const { code, err } = await bed.kubectl(['delete', 'namespace', 'shop', '--wait=false']);
      expect(code).toBe(1);
      expect(err).toContain('Namespaces stay.');
      expect(err).toMatch(/forbidden/i);
      expect((await cluster.call<{ status: { phase: string } }>('GET', '/api/v1/namespaces/shop')).status.phase).toBe(
        'Active',
      );
    });

    test('scaling to nothing waits for its answer', async () => {
      verdict = ({ facts }) => (facts.k8s?.replicas === 0 ? hold() : allow());
      const scaling = bed.kubectl(['scale', 'deployment', 'web', '-n', 'shop', '--replicas=0']);
      await until(() => bed.gateway.holds.length > 0);
      const replicas = async (): Promise<number> =>
        (await cluster.call<{ spec: { replicas: number } }>('GET', '/apis/apps/v1/namespaces/shop/deployments/web'))
          .spec.replicas;
      expect(await replicas()).toBe(3);
      bed.gateway.holds.shift()?.approve();
      const { code, err } = await scaling;
      expect(code, err).toBe(0);
      expect(await replicas()).toBe(0);
    });

    test.each(['pods', 'secrets'])(
      'a watch of %s goes on as things change, and ends with the right behind it',
      async (what) => {
        masked();
        let out = '';
        const watching = bed.kubectl(['get', what, '-n', 'shop', '-w'], { onOut: (text) => (out = text) });
        await until(() => out.includes('NAME'));
        const name = `made-${Date.now()}`;
        if (what === 'pods') await cluster.pod('shop', name);
        else
          await cluster.call('POST', '/api/v1/namespaces/shop/secrets', {
            metadata: { name },
            stringData: { a: PASSWORD },
          });
        await until(() => out.includes(name));
        const end = Date.now();
        bed.gateway.end('session.revoked');
        await watching;
        expect(Date.now() - end).toBeLessThan(5_000);
        expect(out).toContain('(session.revoked)');
      },
    );

    test('a program that watches reads in the watch why it ends', async () => {
      for (const mask of [() => undefined, masked]) {
        mask();
        const { body, ended } = await watched('/api/v1/namespaces/shop/secrets?watch=true');
        await until(() => body().endsWith('}\n'));
        bed.gateway.end('session.revoked');
        expect(await ended).toBe('whole');
        const events = body().trimEnd().split('\n');
        expect(JSON.parse(events.at(-1)!)).toMatchObject({
          type: 'ERROR',
          object: {
            kind: 'Status',
            code: 403,
            reason: 'Forbidden',
            message: expect.stringContaining('session.revoked'),
          },
        });
      }
    });

    test('a log that is followed is cut, with no word among its lines, and kubectl says why', async () => {
      writeFileSync(path.join(cluster.folder, 'log'), 'started\n');
      let out = '';
      const following = bed.kubectl(['logs', '-f', '-n', 'shop', 'web'], { onOut: (text) => (out = text) });
      await until(() => out.includes('started'));
      bed.gateway.end('session.revoked');
      const { code, err } = await following;
      expect({ code, out }).toEqual({ code: 1, out: 'started\n' });
      expect(err).toContain('session.revoked');
    });

    test.each(kubectls.filter(({ minor }) => minor >= 29).map(({ minor, program }) => [`1.${minor}`, program]))(
      'kubectl %s runs a command, masked and filmed, with its exit status',
      async (_name, program) => {
        masked();
        bed.gateway.recorded.streams.length = 0;
        const script = 'echo to ana.smith@example.com; echo oops >&2; cat; exit 7';
        const env = { KUBECTL_REMOTE_COMMAND_WEBSOCKETS: 'true' };
        const ran = await bed.kubectl(['exec', '-i', '-n', 'shop', 'web', '--', 'sh', '-c', script], {
          program,
          env,
          input: 'given\n',
        });
        expect(ran).toMatchObject({ code: 7, out: 'to [redacted]\ngiven\n' });
        expect(ran.err).toContain('oops');
        const { statement } = bed.gateway.judged.find((one) => one.statement.facts.shell !== undefined)!;
        expect(statement.facts.shell?.programs).toEqual(expect.arrayContaining(['echo', 'cat']));
        const film = bed.gateway.recorded.streams.map((one) =>
          one.kind === 'output' ? one.bytes.toString() : one.kind,
        );
        expect(film.join('')).toContain('to [redacted]');
        expect(bed.gateway.recorded.streams.at(-1)).toMatchObject({ kind: 'exit', code: 7 });
        // Its words stand in the target too, behind escapes.
        expect(bed.gateway.recorded.http.map(({ text }) => text).join('')).not.toContain('smith');
      },
    );

    test('a command that is denied does not run', async () => {
      verdict = ({ facts }) =>
        facts.shell?.programs.includes('touch') === true ? deny('Nothing is touched.') : allow();
      const file = path.join(cluster.folder, 'touched');
      const ran = await bed.kubectl(['exec', '-n', 'shop', 'web', '--', 'sh', '-c', `touch ${file}`]);
      expect(ran.code).not.toBe(0);
      expect(ran.err).toContain('Nothing is touched.');
      const listed = await bed.kubectl(['exec', '-n', 'shop', 'web', '--', 'ls', cluster.folder]);
      expect(listed.out).not.toContain('touched');
    });

    test('a command that runs ends with the right behind it, and kubectl says why', async () => {
      let out = '';
      const running = bed.kubectl(['exec', '-n', 'shop', 'web', '--', 'sh', '-c', 'echo up; sleep 60'], {
        onOut: (text) => (out = text),
      });
      await until(() => out.includes('up'));
      const end = Date.now();
      bed.gateway.end('session.revoked');
      const { code, err } = await running;
      expect(Date.now() - end).toBeLessThan(5_000);
      expect(code).not.toBe(0);
      expect(err).toContain('session.revoked');
    });

    test.each(kubectls.filter(({ minor }) => minor <= 28).map(({ minor, program }) => [`1.${minor}`, program]))(
      'kubectl %s, whose streams are SPDY, is told what to do',
      async (_name, program) => {
        const ran = await bed.kubectl(['exec', '-n', 'shop', 'web', '--', 'true'], { program });
        expect(ran.code).not.toBe(0);
        expect(ran.err).toContain('kubernetes.spdy_refused');
      },
    );

    test('logs are followed and masked', async () => {
      masked();
      const log = path.join(cluster.folder, 'log');
      writeFileSync(log, 'started\n');
      let out = '';
      const abort = new AbortController();
      const following = bed.kubectl(['logs', '-f', '-n', 'shop', 'web'], {
        onOut: (text) => (out = text),
        signal: abort.signal,
      });
      await until(() => out.includes('started'));
      appendFileSync(log, 'mail of ana.smith@example.com\nlast\n');
      await until(() => out.includes('last'));
      abort.abort();
      await following;
      expect(out).not.toContain('smith');
    });

    test('files are copied both ways', async () => {
      const file = path.join(cluster.folder, 'there.txt');
      writeFileSync(file, 'x'.repeat(200_000));
      const to = path.join(cluster.folder, 'back.txt');
      const ran = await bed.kubectl(['cp', `shop/web:${file}`, to]);
      expect(ran, ran.err).toMatchObject({ code: 0 });
      expect((await bed.kubectl(['exec', '-n', 'shop', 'web', '--', 'cmp', file, to])).code).toBe(0);
    });

    test('an attached container is heard and spoken to', async () => {
      const ran = await bed.kubectl(['attach', '-i', '-n', 'shop', 'web'], { input: 'hello\n' });
      expect(ran.out).toContain('attached to a container');
      expect(ran.out).toContain('hello');
    });

    test('a port is forwarded as one thing that was judged', async () => {
      const server = http.createServer((_request, response) => response.end('from the pod')).listen(0, '127.0.0.1');
      await new Promise((up) => server.once('listening', up));
      const { port } = server.address() as AddressInfo;
      let out = '';
      const abort = new AbortController();
      const forwarding = bed.kubectl(['port-forward', '-n', 'shop', 'pod/web', `:${port}`], {
        onOut: (text) => (out = text),
        signal: abort.signal,
      });
      await until(() => /127\.0\.0\.1:\d+ ->/.test(out));
      const local = /127\.0\.0\.1:(\d+)/.exec(out)![1];
      expect(await (await fetch(`http://127.0.0.1:${local}/`)).text()).toBe('from the pod');
      abort.abort();
      await forwarding;
      server.close();
      expect(bed.gateway.judged.some(({ statement }) => statement.effects.includes('forward'))).toBe(true);
    });

    test('an ephemeral container is running code', async () => {
      await bed.kubectl(['debug', '-n', 'shop', 'web', '--image=busybox', '--attach=false']);
      const { statement } = bed.gateway.judged.find(
        (one) => one.statement.facts.k8s?.subresource === 'ephemeralcontainers',
      )!;
      expect(statement.effects).toContain('exec');
      expect(statement.facts.k8s?.images).toContain('busybox');
    });

    test.each([
      '/api/v1/namespaces/shop/secrets/%64b',
      '/api/v1//secrets',
      '/api/v1/namespaces/shop/../kube-system/secrets',
      '/api/v1/namespaces/shop/pods%2f..%2fsecrets',
      '/api/v1/namespaces/shop/secrets?watch=false&watch=true',
    ])('%s is not sent on', async (target) => {
      verdict = () => deny();
      const status = await new Promise<number>((resolve, reject) => {
        const headers = { authorization: `Bearer ${TEST_TOKEN}` };
        https
          .get(
            {
              port: bed.gateway.port,
              host: '127.0.0.1',
              path: `/r/prod${target}`,
              headers,
              ca: cluster.ca,
              agent: false,
            },
            (response) => resolve(response.resume().statusCode ?? 0),
          )
          .once('error', reject);
      });
      expect(status).toBe(400);
    });

    describe('what a write changes of what is stored', () => {
      const DEPLOYMENT = '/apis/apps/v1/namespaces/shop/deployments/web';
      const written = (): string | undefined =>
        bed.gateway.judged.find(({ statement }) => statement.effects.includes('write'))?.statement.text;
      const patch = async (type: string, body: unknown): Promise<string> => {
        bed.gateway.judged.length = 0;
        await new Promise<void>((resolve, reject) => {
          const headers = { authorization: `Bearer ${TEST_TOKEN}`, 'content-type': `application/${type}-patch+json` };
          const to = { port: bed.gateway.port, host: '127.0.0.1', path: `/r/prod${DEPLOYMENT}`, ca: cluster.ca };
          const request = https.request({ ...to, method: 'PATCH', headers, agent: false });
          request.once('response', (response) => response.resume().once('end', resolve));
          request.once('error', reject);
          request.end(JSON.stringify(body));
        });
        return written() ?? '';
      };

      test('stands in the record, whichever way it is written', async () => {
        const image = 'spec.template.spec.containers[name="main"].image';
        await patch('merge', { spec: { replicas: 3 } });
        expect(await patch('merge', { spec: { replicas: 2 } })).toMatch(/\n~ spec\.replicas: 3 → 2$/);
        expect(await patch('json', [{ op: 'replace', path: '/spec/replicas', value: 4 }])).toMatch(
          /\n~ spec\.replicas: 2 → 4$/,
        );
        const containers = [{ name: 'main', image: 'busybox:2' }];
        expect(await patch('strategic-merge', { spec: { template: { spec: { containers } } } })).toMatch(
          new RegExp(`\n~ ${image.replaceAll(/[[\].]/g, '\\$&')}: "busybox" → "busybox:2"$`),
        );
        const none = [{ op: 'remove', path: '/spec/template/metadata/labels/none' }];
        expect(await patch('json', none)).toContain('cannot be compared');
        bed.gateway.judged.length = 0;
        const manifest = {
          apiVersion: 'apps/v1',
          kind: 'Deployment',
          metadata: { name: 'web', labels: { tier: 'front' } },
        };
        const { code, err } = await bed.kubectl(['-n', 'shop', 'apply', '--server-side', '-f', '-'], {
          input: JSON.stringify({ ...manifest, spec: { selector: { matchLabels: { app: 'web' } } } }),
        });
        expect(code, err).toBe(0);
        expect(written()).toMatch(
          /Compared with what is stored \(version \d+\):\n\+ metadata\.labels: \{"tier":"front"\}$/,
        );
      });

      test('is there for whoever is to say yes', async () => {
        verdict = ({ facts }) => (facts.k8s?.verb === 'get' ? allow() : hold());
        const patched = patch('merge', { spec: { replicas: 5 } });
        await until(() => bed.gateway.holds.length > 0);
        expect(written()).toMatch(/~ spec\.replicas: \d → 5$/);
        bed.gateway.holds.shift()?.approve();
        await patched;
        verdict = () => allow();
        expect((await cluster.call<{ spec: { replicas: number } }>('GET', DEPLOYMENT)).spec.replicas).toBe(5);
      });

      test('is not read where its principal may not read it, nor for what the policy denies', async () => {
        verdict = ({ facts }) => (facts.k8s?.verb === 'get' ? deny() : allow());
        expect(await patch('merge', { spec: { replicas: 6 } })).toContain(
          'What is stored was not read (policy.denied).',
        );
        verdict = ({ facts }) => (facts.k8s?.verb === 'get' ? hold() : allow());
        expect(await patch('merge', { spec: { replicas: 7 } })).toContain(
          'What is stored was not read (policy.denied).',
        );
        verdict = ({ facts }) => (facts.k8s?.verb === 'get' ? allow() : deny());
        expect(await patch('merge', { spec: { replicas: 8 } })).not.toContain('stored');
      });
    });

    test('what was asked stands in the record as kubectl would call it', async () => {
      await bed.kubectl(['get', 'deployment', 'web', '-n', 'shop']);
      expect(seen()).toContain('get deployments.apps/web -n shop');
    });
  },
);
