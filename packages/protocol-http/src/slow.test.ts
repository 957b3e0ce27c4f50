/** Peers that take their time: heads, bodies and answers that do not come are waited for so long and no longer. Real sockets. */
import { createHttpDoor } from '@sallyport/http-session';
import type { Gateway } from '@sallyport/testkit';
import { afterEach, expect, test } from 'vitest';
import { PREFIX, RawClient, SIGNED, startHttpGateway } from '../test/bench.fixture.ts';
import { type RawService, startRawService } from '../test/raw-service.fixture.ts';
import { httpDialect } from './index.ts';

const DEADLINES = { headMs: 300, bodyMs: 300, answerMs: 600, stallMs: 600 };
const HEAD = `POST ${PREFIX}/x HTTP/1.1\r\nhost: agent\r\n${SIGNED}`;
const cleanUps: (() => unknown)[] = [];
afterEach(async () => {
  for (const undo of cleanUps.splice(0).reverse()) await undo();
});

async function open(
  answer: Parameters<typeof startRawService>[0] = () => undefined,
): Promise<{ gateway: Gateway; client: RawClient; service: RawService }> {
  const service = await startRawService(answer);
  const gateway = await startHttpGateway(service.url, { adapter: createHttpDoor([httpDialect], DEADLINES) });
  const client = new RawClient(gateway.port);
  cleanUps.push(
    () => service.close(),
    () => gateway.close(),
    () => client.destroy(),
  );
  return { gateway, client, service };
}

/** A few bytes a second, for as long as anybody listens. */
function trickle(client: RawClient, text: (i: number) => string): void {
  let i = 0;
  const timer = setInterval(() => (client.isClosed ? clearInterval(timer) : client.send(text(i++))), 50);
  cleanUps.push(() => clearInterval(timer));
}

const codeOf = (body: Buffer): unknown => (JSON.parse(body.toString()) as { code?: string }).code;

test.each([
  ['stands still', (client: RawClient) => client.send(`GET ${PREFIX}/x HTTP/1.1\r\nhost:`)],
  [
    'trickles',
    (client: RawClient) => {
      client.send(`GET ${PREFIX}/x HTTP/1.1\r\nhost: agent\r\n`);
      trickle(client, (i) => `x-${i}: 1\r\n`);
    },
  ],
])('a head that %s is not waited for, and nothing of it arrives', async (_how, send) => {
  const { client, service } = await open();
  send(client);
  await client.closed();
  const said = client.bytes.toString('latin1');
  if (said !== '') expect(said).toMatch(/^HTTP\/1\.1 4\d\d /);
  expect(service.seen()).toBe('');
});

test.each([
  ['stands still', (client: RawClient) => client.send(`${HEAD}content-length: 10\r\n\r\n{"a"`)],
  [
    'trickles',
    (client: RawClient) => {
      client.send(`${HEAD}content-length: 100000\r\n\r\n`);
      trickle(client, () => 'x');
    },
  ],
  [
    'trickles in chunks',
    (client: RawClient) => {
      client.send(`${HEAD}transfer-encoding: chunked\r\n\r\n`);
      trickle(client, () => '1\r\nx\r\n');
    },
  ],
])('a body to be judged that %s is not waited for, and nothing of it arrives', async (_how, send) => {
  const { client, gateway, service } = await open();
  send(client);
  const { status, body } = await client.answer();
  expect([status, codeOf(body)]).toEqual([408, 'http.slow']);
  await client.closed();
  expect(service.seen()).toBe('');
  expect(gateway.judged).toEqual([]);
});

test('a service that does not answer is given up with 504', async () => {
  const { client } = await open();
  const { status, body } = await client.ask('GET /x');
  expect([status, codeOf(body)]).toEqual([504, 'http.upstream_timeout']);
});

test('an answer that stands still in its middle is cut, so that its client sees that it is not whole', async () => {
  const { client, gateway } = await open((socket) => socket.write('HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc'));
  client.push('GET /x');
  await client.closed();
  expect(client.bytes.toString('latin1')).toMatch(/\r\n\r\nabc$/);
  await expect.poll(() => gateway.outcomes[0]?.error).toBe('http.upstream_timeout');
});

test('an answer that never ends goes on as long as something comes, and a kill ends it', async () => {
  const { client, gateway } = await open((socket) => {
    socket.write('HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n');
    const timer = setInterval(() => socket.write('1\r\nx\r\n'), 100);
    socket.once('close', () => clearInterval(timer));
  });
  client.push('GET /x');
  const begun = Date.now();
  await client.until(() => Date.now() - begun > 3 * DEADLINES.stallMs && client.bytes.includes('x'), 20_000);
  expect(client.isClosed).toBe(false);
  gateway.end('session.killed');
  await client.closed();
  expect(client.bytes.toString('latin1')).not.toMatch(/\r\n0\r\n\r\n$/);
});
