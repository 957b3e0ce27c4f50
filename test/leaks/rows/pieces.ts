/**
 * Values that a service sends in pieces, one in each message of a stream, as language models do: in every shape that is known, cut
 * in two at every place and letter by letter. None may come to the client, put together as its reader does. Rows never leave.
 */
import type { HttpTextStream } from '@sallyport/model';

const CARD = '4111 1111 1111 1111';
const MAIL = 'ada.lovelace@example.com';
export const TEXT = `The card is ${CARD}, write to ${MAIL} – as “agreed” 😀.`;
export const SHOWN = 'The card is [redacted], write to [redacted] – as “agreed” 😀.';
export const NEVER: readonly string[] = [CARD, '4111 1', '1111', 'lovelace', 'example.com'];

export interface PiecesRow {
  readonly name: string;
  readonly type: 'text/event-stream' | 'application/x-ndjson';
  readonly streams: readonly HttpTextStream[];
  /** Messages of a stream of these pieces. */
  messages(pieces: readonly string[]): readonly string[];
  /** The text as the client's reader puts it together. */
  read(messages: readonly string[]): string;
}

const event = (name: string, data: object | string): string =>
  `event: ${name}\ndata: ${typeof data === 'string' ? data : JSON.stringify(data)}\n\n`;
const data = (value: object | string): string =>
  `data: ${typeof value === 'string' ? value : JSON.stringify(value)}\n\n`;
type Json = Readonly<Record<string, never>>;
const documents = (messages: readonly string[]): readonly Json[] =>
  messages.flatMap((message) =>
    [...message.matchAll(/^(?:data: )?(\{.*)$/gm)].map(([, text = '']) => JSON.parse(text) as Json),
  );
const at = (value: unknown, ...path: readonly (string | number)[]): unknown =>
  path.reduce<unknown>((inner, key) => (inner as Record<string | number, unknown> | undefined)?.[key], value);
const text = (value: unknown): string => (typeof value === 'string' ? value : '');

const chat = (index: number, delta: object, finish: string | null = null): object => ({
  id: 'chatcmpl-1',
  object: 'chat.completion.chunk',
  choices: [{ index, delta, logprobs: null, finish_reason: finish }],
});
const CHAT: readonly HttpTextStream[] = [{ path: 'choices[].delta.content' }];
const readChat =
  (index: number) =>
  (messages: readonly string[]): string =>
    documents(messages)
      .filter((one) => at(one, 'choices', 0, 'index') === index)
      .map((one) => text(at(one, 'choices', 0, 'delta', 'content')))
      .join('');
const block = (type: string, more: object): string => event(type, { type, index: 0, ...more });
const CLAUDE: readonly HttpTextStream[] = [{ path: 'delta.text' }, { path: 'delta.partial_json' }];

/** What a reader takes of each block before it is told that the block is over. */
const readBlocks = (messages: readonly string[], name: string): string => {
  const all = documents(messages);
  const stop = all.findIndex((one) => at(one, 'type') === 'content_block_stop');
  return all
    .slice(0, stop)
    .map((one) => text(at(one, 'delta', name)))
    .join('');
};

export const PIECES: readonly PiecesRow[] = [
  {
    name: 'OpenAI, chat completions',
    type: 'text/event-stream',
    streams: CHAT,
    messages: (pieces) => [
      data(chat(0, { role: 'assistant', content: '' })),
      ...pieces.map((content) => data(chat(0, { content }))),
      data(chat(0, {}, 'stop')),
      data({ choices: [], usage: { total_tokens: 5 } }),
      data('[DONE]'),
    ],
    read: (messages) => {
      const over = messages.join('').indexOf('"finish_reason":"stop"');
      return readChat(0)([
        messages
          .join('')
          .slice(0, over)
          .replace(/data: [^\n]*$/, ''),
      ]);
    },
  },
  {
    name: 'OpenAI, two choices that take turns, one of which is done before',
    type: 'text/event-stream',
    streams: CHAT,
    messages: (pieces) => [
      ...pieces.flatMap((content, i) => [
        data(chat(0, { content })),
        ...(i < 3 ? [data(chat(1, { content: `other ${i} ` }))] : i === 3 ? [data(chat(1, {}, 'stop'))] : []),
      ]),
      data('[DONE]'),
    ],
    read: readChat(0),
  },
  {
    name: 'OpenAI, the last piece says that it is the last',
    type: 'text/event-stream',
    streams: CHAT,
    messages: (pieces) => [
      ...pieces.map((content, i) => data(chat(0, { content }, i === pieces.length - 1 ? 'stop' : null))),
      data('[DONE]'),
    ],
    read: readChat(0),
  },
  {
    name: 'every piece says that it is the last',
    type: 'text/event-stream',
    streams: [{ path: 'candidates[].content.parts[].text' }],
    messages: (pieces) =>
      pieces.map((piece) =>
        data({
          candidates: [{ content: { parts: [{ text: piece }], role: 'model' }, finishReason: 'STOP', index: 0 }],
        }),
      ),
    read: (messages) =>
      documents(messages)
        .map((one) => text(at(one, 'candidates', 0, 'content', 'parts', 0, 'text')))
        .join(''),
  },
  {
    name: 'OpenAI, arguments of a tool',
    type: 'text/event-stream',
    streams: [{ path: 'choices[].delta.tool_calls[].function.arguments' }],
    messages: (pieces) => [
      ...pieces.map((piece) => data(chat(0, { tool_calls: [{ index: 0, function: { arguments: piece } }] }))),
      data(chat(0, {}, 'tool_calls')),
      data('[DONE]'),
    ],
    read: (messages) =>
      documents(messages)
        .map((one) => text(at(one, 'choices', 0, 'delta', 'tool_calls', 0, 'function', 'arguments')))
        .join(''),
  },
  {
    name: 'OpenAI, responses',
    type: 'text/event-stream',
    streams: [{ path: 'delta' }],
    messages: (pieces) => {
      const place = { item_id: 'm', output_index: 0, content_index: 0 };
      const type = 'response.output_text.delta';
      return [
        ...pieces.map((delta, i) => event(type, { type, sequence_number: i, ...place, delta })),
        event('response.output_text.done', { type: 'response.output_text.done', ...place, text: pieces.join('') }),
        event('response.completed', { type: 'response.completed' }),
      ];
    },
    read: (messages) => {
      const all = messages.join('');
      return documents([all.slice(0, all.indexOf('event: response.output_text.done'))])
        .map((one) => text(at(one, 'delta')))
        .join('');
    },
  },
  {
    name: 'Anthropic, with pings between',
    type: 'text/event-stream',
    streams: CLAUDE,
    messages: (pieces) => [
      event('message_start', { type: 'message_start', message: { stop_reason: null, content: [] } }),
      block('content_block_start', { content_block: { type: 'text', text: '' } }),
      ...pieces.flatMap((piece) => [
        block('content_block_delta', { delta: { type: 'text_delta', text: piece } }),
        event('ping', { type: 'ping' }),
        ': and a comment\n\n',
      ]),
      block('content_block_stop', {}),
      event('message_delta', { type: 'message_delta', delta: { stop_reason: 'end_turn' } }),
      event('message_stop', { type: 'message_stop' }),
    ],
    read: (messages) => readBlocks(messages, 'text'),
  },
  {
    name: 'Anthropic, the input of a tool',
    type: 'text/event-stream',
    streams: CLAUDE,
    messages: (pieces) => [
      ...pieces.map((piece) =>
        block('content_block_delta', { delta: { type: 'input_json_delta', partial_json: piece } }),
      ),
      block('content_block_stop', {}),
    ],
    read: (messages) => readBlocks(messages, 'partial_json'),
  },
  {
    name: 'what tells texts apart stands behind them',
    type: 'text/event-stream',
    streams: [{ path: 'parts[].t', by: ['n'] }],
    messages: (pieces) =>
      pieces.map((piece, i) =>
        data({
          parts:
            i % 2 === 0
              ? [
                  { t: piece, n: 'a' },
                  { t: 'x ', n: 'b' },
                ]
              : [
                  { t: 'y ', n: 'b' },
                  { t: piece, n: 'a' },
                ],
        }),
      ),
    read: (messages) =>
      documents(messages)
        .flatMap((one) => at(one, 'parts') as readonly unknown[])
        .filter((one) => at(one, 'n') === 'a')
        .map((one) => text(at(one, 't')))
        .join(''),
  },
  {
    name: 'Ollama, lines of JSON',
    type: 'application/x-ndjson',
    streams: [{ path: 'message.content' }, { path: 'response' }],
    messages: (pieces) => [
      ...pieces.map((content) => `${JSON.stringify({ message: { role: 'assistant', content }, done: false })}\n`),
      `${JSON.stringify({ message: { role: 'assistant', content: '' }, done: true, total: 1e9 })}\n`,
    ],
    read: (messages) =>
      documents(messages)
        .map((one) => text(at(one, 'message', 'content')))
        .join(''),
  },
  {
    name: 'a stream that just ends',
    type: 'text/event-stream',
    streams: [{ path: 'token' }],
    messages: (pieces) => pieces.map((token) => data({ token })),
    read: (messages) =>
      documents(messages)
        .map((one) => text(at(one, 'token')))
        .join(''),
  },
];
