import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { AsciicastWriter, EchoedLine, type EnteredLine, type FilmFrame, SafeScreen } from '@sallyport/film';
import { Terminal } from '@xterm/headless';
import { afterAll, afterEach, describe, expect, test } from 'vitest';
import { PtyProgram, type Shown } from './pty-program.ts';

const root = mkdtempSync(join(tmpdir(), 'film-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));
afterEach(() => PtyProgram.endAll());
const isThere = (program: string): boolean => spawnSync('which', [program]).status === 0;
const SIZE = { columns: 90, rows: 28 };

async function screenOf(pieces: readonly (Uint8Array | string)[]): Promise<readonly string[]> {
  const terminal = new Terminal({ cols: SIZE.columns, rows: SIZE.rows, allowProposedApi: true, scrollback: 500 });
  for (const piece of pieces) await new Promise<void>((resolve) => terminal.write(piece, resolve));
  const buffer = terminal.buffer.active;
  return Array.from({ length: SIZE.rows }, (_, i) => buffer.getLine(buffer.baseY + i)?.translateToString(true) ?? '');
}

/** What a player of the film is given, byte by byte of what was recorded. */
function filmOf(shown: readonly Shown[]): { readonly times: readonly number[]; readonly texts: readonly string[] } {
  const writer = new AsciicastWriter({ openedAtMs: 0, title: 't', number: 1 });
  const frames: FilmFrame[] = [
    { kind: 'resize', atMs: 0, number: 1, ...SIZE },
    ...shown.map(({ atMs, bytes }): FilmFrame => ({ kind: 'terminal_output', atMs, number: 1, stream: 'pty', bytes })),
  ];
  const lines = `${frames.map((frame) => writer.lines(frame)).join('')}${writer.end()}`.trimEnd().split('\n');
  expect(JSON.parse(lines[0]!)).toMatchObject({ version: 2, width: SIZE.columns, height: SIZE.rows });
  const events = lines.slice(1).map((line) => JSON.parse(line) as [number, string, string]);
  expect(events.every(([, code]) => code === 'o')).toBe(true);
  return { times: events.map(([at]) => at), texts: events.map(([, , text]) => text) };
}

/** @param play drives the program; the screen at each of its stops must be the film's at that time */
async function compare(play: (program: PtyProgram) => Promise<void>): Promise<PtyProgram> {
  const program = new PtyProgram(`stty cols ${SIZE.columns} rows ${SIZE.rows}; exec bash --norc --noprofile -i`, {
    PS1: 'film$ ',
    HISTFILE: join(root, 'history'),
  });
  await program.until('film$ ');
  await play(program);
  await program.quiet();
  const { times, texts } = filmOf(program.shown);
  expect(times).toEqual([...times].sort((a, b) => a - b));
  const real = await screenOf(program.shown.map(({ bytes }) => bytes));
  expect(await screenOf(texts), 'the film').toEqual(real);
  const safe = new SafeScreen();
  expect(await screenOf(texts.map((text) => safe.push(text))), 'the film as it is played in a terminal').toEqual(real);
  return program;
}

/** Bytes of characters are cut at random, as a network cuts them. */
test('a film of a shell replays to the same screen, however its characters were cut', async () => {
  const program = await compare(async (shell) => {
    shell.type('printf "Größe %s → ✓\\n" 数値 && ls --color=always /\r');
    await shell.until('film$ ');
    shell.type('for i in $(seq 60); do echo "line $i"; done; tput setaf 2; echo green\r');
    await shell.until('green');
  });
  await program.end();
  const bytes = Buffer.concat(program.shown.map((one) => one.bytes));
  const cut: Shown[] = Array.from(bytes, (byte, i) => ({ atMs: i, bytes: Buffer.of(byte) }));
  expect(await screenOf(filmOf(cut).texts)).toEqual(await screenOf([bytes]));
});

describe.skipIf(!isThere('vim'))('vim', () => {
  test('a film of an editor replays to the same screen, inside and when it has ended', async () => {
    const file = join(root, 'note.txt');
    writeFileSync(file, Array.from({ length: 80 }, (_, i) => `row ${i} ${'=-'.repeat(20)}`).join('\n'));
    const inside = await compare(async (shell) => {
      shell.type(`vim -u NONE -N ${file}\r`);
      await shell.until('row 20');
      shell.type('40Gihello Größe\u001b:set number\r');
      await shell.until(/hello/);
    });
    inside.type(':q!\r');
    await inside.end();
    const after = await compare(async (shell) => {
      shell.type(`vim -u NONE -N ${file}\r`);
      await shell.until('row 20');
      shell.type(':q!\r');
      await shell.until('film$ ');
    });
    await after.end();
  });
});

describe.skipIf(!isThere('less'))('less', () => {
  test('a film of a pager replays to the same screen', async () => {
    const program = await compare(async (shell) => {
      shell.type('seq 500 | less\r');
      await shell.until('20');
      shell.type('  /44\r');
      await shell.until(/44/);
    });
    program.type('q');
    await program.end();
  });
});

describe.skipIf(!isThere('top'))('top', () => {
  test('a film of a screen that draws itself again replays to the same screen', async () => {
    const program = await compare(async (shell) => {
      shell.type('top -d 0.3\r');
      await shell.until('PID');
      await shell.until('load average');
      shell.type('q');
      await shell.until('film$ ');
    });
    await program.end();
  });
});

describe.skipIf(!isThere('tmux'))('tmux', () => {
  test('a film of a terminal in a terminal replays to the same screen', async () => {
    const socket = join(root, 'tmux');
    const program = await compare(async (shell) => {
      shell.type(`tmux -f /dev/null -S ${socket} new 'exec bash --norc --noprofile -i'\r`);
      await shell.until('0:bash');
      shell.type('echo first\r');
      await shell.until('first');
      shell.type('\u0002"');
      await shell.quiet(300);
      shell.type('echo "second pane"\r');
      await shell.until('second');
    });
    spawnSync('tmux', ['-S', socket, 'kill-server']);
    await program.end();
  });
});

test('the command line is read off the screen as the shell ran it, however it was edited', async () => {
  const history = join(root, 'history-2');
  const program = new PtyProgram(`stty cols 60 rows 20; exec bash --norc --noprofile -i`, {
    PS1: '[\\u@film \\w] ready> ',
    HISTFILE: history,
    HISTSIZE: '100',
  });
  const line = new EchoedLine(60);
  program.onShown = (bytes) => line.output(bytes);
  const entered: EnteredLine[] = [];
  await program.until('ready> ');
  const say = async (...keys: string[]): Promise<void> => {
    for (const key of keys) {
      line.input(Buffer.from(key));
      program.type(key);
      await program.quiet(80);
    }
    entered.push(line.enter());
    program.type('\r');
    await program.quiet(120);
  };
  await say('echo one');
  await say('echo twx', '\u007f', 'o');
  await say('hello', '\u0001', 'echo ', '\u0005', ' there');
  await say('\u001b[A', '\u001b[D', '\u001b[D', 'XY');
  await say('echo wrong words', '\u0017', '\u0017', 'right');
  await say(`echo ${'long '.repeat(30)}end`);
  await say(`echo ${'wrap '.repeat(20)}end`, '\u0001', 'true; ', '\u0005', '\u007f\u007f\u007f', 'END');
  await say('cat /etc/host', '\t', 'name');
  await say('\u0012', 'wrong', '\u001b[C');
  await say('echo Größe');
  const typed = entered.map((one) => one.text);
  entered.length = 0;
  await say('read -s secret');
  await say('hunter2');
  expect(entered[1]).toEqual({ text: '', hidden: true, fullScreen: false });
  await say('read plain');
  await say('shown');
  expect(entered[3]).toMatchObject({ text: 'shown', hidden: false });
  await say(`history -w ${history}`);
  await program.end();
  const ran = readFileSync(history, 'utf8').trimEnd().split('\n');
  expect(typed).toEqual(ran.slice(0, typed.length));
});

test('… and where the prompt comes after the first key, or is drawn anew', async () => {
  const history = join(root, 'history-3');
  const program = new PtyProgram(`stty cols 60 rows 20; exec bash --norc --noprofile -i`, {
    PS1: '[\\u@film \\w] # ',
    HISTFILE: history,
    HISTSIZE: '100',
  });
  const line = new EchoedLine(60);
  program.onShown = (bytes) => line.output(bytes);
  const entered: string[] = [];
  await program.until('# ');
  const key = (keys: string): void => {
    line.input(Buffer.from(keys));
    program.type(keys);
  };
  const enter = async (): Promise<void> => {
    for (const until = Date.now() + 5_000; line.awaited > 0 && Date.now() < until; ) await program.quiet(20);
    const { text } = line.enter();
    if (text !== '') entered.push(text);
    program.type('\r');
  };
  const say = async (...all: string[]): Promise<void> => {
    for (const keys of all) {
      key(keys);
      await program.quiet(80);
    }
    await enter();
    await program.quiet(120);
  };
  await say('\u000c', 'echo clear');
  await say('echo given', '\u0003', 'echo up');
  await say('\u0003', '\u0003', '\u001b[A', ' again');
  await say('ech', '\u000c', 'o cleared');
  await say('ls /etc/host', '\t\t', 'name');
  await say('\u0012', 'again');
  await say('\u0012', 'nowhere-at-all', '\u0012');
  await say('\u0003');
  // Typed ahead, as one pastes.
  for (const text of ['sleep 0.5', 'cd /tmp', 'echo in another place', `echo ${'wrap '.repeat(20)}end`]) {
    key(text);
    await enter();
  }
  await program.quiet(800);
  await say(`history -w ${history}`);
  await program.end();
  const ran = readFileSync(history, 'utf8').trimEnd().split('\n');
  expect(entered).toEqual(ran.slice(0, entered.length));
});

test('… and where lines are pasted together, as terminals mark it', async () => {
  const history = join(root, 'history-4');
  const program = new PtyProgram(`stty cols 60 rows 20; exec bash --norc --noprofile -i`, {
    PS1: 'film$ ',
    HISTFILE: history,
    HISTSIZE: '100',
    TERM: 'xterm',
  });
  const line = new EchoedLine(60);
  program.onShown = (bytes) => line.output(bytes);
  const entered: string[] = [];
  await program.until('film$ ');
  const enters = new Set([0x0d]);
  const say = async (...all: string[]): Promise<void> => {
    for (const keys of all) {
      const bytes = Buffer.from(keys);
      for (let from = 0; from < bytes.length; ) {
        const taken = line.input(bytes.subarray(from), enters);
        program.type(bytes.toString('utf8', from, from + taken));
        await program.quiet(80);
        from += taken;
        if (from === bytes.length) break;
        const { text } = line.enter();
        if (text !== '') entered.push(...text.split('\n'));
        program.type('\r');
        await program.quiet(150);
        from++;
      }
    }
  };
  await say('\u001b[200~echo one\recho two\u001b[201~', '\r');
  await say('\u001b[2', '00~echo three\necho four\r\u001b[20', '1~\r');
  await say('echo before; \u001b[200~echo five\recho six\u001b[201~', '; echo behind\r');
  await say('\u001b[200~echo one line\u001b[201~\r');
  await say('\u001b[200~echo given\recho up\u001b[201~', '\u0003', 'echo seven\r');
  await say('bind "set enable-bracketed-paste off"\r');
  await say('echo eight\r');
  await say(`history -w ${history}\r`);
  await program.end();
  // Lines that were pasted together are one entry of several lines.
  const ran = readFileSync(history, 'utf8').trimEnd().split('\n');
  expect(entered).toEqual(ran.slice(0, entered.length));
  expect(entered).toContain('echo three');
});
