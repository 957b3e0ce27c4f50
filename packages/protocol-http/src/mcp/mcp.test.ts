/** Messages, events cut at every byte, masks that leave alone what is none of theirs, and refusals as clients read them. */
import { GatewayError, LIMITS } from '@sallyport/core';
import type { HttpRefusal } from '@sallyport/http-session';
import type { MaskSet } from '@sallyport/model';
import { describe, expect, test } from 'vitest';
import { effectsOf } from './classify.ts';
import { denyMessage } from './deny.ts';
import { maskMessage } from './mask.ts';
import { type JsonObject, readMessage } from './message.ts';
import { EventMessages, OneMessage } from './stream.ts';
import { ToolWatch, toolMemory } from './tools.ts';

const read = (text: string) => readMessage(Buffer.from(text));
const call = (more: object = {}): string =>
  JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'a', arguments: {} }, ...more });

describe('a message', () => {
  test('goes on as it was read: one key of two, numbers as they are written, of _meta the progress token', () => {
    const { bytes } = read(
      '{"jsonrpc":"2.0","id":1,"x":2,"method":"tools/list","method":"tools/call","params":{"name":"a","arguments":{"n":12345678901234567890,"m":1.50},"_meta":{"progressToken":"p","y":1}}}',
    );
    expect(Buffer.from(bytes).toString()).toBe(
      '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","arguments":{"n":12345678901234567890,"m":1.50},"_meta":{"progressToken":"p"}}}',
    );
  });

  test('means the same whatever its id and progress token, and another thing with other arguments', () => {
    const meaning = (more: object): string => read(call(more)).meaning;
    expect(meaning({ id: 'x' })).toBe(meaning({ id: 7 }));
    expect(meaning({ params: { name: 'a', arguments: {}, _meta: { progressToken: 1 } } })).toBe(meaning({}));
    expect(meaning({ params: { name: 'a', arguments: { b: 1 } } })).not.toBe(meaning({}));
    expect(meaning({ params: { name: 'a', arguments: {}, more: 1 } })).not.toBe(meaning({}));
  });

  test('without an id is a notification, with a result and no method an answer', () => {
    expect(read(call({ id: undefined }))).toMatchObject({ kind: 'notification', method: 'tools/call' });
    expect(read('{"jsonrpc":"2.0","id":1,"result":{"method":"tools/call"}}')).toMatchObject({
      kind: 'response',
      method: 'response',
    });
  });

  test.each([
    ['a batch', `[${call()}]`],
    ['an empty batch', '[]'],
    ['a text', '"tools/call"'],
    ['an answer with a result and an error', '{"jsonrpc":"2.0","id":1,"result":1,"error":{}}'],
    ['a number with a fraction for an id', call({ id: 1.5 })],
    ['arguments that are a text', call({ params: { name: 'a', arguments: '{}' } })],
    ['arguments that are a list', call({ params: { name: 'a', arguments: [] } })],
  ])('that is %s is refused', (_what, text) => {
    expect(() => read(text)).toThrow(GatewayError);
  });
});

describe('events', () => {
  const messages = ['{"jsonrpc":"2.0","id":1,"result":{"a":"é🦊"}}', '{"jsonrpc":"2.0","method":"x"}'];
  const through = (bytes: Buffer, cuts: readonly number[]): string => {
    const masker = new EventMessages((message) => message);
    const out: Buffer[] = [];
    for (let i = 0; i <= cuts.length; i++)
      out.push(Buffer.from(masker.push(bytes.subarray(i === 0 ? 0 : cuts[i - 1], cuts[i]))));
    out.push(Buffer.from(masker.end()));
    expect(masker.failed).toBeUndefined();
    return Buffer.concat(out).toString();
  };

  test.each([['\n'], ['\r'], ['\r\n']])('are the same however they are cut, lines ended by %j', (end) => {
    const text = [': x', 'id: 1', 'event: message', `data: ${messages[0]}`, '', `data:${messages[1]}`, '', ''].join(
      end,
    );
    const bytes = Buffer.from(text);
    const whole = through(bytes, []);
    expect(whole).toBe(`:\n\nid: 1\nevent: message\ndata: ${messages[0]}\n\ndata: ${messages[1]}\n\n`);
    for (let at = 1; at < bytes.length; at++) expect(through(bytes, [at]), `cut at ${at}`).toBe(whole);
    expect(
      through(
        bytes,
        Array.from({ length: bytes.length - 1 }, (_, at) => at + 1),
      ),
    ).toBe(whole);
  });

  test('that are not ended, are no JSON or are too long are not shown', () => {
    expect(through(Buffer.from(`data: ${messages[0]}\n`), [])).toBe('');
    for (const text of ['data: {"a":\n\n', 'data: 5\n\n']) {
      const masker = new EventMessages((message) => message);
      expect(Buffer.from(masker.push(Buffer.from(text))).toString()).toBe('');
      expect(masker.failed).toBe('http.body_unmaskable');
    }
    for (const masker of [new EventMessages((message) => message), new OneMessage((message) => message)]) {
      masker.push(Buffer.from('data: "'));
      for (let i = 0; i < 5; i++) masker.push(Buffer.alloc(LIMITS.mcpMessageBytesMax / 4, 120));
      expect(masker.failed).toBe('http.body_unmaskable');
      expect(masker.heldBytes).toBe(0);
    }
  });
});

describe('masks', () => {
  const MASKS: MaskSet = {
    columns: [],
    detect: [{ detect: 'email', with: 'redact' }],
    json: [{ path: '**.name', with: 'redact' }],
  };
  const shown = (message: JsonObject): unknown => maskMessage(message, MASKS, undefined, true);

  test('leave the protocol’s own members as they are', () => {
    for (const result of [
      { tools: [{ name: 'find', inputSchema: { type: 'object' } }], nextCursor: 'c' },
      { protocolVersion: '2025-06-18', capabilities: {}, serverInfo: { name: 'tools', version: '1' } },
      { content: [{ type: 'image', data: 'QUJD', mimeType: 'image/png' }] },
    ])
      expect(shown({ jsonrpc: '2.0', id: 1, result })).toEqual({ jsonrpc: '2.0', id: 1, result });
    const error = { code: -32_000, message: 'no' };
    expect(shown({ jsonrpc: '2.0', id: 1, error })).toEqual({ jsonrpc: '2.0', id: 1, error });
  });

  test('leave pictures and sound out, unless the resource lets them pass; then bytes that are a text are read', () => {
    const png = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0xff, 0xfe]).toString('base64');
    const message = (item: object): JsonObject => ({ jsonrpc: '2.0', id: 1, result: { content: [item] } });
    const picture = { type: 'image', data: png, mimeType: 'image/png' };
    const blob = { type: 'resource', resource: { uri: 'a:b', blob: png } };
    expect(maskMessage(message(picture), MASKS, undefined, true)).toEqual(message(picture));
    expect(maskMessage(message(blob), MASKS, undefined, true)).toEqual(message(blob));
    expect(maskMessage(message(picture), MASKS, undefined, false)).toEqual(
      message({ type: 'text', text: '[image withheld: it cannot be masked]' }),
    );
    const withheld = { uri: 'a:b', blob: Buffer.from('[redacted]').toString('base64') };
    expect(maskMessage(message(blob), MASKS, undefined, false)).toEqual(message({ ...blob, resource: withheld }));
    expect(maskMessage(message(picture), { columns: [], detect: [] }, undefined, false)).toEqual(message(picture));
    const text = { ...picture, data: Buffer.from('to ada@example.com').toString('base64') };
    expect(JSON.stringify(maskMessage(message(text), MASKS, undefined, true))).not.toContain(text.data);
  });

  test('leave numbers as they are written', () => {
    const masker = new OneMessage((message) => maskMessage(message, MASKS, undefined, true));
    masker.push(Buffer.from('{"jsonrpc":"2.0","id":1,"result":{"n":12345678901234567890,"name":"Ada","m":1.50}}'));
    expect(Buffer.from(masker.end()).toString()).toBe(
      '{"jsonrpc":"2.0","id":1,"result":{"n":12345678901234567890,"name":"[redacted]","m":1.50}}',
    );
  });
});

describe('a refusal', () => {
  const refusal = (code: 'policy.denied' | 'mcp.session_unknown', status: number): HttpRefusal =>
    ({ code, status, message: 'No.', rule: '', requestId: 'r', retry: 'never' }) as unknown as HttpRefusal;
  const message = read(call());

  test('of a call is a result that a model reads; of an unknown session 404, so that the client opens another', () => {
    expect(denyMessage(refusal('policy.denied', 403), message).status).toBe(200);
    expect(denyMessage(refusal('mcp.session_unknown', 404), message).status).toBe(404);
    expect(denyMessage(refusal('policy.denied', 403), read(call({ id: undefined }))).status).toBe(403);
  });
});

test('effects are those of the first pattern that fits; what fits none is exec', () => {
  const target = {
    tools: [
      { name: 'find_*', effects: ['read'] },
      { name: '*', effects: ['write'] },
    ],
  };
  const of = (tool: string, more = target) => effectsOf(tool, more as never);
  expect(of('find_people')).toEqual(['read']);
  expect(of('Find_people')).toEqual(['write']);
  expect(of('find', { tools: [] })).toEqual(['exec']);
});

test('each description in turn that is not the first one is news, once', () => {
  const watch = new ToolWatch(toolMemory());
  const news: string[] = [];
  const shown = (description: string): boolean =>
    watch.seen('r', 'a', { name: 'a', description }, (first, digest) => void news.push(`${first} ${digest}`));
  expect(['x', 'y', 'y', 'z', 'x', 'y'].map(shown)).toEqual([false, true, true, true, false, true]);
  expect(news).toHaveLength(3);
  expect(new Set(news.map((one) => one.split(' ')[0])).size).toBe(1);
  expect(news[0]).toBe(news[2]);
  expect(news[1]).not.toBe(news[0]);
});

test('a description that changes is flagged until it is the first one again; the order of keys says nothing', () => {
  const watch = new ToolWatch(toolMemory());
  const first = { name: 'a', description: 'x', inputSchema: { b: 1, c: 2 } };
  expect(watch.seen('r', 'a', first)).toBe(false);
  expect(watch.seen('r', 'a', { inputSchema: { c: 2, b: 1 }, description: 'x', name: 'a' })).toBe(false);
  expect(watch.seen('r', 'a', { ...first, description: 'y' })).toBe(true);
  expect(watch.isChanged('r', 'a')).toBe(true);
  expect(watch.isChanged('other', 'a')).toBe(false);
  expect(watch.seen('r', 'a', first)).toBe(false);
});

test('a description that was accepted is the tool’s own as long as it is accepted, and no other is', () => {
  const watch = new ToolWatch(toolMemory());
  const told: string[] = [];
  const shown = (description: string, accepted: readonly { tool: string; digest: string }[] = []): boolean =>
    watch.seen('r', 'a', { name: 'a', description }, (_first, digest) => void told.push(digest), accepted);
  shown('x');
  expect(shown('y')).toBe(true);
  const accepted = [{ tool: 'a', digest: told[0]! }];
  expect(watch.isChanged('r', 'a', accepted)).toBe(false);
  expect(shown('y', accepted)).toBe(false);
  expect(watch.isChanged('r', 'a')).toBe(true);
  expect(watch.isChanged('r', 'a', [{ tool: 'b', digest: told[0]! }])).toBe(true);
  expect(shown('z', accepted)).toBe(true);
  expect(watch.isChanged('r', 'a', accepted)).toBe(true);
});
