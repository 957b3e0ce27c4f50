/**
 * A shell that is read line by line: a prompt of ours, each line (or what is one command on several) judged as a command, and run
 * in one shell that is kept on the host, so that directories and variables last. Nothing but judged lines reaches it: a line goes as one quoted word to
 * `eval`, with nothing on its stdin, and a random word behind it says when it is over.
 * Refuses lines that would make later ones mean something else (aliases, functions, PATH), and programs that want input.
 */
import { GatewayError, LIMITS } from '@sallyport/core';
import type { ShellFacts } from '@sallyport/model';
import type { Permit } from '@sallyport/protocol-kit';
import { isUnfinished } from '@sallyport/shell';
import type { Channel, ChannelOwner } from './channels.ts';
import { type Asker, commandStatement, readCommand } from './classify.ts';
import { forTerminal, heldText } from './deny.ts';
import { LineEditor } from './line-editor.ts';
import { StreamFilter } from './mask.ts';
import { type ChannelRequest, Reader } from './messages.ts';
import { ShellState } from './shell-state.ts';
import { requests } from './upstream.ts';
import type { Holding, Judged, Work } from './work.ts';

/** One line is read, then it is all that `eval` has. What decides how names are found cannot be set. */
const LOOP =
  'readonly PATH IFS ENV BASH_ENV CDPATH; trap : INT; while read -r sallyport_line; do eval "$sallyport_line"; done';
/** Bash where there is one. Its own interrupt is not ours to give: what runs in it gets it. */
export const KEPT_SHELL = `command -v bash >/dev/null 2>&1 && exec bash --noprofile --norc -c '${LOOP}'; exec sh -c '${LOOP}'`;

/** Builtins by which a line changes what later lines mean. */
const CHANGING = new Set(
  'alias unalias enable hash trap shopt builtin exec source . set bind complete readonly eval coproc'.split(' '),
);
const NAMES =
  'PATH|HOME|IFS|ENV|BASH_ENV|BASHOPTS|SHELLOPTS|BASH_FUNC|PROMPT_COMMAND|CDPATH|GLOBIGNORE|LD_\\w+|sallyport_line|sallyport_text';
/** Builtins that set a variable whose name they are given. */
const SETTING = new Set('export declare typeset local read printf mapfile readarray getopts let unset'.split(' '));

const CTRL_C = 0x03;
/** Of one command: each new one has all of it read again. */
const LINES_MAX = 200;
/** What stands behind the random word is a number and a directory. */
const TAIL_BYTES_MAX = 16 * 1024;

interface Line {
  readonly judged: Judged;
  readonly text: string;
  readonly facts: ShellFacts;
  readonly filter: StreamFilter;
  readonly marks: { readonly out: Mark; readonly err: Mark };
}

/** Finds the random word at the end of what a line says. */
class Mark {
  readonly #word: Buffer;
  #kept: Buffer = Buffer.alloc(0);
  /** What stood behind the word, up to its line end; undefined until then. */
  tail: string | undefined;

  constructor(word: string) {
    this.#word = Buffer.from(`\n${word} `);
  }

  /** @returns what the line itself said */
  feed(chunk: Buffer): Buffer {
    if (this.tail !== undefined) return Buffer.alloc(0);
    const bytes = this.#kept.length === 0 ? chunk : Buffer.concat([this.#kept, chunk]);
    const at = bytes.indexOf(this.#word);
    if (at === -1) {
      // As much of the end as may be the word's beginning stays.
      let keep = Math.min(this.#word.length - 1, bytes.length);
      while (keep > 0 && !this.#word.subarray(0, keep).equals(bytes.subarray(bytes.length - keep))) keep--;
      this.#kept = Buffer.from(bytes.subarray(bytes.length - keep));
      return bytes.subarray(0, bytes.length - keep);
    }
    const end = bytes.indexOf(0x0a, at + this.#word.length);
    if (end === -1) {
      if (bytes.length - at > TAIL_BYTES_MAX) throw new GatewayError('protocol.malformed', { what: 'end of a line' });
      this.#kept = Buffer.from(bytes.subarray(at));
      return bytes.subarray(0, at);
    }
    this.tail = bytes.toString('utf8', at + this.#word.length, end);
    this.#kept = Buffer.alloc(0);
    return bytes.subarray(0, at);
  }
}

export class CommandShell implements ChannelOwner, Holding {
  readonly #work: Work;
  readonly #client: Channel;
  readonly #host: Channel;
  readonly #asker: Asker;
  readonly #permit: Permit;
  readonly #editor: LineEditor;
  readonly #ended: () => void;
  #typed = '';
  /** Lines of a command that more of it has to follow. */
  #begun: string | undefined;
  #lines = 0;
  #busy = true;
  #line: Line | undefined;
  #asking: Judged['statement'] | undefined;
  #directory = '';
  readonly #state: ShellState;
  /** Of the kept shell's processes, as it says itself. */
  #group = '';
  #status = 0;
  #over = false;
  /** The line that runs was given up on its way: what it had done by then is not known. */
  #interrupted = false;
  #clientEof = false;
  /** Window owed to the host for what the client or the record has not taken, and to the client for what it has not read. */
  #owedDown = 0;
  #owedUp = 0;
  readonly #forget: () => void;

  /** @param permit of the shell itself */
  constructor(work: Work, client: Channel, host: Channel, permit: Permit, asker: Asker, ended: () => void) {
    this.#permit = permit;
    this.#work = work;
    this.#client = client;
    this.#host = host;
    this.#asker = asker;
    this.#state = new ShellState(asker.meaning ?? '');
    this.#ended = ended;
    this.#forget = work.recorded(() => this.#pay());
    host.owner = this;
    this.#editor = new LineEditor(asker.pty, {
      show: (text) => void client.write(Buffer.from(text)),
      entered: (line) => this.#entered(line),
      interrupted: () => {
        this.#begun = undefined;
        this.#lines = 0;
        this.#prompt();
      },
      ended: () => this.#noMore(),
    });
  }

  /** The host has started the shell: where it stands is asked first. */
  start(): void {
    if (this.#asker.pty)
      this.#client.write(
        forTerminal('Sallyport: each line is judged before it runs. Programs get no input here.\n', true),
      );
    const word = this.#newWord();
    this.#greeting = { out: new Mark(word), err: new Mark(word) };
    this.#send(':', word, '$$');
  }
  #greeting: Line['marks'] | undefined;

  #newWord(): string {
    return `sallyport-${this.#work.host.randomBytes(18).toString('base64url')}`;
  }

  #prompt(): void {
    if (this.#over) return;
    this.#busy = false;
    if (this.#clientEof && this.#typed === '') return this.#noMore();
    const { role, resourceName } = this.#work.signed.info;
    this.#editor.begin(this.#begun === undefined ? `${role}@${resourceName}:${this.#directory}$ ` : '> ');
    const typed = this.#typed;
    this.#typed = '';
    if (typed !== '') this.#take(this.#editor.typeText(typed));
  }

  /** What was typed behind an entered line waits for the next prompt. */
  #take(rest: string): void {
    if (rest !== '') this.#typed = (rest + this.#typed).slice(0, LIMITS.sshCommandBytesMax);
    if (!this.#busy && this.#typed !== '') {
      const typed = this.#typed;
      this.#typed = '';
      this.#take(this.#editor.typeText(typed));
    } else if (!this.#busy && this.#clientEof) this.#noMore();
  }

  #leave(): void {
    this.#host.eof();
  }

  /** No more lines come: what has begun is judged as it stands. */
  #noMore(): void {
    if (this.#editor.finish()) return;
    const begun = this.#begun;
    this.#begun = undefined;
    if (begun === undefined) this.#leave();
    else this.#submit(begun);
  }

  #entered(line: string): void {
    this.#busy = true;
    const text = this.#begun === undefined ? line : `${this.#begun}\n${line}`;
    this.#begun = undefined;
    const goesOn = ++this.#lines < LINES_MAX && Buffer.byteLength(text) <= LIMITS.sshCommandBytesMax;
    if (text.trim() === '') this.#lines = 0;
    else if (goesOn && isUnfinished(text)) this.#begun = text;
    else return this.#submit(text);
    // What was typed behind this line has to be known first, and others have their turn between two lines.
    setImmediate(() => this.#prompt());
  }

  #submit(text: string): void {
    this.#lines = 0;
    this.#busy = true;
    this.#run(text).catch((error: unknown) => {
      this.#say(this.#work.textOf(error, this.#asking));
      this.#status = 126;
      this.#asking = undefined;
      if (!this.#over) this.#prompt();
    });
  }

  async #run(text: string): Promise<void> {
    // Paths of a line are read where the shell stands.
    const facts = readCommand(this.#directory === '' ? text : `cd -- ${quoted(this.#directory)} && ${text}`);
    const meaning = this.#state.meaning(text, this.#directory);
    const statement = commandStatement(text, facts, { ...this.#asker, meaning }, 'line');
    this.#asking = statement;
    if (Buffer.byteLength(text) > LIMITS.sshCommandBytesMax) throw new GatewayError('statement.too_large');
    const changing = changedBy(text, facts);
    if (changing !== undefined)
      throw this.#work.refuse(statement, 'gateway/shell-state', `Later lines could not be read: ${changing}.`);
    const judged = await this.#work.judge(statement, {
      held: (notice) => this.#say(heldText(notice, this.#work.host.nowMs())),
    });
    if (this.#over) throw new GatewayError('approval.cancelled');
    this.#asking = undefined;
    this.#work.host.recorder.statement(judged.tally.number, text);
    const word = this.#newWord();
    this.#line = {
      judged,
      text,
      facts,
      filter: this.#filter(judged),
      marks: { out: new Mark(word), err: new Mark(word) },
    };
    this.#send(text, word);
  }

  /** One line for the kept shell: the judged text as one word, then the random one on both streams. */
  #send(text: string, word: string, status = '$?'): void {
    // The loop reads one line, so a line end goes as `\n` and is one again for `eval`.
    const lines = text.includes('\n');
    const escaped = text.replaceAll('\\', '\\\\').replaceAll('\n', '\\n');
    const kept = lines ? `sallyport_text=$(printf %b ${quoted(escaped)}); ` : '';
    const command = `${kept}(exit ${this.#status}); eval ${lines ? '"$sallyport_text"' : quoted(text)} </dev/null; printf '\\n%s %s %s\\n' ${word} "${status}" "$(pwd)"; printf '\\n%s %s\\n' ${word} - >&2`;
    this.#host.write(Buffer.from(`${command}\n`));
  }

  #filter({ permit, tally }: Judged): StreamFilter {
    const { recorder } = this.#work.host;
    return new StreamFilter({
      recorder,
      number: tally.number,
      pty: this.#asker.pty,
      detect: this.#work.signed.resource.ssh?.maskStreams === true ? permit.masks.detect : [],
      key: this.#work.signed.maskKey,
      counted: (bytes, masked) => {
        tally.bytes += bytes;
        tally.masked = masked;
      },
      holds: () => this.#work.holds(this),
      nowMs: () => this.#work.host.nowMs(),
    });
  }

  quiet(): boolean {
    const filter = this.#line?.filter;
    if (filter === undefined) return false;
    const [out, err] = filter.quiet();
    this.#show(out, false);
    this.#show(err, true);
    return filter.holds;
  }

  remask(): void {}

  #show(bytes: Buffer, isStderr: boolean): void {
    if (bytes.length === 0) return;
    if (this.#asker.pty) this.#client.write(Buffer.from(bytes.toString('latin1').replace(/\r?\n/g, '\r\n'), 'latin1'));
    else this.#client.write(bytes, isStderr);
  }

  #say(text: string): void {
    this.#client.write(forTerminal(text, this.#asker.pty), !this.#asker.pty);
  }

  // From the host.

  data(chunk: Buffer, isStderr: boolean): void {
    const greeting = this.#greeting;
    if (greeting !== undefined) {
      // Both: the one that comes late would be taken for what the first line says.
      (isStderr ? greeting.err : greeting.out).feed(chunk);
      if (greeting.out.tail !== undefined && greeting.err.tail !== undefined) {
        this.#greeting = undefined;
        this.#group = greeting.out.tail.split(' ')[0] ?? '';
        this.#stands(greeting.out.tail);
        this.#status = 0;
        this.#prompt();
      }
    } else if (this.#line !== undefined) this.#said(this.#line, chunk, isStderr);
    this.#owedDown += chunk.length;
    this.#pay();
  }

  /** A side gets window when the other one has taken what there was. */
  #pay(): void {
    if (this.#client.queued > 0) return;
    const up = this.#owedUp;
    this.#owedUp = 0;
    if (up > 0) this.#client.took(up);
    if (this.#owedDown === 0 || this.#work.host.recorder.saturated) return;
    const down = this.#owedDown;
    this.#owedDown = 0;
    this.#host.took(down);
  }

  #said(line: Line, chunk: Buffer, isStderr: boolean): void {
    const mark = isStderr ? line.marks.err : line.marks.out;
    const own = mark.feed(chunk);
    if (own.length > 0) this.#show(line.filter.down(Buffer.from(own), isStderr), isStderr);
    if (line.marks.out.tail === undefined || line.marks.err.tail === undefined) return;
    this.#finish(line);
    if (this.#interrupted) this.#state.lost(this.#newWord());
    this.#interrupted = false;
    this.#state.ran(line.text, line.facts, line.marks.out.tail.split(' ')[0] ?? '', true);
    this.#stands(line.marks.out.tail);
    this.#prompt();
  }

  #finish(line: Line): void {
    this.#line = undefined;
    for (const isStderr of [false, true]) this.#show(line.filter.rest(isStderr), isStderr);
    const code = Number(line.marks.out.tail?.split(' ')[0] ?? 1);
    this.#work.host.recorder.exit(line.judged.tally.number, { code: Number.isInteger(code) ? code : 1 });
    line.judged.tally.finish(this.#work.host.monotonicUs());
  }

  #stands(tail: string): void {
    const [status = '', ...directory] = tail.split(' ');
    this.#status = Number(status) || 0;
    this.#directory = directory.join(' ');
  }

  request({ type, wantReply, data }: ChannelRequest): void {
    if (type === 'exit-status') this.#status = new Reader(data, 0).uint32();
    else if (wantReply) this.#host.answer(false);
  }

  eof(): void {
    this.#host.abort();
  }
  drained(): void {}

  closed(): void {
    if (this.#over) return;
    this.#over = true;
    this.#forget();
    if (this.#line !== undefined) this.#finish(this.#line);
    this.#client.request('exit-status', requests.exitStatus(this.#status));
    this.#client.eof();
    this.#client.close();
    this.#ended();
  }

  stop(): void {
    this.#host.abort();
  }

  // From the client.

  clientData(chunk: Buffer): void {
    this.#typedAhead(chunk);
    // What is typed is shown: whoever does not read that may not type on for ever.
    this.#owedUp += chunk.length;
    this.#pay();
  }

  #typedAhead(chunk: Buffer): void {
    if (!this.#busy) return this.#take(this.#editor.type(chunk));
    const interrupt = chunk.lastIndexOf(CTRL_C);
    if (interrupt !== -1) {
      // What waits is given up, what runs is told, and what was typed ahead is not meant any more; what comes behind it is.
      this.#typed = chunk.toString('utf8', interrupt + 1);
      if (this.#asking !== undefined) this.#work.cancel(this.#asking);
      if (this.#line !== undefined) {
        this.#interrupted = true;
        this.#interrupt();
      }
      return;
    }
    this.#typed = (this.#typed + chunk.toString('utf8')).slice(0, LIMITS.sshCommandBytesMax);
  }

  /** By a channel of its own: an sshd without separated privileges passes no signals on. */
  #interrupt(): void {
    if (!/^\d+$/.test(this.#group)) return;
    this.#work.upstream.openSession(this.#permit).then(
      (channel) => {
        channel.request('exec', requests.exec(`kill -INT -- -${this.#group}`), () => undefined);
        channel.eof();
      },
      () => this.#host.abort(),
    );
  }

  clientEof(): void {
    this.#clientEof = true;
    if (!this.#busy && this.#typed === '') this.#noMore();
  }

  clientClosed(): void {
    if (this.#asking !== undefined) this.#work.cancel(this.#asking);
    this.#host.abort();
  }

  clientDrained(): void {
    this.#pay();
  }
}

/** As one word, whatever is in it. */
const quoted = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`;
/** @returns what makes this line or later ones unreadable, for people; undefined when nothing does */
function changedBy(text: string, facts: ShellFacts): string | undefined {
  if (/[\r\0]/.test(text)) return 'a carriage return or a NUL within a line';
  for (const reason of ['function', 'alias', 'source', 'eval', 'trap', 'variable_program', 'glob_program'])
    if (facts.opaque.includes(reason)) return reason;
  for (const { program, dynamic, arguments: args } of facts.commands) {
    if (program === '') return 'a program that is only known when it runs';
    if (CHANGING.has(program)) return program;
    if (SETTING.has(program) && (dynamic || args.some((word) => /^-[a-zA-Z]*n/.test(word))))
      return `${program} of another name`;
  }
  // A function would stand for a program in every later line.
  if (/\(\s*\)|(?:^|[^\w-])function\s/.test(text)) return 'function';
  // Whatever the way to set them: their names without quotes, and not behind a dollar sign.
  return new RegExp(`(?:^|[^\\w$\\{])(${NAMES})(?:$|\\W)`).exec(text.replace(/["'\\\\]/g, ''))?.[1];
}
