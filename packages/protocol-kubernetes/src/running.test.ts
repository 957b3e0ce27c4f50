/** Exec's streams: frames at every split, output masked and filmed, ends and kills told in the protocol's own words. */
import type { ErrorCode } from '@sallyport/core';
import { OPCODES } from '@sallyport/http';
import type { DialectSession, UpgradeHost } from '@sallyport/http-session';
import { type DetectMask, NO_MASKS } from '@sallyport/model';
import { describe, expect, test } from 'vitest';
import { ChannelReader, CLOSING, channelFrame, ERROR, frame, RESIZE, STDERR, STDIN, STDOUT } from './channels.ts';
import { ExecStream } from './running.ts';

const EMAIL: readonly DetectMask[] = [{ detect: 'email', with: 'redact' }];

interface Bed {
  readonly stream: ExecStream;
  /** What the client got, by channel. */
  readonly got: Map<number, string>;
  /** What the server got. */
  readonly sent: Map<number, string>;
  readonly film: string[];
  readonly ended: (ErrorCode | '')[];
  readonly closes: number;
  readonly wake: (ms?: number) => void;
}

function bed(detect: readonly DetectMask[] = [], tty = false): Bed {
  const got = new Map<number, string>();
  const sent = new Map<number, string>();
  const film: string[] = [];
  const ended: (ErrorCode | '')[] = [];
  let nowMs = 0;
  let closes = 0;
  let fire: (() => void) | undefined;
  const reader = (fromClient: boolean, into: Map<number, string>): ChannelReader => {
    const add = (channel: number, bytes: Buffer): void =>
      void into.set(channel, (into.get(channel) ?? '') + bytes.toString('latin1'));
    return new ChannelReader(fromClient, {
      stream: add,
      whole: add,
      control: (opcode) => void (closes += opcode === OPCODES.close ? 1 : 0),
      odd: (reason) => expect.unreachable(reason),
    });
  };
  const [client, server] = [reader(false, got), reader(true, sent)];
  const masks = { ...NO_MASKS, detect };
  const session = {
    nowMs: () => nowMs,
    recorder: {
      saturated: false,
      resize: (_: number, columns: number, rows: number) => void film.push(`size ${columns}x${rows}`),
      streamOutput: (_: number, name: string, bytes: Uint8Array) =>
        film.push(`${name} ${Buffer.from(bytes).toString()}`) === 0,
      exit: (_: number, { code }: { code?: number }) => void film.push(`exit ${code ?? ''}`),
    },
    road: {
      masks: () => masks,
      maskKey: undefined,
      hide: (text: string) => text.replaceAll('ana@example.com', '[redacted]'),
    },
  } as unknown as DialectSession;
  const host = {
    statementNumber: 1,
    toUpstream: (bytes: Uint8Array) => (server.push(Buffer.from(bytes)), true),
    toClient: (bytes: Uint8Array) => (client.push(Buffer.from(bytes)), true),
    pauseClient: () => undefined,
    pauseUpstream: () => undefined,
    wakeAfter: (_: number, run: () => void) => void (fire = run),
    end: (code: ErrorCode | '') => void ended.push(code),
  } as unknown as UpgradeHost;
  const stream = new ExecStream({ session, host, detect: masks.detect, tty, keepWidth: tty });
  return {
    stream,
    got,
    sent,
    film,
    ended,
    get closes() {
      return closes;
    },
    wake: (ms = 2_000) => {
      nowMs += ms;
      fire?.();
    },
  };
}
const fromServer = (channel: number, text: string): Buffer => channelFrame(channel, Buffer.from(text), false);
const fromClient = (channel: number, text: string): Buffer => channelFrame(channel, Buffer.from(text), true);
const FAILED = JSON.stringify({
  status: 'Failure',
  reason: 'NonZeroExitCode',
  message: 'said ana@example.com',
  details: { causes: [{ reason: 'ExitCode', message: '7' }] },
});

describe('a command’s streams', () => {
  test('are the same at every split, masked and filmed', () => {
    const bytes = Buffer.concat([
      fromServer(STDOUT, 'to ana@example.com\n'),
      fromServer(STDERR, 'from ana@'),
      fromServer(STDERR, 'example.com\n'),
      fromServer(ERROR, FAILED),
      frame(OPCODES.close, Buffer.of(3, 232), false),
    ]);
    for (let cut = 0; cut <= bytes.length; cut++) {
      const { stream, got, film } = bed(EMAIL);
      stream.upstreamBytes(bytes.subarray(0, cut));
      stream.upstreamBytes(bytes.subarray(cut));
      stream.closed('upstream');
      expect(got.get(STDOUT)).toBe('to [redacted]\n');
      expect(got.get(STDERR)).toBe('from [redacted]\n');
      expect(JSON.parse(got.get(ERROR) ?? '')).toMatchObject({ message: 'said [redacted]' });
      const shown = film.filter((line) => line.startsWith('stdout ')).map((line) => line.slice(7));
      expect(shown.join('')).toBe('to [redacted]\n');
      expect(film.join('')).not.toContain('ana@');
      expect(film.at(-1)).toBe('exit 7');
    }
  });

  test('one message in pieces is one channel’s', () => {
    const whole = fromServer(STDOUT, 'hello world');
    const first = Buffer.concat([Buffer.of(OPCODES.binary, 4, STDOUT), Buffer.from('hel')]);
    const last = Buffer.concat([Buffer.of(0x80, 8), Buffer.from('lo world')]);
    const { stream, got } = bed();
    stream.upstreamBytes(Buffer.concat([first, frame(OPCODES.ping, Buffer.alloc(0), false), last, whole]));
    expect(got.get(STDOUT)).toBe('hello worldhello world');
  });

  test('a value that its writer makes piece by piece is found, without a terminal', () => {
    for (let cut = 1; cut < 'ana@example.com'.length; cut++) {
      const { stream, got, wake } = bed(EMAIL);
      stream.upstreamBytes(fromServer(STDOUT, `to ${'ana@example.com'.slice(0, cut)}`));
      wake(900);
      stream.upstreamBytes(fromServer(STDOUT, `${'ana@example.com'.slice(cut)}\n`));
      stream.closed('upstream');
      expect(got.get(STDOUT)).toBe('to [redacted]\n');
    }
  });

  test('what is held back goes when nothing follows', () => {
    const { stream, got, wake } = bed(EMAIL);
    stream.upstreamBytes(fromServer(STDOUT, 'Password: ana'));
    for (let i = 0; i < 3; i++) wake();
    expect(got.get(STDOUT)).toBe('Password: ana');
  });

  test('input, sizes and ends go to the server; a terminal is filmed with its size', () => {
    const { stream, sent, film } = bed([], true);
    stream.clientBytes(fromClient(RESIZE, '{"Width":100,"Height":30}'));
    stream.clientBytes(fromClient(STDIN, 'ls\n'));
    stream.clientBytes(frame(OPCODES.binary, Buffer.of(CLOSING, STDIN), true));
    stream.upstreamBytes(fromServer(STDOUT, 'a\r\n'));
    expect(sent.get(STDIN)).toBe('ls\n');
    expect(sent.get(RESIZE)).toContain('100');
    expect(sent.get(CLOSING)).toBe('\0');
    expect(film).toEqual(['size 80x24', 'size 100x30', 'pty a\r\n']);
  });

  test('a kill is told on the error channel, and closes', () => {
    const { stream, got, ended, film, closes } = bed();
    expect(closes).toBe(0);
    stream.ended('session.killed');
    expect(JSON.parse(got.get(ERROR) ?? '')).toMatchObject({ status: 'Failure' });
    expect(ended).toEqual(['session.killed']);
    expect(film).toEqual(['exit ']);
    stream.closed('client');
    expect(ended).toHaveLength(1);
  });

  test.each<[string, Buffer]>([
    ['an unmasked frame of the client', fromServer(STDIN, 'x')],
    ['output from the client', fromClient(STDOUT, 'x')],
    ['reserved bits', Buffer.of(0xc2, 0x80, 0, 0, 0, 0)],
    ['a continuation of nothing', Buffer.of(0x80, 0x81, 0, 0, 0, 0, 1)],
    ['a text message', frame(1, Buffer.from('0'), true)],
    ['a ping in pieces', Buffer.of(0x09, 0x80, 0, 0, 0, 0)],
    ['a size that is none', fromClient(RESIZE, '{"Width":-1,"Height":3}')],
    ['an unknown channel', fromClient(9, 'x')],
  ])('%s ends it', (_what, bytes) => {
    const { stream, ended, sent } = bed();
    stream.clientBytes(bytes);
    stream.clientBytes(fromClient(STDIN, 'more'));
    expect(ended).toEqual(['kubernetes.stream']);
    expect(sent.size).toBe(0);
  });
});
