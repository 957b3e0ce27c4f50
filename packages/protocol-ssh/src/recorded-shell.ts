/**
 * An interactive shell whose lines are read as they stand on the screen when Enter is pressed. Advice, not proof: what a
 * program draws, completes or runs by itself is not seen (SECURITY.md, "Interactive shells"). A line that a rule refuses is
 * not entered, one that is held waits with what is typed behind it. Lines that cannot be read by themselves (half a loop) go.
 */
import { EchoedLine } from '@sallyport/film';
import { admitOwn } from '@sallyport/protocol-kit';
import { type Asker, commandStatement, readCommand } from './classify.ts';
import { heldText } from './deny.ts';
import { parsePty, parseWindowChange } from './messages.ts';
import type { RunningStream } from './running.ts';
import { ShellState } from './shell-state.ts';
import type { Holding, Judged, Work } from './work.ts';

export interface RecordedShellOptions {
  readonly work: Work;
  readonly asker: Asker;
  readonly pty: Buffer;
  /** For the client's terminal. */
  say(text: string): void;
}

/** How often `quiet` is asked before a line is read without the rest of its echo. */
const QUIET_MAX = 6;
const CARRIAGE_RETURN = 0x0d;
const LINE_FEED = 0x0a;
/** bash runs the line by it, and shows the next of its history. */
const CTRL_O = 0x0f;
const CTRL_C = 0x03;
const ENTERS: ReadonlySet<number> = new Set([CARRIAGE_RETURN, LINE_FEED, CTRL_O]);

type Waiting =
  | { readonly kind: 'echo'; asked: number }
  | { readonly kind: 'judged'; readonly statement: Judged['statement'] };

export class RecordedShell implements Holding {
  readonly #options: RecordedShellOptions;
  readonly #line: EchoedLine;
  /** What its profile and what is not read do is nobody's to know: no other shell is like it. */
  readonly #state: ShellState;
  #stream: RunningStream | undefined;
  #waiting: Waiting | undefined;
  /** Enter, and what came behind it while the line is waited for. */
  #queue: Buffer[] = [];
  #eof = false;

  constructor(options: RecordedShellOptions) {
    this.#options = options;
    this.#state = new ShellState(this.#random());
    this.#line = new EchoedLine(parsePty(options.pty).columns);
  }

  /** @param stream the shell itself, which tells `shown` what goes to the terminal */
  attach(stream: RunningStream): void {
    this.#stream = stream;
  }

  shown(bytes: Buffer): void {
    this.#line.output(bytes);
    if (this.#waiting?.kind === 'echo' && this.#line.awaited === 0) this.#judge();
  }

  clientData(chunk: Buffer): void {
    if (this.#waiting !== undefined) {
      if (this.#waiting.kind === 'judged' && chunk.includes(CTRL_C)) this.#options.work.cancel(this.#waiting.statement);
      this.#queue.push(Buffer.from(chunk));
      return;
    }
    this.#take(chunk);
  }

  #take(chunk: Buffer): void {
    const at = this.#line.input(chunk, this.#line.isFullScreen ? undefined : ENTERS);
    const before = at === chunk.length ? chunk : chunk.subarray(0, at);
    if (before.length > 0) this.#stream?.clientData(before);
    if (at === chunk.length) return;
    this.#queue.unshift(Buffer.from(chunk.subarray(at)));
    this.#waiting = { kind: 'echo', asked: 0 };
    if (this.#line.awaited === 0) this.#judge();
    else this.#options.work.holds(this);
  }

  /** Nothing came for a moment. */
  quiet(): boolean {
    if (this.#waiting?.kind !== 'echo') return false;
    if (++this.#waiting.asked < QUIET_MAX && this.#line.awaited > 0) return true;
    this.#judge();
    return false;
  }

  remask(): void {}

  #judge(): void {
    const entered = this.#line.enter();
    const { work, asker } = this.#options;
    if (entered.hidden || entered.fullScreen) this.#state.lost(this.#random());
    if (entered.hidden || entered.fullScreen || entered.text === '') return this.#enter();
    const facts = readCommand(entered.text);
    const meaning = this.#state.meaning(entered.text, '');
    const statement = commandStatement(entered.text, facts, { ...asker, meaning }, 'line');
    this.#waiting = { kind: 'judged', statement };
    if (!statement.understood) {
      admitOwn({ ...statement, understood: true }, work.signed.gate, 'gateway/unread-line');
      work.host.recorder.statement(work.signed.statementNumber(), entered.text);
      this.#state.lost(this.#random());
      return this.#enter();
    }
    work.judge(statement, { held: (notice) => this.#options.say(`\n${heldText(notice, work.host.nowMs())}`) }).then(
      ({ tally }) => {
        work.host.recorder.statement(tally.number, statement.text);
        tally.finish(work.host.monotonicUs());
        this.#state.ran(entered.text, facts, '', false);
        this.#enter();
      },
      (error: unknown) => {
        this.#options.say(`\n${work.textOf(error, statement)}`);
        this.#refuse();
      },
    );
  }

  #random(): string {
    return this.#options.work.host.randomBytes(16).toString('hex');
  }

  /** The line goes: Enter alone, and then what was typed behind it. */
  #enter(): void {
    this.#waiting = undefined;
    const first = this.#queue.shift();
    if (first !== undefined) {
      this.#stream?.clientData(first.subarray(0, 1));
      this.#again(first.subarray(1));
    }
  }

  /**
   * Ctrl-C instead of Enter: every line editor gives the line up. What was typed behind it was meant to follow it, and a terminal
   * loses some of it with a Ctrl-C; what comes behind the client's own is meant.
   */
  #refuse(): void {
    this.#waiting = undefined;
    const typed = Buffer.concat(this.#queue.splice(0)).subarray(1);
    const interrupt = typed.lastIndexOf(CTRL_C);
    if (interrupt === -1 && typed.length > 0)
      this.#options.say('\nSallyport: What was typed behind that line is not entered.');
    this.#stream?.clientData(Buffer.of(CTRL_C));
    this.#again(interrupt === -1 ? Buffer.alloc(0) : typed.subarray(interrupt + 1));
  }

  #again(rest: Buffer): void {
    if (rest.length > 0) this.#queue.unshift(rest);
    while (this.#waiting === undefined) {
      const next = this.#queue.shift();
      if (next === undefined) break;
      this.#take(next);
    }
    if (this.#eof && this.#waiting === undefined) this.#stream?.clientEof();
  }

  clientEof(): void {
    this.#eof = true;
    if (this.#waiting === undefined) this.#stream?.clientEof();
  }
  clientClosed(): void {
    if (this.#waiting?.kind === 'judged') this.#options.work.cancel(this.#waiting.statement);
    this.#stream?.clientClosed();
  }
  clientDrained(): void {
    this.#stream?.clientDrained();
  }
  resized(data: Buffer): void {
    this.#line.resize(parseWindowChange(data).columns);
    this.#stream?.resized(data);
  }
  signal(data: Buffer): void {
    this.#stream?.signal(data);
  }
}
