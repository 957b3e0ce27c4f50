/**
 * A recorded screen for a live terminal: text, colours, cursor and erasing pass; nothing that makes a terminal answer, change
 * its title, reach a clipboard, read the mouse or leave something switched on. What is not listed is dropped.
 * ECMA-48; xterm control sequences. Refuses to know who watches.
 */

/** Final bytes of control sequences without a private mark: cursor, erase, insert, delete, scroll, margins, colours, tabs. */
const FINALS = new Set('@ABCDEFGHIJKLMPSTXZ`adefgmr'.split(''));
/** Private modes (DEC): origin, wrap, cursor, alternate screens. */
const MODES = new Set(['6', '7', '25', '47', '1047', '1048', '1049']);
/** Single escapes: save and restore cursor, index, next line, reverse index, tab stop. */
const SINGLES = new Set('78DEMH'.split(''));
const CONTROLS = new Set([7, 8, 9, 10, 11, 12, 13, 14, 15]);
const SEQUENCE_UNITS_MAX = 256;

/** Puts a terminal back to what it was: main screen, visible cursor, wrap, whole screen, no colours. */
export const SCREEN_RESET = '\u001b[?1049l\u001b[?25h\u001b[?7h\u001b[?6l\u001b[r\u001b[0m\u001b(B\u000f';

/** One per stream of output. */
export class SafeScreen {
  #state: 'text' | 'escape' | 'inter' | 'csi' | 'string' | 'string-escape' = 'text';
  #sequence = '';

  /** @param text decoded output, cut anywhere */
  push(text: string): string {
    let out = '';
    for (const character of text) out += this.#character(character);
    return out;
  }

  #character(character: string): string {
    const code = character.codePointAt(0)!;
    switch (this.#state) {
      case 'text':
        if (code === 0x1b) {
          this.#state = 'escape';
          this.#sequence = '';
          return '';
        }
        // C1 controls in UTF-8 begin sequences of their own in some terminals.
        if (code >= 0x7f && code <= 0x9f) return '';
        return code >= 0x20 || (CONTROLS.has(code) && code !== 7) ? character : '';
      case 'escape':
        return this.#escape(character);
      case 'inter': {
        if (character < '0') return '';
        this.#state = 'text';
        // Character sets: ASCII and line drawing.
        return this.#sequence === '(' && (character === 'B' || character === '0') ? `\u001b(${character}` : '';
      }
      case 'csi':
        return this.#csi(character, code);
      case 'string':
        if (code === 7 || code === 0x18 || code === 0x1a || code === 0x9c) this.#state = 'text';
        else if (code === 0x1b) this.#state = 'string-escape';
        return '';
      case 'string-escape':
        if (character === '\\') {
          this.#state = 'text';
          return '';
        }
        this.#state = 'escape';
        this.#sequence = '';
        return this.#escape(character);
      default:
        return this.#state satisfies never;
    }
  }

  #escape(character: string): string {
    if (character === '[') {
      this.#state = 'csi';
      return '';
    }
    if ('PX]^_'.includes(character)) {
      this.#state = 'string';
      return '';
    }
    if (character < '0') {
      this.#state = 'inter';
      this.#sequence = character;
      return '';
    }
    this.#state = 'text';
    return SINGLES.has(character) ? `\u001b${character}` : '';
  }

  #csi(character: string, code: number): string {
    if (code === 0x1b) {
      this.#state = 'escape';
      return '';
    }
    if (code < 0x40 || code > 0x7e) {
      if (this.#sequence.length < SEQUENCE_UNITS_MAX) this.#sequence += character;
      return '';
    }
    this.#state = 'text';
    const parameters = this.#sequence;
    this.#sequence = '';
    if (/^[0-9;:]*$/.test(parameters)) return FINALS.has(character) ? `\u001b[${parameters}${character}` : '';
    if ((character === 'h' || character === 'l') && /^\?[0-9;]+$/.test(parameters)) {
      const kept = parameters
        .slice(1)
        .split(';')
        .filter((mode) => MODES.has(mode));
      return kept.length === 0 ? '' : `\u001b[?${kept.join(';')}${character}`;
    }
    return '';
  }
}
