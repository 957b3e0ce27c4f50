import { createHmac } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startTestControlPlane, type TestControlPlane } from '../testing/control-plane.ts';
import { settle, type Town } from '../testing/people.ts';
import type { AccessRequestView } from './access-requests.dto.ts';

const SECRET = 'whs_of-these-tests-alone';
let plane: TestControlPlane;
let town: Town;
let receiver: Server;
interface Question {
  readonly id: string;
  readonly nonce: string;
  readonly data: { readonly reason: string };
}
const asked: { question: Question; signed: boolean }[] = [];
const sign = (timestamp: number, body: string, secret = SECRET) =>
  `v1=${createHmac('sha256', secret).update(`${timestamp}.${body}`).digest('hex')}`;
const send = (response: ServerResponse, body: object, more: { at?: number; secret?: string; status?: number } = {}) => {
  const text = JSON.stringify(body);
  const at = more.at ?? Math.floor(Date.now() / 1000);
  response.statusCode = more.status ?? 200;
  response.setHeader('sallyport-timestamp', String(at));
  response.setHeader('sallyport-signature', sign(at, text, more.secret));
  response.end(text);
};

/** What the receiver does is said in the reason. */
const ANSWERS: Readonly<
  Record<string, (question: Question, response: ServerResponse, request: IncomingMessage, body: string) => void>
> = {
  yes: ({ id, nonce }, response) =>
    send(response, { request: id, nonce, decision: 'approve', reason: 'on call', duration: '5m' }),
  no: ({ id, nonce }, response) => send(response, { request: id, nonce, decision: 'deny', reason: 'not on call' }),
  pass: ({ id, nonce }, response) => send(response, { request: id, nonce, decision: 'pass' }),
  unsigned: ({ id, nonce }, response) => response.end(JSON.stringify({ request: id, nonce, decision: 'approve' })),
  forged: ({ id, nonce }, response) =>
    send(response, { request: id, nonce, decision: 'approve' }, { secret: 'another secret of theirs' }),
  old: ({ id, nonce }, response) =>
    send(response, { request: id, nonce, decision: 'approve' }, { at: Math.floor(Date.now() / 1000) - 120 }),
  replayed: ({ id }, response) => send(response, { request: id, nonce: 'of-another-question', decision: 'approve' }),
  other: ({ nonce }, response) =>
    send(response, { request: '0190b3a4-0000-7000-8000-0000000000c1', nonce, decision: 'approve' }),
  silent: () => undefined,
  error: ({ id, nonce }, response) => send(response, { request: id, nonce, decision: 'approve' }, { status: 500 }),
  reflected: (_question, response, request, body) => {
    response.setHeader('sallyport-timestamp', String(request.headers['sallyport-timestamp']));
    response.setHeader('sallyport-signature', String(request.headers['sallyport-signature']));
    response.end(body);
  },
  more: ({ id, nonce }, response) => send(response, { request: id, nonce, decision: 'approve', effects: ['admin'] }),
  huge: ({ id, nonce }, response) =>
    send(response, { request: id, nonce, decision: 'approve', reason: 'x'.repeat(200_000) }),
};

beforeAll(async () => {
  plane = await startTestControlPlane();
  town = await settle(plane);
  receiver = createServer((request, response) => {
    const parts: Buffer[] = [];
    request.on('data', (part: Buffer) => parts.push(part));
    request.on('end', () => {
      if (request.url !== '/decide') return void response.writeHead(404).end();
      const body = Buffer.concat(parts).toString();
      const question = JSON.parse(body) as Question;
      const signed =
        sign(Number(request.headers['sallyport-timestamp']), body) === request.headers['sallyport-signature'];
      asked.push({ question, signed });
      ANSWERS[question.data.reason]!(question, response, request, body);
    });
  });
  await new Promise<void>((resolve) => receiver.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(receiver.address() as AddressInfo).port}/decide`;
  await plane.call('POST', '/v1/webhooks', { name: 'rota', url, secret: SECRET, events: ['test'] });
  const decision = { webhook: 'rota', timeout: 700 };
  await town.policy('auto', { decision, effects: ['read'], approve: undefined });
  await town.policy('either', { decision, effects: ['write'] });
}, 60_000);
afterAll(async () => {
  receiver.closeAllConnections();
  await new Promise((resolve) => receiver.close(resolve));
  await plane.stop();
});

async function ask(reason: string, effects: string[]): Promise<string> {
  const body = { resource: 'orders', effects, duration: '1h', reason };
  const answer = await town.as<AccessRequestView>('carla', 'POST', '/v1/access-requests', body);
  expect(answer.status, JSON.stringify(answer.body)).toBe(201);
  return answer.body.id;
}
const show = async (id: string) => (await town.as<AccessRequestView>('carla', 'GET', `/v1/access-requests/${id}`)).body;
const ended = async (id: string): Promise<AccessRequestView> => {
  await expect.poll(async () => (await show(id)).state, { timeout: 10_000 }).not.toBe('pending');
  return await show(id);
};

test('a signed yes grants without a person, and may give less', async () => {
  const { state, grant, answer } = await ended(await ask('yes', ['read']));
  expect({ state, answer }).toEqual({ state: 'approved', answer: 'on call' });
  expect(Date.parse(grant!.notAfter!) - Date.parse(grant!.notBefore!)).toBe(300_000);
  expect(asked.at(-1)).toMatchObject({ signed: true });
});

test('a no refuses with its reason', async () => {
  expect(await ended(await ask('no', ['read']))).toMatchObject({ state: 'denied', answer: 'not on call', grant: null });
});

test.each(['unsigned', 'forged', 'old', 'replayed', 'other', 'silent', 'error', 'reflected', 'more', 'huge', 'pass'])(
  'an answer that is %s is no yes',
  async (reason) => {
    expect(await ended(await ask(reason, ['read']))).toMatchObject({ state: 'denied', grant: null });
  },
);

test('where persons may answer too, what is no yes leaves it to them', async () => {
  const id = await ask('silent', ['write']);
  await expect
    .poll(async () => (await plane.call('GET', '/metrics', undefined, '')).body)
    .toMatch(/access_decisions_total\{decision="none"\} [1-9]/);
  expect(await show(id)).toMatchObject({ state: 'pending' });
  const { body } = await town.as<AccessRequestView>('ben', 'POST', `/v1/access-requests/${id}/approve`, {});
  expect(body.state).toBe('approved');
});

test('a webhook that is not there, or that only formats messages, decides nothing', async () => {
  const document = { requesters: {}, resources: {}, effects: ['read'], decision: { webhook: 'nobody' } };
  expect((await plane.call('POST', '/v1/access-policies', { name: 'gone', ...document })).status).toBe(400);
  await plane.call('POST', '/v1/webhooks', { name: 'room', url: 'http://127.0.0.1:9/x', format: 'slack' });
  const slack = { ...document, decision: { webhook: 'room' } };
  expect((await plane.call('POST', '/v1/access-policies', { name: 'gone', ...slack })).status).toBe(400);
});
