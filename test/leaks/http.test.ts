/**
 * Values that masks hide, sent by a service in every way HTTP has, cut at every byte: none may reach the client, nor the
 * recording. And what signs in, or is put in, shows nowhere. Rows never leave.
 */
import { execFile } from 'node:child_process';
import { hash } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { gunzipSync, gzipSync } from 'node:zlib';
import { Secret } from '@sallyport/core';
import { type MaskSet, NO_MASKS } from '@sallyport/model';
import { PREFIX, RawClient, SIGNED, startHttpGateway } from '@sallyport/protocol-http/bench';
import { type RawService, startRawService } from '@sallyport/protocol-http/raw-service';
import { allow, type Gateway, TEST_TOKEN } from '@sallyport/testkit';
import { afterEach, describe, expect, test } from 'vitest';

const CARD = '4111111111111111';
const SSN = '123-45-6789';
const KEY = 'the-key-of-the-service';
const MASKS: MaskSet = {
  columns: [],
  detect: [{ detect: 'payment_card', with: 'redact' }],
  json: [{ path: '**.ssn', with: 'redact' }],
};
const BODY = JSON.stringify({ people: [{ ssn: SSN, note: `card ${CARD}` }] });

const cleanUps: (() => unknown)[] = [];
afterEach(async () => {
  for (const undo of cleanUps.splice(0).reverse()) await undo();
});

async function open(
  answer: Parameters<typeof startRawService>[0],
  masks = MASKS,
): Promise<{ client: RawClient; gateway: Gateway; service: RawService }> {
  const service = await startRawService(answer);
  const gateway = await startHttpGateway(service.url, {
    decide: () => allow(masks),
    credential: {
      username: '',
      secret: new Secret(KEY),
      certificate: false,
      http: {
        ready: () => undefined,
        into: ({ target, headers }) => ({ target, headers: [...headers, ['x-key', KEY]] }),
      },
    },
  });
  const client = new RawClient(gateway.port);
  cleanUps.push(
    () => service.close(),
    () => gateway.close(),
    () => client.destroy(),
  );
  return { client, gateway, service };
}

const head = (more: string): string =>
  `HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n${more}\r\n`;
const chunked = (pieces: readonly string[]): string =>
  `${pieces.map((piece) => `${piece.length.toString(16)}\r\n${piece}\r\n`).join('')}0\r\n\r\n`;

const shows = (text: string): boolean =>
  text.includes(CARD) || text.includes(SSN) || text.includes('6789') || text.includes('411111');

describe('what masks hide', () => {
  const WAYS: readonly (readonly [string, Buffer])[] = [
    ['by length', Buffer.from(`${head(`content-length: ${BODY.length}\r\n`)}${BODY}`)],
    ['in chunks of a byte', Buffer.from(`${head('transfer-encoding: chunked\r\n')}${chunked(BODY.split(''))}`)],
    ['to the end of the connection', Buffer.from(`${head('')}${BODY}`)],
    ['in gzip', Buffer.concat([Buffer.from(head('content-encoding: gzip\r\n')), gzipSync(BODY)])],
    ['as text', Buffer.from(`HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\nconnection: close\r\n\r\ncard ${CARD}`)],
    ['without a type', Buffer.from(`HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n${BODY}`)],
    [
      'in a header',
      Buffer.from(`HTTP/1.1 200 OK\r\nx-card: ${CARD}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n`),
    ],
    ['in a trailer', Buffer.from(`${head('transfer-encoding: chunked\r\n')}2\r\n{}\r\n0\r\nx-card: ${CARD}\r\n\r\n`)],
    [
      'in an error',
      Buffer.from(`HTTP/1.1 500 Oops\r\ncontent-type: application/json\r\nconnection: close\r\n\r\n${BODY}`),
    ],
    [
      'in early hints',
      Buffer.from(`HTTP/1.1 103 Early Hints\r\nx-card: ${CARD}\r\n\r\n${head(`content-length: 2\r\n`)}{}`),
    ],
    ['in a reason phrase', Buffer.from(`HTTP/1.1 200 ${CARD}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n`)],
  ];
  test.each(WAYS)('%s', async (_name, bytes) => {
    const { client, gateway } = await open((socket) => void socket.end(bytes));
    client.send(`GET ${PREFIX}/x HTTP/1.1\r\nhost: a\r\n${SIGNED}connection: close\r\n\r\n`);
    await client.closed();
    const text = client.bytes.toString('latin1').replaceAll(/\r\n[0-9a-f]+\r\n/g, '');
    expect(shows(text), text).toBe(false);
    expect(shows(gateway.recorded.http.map(({ text: one, body }) => one + body.toString('latin1')).join())).toBe(false);
  });

  test.each(['', 'content-encoding: gzip\r\n', 'trailer: x-owner\r\n'])(
    'by a mask on a header alone, in a trailer: %j',
    async (more) => {
      const bytes = Buffer.from(
        `HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\nconnection: close\r\n${more}\r\n2\r\n{}\r\n0\r\nX-Owner: ${SSN}\r\nx-more: yes\r\nx-owner:${SSN}\r\n\r\n`,
      );
      const masks: MaskSet = { columns: [], detect: [], headers: [{ header: 'x-owner', with: 'redact' }] };
      const { client } = await open((socket) => void socket.end(bytes), masks);
      client.send(`GET ${PREFIX}/x HTTP/1.1\r\nhost: a\r\nte: trailers\r\n${SIGNED}connection: close\r\n\r\n`);
      await client.closed();
      expect(client.bytes.toString()).toContain('x-more: yes');
      expect(client.bytes.toString()).not.toContain(SSN);
    },
  );

  test('cut at every byte', async () => {
    const bytes = Buffer.from(`${head(`content-length: ${BODY.length}\r\n`)}${BODY}`);
    const begins = bytes.indexOf(SSN) - 2;
    for (let at = begins; at < begins + SSN.length + CARD.length + 24; at++) {
      const { client } = await open((socket) => {
        socket.setNoDelay(true);
        socket.write(bytes.subarray(0, at));
        setTimeout(() => socket.end(bytes.subarray(at)), 3);
      });
      client.send(`GET ${PREFIX}/x HTTP/1.1\r\nhost: a\r\n${SIGNED}connection: close\r\n\r\n`);
      await client.closed();
      expect(shows(client.bytes.toString()), `cut at ${at}`).toBe(false);
      for (const undo of cleanUps.splice(0).reverse()) await undo();
    }
  });
});

test('token and key are in no recording, no statement, and not in what the other side sees', async () => {
  const { client, gateway, service } = await open((socket) => void socket.end(`${head('content-length: 2\r\n')}{}`));
  await client.ask('GET /x', `${SIGNED}cookie: sid=my-cookie\r\n`);
  expect(client.bytes.toString()).not.toContain(KEY);
  expect(service.seen()).toContain(KEY);
  expect(service.seen()).not.toContain(TEST_TOKEN);
  const kept = JSON.stringify([
    gateway.recorded.http.map(({ text }) => text),
    gateway.recorded.statements,
    gateway.judged,
  ]);
  for (const secret of [KEY, TEST_TOKEN, 'my-cookie']) expect(kept).not.toContain(secret);
});

describe('a token that a service gives, and what is sent for one', () => {
  const SECRETS = ['the-access-token', 'the-refresh-token', 'the-id-token', 'the-client-secret', 'the-code'];
  const TOKENS = JSON.stringify({
    access_token: 'the-access-token',
    token_type: 'Bearer',
    expires_in: 3600,
    authed_user: { refresh_token: 'the-refresh-token' },
    id_token: 'the-id-token',
  });
  const [JSON_TYPE, FORM] = ['application/json', 'application/x-www-form-urlencoded'].map(
    (t) => `content-type: ${t}\r\n`,
  );
  const FORM_BODY = 'grant_type=authorization_code&code=the-code&scope=read&client%5Fsecret=the-client-secret';
  const JSON_BODY =
    '{"grantType":"x","scope":"read","clientSecret":"the-client-secret","nested":[{"code":"the-code"}]}';
  const plain = `${head(`content-length: ${TOKENS.length}\r\n`)}${TOKENS}`;
  const coded = Buffer.concat([Buffer.from(head('content-encoding: gzip\r\n')), gzipSync(TOKENS)]);

  test.each<[string, string, string, string, string | Buffer, MaskSet]>([
    ['by a form', 'POST /token', FORM ?? '', FORM_BODY, plain, NO_MASKS],
    ['by a form, masked', 'POST /token', FORM ?? '', FORM_BODY, plain, MASKS],
    ['by JSON', 'POST /token', JSON_TYPE ?? '', JSON_BODY, plain, NO_MASKS],
    [
      'in chunks',
      'POST /token',
      FORM ?? '',
      FORM_BODY,
      `${head('transfer-encoding: chunked\r\n')}${chunked(TOKENS.split(''))}`,
      NO_MASKS,
    ],
    ['in gzip', 'POST /token', FORM ?? '', FORM_BODY, coded, NO_MASKS],
    ['in gzip, masked', 'POST /token', FORM ?? '', FORM_BODY, coded, MASKS],
    ['by a form that two read in two ways', 'POST /token', FORM ?? '', `${FORM_BODY}&state=a;b`, plain, NO_MASKS],
    [
      'by JSON with a key twice',
      'POST /token',
      JSON_TYPE ?? '',
      JSON_BODY.replace('{', '{"scope":1,'),
      plain,
      NO_MASKS,
    ],
    ['by a query', 'GET /token?scope=read&client_secret=the-client-secret&code=the-code', '', '', plain, NO_MASKS],
    [
      'by a query, escaped',
      'GET /token?scope=read&client%5fsecret=the-client-secret&code=the-code',
      '',
      '',
      plain,
      NO_MASKS,
    ],
  ])('is on no recording, and shown to no approver: %s', async (_name, line, type, body, answer, masks) => {
    const { client, gateway, service } = await open((socket) => void socket.end(answer), masks);
    client.push(line, `${SIGNED}connection: close\r\n${type}`, body);
    await client.closed();
    await expect.poll(() => gateway.outcomes.length).toBe(1);
    expect(service.seen()).toContain('the-client-secret');
    if (!client.bytes.includes('gzip'))
      expect(client.bytes.toString().replaceAll(/\r\n[0-9a-f]+\r\n/g, '')).toContain('the-access-token');
    const [asked, answered] = gateway.recorded.http;
    const [sent, got] = [asked, answered].map((one) => one?.body ?? Buffer.alloc(0));
    const shown = got?.[0] === 0x1f ? gunzipSync(got).toString() : String(got);
    const kept = JSON.stringify([
      asked?.text,
      String(sent),
      answered?.text,
      shown,
      gateway.recorded.statements,
      gateway.judged.map(({ statement }) => statement.text),
    ]);
    for (const value of SECRETS) expect(kept).not.toContain(value);
    expect(JSON.parse(shown)).toMatchObject({ token_type: 'Bearer', access_token: '[redacted]', expires_in: 3600 });
    expect(kept).toContain('scope');
  });

  test('whoever asks for one by the way hides nothing else from the recording', async () => {
    const { client, gateway } = await open(
      (socket) => void socket.end(`${head('content-length: 16\r\n')}{"customer":"x"}`),
      NO_MASKS,
    );
    client.push('POST /customers?grant_type=x', `${SIGNED}connection: close\r\n${FORM}`, 'grant_type=x&name=mallory');
    await client.closed();
    await expect.poll(() => gateway.outcomes.length).toBe(1);
    expect(gateway.recorded.http.map(({ body }) => body.toString())).toEqual([
      'grant_type=x&name=mallory',
      '{"customer":"x"}',
    ]);
  });

  test('an access token in an address is neither', async () => {
    const { client, gateway } = await open((socket) => void socket.end(`${head('content-length: 2\r\n')}{}`), NO_MASKS);
    await client.ask(
      'GET /x?code=shown&access_token=the-access-token',
      `${SIGNED}x-api-key: the-code\r\nprivate-token: the-code\r\n`,
    );
    const kept = JSON.stringify([
      gateway.recorded.http.map(({ text }) => text),
      gateway.judged.map(({ statement }) => statement.text),
    ]);
    for (const value of SECRETS) expect(kept).not.toContain(value);
    expect(kept).toContain('code=shown');
  });
});

describe('a field of GraphQL that is given another name', () => {
  const QUERY = '{ me { x: ssn } }';
  const [JSON_TYPE, FORM] = ['application/json', 'application/x-www-form-urlencoded'];
  const SOCKET =
    'upgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n';
  const sent = (type: string | undefined): string => `content-type: ${type}\r\n`;
  test.each<[string, string, string, string]>([
    ['in JSON', 'POST /graphql', sent(JSON_TYPE), JSON.stringify({ query: QUERY })],
    ['in a form', 'POST /graphql', sent(FORM), `query=${encodeURIComponent(QUERY)}`],
    [
      'in a document the server knows by a name',
      'POST /graphql',
      sent(JSON_TYPE),
      '{"query":"{ me { ssn } }","documentId":"x"}',
    ],
    [
      'in a document the server knows by a digest',
      'POST /graphql',
      sent(JSON_TYPE),
      `{"query":"{ me { ssn } }","extensions":{"persistedQuery":{"version":1,"sha256Hash":"${'0'.repeat(64)}"}}}`,
    ],
    ['over a WebSocket, where nobody reads what is asked', 'GET /graphql', SOCKET, ''],
    ['over a WebSocket at another spelling of the path', 'GET /GraphQL/', SOCKET, ''],
  ])('is not asked for: %s', async (_name, line, headers, body) => {
    const service = await startRawService((socket) =>
      socket.end(`${head('content-length: 26\r\n')}{"me":{"x":"${SSN}"}}  `),
    );
    const gateway = await startHttpGateway(service.url, { decide: () => allow(MASKS) }, { graphql: ['/graphql'] });
    cleanUps.push(
      () => service.close(),
      () => gateway.close(),
    );
    // Twice: what was read once may be known.
    for (let i = 0; i < 2; i++) {
      const client = new RawClient(gateway.port);
      cleanUps.push(() => client.destroy());
      const { status, body: answer } = await client.ask(line, SIGNED + headers, body);
      expect([status, String(answer)]).toEqual([403, expect.stringContaining('mask.unvouched')]);
    }
    expect(service.seen()).toBe('');
  });
});

test.each([
  ['location', `/y?a=1&api_key=${KEY}`],
  ['location', `https://elsewhere.example/y?api%5Fkey=${KEY}#x`],
  ['content-location', `?api_key=${KEY}`],
  ['link', `</y?api_key=${KEY}>; rel="next"`],
  ['refresh', `0; url=/y?api_key=${KEY}`],
])('a key that is put into the address is not told where the service points to it: %s: %s', async (name, value) => {
  const service = await startRawService((socket) =>
    socket.end(`HTTP/1.1 302 Found\r\n${name}: ${value}\r\ncontent-length: 0\r\n\r\n`),
  );
  const gateway = await startHttpGateway(
    service.url,
    { recording: 'full' },
    { inject: { as: 'query', name: 'api_key' } as never },
  );
  const client = new RawClient(gateway.port);
  cleanUps.push(
    () => service.close(),
    () => gateway.close(),
    () => client.destroy(),
  );
  const { status, head } = await client.ask('GET /x');
  expect(status).toBe(302);
  expect(head.toLowerCase()).toContain(`\n${name}: `);
  expect(head + JSON.stringify(gateway.recorded.http.map(({ text }) => text))).not.toContain(KEY);
});

test.each([
  ['', '/a/b', '/a'],
  ['', '', ''],
  ['; Path=/', '', '/a'],
  ['; path = /a/; Secure-ish', '/a/b', '/a/c'],
  ['; Path=/a; Path=/', '/a', '/b'],
  ['; Path=/a; Path=there', '/a/b', '/a/c'],
  ['; Path=/; Domain=gw.example', '/a', '/b'],
  ['; DOMAIN=.gw.example; Max-Age=60', '/a/b', '/a/c'],
])('a cookie of one resource is not sent to another: sid=x%s at %s', async (attributes, asked, again) => {
  const run = promisify(execFile);
  const folder = mkdtempSync(path.join(tmpdir(), 'sallyport-jar-'));
  const { gateway, service } = await open(
    (socket) => void socket.end(`${head(`content-length: 2\r\nset-cookie: sid=x${attributes}\r\n`)}{}`),
  );
  // In the place of another resource's way in, which would send on what comes.
  const other = await startRawService((socket) => void socket.end(`${head('content-length: 2\r\n')}{}`));
  cleanUps.push(
    () => other.close(),
    () => rmSync(folder, { recursive: true }),
  );
  const jar = path.join(folder, 'jar');
  const resolved = [gateway.port, new URL(other.url).port].flatMap((port) => ['--resolve', `*:${port}:127.0.0.1`]);
  const curl = (url: string): Promise<unknown> =>
    run('curl', [
      '-sS',
      '--noproxy',
      '*',
      '-b',
      jar,
      '-c',
      jar,
      ...resolved,
      '-H',
      `authorization: Bearer ${TEST_TOKEN}`,
      url,
    ]);
  await curl(`http://one.gw.example:${gateway.port}${PREFIX}${asked}`);
  await curl(`http://one.gw.example:${gateway.port}${PREFIX}${again}`);
  const ways = ['/r/other', `/r/other${again}`, again === '' ? '/' : again];
  for (const at of [...ways.map((way) => `one ${way}`), ...ways.map((way) => `two ${way}`), `two ${PREFIX}${again}`])
    await curl(`http://${at.replace(' ', `.gw.example:${new URL(other.url).port}`)}`);
  expect(service.seen()).toContain('sid=x');
  expect(other.seen()).toContain('GET /r/other');
  expect(other.seen()).not.toContain('sid=x');
});

test('a key that is a cookie is not told by the answer that opens a WebSocket', async () => {
  const service = await startRawService((socket, asked) => {
    const key = /sec-websocket-key: (\S+)/i.exec(asked)?.[1] ?? '';
    const accept = hash('sha1', `${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`, 'base64');
    const fields = `upgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-accept: ${accept}\r\nset-cookie: sid=${KEY}`;
    socket.write(`HTTP/1.1 101 Switching Protocols\r\n${fields}\r\n\r\n`);
  });
  const gateway = await startHttpGateway(service.url, {}, { inject: { as: 'cookie', name: 'sid' } as never });
  const client = new RawClient(gateway.port);
  cleanUps.push(
    () => service.close(),
    () => gateway.close(),
    () => client.destroy(),
  );
  const key = Buffer.alloc(16).toString('base64');
  client.send(
    `GET ${PREFIX}/x HTTP/1.1\r\nhost: a\r\n${SIGNED}upgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-version: 13\r\nsec-websocket-key: ${key}\r\n\r\n`,
  );
  await expect.poll(() => client.bytes.toString()).toContain('101');
  expect(client.bytes.toString()).not.toContain(KEY);
});
