/**
 * The command line of an interactive shell as it stands on the screen when Enter is pressed: what the shell echoed, edited
 * by whatever keys, behind the prompt, which may come after the first key. What is typed and not echoed (a password) is never part of it.
 * Refuses to be a terminal: only the line with the cursor is kept, over its wraps. It is advice, not proof: a program can draw
 * anything. ECMA-48 §8.3 for the sequences. Costs nothing for output without a cursor line: all before the last line end.
 */
import { TextDecoder } from 'node:util';

export interface EnteredLine {
  /** Behind the prompt, without the spaces at its end. */
  readonly text: string;
  /** Something was typed and nothing of it came back: a password, or a program that does not echo. */
  readonly hidden: boolean;
  /** A program has taken the whole screen (an editor, a pager): Enter is no command's. */
  readonly fullScreen: boolean;
}

/** How bash shows a line that is looked for (Ctrl-R). */
const SEARCHED = /^\((?:failed )?(?:reverse-)?i-search\)`.*?': /;
const CTRL_C = '\u0003';
/** What a terminal puts before and behind what is pasted, for programs that asked for it (DECSET 2004): `ESC [ 2 0 0 ~`, `ESC [ 2 0 1 ~`. */
const PASTE_MARK = [0x1b, 0x5b, 0x32, 0x30];
/** DECSET and DECRST. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: a sequence begins with one
const SWITCH = /\u001b(?:c|\[\?([\d;]+)([hl]))/g;
const NO_KEYS: ReadonlySet<number> = new Set();

/** Characters of one line over its wraps. */
const LINE_UNITS_MAX = 16_384;
/** Characters of what is pasted at once. */
const PASTE_UNITS_MAX = 262_144;
/** Of one sequence; xterm takes 30 parameters. */
const PARAMETER_UNITS_MAX = 256;
/** Of output with so much behind its last line end only that is read. */
const TAIL_BYTES_MAX = 65_536;
const ESC = 0x1b;
const LF = 10;

type State = 'text' | 'escape' | 'inter' | 'csi' | 'string' | 'string-escape';

export class EchoedLine {
  #columns: number;
  #cells: string[] = [];
  #cursor = 0;
  /** Where the prompt ends: the cursor when the first key of this line was typed; -1 before, 0 when a new row has begun since. */
  #begin = -1;
  /** Of the last line whose prompt stood before its first key. */
  #prompt: string | undefined;
  /** What was typed on this line; undefined behind a key that edits. */
  #plain: string | undefined = '';
  #fullScreen = false;
  /** The program takes what is pasted as text: no line end in it is an Enter. */
  #takesPastes = false;
  #pasting = false;
  /** Bytes that may become a mark of a paste. */
  #mark: number[] = [];
  /** What was pasted on this line, once there is a line end in it. */
  #pasted = '';
  #pastedLines = false;
  /** Characters typed on this line that did not come back yet. */
  #awaited: string[] = [];
  #typed = 0;
  #echoed = 0;
  #state: State = 'text';
  #parameters = '';
  #decoder = new TextDecoder();

  constructor(columns = 80) {
    this.#columns = columns || 80;
  }

  resize(columns: number): void {
    this.#columns = columns || this.#columns;
  }

  /** How many typed characters have not been echoed: wait a moment for them before Enter is judged. */
  get awaited(): number {
    return this.#awaited.length;
  }

  get isFullScreen(): boolean {
    return this.#fullScreen;
  }

  /**
   * What the client typed, up to Enter and without it.
   * @param enters keys that enter a line, where they are no part of a paste
   * @returns how many bytes were taken: all, or those before such a key
   */
  input(bytes: Uint8Array, enters: ReadonlySet<number> = NO_KEYS): number {
    let from = 0;
    for (let at = 0; at < bytes.length; at++) {
      const byte = bytes[at]!;
      if (this.#isMark(byte)) {
        // Its first byte: what came before it is typed, or pasted.
        if (this.#mark.length === 1) this.#came(bytes.subarray(from, at));
        from = at + 1;
        continue;
      }
      if (!this.#pasting && enters.has(byte)) {
        this.#came(bytes.subarray(from, at));
        return at;
      }
      if (byte === CTRL_C.charCodeAt(0)) {
        this.#came(bytes.subarray(from, at + 1));
        from = at + 1;
      }
    }
    this.#came(bytes.subarray(from));
    return bytes.length;
  }

  /** True for a byte that belongs to a mark, as far as it has come; what turns out to be none was typed. */
  #isMark(byte: number): boolean {
    if (!this.#takesPastes && !this.#pasting) return false;
    const mark = this.#mark;
    const at = mark.length;
    const fits = at < 4 ? byte === PASTE_MARK[at] : at === 4 ? byte === 0x30 || byte === 0x31 : byte === 0x7e;
    if (fits) {
      mark.push(byte);
      if (at < 5) return true;
      this.#pasting = mark[4] === 0x30;
      this.#mark = [];
      return true;
    }
    if (at === 0) return false;
    this.#mark = [];
    this.#came(Uint8Array.from(mark));
    return this.#isMark(byte);
  }

  #came(bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    const text = Buffer.from(bytes).toString('utf8');
    for (const character of text) {
      if (character === CTRL_C) {
        // The line is given up; a prompt follows.
        this.#next();
        continue;
      }
      if (this.#begin < 0) this.#began();
      if (this.#pasting && (character === '\r' || character === '\n')) {
        this.#pastedLines = true;
        this.#add('\n');
        continue;
      }
      if (character < ' ' || character === '\u007f') {
        this.#plain = undefined;
        continue;
      }
      this.#add(character);
      this.#typed++;
      if (this.#awaited.length < LINE_UNITS_MAX) this.#awaited.push(character);
    }
  }

  #add(character: string): void {
    if (this.#plain !== undefined && this.#plain.length < PASTE_UNITS_MAX) this.#plain += character;
    if (this.#pasting && this.#pasted.length < PASTE_UNITS_MAX) this.#pasted += character;
  }

  /** What the terminal shows, in order with `input`. */
  output(bytes: Uint8Array): void {
    const line = bytes.lastIndexOf(LF);
    // What scrolled by is no part of the line with the cursor; a screen switch in it counts.
    if (line > TAIL_BYTES_MAX) {
      this.#switches(bytes.subarray(0, line));
      this.#read(bytes.subarray(line));
    } else this.#read(bytes);
  }

  /** Enter was pressed. The next line begins. */
  enter(): EnteredLine {
    const row = this.#cells.join('').trimEnd();
    const searched = SEARCHED.exec(row)?.[0];
    if (this.#pastedLines && !this.#fullScreen) {
      const text = (this.#plain ?? `${this.#pasted}\n${this.#behindPrompt(row)}`).trimEnd();
      this.#next();
      return { text, hidden: false, fullScreen: false };
    }
    const text = this.#begin < 0 ? '' : searched === undefined ? this.#behindPrompt(row) : row.slice(searched.length);
    if (this.#begin > 0 && searched === undefined && text !== '')
      this.#prompt = this.#cells.slice(0, this.#begin).join('');
    const hidden = this.#typed > 0 && this.#echoed === 0 && text === '';
    const entered = { text: this.#fullScreen ? '' : text, hidden, fullScreen: this.#fullScreen };
    this.#next();
    return entered;
  }

  #began(): void {
    this.#begin = this.#cursor;
    this.#prompt ??= this.#cells.slice(0, this.#begin).join('');
  }

  #next(): void {
    this.#begin = -1;
    this.#typed = this.#echoed = 0;
    this.#awaited = [];
    this.#plain = this.#pasted = '';
    this.#pasting = this.#pastedLines = false;
    this.#mark = [];
  }

  /** Typed ahead, or on a row that was drawn anew, the line has its prompt before it. */
  #behindPrompt(row: string): string {
    if (this.#begin > 0) return this.#cells.slice(this.#begin).join('').trimEnd();
    if (this.#prompt && row.startsWith(this.#prompt)) return row.slice(this.#prompt.length);
    const plain = this.#plain?.trimEnd();
    return plain && row.endsWith(plain) ? plain : row;
  }

  #switches(bytes: Uint8Array): void {
    // A sequence that the output before this began ends here.
    const begun = this.#state === 'csi' ? `\u001b[${this.#parameters}` : this.#state === 'escape' ? '\u001b' : '';
    const text = begun + Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1');
    for (const [, modes, final] of text.matchAll(SWITCH)) {
      if (modes === undefined) this.#reset();
      else this.#switch(modes, final === 'h');
    }
    this.#newLine();
    this.#state = 'text';
  }

  /** @param modes of DEC, which one sequence may set together */
  #switch(modes: string, on: boolean): void {
    for (const mode of modes.split(';').map(Number)) {
      if (mode === 2004) this.#takesPastes = on;
      if (mode !== 47 && mode !== 1047 && mode !== 1049) continue;
      this.#fullScreen = on;
      this.#newLine();
    }
  }

  /** The terminal is as it was when it was opened. */
  #reset(): void {
    this.#takesPastes = this.#fullScreen = false;
    this.#newLine();
  }

  #read(bytes: Uint8Array): void {
    for (const character of this.#decoder.decode(bytes, { stream: true })) this.#character(character);
  }

  #character(character: string): void {
    switch (this.#state) {
      case 'text':
        this.#text(character);
        break;
      case 'escape':
        this.#state =
          character === '[' ? 'csi' : 'PX]^_'.includes(character) ? 'string' : character < '0' ? 'inter' : 'text';
        this.#parameters = '';
        if (character === 'c') this.#reset();
        break;
      case 'inter':
        if (character >= '0') this.#state = 'text';
        break;
      case 'csi':
        if (character >= '@' && character <= '~') {
          this.#state = 'text';
          this.#control(character);
        } else if (character.charCodeAt(0) === ESC) this.#state = 'escape';
        else if (this.#parameters.length < PARAMETER_UNITS_MAX) this.#parameters += character;
        break;
      case 'string':
        if (character === '\u0007') this.#state = 'text';
        else if (character.charCodeAt(0) === ESC) this.#state = 'string-escape';
        break;
      case 'string-escape':
        this.#state = 'text';
        if (character !== '\\') {
          this.#state = 'escape';
          this.#character(character);
        }
        break;
      default:
        this.#state satisfies never;
    }
  }

  #text(character: string): void {
    switch (character) {
      case '\u001b':
        this.#state = 'escape';
        return;
      case '\r':
        this.#cursor = this.#rowStart();
        return;
      case '\n':
        this.#lineFeed();
        return;
      case '\b':
        if (this.#cursor > 0) this.#cursor--;
        return;
      case '\t':
        this.#cursor = Math.min(LINE_UNITS_MAX, this.#rowStart() + (Math.floor(this.#column() / 8) + 1) * 8);
        return;
      default:
        if (character >= ' ' && character !== '\u007f') this.#put(character);
    }
  }

  #put(character: string): void {
    if (this.#cursor >= LINE_UNITS_MAX) return;
    while (this.#cells.length < this.#cursor) this.#cells.push(' ');
    this.#cells[this.#cursor++] = character;
    if (this.#awaited[0] !== character) return;
    this.#awaited.shift();
    this.#echoed++;
  }

  /** A line feed inside what is being typed goes to the line's next row, else to a line of its own. */
  #lineFeed(): void {
    if (this.#begin >= 0 && this.#cursor < this.#cells.length && this.#rowStart() + this.#columns < this.#cells.length)
      this.#cursor += this.#columns;
    else this.#newLine();
  }

  #newLine(): void {
    this.#cells = [];
    this.#cursor = 0;
    if (this.#begin >= 0) this.#begin = 0;
  }

  #control(final: string): void {
    const [first = '', second = ''] = this.#parameters.split(';');
    const count = Math.max(1, Number(first) || 0);
    switch (final) {
      case 'C':
        this.#cursor = Math.min(LINE_UNITS_MAX, this.#cursor + count);
        break;
      case 'D':
        this.#cursor = Math.max(0, this.#cursor - count);
        break;
      case 'A':
        this.#cursor = Math.max(this.#column(), this.#cursor - count * this.#columns);
        break;
      case 'B':
        this.#cursor = Math.min(LINE_UNITS_MAX, this.#cursor + count * this.#columns);
        break;
      case 'G':
      case '`':
        this.#cursor = this.#rowStart() + count - 1;
        break;
      case 'K':
        this.#erase(first);
        break;
      case 'J':
        if (first === '2' || first === '3') this.#newLine();
        else this.#cells.length = Math.min(this.#cells.length, this.#cursor);
        break;
      case 'P':
        this.#cells.splice(this.#cursor, count);
        break;
      case '@':
        this.#cells.splice(this.#cursor, 0, ...Array<string>(Math.min(count, LINE_UNITS_MAX)).fill(' '));
        break;
      case 'X':
        for (let i = this.#cursor; i < Math.min(this.#cells.length, this.#cursor + count); i++) this.#cells[i] = ' ';
        break;
      case 'H':
      case 'f':
        // Another place of the screen: whatever is drawn there is a line of its own.
        this.#newLine();
        this.#cursor = Math.min(LINE_UNITS_MAX, Math.max(1, Number(second) || 1) - 1);
        break;
      case 'h':
      case 'l':
        if (first.startsWith('?')) this.#switch(this.#parameters.slice(1), final === 'h');
        break;
      default:
    }
    if (this.#cells.length > LINE_UNITS_MAX) this.#cells.length = LINE_UNITS_MAX;
  }

  #erase(how: string): void {
    if (how === '1')
      for (let i = this.#rowStart(); i <= this.#cursor && i < this.#cells.length; i++) this.#cells[i] = ' ';
    else if (how === '2') for (let i = this.#rowStart(); i < this.#cells.length; i++) this.#cells[i] = ' ';
    else {
      // To the row's end; rows below stay.
      const end = Math.min(this.#cells.length, this.#rowStart() + this.#columns);
      if (end === this.#cells.length) this.#cells.length = Math.min(this.#cells.length, this.#cursor);
      else for (let i = this.#cursor; i < end; i++) this.#cells[i] = ' ';
    }
  }

  #column(): number {
    return this.#cursor % this.#columns;
  }
  #rowStart(): number {
    return this.#cursor - this.#column();
  }
}
