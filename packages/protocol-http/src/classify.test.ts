import { MadeOf, type RequestHead } from '@sallyport/http';
import type { DialectSession } from '@sallyport/http-session';
import type { HttpTarget, Statement } from '@sallyport/model';
import { expect, test } from 'vitest';
import { classifyRequest } from './classify.ts';

const made = new MadeOf([
  ['accept', '*/*'],
  ['x-tenant', 'a'],
]);
const request: RequestHead = {
  method: 'GET',
  scheme: 'https',
  authority: 'api.example',
  target: '/v1/x?a=1',
  path: '/v1/x',
  query: 'a=1',
  headers: made.headers,
  version: '1.1',
  framing: { kind: 'none' },
  expectContinue: false,
  upgrade: '',
  made,
};
const service = { url: 'http://api.example' } as HttpTarget;
const judged = (more: Partial<RequestHead> = {}, http: Partial<HttpTarget> = service, bytes?: Buffer): Statement =>
  classifyRequest(
    { ...request, ...more },
    bytes === undefined ? undefined : { read: true, bytes, size: bytes.length },
    { resource: { http } } as DialectSession,
  );

test('the same request again is a statement of its own with the same facts', () => {
  const [first, second] = [judged(), judged()];
  expect(second).toEqual(first);
  expect(second).not.toBe(first);
  expect(second.facts.http).toBe(first.facts.http);
});

test.each<[string, Partial<RequestHead>]>([
  ['method', { method: 'HEAD' }],
  ['path', { path: '/v1/y' }],
  ['target', { target: '/v1/x?a=2', query: 'a=2' }],
  ['host', { authority: 'other.example' }],
  ['scheme', { scheme: 'http' }],
  ['protocol it asks for', { upgrade: 'websocket' }],
  ['fields', { headers: [['accept', 'text/html']] }],
])('one that differs in its %s is read anew', (_what, more) => {
  const known = judged();
  const other = judged(more);
  expect(other.facts.http).not.toBe(known.facts.http);
  // Whatever was asked before it.
  const { made: _, ...alone } = { ...request, ...more };
  const fresh = classifyRequest(alone, undefined, { resource: { http: service } } as DialectSession);
  expect(other).toEqual(fresh);
});

test('nothing is taken over from a request with a body, nor by one', () => {
  const known = judged();
  const posted = judged({ method: 'GET' }, service, Buffer.from('{"a":1}'));
  expect(posted.facts.http).not.toBe(known.facts.http);
  expect(posted.digest).not.toBe(known.digest);
  expect(judged().digest).toBe(known.digest);
});

test('a resource that says otherwise what a request does is asked anew', () => {
  judged();
  const routes: HttpTarget['routes'] = [{ method: 'GET', path: '/v1/x', effects: ['admin'] }] as never;
  expect(judged({}, { ...service, routes }).effects).toEqual(['admin']);
});

test('a client that counts up is read as ever', () => {
  for (let i = 0; i < 100; i++) {
    const statement = judged({ target: `/v1/${i}`, path: `/v1/${i}`, query: '' });
    expect(statement.text).toBe(`GET /v1/${i}`);
    expect(statement.facts.http?.path).toBe(`/v1/${i}`);
  }
});
