/**
 * Every row of rows/bodies.ts as the answer of a program behind an API server (`services/…/proxy` and the like), through the real
 * driver, in every coding: neither what comes back nor the recording may show it. In the place of the API server, which passes such
 * answers on, stands the program itself. And what is asked of it.
 */
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { gunzipSync, gzipSync } from 'node:zlib';
import type { MaskSet } from '@sallyport/model';
import { startKubeGateway } from '@sallyport/protocol-kubernetes/bed';
import { allow, type Gateway, TEST_TOKEN } from '@sallyport/testkit';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { BODIES, NEVER, SSN } from './rows/bodies.ts';

const MASKS: MaskSet = {
  columns: [],
  detect: [
    { detect: 'payment_card', with: 'redact' },
    { detect: 'email', with: 'redact' },
  ],
  json: [
    { path: '**.ssn', with: 'redact' },
    { path: 'people[].secret', with: 'redact' },
  ],
  headers: [{ header: 'x-ssn', with: 'redact' }],
};
const PODS: MaskSet = {
  columns: [],
  detect: [],
  kubernetes: [{ place: 'pods/web:spec.containers[].env[].value', with: 'redact' }],
};
const MAIL = 'ada.lovelace@example.com';
const SERVICE = '/api/v1/namespaces/shop/services/web/proxy';
/** Texts in pieces are joined where a resource says at which path: a cluster's programs have none such. */
const ROWS = BODIES.map((row, at) => ({ ...row, at })).filter(({ body }) => !body.includes('"delta":'));

interface Answer {
  readonly status: number;
  readonly head: string;
  readonly body: Buffer;
  readonly whole: boolean;
}

describe('answers of a program behind an API server', () => {
  let service: http.Server;
  let gateway: Gateway;
  let masks = MASKS;
  let asked: http.IncomingHttpHeaders = {};
  let answer: (response: http.ServerResponse, path: URL) => void = serve;

  beforeAll(async () => {
    service = http.createServer((request, response) => {
      asked = request.headers;
      answer(response, new URL(request.url ?? '', 'http://service'));
    });
    await new Promise<void>((resolve) => service.listen(0, '127.0.0.1', resolve));
    const { port } = service.address() as AddressInfo;
    gateway = await startKubeGateway(`http://127.0.0.1:${port}`, { decide: () => allow(masks), recording: 'results' });
  });
  beforeEach(() => {
    masks = MASKS;
    answer = serve;
    gateway.recorded.http.length = 0;
  });
  afterAll(async () => {
    await gateway?.close();
    service?.closeAllConnections();
    service?.close();
  });

  function serve(response: http.ServerResponse, url: URL): void {
    const row = BODIES[Number(url.pathname.split('/').at(-1))];
    if (row === undefined) return void response.writeHead(404).end();
    const { ':status': status = '200', ...headers } = row.headers ?? {};
    const isGzip = url.searchParams.has('gzip');
    response.writeHead(Number(status), {
      ...(row.type === undefined ? {} : { 'content-type': row.type }),
      ...(isGzip ? { 'content-encoding': 'gzip' } : {}),
      ...headers,
    });
    response.end(isGzip ? gzipSync(row.body) : row.body);
  }

  const ask = (target: string, headers: http.OutgoingHttpHeaders = {}, method = 'GET'): Promise<Answer> =>
    new Promise((resolve, reject) => {
      const request = http.request(
        {
          method,
          host: '127.0.0.1',
          port: gateway.port,
          path: `/r/prod${target}`,
          headers: { authorization: `Bearer ${TEST_TOKEN}`, ...headers },
          agent: false,
        },
        (response) => {
          const chunks: Buffer[] = [];
          response.on('data', (chunk: Buffer) => chunks.push(chunk));
          response.on('error', () => undefined);
          response.on('close', () =>
            resolve({
              status: response.statusCode ?? 0,
              head: JSON.stringify([response.rawHeaders, response.rawTrailers]),
              body: Buffer.concat(chunks),
              whole: response.complete,
            }),
          );
        },
      );
      request.on('error', reject).end();
    });
  const recorded = (): string => gateway.recorded.http.map(({ text, body }) => text + body.toString()).join('\n');

  test.each(ROWS)('$name', async (row) => {
    for (const coding of ['', 'gzip']) {
      if (coding !== '' && row.headers?.['content-encoding'] !== undefined) continue;
      gateway.recorded.http.length = 0;
      const { status, head, body, whole } = await ask(`${SERVICE}/${row.at}?${coding}`);
      const isCoded = body.length > 0 && /"content-encoding","gzip"/i.test(head);
      const shown = (isCoded ? gunzipSync(body, { finishFlush: 2 }) : body).toString();
      for (const value of [...NEVER, ...(row.never ?? [])]) {
        expect(shown, coding).not.toContain(value);
        expect(head, coding).not.toContain(value);
        expect(recorded(), coding).not.toContain(value);
      }
      if (row.shows === 'unreadable') expect(status === 502 || !whole, coding).toBe(true);
      else if (row.shows === 'refused') expect(status, coding).toBe(502);
      else if (row.shows === 'cut') expect(whole, coding).toBe(false);
      else expect(shown, coding).toContain(row.shows);
    }
  });

  test.each([
    ['a service', SERVICE],
    ['a pod', '/api/v1/namespaces/shop/pods/web:8080/proxy'],
    ['a node', '/api/v1/nodes/n1/proxy'],
  ])('headers and trailers of %s are masked, whatever its type', async (_what, proxy) => {
    answer = (response) => {
      const fields = { 'x-owner': MAIL, 'x-ssn': SSN, trailer: 'x-mail', etag: '"the-digest"' };
      response.writeHead(200, { 'content-type': 'application/octet-stream', ...fields });
      response.write(`of ${MAIL} `);
      response.addTrailers({ 'x-mail': MAIL });
      response.end('end');
    };
    const { head, body } = await ask(`${proxy}/a`);
    expect(body.toString()).toBe('of [redacted] end');
    for (const value of [MAIL, SSN, 'the-digest']) expect(head + recorded()).not.toContain(value);
  });

  test('detectors alone see what is called octets, too', async () => {
    masks = { columns: [], detect: MASKS.detect };
    answer = (response) => {
      response.writeHead(200, { 'content-type': 'application/octet-stream', 'x-owner': MAIL });
      response.end(`of ${MAIL} end`);
    };
    const { head, body } = await ask(`${SERVICE}/a`);
    expect(body.toString()).toBe('of [redacted] end');
    expect(head + recorded()).not.toContain(MAIL);
  });

  test('a node’s own list of pods is masked as pods are, and so is what it calls text', async () => {
    masks = PODS;
    const pods = { kind: 'PodList', items: [{ spec: { containers: [{ env: [{ name: 'A', value: SSN }] }] } }] };
    for (const type of ['application/json', 'text/plain']) {
      answer = (response) => void response.writeHead(200, { 'content-type': type }).end(JSON.stringify(pods));
      const { body } = await ask('/api/v1/nodes/n1/proxy/pods');
      expect(body.toString()).toContain('"name":"A"');
      expect(body.toString() + recorded()).not.toContain(SSN);
    }
  });

  test('the program is asked for what the client asks for, and for no stretch of it', async () => {
    answer = (response) => void response.writeHead(200, { 'content-type': 'text/html' }).end('<p>end');
    const headers = {
      accept: 'text/html',
      'accept-encoding': 'gzip, x-own',
      range: 'bytes=3-9',
      'if-none-match': '"a"',
    };
    const { status, body } = await ask(`${SERVICE}/a`, headers);
    expect([status, body.toString()]).toEqual([200, '<p>end']);
    expect(asked).toMatchObject({ accept: 'text/html', 'accept-encoding': 'gzip' });
    expect(asked['range']).toBeUndefined();
    expect(asked['if-none-match']).not.toBe('"a"');
  });

  test('a HEAD tells no length of what is masked, and that of anything else', async () => {
    masks = PODS;
    answer = (response) =>
      void response.writeHead(200, { 'content-type': 'application/json', 'content-length': 1234 }).end();
    for (const [target, tells] of [
      ['/api/v1/namespaces/shop/pods/web', false],
      ['/api/v1/nodes/n1/proxy/pods', false],
      ['/api/v1/namespaces/shop/configmaps/web', true],
    ] as const) {
      const { status, head } = await ask(target, {}, 'HEAD');
      expect([status, head.includes('1234')], target).toEqual([200, tells]);
    }
  });

  test('an API server names a request by an id of its own, whatever the client calls it', async () => {
    answer = (response) => void response.writeHead(200, { 'content-type': 'application/json' }).end('{}');
    for (const target of ['/api/v1/namespaces/shop/pods/web', `${SERVICE}/a`]) {
      expect((await ask(target, { 'audit-id': 'another-request' })).status).toBe(200);
      expect(asked['audit-id']).toBeUndefined();
    }
  });

  test('a warning of the API server is looked into, and nothing else of its head', async () => {
    masks = { columns: [], detect: MASKS.detect };
    const warning = `299 - "written to ${MAIL}"`;
    answer = (response) =>
      void response.writeHead(200, { 'content-type': 'application/json', warning }).end('{"end":1}');
    const { head, body } = await ask('/api/v1/namespaces/shop/pods/web');
    expect(body.toString()).toBe('{"end":1}');
    expect(head).toContain('299 - ');
    expect(head + recorded()).not.toContain(MAIL);
  });
});
