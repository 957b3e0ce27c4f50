/**
 * Fields as they are made of a word's pieces: what is quoted stays whole, what was expanded is split. POSIX.1-2024 2.6.5.
 * Refuses to know where a piece came from (expand.ts).
 */
import type { Input } from './frame.ts';
import type { Field, Value } from './values.ts';

export const IFS_DEFAULT = ' \t\n';
const GLOB = /[*?]/;

export interface Builder {
  readonly fields: Field[];
  text: string;
  guess: string;
  exact: boolean;
  glob: boolean;
  /** Something quoted or not empty is in it. */
  present: boolean;
  /** Something unknown and unquoted is in it. */
  open: boolean;
  /** "$@" of nothing is in it, which is no word at all where it stands alone. */
  nothing: boolean;
  /** `[` is in it, a pattern where `]` follows. */
  bracket: boolean;
  /** What `<(…)` in it prints. */
  process: Input | undefined;
}

const EMPTY = {
  text: '',
  guess: '',
  exact: true,
  glob: false,
  present: false,
  open: false,
  nothing: false,
  bracket: false,
  process: undefined,
} as const;

export const builder = (): Builder => ({ fields: [], ...EMPTY });

/** The field ends here. @param alone nothing else is in its word */
export function flush(b: Builder, alone = false): void {
  if (b.nothing && b.text === '') {
    // Beside other quotes shells differ on whether a word stays.
    if (!alone) b.fields.push({ text: '', guess: '', exact: false, glob: false, vanishes: true });
    Object.assign(b, EMPTY);
    return;
  }
  if (!b.present && !b.open && b.text === '') return;
  const vanishes = b.open && !b.present && b.guess === '';
  const field = { text: b.text, guess: b.guess, exact: b.exact, glob: isPattern(b), vanishes };
  b.fields.push(b.process === undefined ? field : { ...field, process: b.process });
  Object.assign(b, EMPTY);
}

export function addText(b: Builder, text: string, quoted: boolean): void {
  b.text += text;
  b.guess += text;
  b.present = true;
  if (quoted) return;
  if (GLOB.test(text)) b.glob = true;
  if (text.includes('[')) b.bracket = true;
}

export const isPattern = ({ glob, bracket, guess }: Builder): boolean =>
  glob || (bracket && guess.indexOf(']') > guess.indexOf('['));

/** Adds what was expanded outside quotes: fields by what IFS holds. */
export function split(b: Builder, value: Value, ifs: Value | undefined): void {
  const separators = ifs === undefined ? IFS_DEFAULT : ifs.text;
  if (ifs?.exact === false) b.exact = false;
  if (separators === '') {
    addText(b, value.text, false);
    return;
  }
  const blanks = separators.split('').filter((char) => IFS_DEFAULT.includes(char));
  let piece = '';
  const end = (always: boolean): void => {
    if (piece !== '') addText(b, piece, false);
    piece = '';
    if (always) b.present = true;
    const open = b.open;
    flush(b);
    if (!value.exact) {
      b.exact = false;
      b.open = open;
    }
  };
  let started = false;
  for (const char of value.text) {
    if (!separators.includes(char)) {
      piece += char;
      started = true;
    } else if (blanks.includes(char)) {
      if (piece !== '' || b.present) end(false);
    } else {
      end(!started || piece === '');
      started = false;
    }
  }
  if (piece !== '') addText(b, piece, false);
}
