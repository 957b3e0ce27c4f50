import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ProviderHttp } from './provider-fetch.ts';

const { fetch: providerFetch } = new ProviderHttp({ loopback: true });

const seen: {
  readonly port: number | undefined;
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
}[] = [];
const ANSWERS: Readonly<Record<string, (response: ServerResponse) => void>> = {
  '/': (response) => response.setHeader('x-kept', 'yes').end('{"a":1}'),
  '/moved': (response) => response.writeHead(302, { location: 'http://169.254.169.254/' }).end(),
  '/packed': (response) => response.writeHead(200, { 'content-encoding': 'gzip' }).end(gzipSync('{"a":1}')),
  '/endless': (response) => response.end(Buffer.alloc(2 * 1024 * 1024, 0x20)),
  '/cut': (response) => {
    response.writeHead(200, { 'content-length': '100' }).write('half');
    setImmediate(() => response.destroy());
  },
  '/nothing': (response) => response.writeHead(204).end(),
};
const server = createServer((request, response) => {
  let body = '';
  request.setEncoding('utf8').on('data', (text: string) => {
    body += text;
  });
  request.on('end', () => {
    seen.push({ port: request.socket.remotePort, headers: request.headers, body });
    ANSWERS[request.url ?? '']!(response);
  });
});
let at = '';
beforeAll(async () => {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  at = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterAll(() => server.closeAllConnections());

test('an answer is read whole, with its status and headers', async () => {
  const response = await providerFetch(`${at}/`, { headers: new Headers({ accept: 'application/json' }) });
  expect([response.status, response.headers.get('x-kept'), await response.json()]).toEqual([200, 'yes', { a: 1 }]);
  expect(seen.at(-1)!.headers.accept).toBe('application/json');
  expect((await providerFetch(`${at}/nothing`, {})).status).toBe(204);
});

test('a form is sent as one, and the connection is kept for the next', async () => {
  await providerFetch(`${at}/`, { method: 'POST', body: new URLSearchParams({ code: 'a b' }) });
  const [first] = seen.slice(-1);
  expect([first!.body, first!.headers['content-type']]).toEqual([
    'code=a+b',
    'application/x-www-form-urlencoded;charset=UTF-8',
  ]);
  await providerFetch(`${at}/`, {});
  expect(seen.at(-1)!.port).toBe(first!.port);
});

test('a redirect is not followed', async () => {
  await expect(providerFetch(`${at}/moved`, {})).rejects.toMatchObject({ code: 'auth.provider_unavailable' });
});

test('too large an answer, one cut short and one in an encoding not asked for are refused', async () => {
  const large = { code: 'auth.provider_unavailable', detail: { reason: 'too large an answer' } };
  await expect(providerFetch(`${at}/endless`, {})).rejects.toMatchObject(large);
  await expect(providerFetch(`${at}/cut`, {})).rejects.toMatchObject({ code: 'ECONNRESET' });
  await expect(providerFetch(`${at}/packed`, {})).rejects.toMatchObject({ code: 'auth.provider_unavailable' });
  expect(seen.at(-1)!.headers['accept-encoding']).toBe('identity');
});

test('a reading request outlives the end of a kept connection, and who gives up is not answered', async () => {
  await providerFetch(`${at}/`, {});
  server.closeIdleConnections();
  expect((await providerFetch(`${at}/`, {})).status).toBe(200);
  await expect(providerFetch(`${at}/`, { signal: AbortSignal.abort() })).rejects.toMatchObject({ name: 'AbortError' });
});

test.each(['http://example.com/', 'ftp://127.0.0.1/', 'https://me:pass@example.com/'])(
  '%s is not asked',
  async (url) => {
    await expect(providerFetch(url, {})).rejects.toMatchObject({ code: 'auth.provider_unavailable' });
  },
);
