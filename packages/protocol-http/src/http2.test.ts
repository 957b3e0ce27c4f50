/** HTTP/2 through the driver over real TLS, on both sides: gRPC with trailers, and the floods that its frames allow. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import http2 from 'node:http2';
import https from 'node:https';
import net, { type AddressInfo } from 'node:net';
import os from 'node:os';
import path from 'node:path';
import tls from 'node:tls';
import { LIMITS } from '@sallyport/core';
import { allow, type Gateway, TEST_TOKEN } from '@sallyport/testkit';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { PREFIX, startHttpGateway } from '../test/bench.fixture.ts';
import { startService } from '../test/service.fixture.ts';

let dir: string;
let pem: { readonly cert: Buffer; readonly key: Buffer };
const cleanUps: (() => unknown)[] = [];
beforeAll(() => {
  dir = mkdtempSync(path.join(os.tmpdir(), 'sallyport-h2-'));
  const [cert, key] = [path.join(dir, 'cert.pem'), path.join(dir, 'key.pem')];
  const subject = [
    '-subj',
    '/CN=localhost',
    '-addext',
    'subjectAltName=DNS:localhost,DNS:payments-api.gw.test,IP:127.0.0.1',
  ];
  execFileSync(
    'openssl',
    [
      'req',
      '-x509',
      '-newkey',
      'ec',
      '-pkeyopt',
      'ec_paramgen_curve:P-256',
      '-nodes',
      '-days',
      '2',
      '-keyout',
      key,
      '-out',
      cert,
      ...subject,
    ],
    { stdio: 'ignore' },
  );
  pem = { cert: readFileSync(cert), key: readFileSync(key) };
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));
afterEach(async () => {
  for (const undo of cleanUps.splice(0).reverse()) await undo();
});

const signed = { authorization: `Bearer ${TEST_TOKEN}` };

async function gatewayTo(url: string, options: Parameters<typeof startHttpGateway>[1] = {}): Promise<Gateway> {
  const context = tls.createSecureContext(pem);
  const gateway = await startHttpGateway(url, { tlsContext: () => context, domain: 'gw.test', ...options }, {
    ca: undefined,
    tls: 'require',
  } as never);
  cleanUps.push(() => gateway.close());
  return gateway;
}

async function plainGateway(
  options: Parameters<typeof startHttpGateway>[1] = {},
): Promise<{ gateway: Gateway; service: Awaited<ReturnType<typeof startService>> }> {
  const service = await startService();
  cleanUps.push(() => service.close());
  const context = tls.createSecureContext(pem);
  const gateway = await startHttpGateway(service.url, { tlsContext: () => context, domain: 'gw.test', ...options });
  cleanUps.push(() => gateway.close());
  return { gateway, service };
}

function connect(gateway: Gateway, host = 'localhost'): http2.ClientHttp2Session {
  const session = http2.connect(`https://${host}:${gateway.port}`, {
    ca: pem.cert,
    lookup: (_name, options, done) => {
      if (options.all === true)
        (done as unknown as (error: null, all: object[]) => void)(null, [{ address: '127.0.0.1', family: 4 }]);
      else done(null, '127.0.0.1', 4);
    },
  } as http2.SecureClientSessionOptions);
  session.on('error', () => undefined);
  cleanUps.push(() => session.destroy());
  return session;
}

interface Answer {
  readonly status: number;
  readonly headers: http2.IncomingHttpHeaders;
  readonly body: Buffer;
  readonly trailers: http2.IncomingHttpHeaders;
}

function ask(session: http2.ClientHttp2Session, asked: http2.OutgoingHttpHeaders, body?: Buffer): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const stream = session.request({ ...signed, ...asked }, { endStream: body === undefined });
    const chunks: Buffer[] = [];
    let headers: http2.IncomingHttpHeaders = {};
    let trailers: http2.IncomingHttpHeaders = {};
    stream.on('response', (fields) => {
      headers = fields;
    });
    stream.on('trailers', (fields) => {
      trailers = fields;
    });
    stream.on('data', (chunk: Buffer) => chunks.push(chunk));
    stream.on('error', reject);
    stream.on('close', () =>
      resolve({ status: Number(headers[':status'] ?? 0), headers, body: Buffer.concat(chunks), trailers }),
    );
    if (body !== undefined) stream.end(body);
  });
}

describe('over HTTP/2', () => {
  test('many requests run beside each other, each judged', async () => {
    const { gateway, service } = await plainGateway();
    const session = connect(gateway);
    const answers = await Promise.all(
      Array.from({ length: 60 }, (_, i) => ask(session, { ':path': `${PREFIX}/n/${i}` })),
    );
    expect(answers.every(({ status }) => status === 200)).toBe(true);
    expect(gateway.judged).toHaveLength(60);
    expect(new Set(service.seen.map(({ line }) => line)).size).toBe(60);
  });

  test('requests that wait for a connection to the service get one, though each connection ends with its answer', async () => {
    const service = await startService((_request, response) => {
      response.setHeader('connection', 'close');
      setTimeout(() => response.end('done'), 5);
    });
    const gateway = await startHttpGateway(service.url, { tlsContext: () => tls.createSecureContext(pem) });
    cleanUps.push(
      () => service.close(),
      () => gateway.close(),
    );
    const session = connect(gateway);
    const many = LIMITS.httpUpstreamConnectionsMax * 4;
    const answers = await Promise.all(
      Array.from({ length: many }, (_, i) => ask(session, { ':path': `${PREFIX}/n/${i}` })),
    );
    expect(answers.map(({ status }) => status)).toEqual(Array.from({ length: many }, () => 200));
  });

  test('requests that wait for a connection are told when none can be opened', async () => {
    const service = await startService();
    await service.close();
    const gateway = await startHttpGateway(service.url, { tlsContext: () => tls.createSecureContext(pem) });
    cleanUps.push(() => gateway.close());
    const session = connect(gateway);
    const many = LIMITS.httpUpstreamConnectionsMax * 2;
    const answers = await Promise.all(
      Array.from({ length: many }, (_, i) => ask(session, { ':path': `${PREFIX}/n/${i}` })),
    );
    expect(answers.every(({ status }) => status === 502)).toBe(true);
  });

  test('connections that come up for requests nobody waits for any more are used for the next', async () => {
    const service = https.createServer(pem, (request, response) => {
      if (request.url === '/first') response.setHeader('connection', 'close');
      response.end('done');
    });
    await new Promise<void>((resolve) => service.listen(0, '127.0.0.1', resolve));
    const onward = (socket: net.Socket): void => {
      const far = net.connect((service.address() as AddressInfo).port, '127.0.0.1');
      far.on('error', () => socket.destroy());
      socket.on('error', () => far.destroy());
      socket.pipe(far).pipe(socket);
    };
    const waiting: net.Socket[] = [];
    let isOpen = true;
    const road = net.createServer((socket) => {
      if (isOpen) onward(socket);
      else waiting.push(socket);
    });
    await new Promise<void>((resolve) => road.listen(0, '127.0.0.1', resolve));
    cleanUps.push(
      () => new Promise((resolve) => service.close(resolve)),
      () => new Promise((resolve) => road.close(resolve)),
      () => service.closeAllConnections(),
      () => waiting.forEach((socket) => socket.destroy()),
    );
    const gateway = await gatewayTo(`https://127.0.0.1:${(road.address() as AddressInfo).port}`);
    const session = connect(gateway);
    // Known to speak HTTP/1.1 from here on: nobody waits to share a connection.
    expect((await ask(session, { ':path': `${PREFIX}/first` })).status).toBe(200);
    isOpen = false;
    const many = LIMITS.httpUpstreamConnectionsMax;
    const streams = Array.from({ length: many }, (_, i) => session.request({ ...signed, ':path': `${PREFIX}/n/${i}` }));
    for (const stream of streams) stream.on('error', () => undefined);
    await expect.poll(() => waiting.length).toBe(many);
    for (const stream of streams) stream.close(http2.constants.NGHTTP2_CANCEL);
    // Frames are read in their order: what was taken back is known by then.
    await new Promise((resolve) => session.ping(resolve));
    for (const socket of waiting) onward(socket);
    const answers = await Promise.all(
      Array.from({ length: many * 2 }, (_, i) => ask(session, { ':path': `${PREFIX}/m/${i}` })),
    );
    expect(answers.every(({ status }) => status === 200)).toBe(true);
    expect(waiting).toHaveLength(many);
  });

  test('cookie crumbs are one field for the service, and its connection fields are no business of it', async () => {
    const { gateway, service } = await plainGateway();
    await ask(connect(gateway), { ':path': `${PREFIX}/x`, cookie: ['a=1', 'b=2'], te: 'trailers' });
    expect(service.seen[0]?.headers.cookie).toBe('a=1; b=2');
    expect(service.seen[0]?.headers.te).toBeUndefined();
  });

  test('an upload arrives whole, at the service’s pace', async () => {
    const { gateway, service } = await plainGateway();
    const body = Buffer.alloc(3 * 1024 * 1024, 'ab');
    expect((await ask(connect(gateway), { ':method': 'POST', ':path': `${PREFIX}/x` }, body)).status).toBe(200);
    expect(service.seen[0]?.body.length).toBe(body.length);
  });

  test('a path is refused as in HTTP/1.1', async () => {
    const { gateway, service } = await plainGateway();
    const session = connect(gateway);
    for (const target of ['/a/../b', '/a%2fb', '//a', '/a?b=%zz'])
      expect((await ask(session, { ':path': `${PREFIX}${target}` })).status).toBe(400);
    expect(service.seen).toEqual([]);
  });

  test('another host than the connection was opened for is misdirected', async () => {
    const { gateway } = await plainGateway();
    const session = connect(gateway);
    const { status, body } = await ask(session, { ':path': `${PREFIX}/x`, ':authority': 'other.example' });
    expect(status).toBe(421);
    expect(body.toString()).toContain('http.misdirected');
  });

  test('a resource is reached by a name of its own', async () => {
    const { gateway, service } = await plainGateway();
    const session = connect(gateway, 'payments-api.gw.test');
    expect((await ask(session, { ':path': '/v1/x' })).status).toBe(200);
    expect(service.seen[0]?.line).toBe('GET /v1/x');
  });

  test('a kill ends what runs', async () => {
    const { gateway } = await plainGateway({
      decide: () => ({ kind: 'hold', rule: 't', approval: { groups: ['dba'], count: 1, expiresMs: 60_000 } }),
    });
    const answer = ask(connect(gateway), { ':path': `${PREFIX}/x` });
    await expect.poll(() => gateway.holds.length).toBe(1);
    gateway.end('session.killed');
    expect((await answer).body.toString()).toContain('session.killed');
  });

  test('gRPC goes through with its trailers, where the service speaks HTTP/2', async () => {
    const server = http2.createSecureServer(pem);
    const seen: http2.IncomingHttpHeaders[] = [];
    server.on('stream', (stream, headers) => {
      seen.push(headers);
      const chunks: Buffer[] = [];
      stream.on('data', (chunk: Buffer) => chunks.push(chunk));
      stream.on('end', () => {
        stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
        stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0', 'grpc-message': 'fine' }));
        stream.end(Buffer.concat(chunks));
      });
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    cleanUps.push(() => server.close());
    const gateway = await gatewayTo(`https://127.0.0.1:${(server.address() as AddressInfo).port}`);
    const call = Buffer.from([0, 0, 0, 0, 3, 8, 150, 1]);
    const answer = await ask(
      connect(gateway),
      { ':method': 'POST', ':path': `${PREFIX}/pkg.Service/Call`, 'content-type': 'application/grpc', te: 'trailers' },
      call,
    );
    expect(answer).toMatchObject({ status: 200, trailers: { 'grpc-status': '0', 'grpc-message': 'fine' } });
    expect(answer.body.equals(call)).toBe(true);
    expect(seen[0]).toMatchObject({ te: 'trailers', ':path': '/pkg.Service/Call' });
    expect(seen[0]?.authorization).toBeUndefined();
  });

  test('a mask on a header holds in trailers, also where they are all of the answer', async () => {
    const fields = { 'grpc-status': '9', 'x-owner': 'ada', 'x-owner-bin': 'YWRh', 'x-more': 'yes' };
    const server = http2.createSecureServer(pem);
    server.on('stream', (stream, headers) => {
      const answer = { ':status': 200, 'content-type': 'application/grpc' };
      if (headers[':path'] === '/only') return stream.respond({ ...answer, ...fields }, { endStream: true });
      stream.respond({ ...answer, 'x-first': 'ada' }, { waitForTrailers: true });
      stream.on('wantTrailers', () => stream.sendTrailers(fields));
      stream.end('message');
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    cleanUps.push(() => server.close());
    const headers = ['x-owner', 'x-owner-bin', 'x-first'].map((header) => ({ header, with: 'redact' }) as const);
    const gateway = await gatewayTo(`https://127.0.0.1:${(server.address() as AddressInfo).port}`, {
      decide: () => allow({ columns: [], detect: [], headers }),
    });
    const session = connect(gateway);
    const hidden = { 'grpc-status': '9', 'x-owner': '[redacted]', 'x-owner-bin': '[redacted]', 'x-more': 'yes' };
    expect(await ask(session, { ':path': `${PREFIX}/both` })).toMatchObject({
      headers: { 'x-first': '[redacted]' },
      trailers: hidden,
    });
    expect(await ask(session, { ':path': `${PREFIX}/only` })).toMatchObject({ headers: hidden, trailers: {} });
  });
});

describe('what comes at once over a new connection', () => {
  const EIGHT = Array.from({ length: 8 }, (_, i) => ({ ':path': `${PREFIX}/n/${i}` }));
  async function served(server: tls.Server | http2.Http2SecureServer): Promise<Gateway> {
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    cleanUps.push(() => server.close());
    return gatewayTo(`https://127.0.0.1:${(server.address() as AddressInfo).port}`);
  }

  test('shares one connection to a service that speaks HTTP/2', async () => {
    const server = http2.createSecureServer(pem, (_request, response) => response.end('yes'));
    let connections = 0;
    server.on('secureConnection', () => connections++);
    const session = connect(await served(server));
    const answers = await Promise.all(EIGHT.map((headers) => ask(session, headers)));
    expect(answers.map(({ status, body }) => `${status} ${body.toString()}`)).toEqual(EIGHT.map(() => '200 yes'));
    expect(connections).toBe(1);
  });

  test('runs beside each other where the service speaks HTTP/1.1 alone', async () => {
    let running = 0;
    const waiting: (() => void)[] = [];
    const server = https.createServer(pem, (_request, response) => {
      waiting.push(() => response.end('yes'));
      // None is answered before all have come.
      if (++running === EIGHT.length) for (const answer of waiting) answer();
    });
    const session = connect(await served(server));
    const answers = await Promise.all(EIGHT.map((headers) => ask(session, headers)));
    expect(answers.map(({ status }) => status)).toEqual(EIGHT.map(() => 200));
  });

  test('fails as one where the service cannot be reached', async () => {
    let tries = 0;
    const server = net.createServer((socket) => {
      tries++;
      socket.destroy();
    });
    const session = connect(await served(server as unknown as tls.Server));
    const answers = await Promise.all(EIGHT.map((headers) => ask(session, headers)));
    expect(answers.map(({ status }) => status)).toEqual(EIGHT.map(() => 502));
    expect(tries).toBeLessThan(EIGHT.length);
  });
});

describe('frames that cost more than they pay', () => {
  test('requests that are taken back at once end the connection', async () => {
    const { gateway } = await plainGateway({
      decide: () => ({ kind: 'hold', rule: 't', approval: { groups: ['dba'], count: 1, expiresMs: 60_000 } }),
    });
    const session = connect(gateway);
    await new Promise((resolve) => session.once('connect', resolve));
    let sent = 0;
    while (!session.destroyed && !session.closed && sent < 20 * LIMITS.httpResetsPerWindowMax) {
      const stream = session.request({ ...signed, ':path': `${PREFIX}/x` });
      stream.on('error', () => undefined);
      stream.close(http2.constants.NGHTTP2_CANCEL);
      sent++;
      if (sent % 50 === 0) await new Promise((next) => setTimeout(next, 5));
    }
    await expect.poll(() => session.destroyed || session.closed).toBe(true);
    expect(sent).toBeLessThan(20 * LIMITS.httpResetsPerWindowMax);
  });

  test('headers that are too many or too large are refused, and nothing arrives', async () => {
    const { gateway, service } = await plainGateway();
    const many = Object.fromEntries(Array.from({ length: LIMITS.httpHeadersMax + 50 }, (_, i) => [`x-${i}`, 'y']));
    const large = { 'x-large': 'y'.repeat(LIMITS.httpHeadBytesMax + 1_000) };
    for (const headers of [many, large]) {
      const session = connect(gateway);
      const answer = await ask(session, { ':path': `${PREFIX}/x`, ...headers }).catch(() => undefined);
      expect(answer === undefined || answer.status === 431 || answer.status === 0).toBe(true);
    }
    expect(service.seen).toEqual([]);
  });

  const frame = (type: number, flags: number, stream: number, payload: Buffer): Buffer => {
    const head = Buffer.alloc(9);
    head.writeUIntBE(payload.length, 0, 3);
    head[3] = type;
    head[4] = flags;
    head.writeUInt32BE(stream, 5);
    return Buffer.concat([head, payload]);
  };
  const PREFACE = Buffer.concat([Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'), frame(4, 0, 0, Buffer.alloc(0))]);
  test.each([
    [
      'CONTINUATION without end',
      (i: number) => (i === 0 ? frame(1, 0, 1, Buffer.from([0x82])) : frame(9, 0, 1, Buffer.alloc(8_192, 0))),
    ],
    ['settings without end', () => frame(4, 0, 0, Buffer.alloc(6 * 40, 0))],
    ['pings whose answers are not read', () => frame(6, 0, 0, Buffer.alloc(8))],
    ['DATA of no stream', (i: number) => frame(0, 0, 1 + 2 * i, Buffer.alloc(1_000))],
  ])('%s: the connection ends or stands still, and the gateway serves others', async (_name, make) => {
    const { gateway } = await plainGateway();
    const socket = tls.connect({
      port: gateway.port,
      host: '127.0.0.1',
      ca: pem.cert,
      servername: 'localhost',
      ALPNProtocols: ['h2'],
    });
    cleanUps.push(() => socket.destroy());
    socket.on('error', () => undefined);
    let closed = false;
    socket.on('close', () => {
      closed = true;
    });
    await new Promise((resolve) => socket.once('secureConnect', resolve));
    socket.pause();
    socket.write(PREFACE);
    const memory = process.memoryUsage().rss;
    for (let i = 0; i < 4_000 && !closed; i++) {
      socket.write(make(i));
      if (i % 200 === 0) await new Promise((next) => setTimeout(next, 5));
    }
    expect((await ask(connect(gateway), { ':path': `${PREFIX}/ok` })).status).toBe(200);
    expect(process.memoryUsage().rss - memory).toBeLessThan(200 * 1024 * 1024);
  });
});
