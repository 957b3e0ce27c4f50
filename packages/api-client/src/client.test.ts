import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { ApiError, createApiClient, jsonLines } from './index.ts';

let server: Server | undefined;
afterEach(() => server?.close());

/** A control plane's edge in miniature: the client's behaviour over a real socket is what is tested. */
async function serve(
  answer: (request: IncomingMessage, response: ServerResponse, body: string) => void,
): Promise<string> {
  server = createServer((request, response) => {
    let body = '';
    request.on('data', (chunk: Buffer) => {
      body += chunk.toString();
    });
    request.on('end', () => answer(request, response, body));
  });
  await new Promise<void>((resolve) => server!.listen(0, '127.0.0.1', resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}
const json = (response: ServerResponse, status: number, value: unknown): void => {
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(JSON.stringify(value));
};

test('a problem becomes a typed error with its code, request id and fields', async () => {
  const baseUrl = await serve((_request, response) =>
    json(response, 422, {
      code: 'policy.invalid',
      title: 'No.',
      requestId: 'req-1',
      errors: [{ file: 'a.yaml', line: 3, field: 'rules', message: 'bad' }],
    }),
  );
  const error = await createApiClient({ baseUrl })
    .whoami()
    .catch((caught: unknown) => caught);
  expect(error).toBeInstanceOf(ApiError);
  expect(error).toMatchObject({
    code: 'policy.invalid',
    status: 422,
    requestId: 'req-1',
    errors: [{ file: 'a.yaml', line: 3 }],
  });
});

test('an answer that is no problem keeps its status', async () => {
  const baseUrl = await serve((_request, response) => {
    response.writeHead(502);
    response.end('<html>');
  });
  await expect(createApiClient({ baseUrl }).whoami()).rejects.toMatchObject({ code: 'http.502', status: 502 });
});

test('a success that is no JSON is not a control plane', async () => {
  const baseUrl = await serve((_request, response) => response.end('<html>'));
  await expect(createApiClient({ baseUrl }).whoami()).rejects.toMatchObject({ code: 'control_plane.unexpected' });
});

test('nobody listening is an error with status 0', async () => {
  const baseUrl = await serve((_request, response) => response.end());
  await new Promise((resolve) => server!.close(resolve));
  await expect(createApiClient({ baseUrl }).whoami()).rejects.toMatchObject({
    code: 'control_plane.unreachable',
    status: 0,
  });
});

test('a redirect is not followed, so that a token reaches no other host', async () => {
  let calls = 0;
  const baseUrl = await serve((_request, response) => {
    calls++;
    response.writeHead(302, { location: '/elsewhere' });
    response.end();
  });
  await expect(createApiClient({ baseUrl, token: () => 'sp_x' }).whoami()).rejects.toMatchObject({ status: 302 });
  expect(calls).toBe(1);
});

test('a list goes through its pages by cursor and stops at the maximum', async () => {
  const seen: string[] = [];
  const baseUrl = await serve((request, response) => {
    const url = new URL(request.url ?? '', 'http://x');
    seen.push(url.search);
    const from = Number(url.searchParams.get('cursor') ?? 0);
    json(response, 200, {
      items: [{ id: `${from}` }, { id: `${from + 1}` }],
      nextCursor: from < 4 ? String(from + 2) : null,
    });
  });
  const client = createApiClient({ baseUrl });
  const all: string[] = [];
  for await (const grant of client.grants.list({ sort: 'name' })) all.push(grant.id);
  expect(all).toEqual(['0', '1', '2', '3', '4', '5']);
  expect(seen.every((search) => search.includes('sort=name'))).toBe(true);
  const some: string[] = [];
  for await (const grant of client.grants.list({}, 3)) some.push(grant.id);
  expect(some).toEqual(['0', '1', '2']);
});

test('the device flow polls until the person answers and slows down when asked', async () => {
  const answers = ['authorization_pending', 'slow_down', ''];
  const baseUrl = await serve((_request, response) => {
    const error = answers.shift();
    if (error === '') json(response, 200, { access_token: 'sp_1', token_type: 'Bearer' });
    else json(response, 400, { error, code: 'auth.failed', title: 'Wait.' });
  });
  const waits: number[] = [];
  const device = { device_code: 'd', user_code: 'u', verification_uri: 'x', expires_in: 60, interval: 2 };
  const answer = await createApiClient({ baseUrl }).oauth.awaitDevice(device, (ms) => {
    waits.push(ms);
    return Promise.resolve();
  });
  expect(answer.access_token).toBe('sp_1');
  expect(waits).toEqual([2000, 2000, 7000]);
});

test('token exchange is a form without the caller’s own header', async () => {
  let got = { body: '', authorization: 'none' as string | undefined };
  const baseUrl = await serve((request, response, body) => {
    got = { body, authorization: request.headers.authorization };
    json(response, 200, { access_token: 'jwt', token_type: 'N_A', expires_in: 300 });
  });
  await createApiClient({ baseUrl, token: () => 'sp_x' }).oauth.exchange({
    subjectToken: 'sp_x',
    resource: 'payments-db',
  });
  const form = new URLSearchParams(got.body);
  expect(form.get('grant_type')).toBe('urn:ietf:params:oauth:grant-type:token-exchange');
  expect(form.get('resource')).toBe('payments-db');
  expect(form.has('actor_token')).toBe(false);
  expect(got.authorization).toBeUndefined();
});

test('newline-delimited JSON is read whole at every split', async () => {
  const bytes = new TextEncoder().encode('{"a":"é"}\n{"a":"2"}\n\n{"a":"3"}');
  for (let cut = 0; cut <= bytes.length; cut++) {
    const stream = new ReadableStream<Uint8Array>({
      start(controller) {
        controller.enqueue(bytes.subarray(0, cut));
        controller.enqueue(bytes.subarray(cut));
        controller.close();
      },
    });
    const values: unknown[] = [];
    for await (const value of jsonLines(new Response(stream))) values.push(value);
    expect(values).toEqual([{ a: 'é' }, { a: '2' }, { a: '3' }]);
  }
});
