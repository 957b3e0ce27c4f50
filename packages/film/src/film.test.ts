import { expect, test } from 'vitest';
import { AsciicastWriter } from './asciicast.ts';
import { CommandList } from './commands.ts';
import { EchoedLine } from './echoed-line.ts';
import type { FilmFrame } from './film-frame.ts';
import { InputTrack } from './input-track.ts';
import { SafeScreen } from './safe-screen.ts';

const bytes = (text: string): Buffer => Buffer.from(text);
const FRAMES: readonly FilmFrame[] = [
  { kind: 'statement', atMs: 0, number: 1, text: '' },
  { kind: 'resize', atMs: 0, number: 1, columns: 100, rows: 30 },
  { kind: 'terminal_output', atMs: 1000, number: 1, stream: 'pty', bytes: bytes('$ ') },
  { kind: 'statement', atMs: 1500, number: 2, text: 'make' },
  { kind: 'terminal_input', atMs: 1600, number: 1, bytes: bytes('l') },
  { kind: 'terminal_output', atMs: 2000, number: 2, stream: 'stdout', bytes: bytes('a\nb\r\n') },
  { kind: 'resize', atMs: 2500, number: 1, columns: 80, rows: 24 },
  { kind: 'stream_cut', atMs: 3000, number: 2, stream: 'stdout', bytes: 70 },
  { kind: 'exit', atMs: 3000, number: 2, code: 2 },
  { kind: 'exit', atMs: 4000, number: 1, signal: 'HUP' },
];
const cast = (more: { number?: number; fromMs?: number }): unknown[] => {
  const writer = new AsciicastWriter({ openedAtMs: 1_700_000_000_000, title: 'ada on web-1', ...more });
  const text = FRAMES.map((frame) => writer.lines(frame)).join('') + writer.end();
  return text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as unknown);
};

test('a film is asciicast v2: a header, output, input, sizes and marks with their seconds', () => {
  expect(cast({ number: 1 })).toEqual([
    { version: 2, width: 100, height: 30, timestamp: 1_700_000_000, title: 'ada on web-1' },
    [1, 'o', '$ '],
    [1.6, 'i', 'l'],
    [2.5, 'r', '80x24'],
    [4, 'm', 'ended by HUP'],
  ]);
  expect(cast({ number: 2 })).toEqual([
    { version: 2, width: 80, height: 24, timestamp: 1_700_000_000, title: 'ada on web-1' },
    [1.5, 'm', 'make'],
    [2, 'o', 'a\r\nb\r\n'],
    [3, 'm', '70 more bytes of stdout are not in the recording'],
    [3, 'm', 'exit 2'],
  ]);
  expect(cast({ number: 9 })).toEqual([expect.objectContaining({ version: 2, width: 80, height: 24 })]);
});

test('a film from an instant on begins with all that was shown before', () => {
  expect(cast({ number: 1, fromMs: 2000 })).toEqual([
    expect.objectContaining({ timestamp: 1_700_000_002 }),
    [0, 'o', '$ '],
    [0, 'i', 'l'],
    [0.5, 'r', '80x24'],
    [2, 'm', 'ended by HUP'],
  ]);
});

test('commands carry their times, their ends and how much they showed', () => {
  const list = new CommandList();
  for (const frame of FRAMES) list.add(frame);
  expect(list.commands()).toEqual([
    { number: 1, atMs: 0, text: '', shownBytes: 2, terminal: true, endMs: 4000, signal: 'HUP' },
    { number: 2, atMs: 1500, text: 'make', shownBytes: 75, terminal: false, endMs: 3000, code: 2 },
  ]);
});

test('only what a screen is made of passes to a live terminal, however it is cut', () => {
  const shown = 'a\u001b[31;1mb\u001b[2J\u001b[5;6H\u001b[K\u001b(0x\u001b(B\u001b[?25l\u001b[?1049h\r\n\u001bMé';
  const evil = [
    '\u001b]0;title\u0007',
    '\u001b]52;c;eHg=\u001b\\',
    '\u001bP+q544e\u001b\\',
    '\u001b[c',
    '\u001b[>c',
    '\u001b[6n',
    '\u001b[?1000h',
    '\u001b[?2004h',
    '\u001b[21t',
    '\u001bc',
    '\u001b[>4;1m',
    '\u009b6n',
    '\u0007',
    '\u0005',
    '\u001b_x\u001b\\',
  ];
  for (const one of evil) {
    const text = `${shown}${one}${shown}`;
    const expected = one === '\u009b6n' ? `${shown}6n${shown}` : shown + shown;
    for (let cut = 0; cut <= text.length; cut++) {
      const safe = new SafeScreen();
      expect(safe.push(text.slice(0, cut)) + safe.push(text.slice(cut)), JSON.stringify(one)).toBe(expected);
    }
  }
  expect(new SafeScreen().push('\u001b[?1000;25;2004h')).toBe('\u001b[?25h');
});

test('of what is typed only what came back is recorded, and keys that are no characters', () => {
  const track = new InputTrack();
  const kept: string[] = [];
  const type = (text: string, echo: string): void => {
    kept.push(Buffer.from(track.typed(bytes(text))).toString(), Buffer.from(track.output(bytes(echo))).toString());
  };
  type('l', 'l');
  type('s', 's');
  type('\r', '\r\na b\r\nPassword: ');
  type('hunter2', '');
  type('\r', '\r\n$ ');
  type('\u001b', '');
  type('x', '\u001b[1mx');
  expect(kept.join('')).toBe('ls\r\r\u001bx');
});

test('a screen program has no command line, and output without end costs what its last line costs', () => {
  const line = new EchoedLine(80);
  line.output(bytes('$ '));
  line.input(bytes('vi'));
  line.output(bytes('vi'));
  expect(line.enter()).toEqual({ text: 'vi', hidden: false, fullScreen: false });
  line.output(bytes('\r\n\u001b[?1049h\u001b[2J\u001b[1;1Htext'));
  line.input(bytes('dd'));
  expect(line.enter()).toMatchObject({ text: '', fullScreen: true });
  line.output(Buffer.concat([bytes('\u001b[?1049l'), Buffer.alloc(1_000_000, 'row of text\n'), bytes('\n$ ')]));
  expect(line.isFullScreen).toBe(false);
  line.input(bytes('rm x'));
  expect(line.awaited).toBe(4);
  line.output(bytes('rm x'));
  expect(line.awaited).toBe(0);
  expect(line.enter().text).toBe('rm x');
});

// ECMA-48, RIS: what `reset` sends to a terminal that a program left as it was.
test.each([
  ['at once', '\u001bc\r\n$ '],
  ['before output without end', `\u001bc${'row of text\n'.repeat(100_000)}$ `],
])('a terminal that is reset is no screen program’s any more: %s', (_, output) => {
  const line = new EchoedLine(80);
  line.output(bytes('\u001b[?1049h\u001b[2J'));
  expect(line.isFullScreen).toBe(true);
  line.output(bytes(output));
  expect(line.isFullScreen).toBe(false);
  line.input(bytes('rm x'));
  line.output(bytes('rm x'));
  expect(line.enter()).toMatchObject({ text: 'rm x', fullScreen: false });
});

test('the marks of a paste are read however they are cut, and are keys where no program asked for them', () => {
  const enters = new Set([0x0d]);
  const keys = bytes('echo \u001b[200~a\rb\u001b[201~\u001b[D\r');
  const typed = (line: EchoedLine, cut: number): string[] => {
    const texts: string[] = [];
    for (const part of [keys.subarray(0, cut), keys.subarray(cut)])
      for (let from = 0; from < part.length; from++) {
        from += line.input(part.subarray(from), enters);
        if (from < part.length) texts.push(line.enter().text);
      }
    return texts;
  };
  for (let cut = 0; cut <= keys.length; cut++) {
    const line = new EchoedLine(80);
    line.output(bytes(cut % 2 === 0 ? '\u001b[?2004h$ ' : '\u001b[?1;2004h$ '));
    // A key that edits came behind it: what was pasted, and what stands on the screen.
    expect(typed(line, cut)).toEqual(['a\nb']);
    line.output(bytes('\u001b[?2004l'));
    expect(typed(line, cut)).toHaveLength(2);
  }
});

test.each([
  ['alone', ['?2004', '?1049']],
  ['with others', ['?1;02004;25', '?25;1049;7']],
  ['together', ['?2004;1047', '?47;2004']],
])('modes that scroll by in long output, set %s, count however it is cut', (_name, [on = '', off = '']) => {
  const rows = Buffer.alloc(70_000, 'row of text\n');
  for (let cut = 0; cut <= on.length + 3; cut++) {
    const line = new EchoedLine(80);
    const pasted = (): number => {
      const taken = line.input(bytes('\u001b[200~a\rb\u001b[201~'), new Set([0x0d]));
      line.enter();
      return taken;
    };
    const scrolled = (sequence: string): void => {
      line.output(bytes(sequence.slice(0, cut)));
      line.output(Buffer.concat([bytes(sequence.slice(cut)), rows]));
    };
    scrolled(`\u001b[${on}h`);
    expect(pasted()).toBe(15);
    scrolled(`\u001b[${off}h`);
    expect(line.isFullScreen).toBe(true);
    scrolled(`\u001b[${off}l`);
    expect(line.isFullScreen).toBe(false);
    scrolled(`\u001b[${on}l`);
    expect(pasted()).toBe(7);
  }
});
