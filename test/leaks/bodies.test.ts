/**
 * Every row of rows/bodies.ts through a whole stack: a real service behind the agent's HTTPS listener, in every coding, whole
 * and a byte at a time. What the client got, headers included, and what the recording has.
 */
import { readFileSync } from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import type { AddressInfo } from 'node:net';
import {
  brotliCompressSync,
  brotliDecompressSync,
  gunzipSync,
  gzipSync,
  zstdCompressSync,
  zstdDecompressSync,
} from 'node:zlib';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { accessToken, restClient } from '../../scripts/stack/rest.ts';
import { BODIES, NEVER } from './rows/bodies.ts';

const dev = inject('dev');
const admin = restClient(dev.rest, dev.principals['admin']?.token ?? '');
const NAME = 'leaks-api';
const POLICY = `kind: Policy
name: leaks-bodies
resources: { names: [${NAME}] }
masks:
  - { json: ["**.ssn", "people[].secret"], with: redact }
  - { headers: [x-ssn], with: redact }
  - { detect: [payment_card, email], with: redact }
`;

interface Coding {
  readonly name: string;
  readonly code: (bytes: Buffer) => Buffer;
  readonly decode: (bytes: Buffer) => Buffer;
}
const CODINGS: readonly Coding[] = [
  { name: '', code: (bytes) => bytes, decode: (bytes) => bytes },
  { name: 'gzip', code: (bytes) => gzipSync(bytes), decode: (bytes) => gunzipSync(bytes, { finishFlush: 2 }) },
  {
    name: 'br',
    code: (bytes) => brotliCompressSync(bytes),
    decode: (bytes) => brotliDecompressSync(bytes, { finishFlush: 1 }),
  },
  {
    name: 'zstd',
    code: (bytes) => zstdCompressSync(bytes),
    decode: (bytes) => zstdDecompressSync(bytes, { finishFlush: 1 }),
  },
];

interface Answer {
  readonly status: number;
  readonly head: string;
  readonly body: Buffer;
  readonly whole: boolean;
}

describe('bodies of a service', () => {
  let service: http.Server;
  let token = '';
  const agent = new https.Agent({ keepAlive: true });

  beforeAll(async () => {
    service = http.createServer((request, response) => void serve(request, response));
    await new Promise<void>((resolve) => service.listen(0, '127.0.0.1', resolve));
    const { port } = service.address() as AddressInfo;
    await admin.call('POST', '/v1/credentials', { name: 'leaks-api-key', kind: 'stored', username: '' });
    await admin.call('PUT', '/v1/credentials/leaks-api-key/secret', { secret: 'the-key' });
    await admin.call('POST', '/v1/resources', {
      name: NAME,
      type: 'http',
      credential: 'leaks-api-key',
      http: {
        url: `http://127.0.0.1:${port}`,
        private: true,
        inject: { as: 'header', name: 'x-key' },
        streams: [{ path: 'choices[].delta.content' }],
      },
    });
    await admin.call('POST', '/v1/apply', {
      documents: [{ file: 'leaks-bodies.yaml', text: POLICY }],
      dryRun: false,
      prune: false,
    });
    // Last: before the masks are in force nothing is let through, so that nothing is recorded without them.
    await admin.call('POST', '/v1/grants', { name: NAME, principal: 'carla', resource: NAME, effects: ['read'] });
    token = await accessToken(dev.rest, dev.principals['carla']?.token ?? '', NAME);
    // The resource and its masks are in force a moment after they were made.
    for (const until = Date.now() + 40_000; ; ) {
      const first = await ask('/0?coding=').catch(() => undefined);
      if (first?.status === 200 && first.body.includes('[redacted]')) break;
      if (Date.now() > until) throw new Error(`the resource did not come into force: ${first?.body.toString()}`);
      await new Promise((next) => setTimeout(next, 100));
    }
  }, 60_000);
  afterAll(async () => {
    await admin.call('DELETE', '/v1/policies/leaks-bodies').catch(() => undefined);
    await admin.call('DELETE', `/v1/grants/${NAME}`).catch(() => undefined);
    await admin.call('DELETE', `/v1/resources/${NAME}`).catch(() => undefined);
    await admin.call('DELETE', '/v1/credentials/leaks-api-key').catch(() => undefined);
    agent.destroy();
    service.closeAllConnections();
    service.close();
  });

  async function serve(request: http.IncomingMessage, response: http.ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '', 'http://service');
    const row = BODIES[Number(url.pathname.slice(1))];
    const coding = CODINGS.find(({ name }) => name === url.searchParams.get('coding'));
    if (row === undefined || coding === undefined) return void response.writeHead(404).end();
    const { ':status': status = '200', ...headers } = row.headers ?? {};
    response.writeHead(Number(status), {
      ...(row.type === undefined ? {} : { 'content-type': row.type }),
      ...(coding.name === '' ? {} : { 'content-encoding': coding.name }),
      ...headers,
    });
    const bytes = coding.code(Buffer.from(row.body));
    // A long body in pieces of an odd size: borders stand anywhere.
    const step = url.searchParams.has('bytewise') ? Math.max(1, Math.floor(bytes.length / 500)) : bytes.length;
    for (let at = 0; at < bytes.length && !response.destroyed; at += step) {
      response.write(bytes.subarray(at, at + step));
      if (step < bytes.length) await new Promise((next) => setImmediate(next));
    }
    response.end();
  }

  const ask = (path: string): Promise<Answer> =>
    new Promise((resolve, reject) => {
      const request = https.get(
        {
          host: '127.0.0.1',
          port: dev.agent.https,
          path: `/r/${NAME}${path}`,
          agent,
          ca: readFileSync(dev.ca),
          headers: { authorization: `Bearer ${token}` },
        },
        (response) => {
          const chunks: Buffer[] = [];
          response.on('data', (chunk: Buffer) => chunks.push(chunk));
          response.on('error', () => undefined);
          response.on('close', () =>
            resolve({
              status: response.statusCode ?? 0,
              head: JSON.stringify(response.rawHeaders),
              body: Buffer.concat(chunks),
              whole: response.complete,
            }),
          );
        },
      );
      request.on('error', reject);
    });

  test.each(BODIES.map((row, at) => ({ ...row, at })))('$name', async (row) => {
    for (const coding of CODINGS) {
      if (coding.name !== '' && row.headers?.['content-encoding'] !== undefined) continue;
      for (const way of ['', '&bytewise']) {
        const answer = await ask(`/${row.at}?coding=${coding.name}${way}`);
        const context = `${coding.name} ${way}`;
        const shown = answer.status === 502 ? answer.body : decoded(coding, answer);
        for (const value of [...NEVER, ...(row.never ?? [])]) {
          expect(shown.toString(), context).not.toContain(value);
          expect(answer.head, context).not.toContain(value);
        }
        if (row.shows === 'unreadable') expect(answer.status === 502 || !answer.whole, context).toBe(true);
        else if (row.shows === 'refused') expect(answer.status, context).toBe(502);
        else if (row.shows === 'cut') expect(answer.whole, context).toBe(false);
        else expect(shown.toString(), context).toContain(row.shows);
      }
    }
  });

  test('the recording has none of them, whoever may see all of it', async () => {
    const { items } = await admin.call<{ items: readonly { id: string }[] }>('GET', `/v1/sessions?resource=${NAME}`);
    expect(items.length).toBeGreaterThan(0);
    const isIn = async (): Promise<string> => {
      let all = '';
      for (const { id } of items) {
        const answer = await fetch(`${dev.rest}/v1/sessions/${id}/recording?clear=true`, {
          headers: { authorization: `Bearer ${dev.principals['admin']?.token ?? ''}` },
        });
        for (const line of (await answer.text()).split('\n').filter((each) => each !== '')) {
          const frame = JSON.parse(line) as { readonly text?: string; readonly bytes?: string | number };
          all += frame.text ?? '';
          if (typeof frame.bytes === 'string') all += Buffer.from(frame.bytes, 'base64').toString();
        }
      }
      return all;
    };
    await expect.poll(async () => (await isIn()).includes('"end"'), { timeout: 30_000 }).toBe(true);
    const recorded = await isIn();
    for (const value of NEVER) expect(recorded).not.toContain(value);
  });
});

/** What a client would read: as much of a cut answer as can be. */
function decoded(coding: Coding, { body, head }: Answer): Buffer {
  if (body.length === 0 || !/content-encoding/i.test(head)) return body;
  return coding.decode(body);
}
