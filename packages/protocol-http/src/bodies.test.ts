import { createHash } from 'node:crypto';
import http from 'node:http';
import type { Duplex } from 'node:stream';
import {
  brotliCompressSync,
  brotliDecompressSync,
  gunzipSync,
  gzipSync,
  zstdCompressSync,
  zstdDecompressSync,
} from 'node:zlib';
import { encodeWebSocketFrame, FrameReader } from '@sallyport/http';
import type { MaskSet, Verdict } from '@sallyport/model';
import { type Gateway, TEST_TOKEN } from '@sallyport/testkit';
import { afterEach, describe, expect, test } from 'vitest';
import { PREFIX, RawClient, SIGNED, startHttpGateway } from '../test/bench.fixture.ts';
import { type Service, startService } from '../test/service.fixture.ts';

const MASKS: MaskSet = {
  columns: [],
  detect: [{ detect: 'email', with: 'partial' }],
  json: [{ path: '**.ssn', with: 'redact' }],
};
const allow = (masks: MaskSet): { decide: () => Verdict } => ({
  decide: () => ({ kind: 'allow', rule: 'test/allow', masks }),
});

const open: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const close of open.splice(0).reverse()) await close();
});
async function gatewayTo(
  handle: http.RequestListener,
  masks: MaskSet = MASKS,
  target: Parameters<typeof startHttpGateway>[2] = {},
): Promise<{ gateway: Gateway; service: Service; client: RawClient }> {
  const service = await startService(handle);
  const gateway = await startHttpGateway(service.url, { ...allow(masks), recording: 'full' }, target);
  const client = new RawClient(gateway.port);
  open.push(
    () => service.close(),
    () => gateway.close(),
    () => client.destroy(),
  );
  return { gateway, service, client };
}
const answering =
  (type: string, body: string | Buffer, more: http.OutgoingHttpHeaders = {}): http.RequestListener =>
  (_request, response) => {
    response.writeHead(200, { 'content-type': type, etag: '"1"', ...more });
    // One byte in each write: borders stand everywhere.
    for (const byte of Buffer.from(body)) response.write(Buffer.of(byte));
    response.end();
  };

const CODINGS = [
  ['', (bytes: string) => Buffer.from(bytes), (bytes: Buffer) => bytes],
  ['gzip', gzipSync, gunzipSync],
  ['br', brotliCompressSync, brotliDecompressSync],
  ['zstd', zstdCompressSync, zstdDecompressSync],
] as const;

describe('answers', () => {
  test('a text in pieces is masked as one where the resource says where they stand, and each event comes at once', async () => {
    const event = (token: string): string => `data: ${JSON.stringify({ token })}\n\n`;
    let more: ((text: string) => void) | undefined;
    const { client } = await gatewayTo(
      (_request, response) => {
        response.writeHead(200, { 'content-type': 'text/event-stream' });
        more = (text) => void (text === '' ? response.end() : response.write(text));
        response.write(event('Hello, ada@exa'));
      },
      MASKS,
      { streams: [{ path: 'token' }] },
    );
    client.send(`GET ${PREFIX}/x HTTP/1.1\r\nhost: a\r\n${SIGNED}connection: close\r\n\r\n`);
    await expect.poll(() => client.bytes.toString(), { timeout: 20_000 }).toContain('data: {"token":"Hello, "}');
    more?.(event('mple.com, bye'));
    await expect.poll(() => client.bytes.toString(), { timeout: 20_000 }).toContain('data: {"token":"a***@e***.com, ');
    more?.('');
    await client.closed();
    expect(client.bytes.toString()).toContain('bye');
    expect(client.bytes.toString()).not.toContain('exa');
  });

  test.each(CODINGS)('JSON in coding "%s" is masked, and recorded as the client saw it', async (name, code, decode) => {
    const body = '{"ssn":"078-05-1120","mail":"ada@example.com","n":[1,2]}';
    const { client, gateway } = await gatewayTo(
      answering('application/json', code(body), name === '' ? {} : { 'content-encoding': name }),
    );
    const answer = await client.ask('GET /customers/1');
    expect(answer.status).toBe(200);
    expect(answer.head).not.toContain('"1"');
    expect(decode(answer.body).toString()).toBe('{"ssn":"[redacted]","mail":"a***@e***.com","n":[1,2]}');
    expect(gateway.recorded.http.find(({ side }) => side === 'response')?.body).toEqual(answer.body);
  });

  test('a HEAD, a text and a header are shown under masks too', async () => {
    const { client } = await gatewayTo(answering('text/plain', 'to ada@example.com', { 'x-owner': 'ada@example.com' }));
    expect((await client.ask('GET /t')).body.toString()).toBe('to a***@e***.com');
    const head = await client.ask('HEAD /t');
    expect(head.head).toContain('a***@e***.com');
    expect(head.head).not.toContain('ada@');
  });

  test('what must be masked and cannot be read is refused before a byte of it', async () => {
    const { client } = await gatewayTo(answering('application/grpc', 'ada@example.com'));
    const answer = await client.ask('GET /rpc');
    expect(answer.status).toBe(502);
    expect(JSON.parse(answer.body.toString())).toMatchObject({ code: 'http.body_unmaskable' });
  });

  test('a document is refused, and passes as it came where the resource lets documents pass', async () => {
    const zip = Buffer.from('PK\u0003\u0004 to ada@example.com');
    for (const streams of [undefined, [{ path: 'token' }]]) {
      const target = streams === undefined ? {} : { streams };
      const refusing = await gatewayTo(answering('application/zip', zip), MASKS, target);
      expect((await refusing.client.ask('GET /export.zip')).status).toBe(502);
      const passing = await gatewayTo(answering('application/zip', zip), MASKS, { ...target, documents: 'pass' });
      expect((await passing.client.ask('GET /export.zip')).body).toEqual(zip);
    }
  });

  test('JSON that breaks in the middle is cut where it breaks', async () => {
    const { client } = await gatewayTo(answering('application/json', '{"a":1,,"ssn":"078-05-1120"}'));
    client.push('GET /broken');
    await client.closed();
    expect(client.bytes.toString()).not.toContain('078');
  });

  test('ranges are not asked for: half a value is found by nobody', async () => {
    const { client, service } = await gatewayTo(answering('text/plain', 'x'));
    await client.ask('GET /t', `${SIGNED}range: bytes=0-5\r\naccept-encoding: compress, gzip\r\n`);
    expect(service.seen[0]?.headers['range']).toBeUndefined();
    expect(service.seen[0]?.headers['accept-encoding']).toBe('gzip');
  });

  test('an event goes out as soon as it is whole, compressed or not', async () => {
    for (const coding of ['', 'gzip']) {
      const { client } = await gatewayTo((_request, response) => {
        response.writeHead(200, {
          'content-type': 'text/event-stream',
          ...(coding === '' ? {} : { 'content-encoding': coding }),
        });
        const event = 'data: {"mail":"ada@example.com"}\n\n';
        response.write(coding === '' ? event : gzipSync(event, { finishFlush: 2 }));
      });
      client.push('GET /events');
      const isShown = (): boolean => {
        const bytes = client.bytes;
        const at = bytes.indexOf('\r\n\r\n');
        if (at < 0 || bytes.length < at + 12) return false;
        const first = bytes.indexOf('\r\n', at + 4) + 2;
        const size = Number.parseInt(bytes.toString('latin1', at + 4, first), 16);
        if (!(size > 0) || bytes.length < first + size) return false;
        const chunk = bytes.subarray(first, first + size);
        const text = coding === '' ? chunk.toString() : gunzipSync(chunk, { finishFlush: 2 }).toString();
        return text === 'data: {"mail":"a***@e***.com"}\n\n';
      };
      await client.until(isShown);
      expect(isShown()).toBe(true);
    }
  });
});

describe('requests', () => {
  const json = `${SIGNED}content-type: application/json\r\n`;
  test('a body is facts, goes on as it came, and is recorded without what detectors find', async () => {
    const { client, gateway, service } = await gatewayTo((_request, response) => response.end(), MASKS, {
      routes: [{ method: 'POST', path: '/v1/payouts/{id}', operation: 'createPayout' }],
    });
    const body = '{"amount":100.50,"to":{"mail":"ada@example.com"}}';
    await client.ask('POST /v1/payouts/7', json, body);
    const { facts, effects } = gateway.judged[0]!.statement;
    expect(facts.http).toMatchObject({ route: '/v1/payouts/{id}', operation: 'createPayout' });
    expect(facts.body).toMatchObject({
      read: true,
      fields: [
        { path: 'amount', value: '100.50', number: 100.5 },
        { path: 'to.mail', value: 'ada@example.com' },
      ],
    });
    expect(effects).toEqual(['write']);
    expect(service.seen[0]?.body).toBe(body);
    expect(gateway.recorded.http[0]?.body.toString()).toBe('{"amount":100.50,"to":{"mail":"a***@e***.com"}}');
  });

  test('a body that can be read in two ways is unread', async () => {
    const { client, gateway } = await gatewayTo((_request, response) => response.end());
    await client.ask('POST /x', json, '{"a":1,"a":2}');
    expect(gateway.judged[0]!.statement.facts.body).toEqual({ read: false });
  });

  test('a query of GraphQL reads, a mutation writes, and an alias is no way round a path', async () => {
    const { client, gateway, service } = await gatewayTo(
      answering('application/json', '{"data":{"me":{"ssn":"1"}}}'),
      MASKS,
      { graphql: ['/graphql'] },
    );
    const ask = (query: string) => client.ask('POST /graphql', json, JSON.stringify({ query }));
    expect((await ask('{ me { ssn } }')).body.toString()).toBe('{"data":{"me":{"ssn":"[redacted]"}}}');
    expect(gateway.judged[0]!.statement.effects).toEqual(['read']);
    await ask('mutation { pay }');
    expect(gateway.judged[1]!.statement).toMatchObject({
      effects: ['write'],
      facts: { body: { graphqlFields: ['pay'] } },
    });
    const before = service.seen.length;
    const renamed = await ask('{ me { x: ssn } }');
    expect(renamed.status).toBe(403);
    expect(JSON.parse(renamed.body.toString())).toMatchObject({ code: 'mask.unvouched' });
    // Where a server may find it as well.
    for (const path of ['/graphql;x=1', '/graphql%3bx', '/graphql/', '/GraphQL']) {
      const other = new RawClient(gateway.port);
      open.push(() => other.destroy());
      const { status, body } = await other.ask(`POST ${path}`, json, JSON.stringify({ query: '{ me { x: ssn } }' }));
      expect([path, status, JSON.parse(body.toString())]).toMatchObject([path, 403, { code: 'mask.unvouched' }]);
    }
    // Longer than is read, in the URL, or by a name the server knows: what would run is not known here.
    const long = JSON.stringify({ query: `{ me { x: ssn } } # ${'x'.repeat(300_000)}` });
    expect((await client.ask('POST /graphql', json, long)).status).toBe(403);
    const next = new RawClient(gateway.port);
    open.push(() => next.destroy());
    expect((await next.ask('POST /graphql?query=%7Bme%7Bx:ssn%7D%7D')).status).toBe(403);
    expect((await next.ask('GET /graphql?extensions=%7B%22persistedQuery%22:1%7D')).status).toBe(403);
    expect(gateway.judged.at(-1)!.statement.effects).toEqual(['write']);
    expect(service.seen).toHaveLength(before);
  });
});

describe('WebSockets', () => {
  const GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';

  /** A service that greets, says what it hears, and answers each text by JSON. */
  async function socketGateway(greet: Buffer, masks = MASKS, target: Parameters<typeof startHttpGateway>[2] = {}) {
    const said: string[] = [];
    const asked: http.IncomingHttpHeaders[] = [];
    const sockets = new Set<Duplex>();
    const server = http.createServer();
    server.on('upgrade', (request: http.IncomingMessage, socket: Duplex) => {
      asked.push(request.headers);
      sockets.add(socket);
      const accept = createHash('sha1').update(`${request.headers['sec-websocket-key']}${GUID}`).digest('base64');
      socket.write(
        `HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\nsec-websocket-accept: ${accept}\r\n\r\n`,
      );
      socket.write(greet);
      socket.on('error', () => undefined);
      const reader = new FrameReader(true);
      let text = '';
      socket.on('data', (chunk: Buffer) =>
        reader.push(chunk, {
          head: () => (text = ''),
          payload: (_raw, plain) => (text += Buffer.from(plain).toString()),
          end: ({ opcode }) => {
            said.push(opcode === 8 ? 'close' : text);
            if (opcode === 1) socket.write(encodeWebSocketFrame(1, Buffer.from(`{"ssn":"1","said":"${text}"}`)));
          },
        }),
      );
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const address = server.address();
    const url = `http://127.0.0.1:${typeof address === 'object' ? (address?.port ?? 0) : 0}`;
    const gateway = await startHttpGateway(url, { ...allow(masks), recording: 'full' }, target);
    open.push(
      () =>
        new Promise<void>((resolve) => {
          for (const socket of sockets) socket.destroy();
          server.close(() => resolve());
        }),
      () => gateway.close(),
    );
    const socket = new WebSocket(`ws://127.0.0.1:${gateway.port}${PREFIX}/live`, {
      headers: { authorization: `Bearer ${TEST_TOKEN}` },
    });
    const heard: string[] = [];
    const closed: number[] = [];
    socket.addEventListener('message', ({ data }) => heard.push(typeof data === 'string' ? data : 'binary'));
    socket.addEventListener('close', ({ code }) => closed.push(code));
    socket.addEventListener('error', () => undefined);
    open.push(() => socket.close());
    return { gateway, socket, said, asked, heard, closed };
  }

  test('text is masked message by message, and both sides are recorded', async () => {
    const { socket, said, asked, heard, gateway } = await socketGateway(
      encodeWebSocketFrame(1, Buffer.from('hello ada@example.com')),
    );
    await expect.poll(() => heard).toEqual(['hello a***@e***.com']);
    socket.send('from bob@example.com');
    await expect.poll(() => heard[1]).toBe('{"ssn":"[redacted]","said":"from b***@e***.com"}');
    expect(said).toEqual(['from bob@example.com']);
    expect(asked[0]?.['sec-websocket-extensions']).toBeUndefined();
    const bodies = gateway.recorded.http.map(({ side, body }) => `${side} ${body.toString()}`);
    expect(bodies).toEqual([
      'request from b***@e***.com\n',
      'response hello a***@e***.com\n{"ssn":"[redacted]","said":"from b***@e***.com"}\n',
    ]);
    expect(gateway.judged.map(({ statement }) => [statement.effects, statement.facts.http?.upgrade])).toEqual([
      [['write'], 'websocket'],
    ]);
  });

  test('a message that cannot be masked closes both sides', async () => {
    const { heard, closed, said } = await socketGateway(encodeWebSocketFrame(2, Buffer.from('078-05-1120')));
    await expect.poll(() => closed).toEqual([1008]);
    await expect.poll(() => said).toEqual(['close']);
    expect(heard).toEqual([]);
  });

  test('a kill is told by a close frame', async () => {
    const { heard, closed, gateway } = await socketGateway(encodeWebSocketFrame(1, Buffer.from('hi')));
    await expect.poll(() => heard).toEqual(['hi']);
    gateway.end('session.killed');
    await expect.poll(() => closed).toEqual([1008]);
  });

  test('a resource may take none', async () => {
    const { closed, gateway, asked } = await socketGateway(encodeWebSocketFrame(1, Buffer.from('hi')), MASKS, {
      websocket: false,
    });
    await expect.poll(() => closed.length).toBe(1);
    expect(gateway.judged[0]?.verdict).toMatchObject({ kind: 'deny', code: 'http.upgrade_refused' });
    expect(asked).toHaveLength(0);
  });
});
