/** A browser by a resource's own host name: it asks its person for a token, and shows it to the service's own pages alone. */
import { TEST_TOKEN } from '@sallyport/testkit';
import { afterEach, describe, expect, test } from 'vitest';
import { PREFIX, RawClient, startHttpGateway } from '../test/bench.fixture.ts';
import { startRawService } from '../test/raw-service.fixture.ts';

const HOST = 'payments-api.gw.test';
const BASIC = `authorization: Basic ${Buffer.from(`token:${TEST_TOKEN}`).toString('base64')}\r\n`;
const BEARER = `authorization: Bearer ${TEST_TOKEN}\r\n`;
const OWN = `http://${HOST}`;

const cleanUps: (() => unknown)[] = [];
afterEach(async () => {
  for (const undo of cleanUps.splice(0).reverse()) await undo();
});

/** @returns status and head of the answer, and whether the service was asked */
async function asked(
  line: string,
  headers: string,
  host = HOST,
): Promise<{ status: number; head: string; was: boolean }> {
  const service = await startRawService((socket) => socket.end('HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n'));
  const gateway = await startHttpGateway(service.url, { domain: 'gw.test' });
  const client = new RawClient(gateway.port);
  cleanUps.push(
    () => service.close(),
    () => gateway.close(),
    () => client.destroy(),
  );
  client.send(`${line} HTTP/1.1\r\nhost: ${host}\r\n${headers}\r\n`);
  const { status, head } = await client.answer();
  return { status, head, was: service.seen() !== '' };
}

describe('without a token', () => {
  const CHALLENGE = /\nwww-authenticate: Basic /i;
  test('a browser is told to ask for one', async () => {
    const { status, head } = await asked('GET /', 'sec-fetch-site: none\r\n');
    expect(status).toBe(401);
    expect(head).toMatch(CHALLENGE);
  });
  test.each([
    ['a program', 'GET /', '', HOST],
    ['where all resources share one origin', `GET ${PREFIX}/`, 'sec-fetch-site: none\r\n', 'agent'],
  ])('%s is not', async (_name, line, headers, host) => {
    const { status, head } = await asked(line, headers, host);
    expect(status).toBe(401);
    expect(head).toMatch(/\nwww-authenticate: Bearer /i);
    expect(head).not.toMatch(CHALLENGE);
  });
});

describe('a token that a browser shows by itself', () => {
  const SOCKET =
    'upgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n';
  test.each([
    [
      'a form of another site',
      'POST /x',
      `sec-fetch-site: cross-site\r\nsec-fetch-mode: navigate\r\norigin: https://evil.example\r\n`,
    ],
    [
      'a form of a site that says no origin',
      'POST /x',
      'sec-fetch-site: cross-site\r\nsec-fetch-mode: navigate\r\norigin: null\r\n',
    ],
    ['another resource’s page', 'POST /x', `sec-fetch-site: same-site\r\norigin: http://board.gw.test\r\n`],
    ['a picture in another site', 'GET /x', 'sec-fetch-site: cross-site\r\nsec-fetch-mode: no-cors\r\n'],
    ['a browser that says the origin alone', 'POST /x', 'origin: https://evil.example\r\n'],
    ['another port', 'POST /x', `origin: ${OWN}:81\r\n`],
    ['another scheme', 'POST /x', `origin: https://${HOST}\r\n`],
    ['a WebSocket of another site', 'GET /x', `${SOCKET}origin: https://evil.example\r\n`],
  ])('%s gets nothing by it', async (_name, line, headers) => {
    const { status, was } = await asked(line, BASIC + headers);
    expect(status).toBe(401);
    expect(was).toBe(false);
  });

  test.each([
    ['a page of its own', 'POST /x', `sec-fetch-site: same-origin\r\norigin: ${OWN}\r\n`],
    ['a page of its own, by its origin', 'POST /x', `origin: ${OWN}\r\n`],
    ['an address that is typed', 'GET /', 'sec-fetch-site: none\r\nsec-fetch-mode: navigate\r\n'],
    ['a link in another site', 'GET /', 'sec-fetch-site: cross-site\r\nsec-fetch-mode: navigate\r\n'],
    ['a program', 'POST /x', ''],
  ])('%s is let in', async (_name, line, headers) => {
    expect(await asked(line, BASIC + headers)).toMatchObject({ status: 200, was: true });
  });

  test('one that a program puts in is good from anywhere', async () => {
    const headers = `${BEARER}sec-fetch-site: cross-site\r\norigin: https://app.example\r\n`;
    expect(await asked('POST /x', headers)).toMatchObject({ status: 200, was: true });
  });
});
