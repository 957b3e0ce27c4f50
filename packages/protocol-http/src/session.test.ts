/** HTTP/1.1 through the driver on real sockets: pipelines, framing, refusals, services that lie, and who is let where. */
import type net from 'node:net';
import { GatewayError, Secret } from '@sallyport/core';
import { type MaskSet, NO_MASKS, type Statement, type Verdict } from '@sallyport/model';
import { allow, type Gateway, hold, TEST_TOKEN } from '@sallyport/testkit';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { PREFIX, RawClient, SIGNED, startHttpGateway } from '../test/bench.fixture.ts';
import { type RawService, startRawService } from '../test/raw-service.fixture.ts';
import { type Service, startService } from '../test/service.fixture.ts';

const cleanUps: (() => unknown)[] = [];
afterEach(async () => {
  for (const undo of cleanUps.splice(0).reverse()) await undo();
});
const problem = (body: Buffer): { code: string; sallyport: Record<string, string> } =>
  JSON.parse(body.toString()) as { code: string; sallyport: Record<string, string> };

async function open(
  options: Parameters<typeof startHttpGateway>[1] = {},
  http: Parameters<typeof startHttpGateway>[2] = {},
  handle?: Parameters<typeof startService>[0],
): Promise<{ gateway: Gateway; client: RawClient; service: Service }> {
  const service = await startService(handle);
  const gateway = await startHttpGateway(service.url, options, http);
  const client = new RawClient(gateway.port);
  cleanUps.push(
    () => service.close(),
    () => gateway.close(),
    () => client.destroy(),
  );
  return { gateway, client, service };
}

async function openRaw(
  answer: Parameters<typeof startRawService>[0],
): Promise<{ gateway: Gateway; client: RawClient; service: RawService }> {
  const service = await startRawService(answer);
  const gateway = await startHttpGateway(service.url);
  const client = new RawClient(gateway.port);
  cleanUps.push(
    () => service.close(),
    () => gateway.close(),
    () => client.destroy(),
  );
  return { gateway, client, service };
}

describe('requests', () => {
  test('pipelined ones are answered in order, each judged', async () => {
    const { client, gateway, service } = await open();
    for (const name of ['a', 'b', 'c']) client.push(`GET /${name}`);
    for (const name of ['a', 'b', 'c'])
      expect((JSON.parse((await client.answer()).body.toString()) as { line: string }).line).toBe(`GET /${name}`);
    expect(gateway.judged).toHaveLength(3);
    expect(service.seen).toHaveLength(3);
  });

  test.each<[string, MaskSet]>([
    ['as they come', NO_MASKS],
    ['masked', { ...NO_MASKS, detect: [{ detect: 'email', with: 'redact' }] }],
  ])('pipelined ones are judged once the one before them is counted: answers %s', async (_how, masks) => {
    const counted = new Map<string, number>();
    const { client, gateway } = await open({
      decide: ({ text }) => {
        if (text.startsWith('GET /') && !counted.has(text)) counted.set(text, gateway.outcomes.length);
        return allow(masks);
      },
    });
    for (const name of ['a', 'b', 'c']) client.push(`GET /${name}`);
    for (let i = 0; i < 3; i++) expect((await client.answer()).status).toBe(200);
    expect([...counted.values()]).toEqual([0, 1, 2]);
  });

  test('one that comes again byte by byte is judged, masked and recorded by what is in force then', async () => {
    let verdict: Verdict = allow();
    const { client, gateway, service } = await open({ decide: () => verdict }, {}, (_request, response) => {
      response.setHeader('content-type', 'application/json');
      response.end('{"mail":"ann@example.org"}');
    });
    const ask = async (): Promise<string> => {
      const { status, body } = await client.ask('GET /x');
      return `${status} ${body.toString()}`;
    };
    const plain = '200 {"mail":"ann@example.org"}';
    for (let i = 0; i < 4; i++) expect(await ask()).toBe(plain);
    verdict = allow({ ...NO_MASKS, detect: [{ detect: 'email', with: 'redact' }] });
    for (let i = 0; i < 4; i++) expect(await ask()).toBe('200 {"mail":"[redacted]"}');
    verdict = { kind: 'deny', rule: 'p/no', code: 'policy.denied' };
    for (let i = 0; i < 4; i++) expect(await ask()).toMatch(/^403 /);
    verdict = allow();
    expect(await ask()).toBe(plain);
    expect(gateway.judged).toHaveLength(13);
    expect(new Set(gateway.judged.map(({ statement }) => statement)).size).toBe(13);
    expect(service.seen).toHaveLength(9);
  });

  test('a request that comes byte by byte is one request', async () => {
    const { client, service } = await open();
    for (const byte of Buffer.from(
      `POST ${PREFIX}/x HTTP/1.1\r\nhost: a\r\n${SIGNED}transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n`,
    )) {
      client.send(Buffer.from([byte]));
      await new Promise(setImmediate);
    }
    expect((await client.answer()).status).toBe(200);
    expect(service.seen[0]).toMatchObject({ line: 'POST /x', body: 'abc' });
  });

  test('Expect: 100-continue is answered by the gateway, once the request may be read', async () => {
    const { client, service } = await open();
    client.send(`POST ${PREFIX}/x HTTP/1.1\r\nhost: a\r\n${SIGNED}content-length: 3\r\nexpect: 100-continue\r\n\r\n`);
    await client.until(() => client.bytes.includes('HTTP/1.1 100'));
    client.send('abc');
    await client.until(() => client.bytes.includes('HTTP/1.1 200'));
    expect(service.seen[0]?.body).toBe('abc');
    expect(service.seen[0]?.headers.expect).toBeUndefined();
  });

  test('a denied upload ends its connection, and its client reads why', async () => {
    const denied: Verdict = { kind: 'deny', rule: 't/no', code: 'policy.denied', message: 'No uploads.' };
    const { client, service } = await open({ decide: () => denied });
    client.send(`POST ${PREFIX}/x HTTP/1.1\r\nhost: a\r\n${SIGNED}content-length: 1000000\r\n\r\nabc`);
    const answer = await client.answer();
    expect(answer.status).toBe(403);
    expect(answer.head).toContain('connection: close');
    await client.closed();
    expect(service.seen).toEqual([]);
  });

  test('HTTP/1.0 is answered in HTTP/1.0’s ways', async () => {
    const { client } = await open({}, {}, (_request, response) => {
      response.write('one ');
      response.end('two');
    });
    client.send(`GET ${PREFIX}/x HTTP/1.0\r\nhost: a\r\n${SIGNED}\r\n`);
    await client.closed();
    const text = client.bytes.toString();
    expect(text).not.toContain('chunked');
    expect(text.endsWith('\r\n\r\none two')).toBe(true);
  });

  test('HEAD has the length of what does not follow', async () => {
    const { client } = await openRaw((socket) => socket.write('HTTP/1.1 200 OK\r\ncontent-length: 12345\r\n\r\n'));
    client.push('HEAD /x');
    await client.until(() => client.bytes.includes('\r\n\r\n'));
    expect(client.bytes.toString()).toContain('content-length: 12345');
  });

  test('a path reads as it was written, or not at all', async () => {
    const { client, service } = await open();
    await client.ask('GET /caf%C3%A9?x=%20');
    expect(service.seen[0]?.line).toBe('GET /caf%C3%A9?x=%20');
    expect((await client.ask('GET /a/%2e%2e/b')).status).toBe(400);
    expect(service.seen).toHaveLength(1);
  });

  test('nothing above the resource’s base path can be reached', async () => {
    const service = await startService();
    const gateway = await startHttpGateway(`${service.url}/base`);
    cleanUps.push(
      () => service.close(),
      () => gateway.close(),
    );
    const client = new RawClient(gateway.port);
    cleanUps.push(() => client.destroy());
    await client.ask('GET /x');
    expect(service.seen.map(({ line }) => line)).toEqual(['GET /base/x']);
  });

  test.each([
    ['a method the resource does not take', 'DELETE /x', '', 'http.method_refused'],
    ['TRACE', 'TRACE /x', '', 'http.method_refused'],
    ['a method inside the headers', 'POST /x', 'x-http-method-override: DELETE\r\n', 'http.malformed'],
    ['an upgrade nobody reads', 'GET /x', 'connection: upgrade\r\nupgrade: h2c\r\n', 'http.upgrade_refused'],
  ])('%s is refused', async (_name, statement, headers, code) => {
    const { client, service } = await open({}, { methods: ['GET', 'POST'] });
    const answer = await client.ask(statement, `${SIGNED}${headers}`);
    expect(problem(answer.body).code).toBe(code);
    expect(service.seen).toEqual([]);
  });

  test('a body longer than the resource takes is refused, told or not', async () => {
    const { client, service, gateway } = await open({}, { maxBodyBytes: 10 });
    expect(problem((await client.ask('POST /x', SIGNED, 'x'.repeat(11))).body).code).toBe('http.too_large');
    const other = new RawClient(gateway.port);
    cleanUps.push(() => other.destroy());
    other.send(
      `POST ${PREFIX}/x HTTP/1.1\r\nhost: a\r\n${SIGNED}transfer-encoding: chunked\r\n\r\nb\r\n${'x'.repeat(11)}\r\n0\r\n\r\n`,
    );
    expect(problem((await other.answer()).body).code).toBe('http.too_large');
    expect(service.seen).toEqual([]);
  });
});

describe('who is let in', () => {
  test.each([
    ['no token', ''],
    ['a wrong one', 'authorization: Bearer wrong\r\n'],
    ['two fields that hold one each', `authorization: Bearer ${TEST_TOKEN}\r\nauthorization: Bearer ${TEST_TOKEN}\r\n`],
    ['a wrong one for the proxy before the right one', `proxy-authorization: Bearer wrong\r\n${SIGNED}`],
  ])('%s: the same 401', async (_name, headers) => {
    const { client, service } = await open();
    const answer = await client.ask('GET /x', headers);
    expect(answer.status).toBe(401);
    expect(problem(answer.body)).toEqual(problem((await client.ask('GET /y', 'x: y\r\n')).body));
    expect(service.seen).toEqual([]);
  });

  test('the token comes by any of its fields, and is never sent on', async () => {
    const { client, service } = await open({}, { tokenHeader: 'x-access' });
    const basic = Buffer.from(`any:${TEST_TOKEN}`).toString('base64');
    for (const headers of [
      SIGNED,
      `authorization: Basic ${basic}\r\n`,
      `proxy-authorization: Basic ${basic}\r\n`,
      `x-access: ${TEST_TOKEN}\r\n`,
    ])
      expect((await client.ask('GET /x', headers)).status).toBe(200);
    expect(JSON.stringify(service.seen)).not.toContain(TEST_TOKEN);
    expect(JSON.stringify(service.seen)).not.toContain(basic);
  });

  test('what is put in takes the place of what the client sent', async () => {
    const { client, service, gateway } = await open({
      credential: {
        username: '',
        secret: new Secret('k'),
        certificate: false,
        http: {
          ready: () => undefined,
          into: ({ target, headers }) => ({
            target,
            headers: [...headers.filter(([name]) => name !== 'x-api-key'), ['x-api-key', 'the-real-key']],
          }),
        },
      },
    });
    await client.ask('GET /x', `${SIGNED}x-api-key: my-own\r\n`);
    expect(service.seen[0]?.headers['x-api-key']).toBe('the-real-key');
    expect(JSON.stringify(gateway.recorded.http)).not.toContain('the-real-key');
    expect(JSON.stringify(gateway.judged)).not.toContain('my-own');
  });

  test('a credential that is not there is said, and nothing is sent', async () => {
    const { client, service } = await open({
      credential: {
        username: '',
        secret: undefined,
        certificate: false,
        http: {
          ready: () => Promise.reject(new GatewayError('credential.unavailable')),
          into: (request) => request,
        },
      },
    });
    expect(problem((await client.ask('GET /x')).body).code).toBe('credential.unavailable');
    expect(service.seen).toEqual([]);
  });
});

describe('holds', () => {
  test('a client that leaves takes its request back', async () => {
    const { client, gateway, service } = await open({
      decide: (_statement: Statement, approval) => (approval === undefined ? hold() : allow()),
    });
    client.push('GET /x');
    await expect.poll(() => gateway.holds.length).toBe(1);
    client.destroy();
    await expect
      .poll(() =>
        gateway.judged.some(({ verdict }) => verdict.kind === 'deny' && verdict.code === 'approval.cancelled'),
      )
      .toBe(true);
    expect(service.seen).toEqual([]);
  });

  test('a body that is held is what the service gets', async () => {
    const { client, gateway, service } = await open({
      decide: (_statement: Statement, approval) => (approval === undefined ? hold() : allow()),
    });
    const answer = client.ask('POST /x', SIGNED, '{"amount":1}');
    await expect.poll(() => gateway.holds.length).toBe(1);
    expect(gateway.holds[0]?.statement.text).toBe('POST /x\n\n{"amount":1}');
    gateway.holds[0]?.approve();
    expect((await answer).status).toBe(200);
    expect(service.seen[0]?.body).toBe('{"amount":1}');
  });
});

describe('services', () => {
  test.each([
    ['two lengths', 'HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab'],
    ['a length and chunks', 'HTTP/1.1 200 OK\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n'],
    ['a bare LF', 'HTTP/1.1 200 OK\nx: y\r\n\r\n'],
    ['a folded line', 'HTTP/1.1 200 OK\r\nx: y\r\n z\r\ncontent-length: 0\r\n\r\n'],
    ['no status line', 'hello\r\n\r\n'],
    ['a status of four digits', 'HTTP/1.1 2000 OK\r\ncontent-length: 0\r\n\r\n'],
    ['another coding than chunks', 'HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\n'],
    ['a head without end', `HTTP/1.1 200 OK\r\nx: ${'y'.repeat(70_000)}`],
    ['1xx without end', 'HTTP/1.1 102 P\r\n\r\n'.repeat(50)],
    ['101 that nobody asked for', 'HTTP/1.1 101 S\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n'],
  ])('an answer with %s is not passed on', async (_name, bytes) => {
    const { client } = await openRaw((socket) => socket.write(Buffer.from(bytes, 'latin1')));
    const { status, body } = await client.ask('POST /x');
    expect([502, 403]).toContain(status);
    expect(problem(body).code).toMatch(/^http\.(upstream|upgrade_refused)$/);
  });

  test('one that ends in the middle is seen to be cut', async () => {
    const { client, gateway } = await openRaw((socket) => {
      socket.end('HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nabc');
    });
    client.push('GET /x');
    await client.closed();
    expect(client.bytes.toString().endsWith('\r\n\r\nabc')).toBe(true);
    await expect.poll(() => gateway.outcomes[0]?.error).toBe('http.upstream');
  });

  test('chunks that end in the middle have no last one', async () => {
    const { client } = await openRaw((socket) => {
      socket.end('HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n');
    });
    client.push('GET /x');
    await client.closed();
    expect(client.bytes.toString()).toContain('3\r\nabc\r\n');
    expect(client.bytes.toString()).not.toContain('0\r\n\r\n');
  });

  test('more bytes than it said are nobody’s answer', async () => {
    const evil = 'HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil';
    const { client, service } = await openRaw((socket) =>
      socket.write(`HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok${evil}`),
    );
    expect((await client.ask('GET /a')).body.toString()).toBe('ok');
    expect((await client.ask('GET /b')).body.toString()).toBe('ok');
    expect(service.connections()).toBe(2);
  });

  test('a kept connection that it closes costs a reader nothing, and a writer is not repeated', async () => {
    let answered = 0;
    const { client, service } = await openRaw((socket) => {
      answered++;
      // Says that it keeps the connection, and hangs up at the next request.
      if (answered % 2 === 1) socket.write('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok');
      else socket.destroy();
    });
    expect((await client.ask('GET /a')).status).toBe(200);
    expect((await client.ask('GET /b')).status).toBe(200);
    expect((await client.ask('POST /c')).status).toBe(502);
    expect(service.seen().match(/POST \/c/g)).toHaveLength(1);
  });

  test('a refusal names its own request, whatever its session has asked since', async () => {
    let waiting: net.Socket | undefined;
    const { gateway, client } = await openRaw((socket, head) => {
      if (head.startsWith('GET /first ')) waiting = socket;
      else socket.write('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok');
    });
    const other = new RawClient(gateway.port);
    cleanUps.push(() => other.destroy());
    client.push('GET /first');
    await vi.waitFor(() => expect(waiting).toBeDefined());
    expect((await other.ask('GET /second')).status).toBe(200);
    waiting?.destroy();
    const { status, body } = await client.answer();
    expect([status, problem(body).sallyport['requestId']?.split('/')[1]]).toEqual([502, '1']);
  });

  test('headers of its connection, and cookies of an injected one, stay there', async () => {
    const service = await startRawService((socket) =>
      socket.write(
        'HTTP/1.1 200 OK\r\nconnection: keep-alive, x-hop\r\nx-hop: 1\r\nkeep-alive: 5\r\nset-cookie: sid=secret\r\ncontent-length: 0\r\n\r\n',
      ),
    );
    const gateway = await startHttpGateway(service.url, {}, { inject: { as: 'cookie', name: 'sid' } });
    const client = new RawClient(gateway.port);
    cleanUps.push(
      () => service.close(),
      () => gateway.close(),
      () => client.destroy(),
    );
    const { head } = await client.ask('GET /x');
    expect(head).not.toMatch(/x-hop|keep-alive|secret/);
  });

  test('one that never answers is given up when its client leaves', async () => {
    const { client, service, gateway } = await openRaw(() => undefined);
    client.push('GET /x');
    await expect.poll(() => service.seen()).toContain('GET /x');
    client.destroy();
    await expect.poll(() => gateway.outcomes[0]?.error).toBe('client');
  });
});

test('a slow reader stops the service, not the gateway’s memory', async () => {
  let written = 0;
  const { client } = await open({ recording: 'statements' }, {}, (_request, response) => {
    const more = (): void => {
      do written += 64 * 1024;
      while (response.write(Buffer.alloc(64 * 1024)));
    };
    response.on('drain', more);
    more();
  });
  client.socket.pause();
  client.push('GET /x');
  let before = -1;
  // It stands still once every buffer on the way is full.
  await expect
    .poll(
      async () => {
        const now = written;
        const stands = now > 0 && now === before;
        before = now;
        await new Promise((next) => setTimeout(next, 300));
        return stands;
      },
      { timeout: 20_000 },
    )
    .toBe(true);
  expect(written).toBeLessThan(32 * 1024 * 1024);
});

test('a recording that must be whole and is behind stops the service', async () => {
  let behind = true;
  const { client, gateway } = await open({ recording: 'full', saturated: () => behind }, {}, (_request, response) => {
    response.write('first');
    setTimeout(() => response.end('second'), 50);
  });
  client.push('GET /x');
  await client.until(() => client.bytes.includes('first'));
  await new Promise((next) => setTimeout(next, 300));
  expect(client.bytes.includes('second')).toBe(false);
  behind = false;
  gateway.recorderDrained();
  await client.until(() => client.bytes.includes('second'));
});
