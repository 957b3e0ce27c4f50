/**
 * A line of a terminal as people edit it, for a prompt of ours: typing, backspace, arrows, the usual control keys, a history
 * of this session. Refuses to know what a line is for. What comes without a terminal is lines and nothing else.
 * Limits: LIMITS.sshCommandBytesMax for a line, HISTORY_MAX lines kept.
 */
import { LIMITS } from '@sallyport/core';

export interface LineEditorOwner {
  /** For the terminal. */
  show(text: string): void;
  entered(line: string): void;
  /** Ctrl-C. */
  interrupted(): void;
  /** Ctrl-D on an empty line. */
  ended(): void;
}

const HISTORY_MAX = 200;
const UNITS_MAX = LIMITS.sshCommandBytesMax / 4;

export class LineEditor {
  readonly #owner: LineEditorOwner;
  readonly #isTerminal: boolean;
  readonly #decoder = new TextDecoder();
  readonly #history: string[] = [];
  #at = 0;
  #line: string[] = [];
  #cursor = 0;
  #prompt = '';
  #escape = '';
  #lastReturn = false;

  constructor(isTerminal: boolean, owner: LineEditorOwner) {
    this.#isTerminal = isTerminal;
    this.#owner = owner;
  }

  /** Shows the prompt: the next line begins. */
  begin(prompt: string): void {
    this.#prompt = prompt;
    this.#line = [];
    this.#cursor = 0;
    this.#at = this.#history.length;
    if (this.#isTerminal) this.#owner.show(prompt);
  }

  /** @returns what is left when a line was entered: it belongs to what the line starts, or to the next one */
  type(bytes: Uint8Array): string {
    return this.typeText(this.#decoder.decode(bytes, { stream: true }));
  }

  typeText(text: string): string {
    let at = 0;
    for (const character of text) {
      at += character.length;
      if (this.#key(character)) return text.slice(at);
    }
    return '';
  }

  /** No more comes: a last line without its end counts where there is no terminal. @returns whether there was one */
  finish(): boolean {
    if (this.#isTerminal || this.#line.length === 0) return false;
    return this.#enter();
  }

  /** @returns true when the line is over */
  #key(character: string): boolean {
    if (!this.#isTerminal) {
      if (character === '\n') return this.#enter();
      if (character !== '\r') this.#insert(character);
      return false;
    }
    if (this.#escape !== '') return this.#inEscape(character);
    const wasReturn = this.#lastReturn;
    this.#lastReturn = character === '\r';
    switch (character) {
      case '\u001b':
        this.#escape = character;
        return false;
      case '\n':
        // Behind a carriage return it is the same key.
        if (wasReturn) return false;
        return this.#enter();
      case '\r':
        return this.#enter();
      case '\u0003':
        this.#owner.show('^C\r\n');
        this.#owner.interrupted();
        return true;
      case '\u0004':
        if (this.#line.length > 0) return false;
        this.#owner.ended();
        return true;
      case '\u007f':
      case '\b':
        if (this.#cursor > 0) this.#replace(this.#cursor - 1, 1);
        return false;
      case '\u0001':
        this.#move(0);
        return false;
      case '\u0005':
        this.#move(this.#line.length);
        return false;
      case '\u0015':
        this.#replace(0, this.#cursor);
        return false;
      case '\u000b':
        this.#replace(this.#cursor, this.#line.length - this.#cursor);
        return false;
      case '\u0017': {
        let from = this.#cursor;
        while (from > 0 && this.#line[from - 1] === ' ') from--;
        while (from > 0 && this.#line[from - 1] !== ' ') from--;
        this.#replace(from, this.#cursor - from);
        return false;
      }
      default:
        if (character >= ' ' || character === '\t') this.#insert(character === '\t' ? ' ' : character);
        return false;
    }
  }

  #inEscape(character: string): boolean {
    this.#escape += character;
    if (this.#escape.length === 2 && (character === '[' || character === 'O')) return false;
    if (this.#escape.length < 8 && /[\d;]/.test(character)) return false;
    const key = this.#escape.slice(1);
    this.#escape = '';
    switch (key) {
      case '[D':
      case 'OD':
        this.#move(this.#cursor - 1);
        break;
      case '[C':
      case 'OC':
        this.#move(this.#cursor + 1);
        break;
      case '[A':
      case 'OA':
        this.#recall(this.#at - 1);
        break;
      case '[B':
      case 'OB':
        this.#recall(this.#at + 1);
        break;
      case '[H':
      case '[1~':
        this.#move(0);
        break;
      case '[F':
      case '[4~':
        this.#move(this.#line.length);
        break;
      case '[3~':
        this.#replace(this.#cursor, 1);
        break;
      default:
    }
    return false;
  }

  #enter(): boolean {
    const line = this.#line.join('');
    if (this.#isTerminal) this.#owner.show('\r\n');
    if (line.trim() !== '' && this.#history.at(-1) !== line) this.#history.push(line);
    if (this.#history.length > HISTORY_MAX) this.#history.shift();
    this.#line = [];
    this.#cursor = 0;
    this.#owner.entered(line);
    return true;
  }

  #insert(character: string): void {
    if (this.#line.length >= UNITS_MAX) return;
    this.#line.splice(this.#cursor++, 0, character);
    if (!this.#isTerminal) return;
    if (this.#cursor === this.#line.length) this.#owner.show(character);
    else this.#draw();
  }

  #replace(from: number, count: number): void {
    if (count <= 0 || from >= this.#line.length) return;
    this.#line.splice(from, count);
    this.#cursor = from;
    this.#draw();
  }

  #move(to: number): void {
    this.#cursor = Math.max(0, Math.min(this.#line.length, to));
    this.#draw();
  }

  #recall(at: number): void {
    if (at < 0 || at > this.#history.length) return;
    this.#at = at;
    this.#line = Array.from(this.#history[at] ?? '');
    this.#cursor = this.#line.length;
    this.#draw();
  }

  /** The whole line anew: right wherever the cursor was. */
  #draw(): void {
    const back = this.#line.length - this.#cursor;
    this.#owner.show(`\r\u001b[K${this.#prompt}${this.#line.join('')}${back > 0 ? `\u001b[${back}D` : ''}`);
  }
}
