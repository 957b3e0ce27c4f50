/** Every row of rows/mcp.ts through the dialect's plan for an answer: one document, and events in three ways of ending a line. */
import { type Header, type RequestHead, readTarget } from '@sallyport/http';
import type { MaskSet } from '@sallyport/model';
import { createMcpDialect } from '@sallyport/protocol-http';
import { testResource } from '@sallyport/testkit';
import { describe, expect, test } from 'vitest';
import { MCP_LEAKS, NEVER } from './rows/mcp.ts';

type Dialect = ReturnType<typeof createMcpDialect>;
const MASKS: MaskSet = {
  columns: [],
  detect: [{ detect: 'email', with: 'redact' }],
  json: [{ path: 'people[].ssn', with: 'redact' }],
};
const REQUEST: RequestHead = {
  ...readTarget('/'),
  method: 'POST',
  scheme: 'https',
  authority: 'agent',
  headers: [],
  version: '1.1',
  framing: { kind: 'none' },
  expectContinue: false,
  upgrade: '',
};
const sessionWith = (streams: readonly { path: string }[] | undefined): Parameters<Dialect['answer']>[2] =>
  ({
    road: { info: { principal: { id: 'bot' } }, maskKey: undefined, gate: { decide: () => ({ kind: 'allow' }) } },
    resource: {
      ...testResource({}),
      mcp: { url: 'https://tools.example.com/mcp', ...(streams === undefined ? {} : { streams }) },
    },
  }) as unknown as Parameters<Dialect['answer']>[2];
const statement = { facts: { http: {} } } as unknown as Parameters<Dialect['answer']>[4];

function shown(type: string, bytes: Buffer, step: number, streams?: readonly { path: string }[]): string {
  const headers: readonly Header[] = [['content-type', type]];
  const response = { status: 200, headers, framing: { kind: 'stream' } } as const;
  const { masker } = createMcpDialect().answer(REQUEST, response, sessionWith(streams), MASKS, statement);
  const out: Buffer[] = [];
  for (let at = 0; at < bytes.length; at += step) out.push(Buffer.from(masker!.push(bytes.subarray(at, at + step))));
  out.push(Buffer.from(masker!.end()));
  expect(masker!.failed).toBeUndefined();
  return Buffer.concat(out).toString();
}

function expectHidden(text: string, shows: string, never: readonly string[]): void {
  for (const value of [...NEVER, ...never]) expect(text).not.toContain(value);
  for (const [, blob = ''] of text.matchAll(/"blob":"([^"]*)"/g))
    for (const value of NEVER) expect(Buffer.from(blob, 'base64').toString('latin1')).not.toContain(value);
  expect(text).toContain(shows);
}

describe('what an MCP server says', () => {
  // Members without quotes were looked for from each letter of it on: the agent stood still for minutes.
  test('a long word in brackets that are no JSON, and a value behind it', () => {
    const text = `{${'Zm9v'.repeat(125_000)}} to ada.lovelace@example.com`;
    const message = JSON.stringify({ jsonrpc: '2.0', id: 1, result: { content: [{ type: 'text', text }] } });
    const out = shown('application/json', Buffer.from(message), message.length);
    expectHidden(out, 'Zm9vZm9v', []);
  });

  test.each(MCP_LEAKS)('$name', ({ message, shows, never = [] }) => {
    const whole = JSON.stringify({ jsonrpc: '2.0', ...message });
    const pretty = JSON.stringify({ jsonrpc: '2.0', ...message }, undefined, 1);
    for (const text of [whole, pretty, `[${whole}]`])
      for (const step of [1, text.length])
        expectHidden(shown('application/json', Buffer.from(text), step), shows, never);
    for (const end of ['\n', '\r', '\r\n'])
      for (const text of [whole, pretty]) {
        const event = ['event: message', ...text.split('\n').map((line) => `data: ${line}`), '', ''].join(end);
        const bytes = Buffer.from(event.repeat(2));
        for (const step of [1, bytes.length]) expectHidden(shown('text/event-stream', bytes, step), shows, never);
      }
  });

  test.each([
    'Ordinary prose, [linked](https://example.com/{id}), with "quotes": and {braces}.',
    'if (a[0] > 1) { return { total: 1, people: [] }; }',
    'ssn: ask the office; {"city": "Paris"} and [1, 2]',
    '['.repeat(1_000),
  ])('a text in which no path leads anywhere comes as it is: %s', (text) => {
    const message = { jsonrpc: '2.0', id: 1, result: { content: [{ type: 'text', text }] } };
    const whole = Buffer.from(JSON.stringify(message));
    expect(JSON.parse(shown('application/json', whole, whole.length))).toEqual(message);
  });

  test.each(['application/json', 'text/event-stream', ''])('%j: a service’s headers and trailers', (type) => {
    const headers: readonly Header[] = [
      ['content-type', `${type}; name="${NEVER[2]!}"`],
      ['x-owner', NEVER[2]!],
    ];
    const response = { status: 200, headers, framing: { kind: 'stream' } } as const;
    const plan = createMcpDialect().answer(REQUEST, response, sessionWith(undefined), MASKS, statement);
    expect(JSON.stringify(plan.headers)).not.toContain(NEVER[2]!);
    expect(plan.trailers?.([['grpc-message', NEVER[2]!]])).toEqual([]);
  });

  test('a text that is all brackets is not read for ever', () => {
    const message = { jsonrpc: '2.0', id: 1, result: { content: [{ type: 'text', text: `x${'['.repeat(200_000)}` }] } };
    const whole = Buffer.from(JSON.stringify(message));
    const startMs = Date.now();
    expect(shown('application/json', whole, whole.length)).toContain('[redacted]');
    expect(Date.now() - startMs).toBeLessThan(5_000);
  });

  test('a text that comes in pieces, where the resource says so', () => {
    const pieces = Array.from(`to ${NEVER[2]!} and more`);
    const told = (method: string, params: object): string =>
      `data: ${JSON.stringify({ jsonrpc: '2.0', method, params })}\n\n`;
    const text = `${pieces
      .map(
        (piece, i) =>
          told('notifications/progress', { progressToken: 'p', progress: i, message: piece }) +
          told('notifications/message', { logger: 'l', data: { text: piece } }),
      )
      .join('')}data: {"jsonrpc":"2.0","id":1,"result":{}}\n\n`;
    const streams = [{ path: 'params.message' }, { path: 'params.data.text' }];
    for (const step of [1, 7, text.length]) {
      const out = shown('text/event-stream', Buffer.from(text), step, streams);
      const read = out
        .split('\n')
        .filter((line) => line.startsWith('data: '))
        .map((line) => JSON.parse(line.slice(6)) as { params?: { message?: string; data?: { text: string } } });
      expect(read.map(({ params }) => params?.message ?? '').join('')).toBe('to [redacted] and more');
      expect(read.map(({ params }) => params?.data?.text ?? '').join('')).toBe('to [redacted] and more');
      expect(read.at(-1)).toMatchObject({ id: 1 });
    }
  });

  test('events: ids, names and comments', () => {
    const mail = NEVER[2]!;
    const text = `: ${mail}\nid: ${mail}\nevent: ${mail}\nretry: ${mail}\n${mail}: x\ndata: {"jsonrpc":"2.0","id":1,"result":{}}\n\nid: ${mail}\n\n`;
    for (const step of [1, text.length])
      expectHidden(shown('text/event-stream', Buffer.from(text), step), '"result":{}', []);
  });
});
