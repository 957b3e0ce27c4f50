/**
 * From words to fields: braces, tilde, parameters, substitutions, splitting, quotes; POSIX.1-2024 2.6, bash manual "Shell
 * Expansions". What only the host knows becomes a guess that is not `exact`. Refuses to match files: a pattern stays one.
 * Longer than 200 lines: the operators of one expansion.
 */
import { LIMITS } from '@sallyport/core';
import { calculate } from './arithmetic.ts';
import { expandBraces } from './braces.ts';
import { addText, type Builder, builder, flush, IFS_DEFAULT, isPattern, split } from './fields.ts';
import type { Input } from './frame.ts';
import { printsNumber } from './numbers.ts';
import { transformed } from './parameter-operators.ts';
import { type ParameterPart, type Part, type Script, Unreadable, type Word } from './syntax.ts';
import type { Field, State, Value } from './values.ts';

/** What expansion needs of the reader around it. */
export interface Expander {
  readonly state: State;
  readonly bash: boolean;
  /** Reads the commands of a substitution. @returns what they print, as what reads it would find it */
  substitute(body: Script): Input;
  note(reason: string): void;
  /** Counts what was made, so that values cannot double without end. @throws Unreadable */
  spend(characters: number): void;
  /** The program or a path stands on a directory: `~` is expanded with what is known. */
  readonly home: string;
}

/** Set in every session, to something not known here. */
const ALWAYS_SET = new Set(['PATH', 'SHELL', 'USER', 'LOGNAME', 'TERM', 'LANG', 'PWD', 'SSH_CLIENT', 'SSH_CONNECTION']);

export function expandWords(words: readonly Word[], expander: Expander): Field[] {
  const out: Field[] = [];
  for (const word of words) for (const field of expandWord(word, expander)) out.push(field);
  if (out.length > LIMITS.shellWordsMax) throw new Unreadable();
  return out;
}

export function expandWord(word: Word, expander: Expander): readonly Field[] {
  const only = word.parts[0];
  if (word.parts.length === 1 && only?.kind === 'bare' && !SPECIAL.test(only.text))
    return [{ text: only.text, guess: only.text, exact: true, glob: false, vanishes: false }];
  if (!expander.bash) return expandOne(word, expander);
  const words = expandBraces(word);
  return words.length === 1 ? expandOne(words[0]!, expander) : words.flatMap((each) => expandOne(each, expander));
}
const SPECIAL = /[*?[{~]/;
function expandOne(word: Word, expander: Expander): readonly Field[] {
  const b = builder();
  word.parts.forEach((part, at) => {
    if (at === 0 && part.kind === 'bare' && part.text.startsWith('~')) bare(b, part.text, word, expander, true);
    else addPart(b, part, expander);
  });
  flush(b, word.parts.length <= 2);
  return b.fields;
}

/** As one value: right of an assignment, a redirection's target, a here-document, `case`'s word. */
export function expandValue(word: Word, expander: Expander, assigned = false): Field {
  const b = builder();
  word.parts.forEach((part, at) => {
    if (part.kind === 'bare' && (at === 0 || assigned) && part.text.includes('~')) {
      part.text.split(assigned ? /(?<=:)/ : /(?!)/).forEach((piece, index) => {
        if (piece.startsWith('~') && (at === 0 || index > 0)) bare(b, piece, word, expander, true);
        else addText(b, piece, false);
      });
    } else
      addPart(
        b,
        part.kind === 'bare' || part.kind === 'quote' || part.kind === 'process' ? part : { ...part, quoted: true },
        expander,
      );
  });
  // Several fields come of "$@" alone; a value joins them.
  const last = { text: b.text, guess: b.guess, exact: b.exact, glob: isPattern(b), vanishes: false };
  const all = [...b.fields, b.process === undefined ? last : { ...last, process: b.process }];
  if (all.length === 1) return all[0]!;
  return {
    text: all.map((field) => field.text).join(' '),
    guess: all.map((field) => field.guess).join(' '),
    exact: all.every((field) => field.exact),
    glob: false,
    vanishes: false,
  };
}

function bare(b: Builder, text: string, word: Word, expander: Expander, tilde: boolean): void {
  const slash = text.indexOf('/');
  const login = slash < 0 ? text : text.slice(0, slash);
  // A quoted or expanded piece in the prefix keeps the tilde as it is.
  const whole = slash >= 0 || word.parts.length === 1 || text.endsWith(':');
  if (!tilde || !whole || !/^~[\w.+-]*:?$/.test(login)) {
    addText(b, text, false);
    return;
  }
  const rest = slash < 0 ? '' : text.slice(slash);
  if (login === '~') addValue(b, homeOf(expander), true, '~');
  else if (login === '~+' || login === '~-') addValue(b, { text: '', exact: false }, true, login);
  else addText(b, login, true);
  addText(b, rest, false);
}

const homeOf = (expander: Expander): Value =>
  expander.state.variables.get('HOME') ?? { text: expander.home, exact: true };

function addPart(b: Builder, part: Part, expander: Expander): void {
  switch (part.kind) {
    case 'bare':
      addText(b, part.text, false);
      return;
    case 'quote':
      addText(b, part.text, true);
      return;
    case 'parameter':
      parameter(b, part, expander);
      return;
    case 'command': {
      const printed = expander.substitute(part.body);
      addValue(
        b,
        { text: printed.kind === 'text' ? printed.text : '', exact: false },
        part.quoted,
        part.source,
        expander,
      );
      return;
    }
    case 'arithmetic': {
      readArithmetic(part.parts, expander, true);
      addValue(b, { text: '', exact: false }, true, part.source);
      return;
    }
    case 'process':
      b.process = expander.substitute(part.body);
      addValue(b, { text: '/dev/fd/63', exact: false }, true, part.source);
      return;
    default:
      part satisfies never;
  }
}

/** @param source how it is shown when it is not known */
function addValue(b: Builder, value: Value, quoted: boolean, source: string, expander?: Expander): void {
  expander?.spend(value.text.length);
  if (!value.exact) b.exact = false;
  if (quoted) {
    b.text += value.exact || value.text !== '' ? value.text : source;
    b.guess += value.text;
    b.present = true;
    return;
  }
  if (!value.exact) b.open = true;
  if (value.text === '') {
    if (!value.exact) b.text += source;
    return;
  }
  split(b, value, expander?.state.variables.get('IFS'));
}

function parameter(b: Builder, part: ParameterPart, expander: Expander): void {
  const { name, operator } = part;
  if (part.length) {
    if (part.index !== undefined) readArithmetic(part.index.parts, expander);
    addValue(b, { text: '', exact: false }, true, part.source);
    return;
  }
  if (isList(part)) {
    list(b, part, expander);
    return;
  }
  const value = valueOf(part, expander);
  const show = (shown: Value): void => addValue(b, shown, part.quoted, part.source, expander);
  if (part.indirect) {
    expander.state.unsure = true;
    if (value !== undefined && /\[/.test(value.text)) expander.note('arithmetic_code');
    const target = value === undefined || value.text === '' ? undefined : expander.state.variables.get(value.text);
    show({ text: target?.text ?? '', exact: false });
    return;
  }
  const set = value !== undefined && (value.text !== '' || (!operator.startsWith(':') && value.exact));
  const known = value?.exact === true;
  switch (operator) {
    case '':
      show(value ?? { text: '', exact: false });
      return;
    case '-':
    case ':-':
    case '=':
    case ':=':
      if (set && known) show(value);
      else if (set) show({ ...value, exact: false });
      else {
        const inner = operandFields(part, expander);
        if (operator.endsWith('=')) expander.state.set(name, { text: joinGuess(inner), exact: false });
        addFields(b, inner, known, part, expander);
      }
      return;
    case '+':
    case ':+':
      if (!set && known) show({ text: '', exact: true });
      else addFields(b, operandFields(part, expander), set && known, part, expander);
      return;
    case '?':
    case ':?':
      operandFields(part, expander);
      show(value ?? { text: '', exact: false });
      return;
    default: {
      const operand = part.operand === undefined ? undefined : expandValue(part.operand, expander);
      if (operator === '@' && operand !== undefined && /[PAK]/.test(operand.guess)) expander.note('eval');
      if (operator === ':' && part.operand !== undefined) readArithmetic(part.operand.parts, expander, true);
      if (operator === '@') expander.state.unsure = true;
      show({ text: transformed(value?.text ?? '', operator, operand?.guess ?? ''), exact: false });
    }
  }
}

const operandFields = (part: ParameterPart, expander: Expander): readonly Field[] => {
  if (part.operand === undefined) return [];
  if (part.quoted) return [expandValue(part.operand, expander)];
  return expandOne(part.operand, expander);
};
const joinGuess = (fields: readonly Field[]): string => fields.map((field) => field.guess).join(' ');

function addFields(
  b: Builder,
  fields: readonly Field[],
  known: boolean,
  part: ParameterPart,
  expander: Expander,
): void {
  if (!known) b.exact = false;
  fields.forEach((field, at) => {
    if (at > 0) {
      flush(b);
      if (!known) b.exact = false;
    }
    expander.spend(field.text.length);
    // A bare operand that came of splitting is split already; quotes in it keep it whole.
    if (part.quoted || part.operand!.parts.some((each) => each.kind === 'quote')) {
      b.text += field.text;
      b.guess += field.guess;
      b.present = true;
      b.glob ||= field.glob;
    } else {
      const open = b.open;
      split(b, { text: field.guess, exact: field.exact }, expander.state.variables.get('IFS'));
      b.open = open;
    }
    if (!field.exact) b.exact = false;
    b.open ||= field.vanishes;
  });
  if (!known && !part.quoted) b.open = true;
}

function isList({ name, index }: ParameterPart): boolean {
  if (name === '@' || name === '*') return true;
  const source = index?.source;
  return source === '@' || source === '*';
}

function list(b: Builder, part: ParameterPart, expander: Expander): void {
  const { state } = expander;
  const own = part.name === '@' || part.name === '*';
  const variable = own ? undefined : state.variables.get(part.name);
  const values: readonly Field[] | undefined = own
    ? state.positional
    : variable?.list?.map((text) => ({ text, guess: text, exact: variable.exact, glob: false, vanishes: false }));
  const exact = (own ? state.positionalExact : variable?.exact === true) && part.operator === '' && !part.indirect;
  if (part.operand !== undefined) {
    const operand = expandValue(part.operand, expander);
    if (part.operator === ':') readArithmetic(part.operand.parts, expander, true);
    if (values === undefined || values.length === 0) {
      addValue(
        b,
        { text: /^:?[-=?+]$/.test(part.operator) ? operand.guess : '', exact: false },
        part.quoted,
        part.source,
        expander,
      );
      return;
    }
  }
  if (values === undefined) {
    addValue(b, { text: variable?.text ?? '', exact: false }, part.quoted, part.source, expander);
    if (part.quoted) b.open = true;
    return;
  }
  if (!exact) {
    b.exact = false;
    b.open = true;
  }
  if (values.length === 0 && part.quoted) b.nothing = true;
  const separate = !part.quoted || part.name === '@' || part.index?.source === '@';
  values.forEach((field, at) => {
    if (at > 0) {
      if (separate) {
        flush(b);
        if (!exact) b.exact = false;
      } else addText(b, ' ', true);
    }
    addValue(b, { text: field.guess, exact: field.exact && exact }, part.quoted, field.text, expander);
  });
}

/** undefined: nothing is known of it, so it is guessed to be unset. */
function valueOf(part: ParameterPart, expander: Expander): Value | undefined {
  const { name, index } = part;
  const { state } = expander;
  if (/^[1-9]/.test(name)) {
    const field = state.positional[Number(name) - 1];
    if (field !== undefined) return { text: field.guess, exact: field.exact && state.positionalExact };
    return { text: '', exact: state.positionalExact };
  }
  const value = state.variables.get(name);
  if (index !== undefined) {
    readArithmetic(index.parts, expander, true);
    const at = /^\d+$/.test(index.source) ? Number(index.source) : undefined;
    const text = at === undefined ? undefined : value?.list?.[at];
    return text === undefined ? { text: value?.text ?? '', exact: false } : { text, exact: value!.exact };
  }
  if (value !== undefined) return state.unsure ? { ...value, exact: false } : value;
  if (name === 'HOME') return { text: expander.home, exact: true };
  if (name === 'IFS') return { text: IFS_DEFAULT, exact: true };
  if (name === 'PWD' && state.directories.length === 1) return { text: state.directories[0]!, exact: false };
  return ALWAYS_SET.has(name) ? { text: '', exact: false } : undefined;
}

/** Reads what arithmetic names: its values are expressions again, with subscripts that run commands. */
export function readArithmetic(parts: readonly Part[], expander: Expander, aborts = false): void {
  let text = '';
  for (const part of parts) {
    if (part.kind === 'bare' || part.kind === 'quote') text += part.text;
    else {
      const field = expandValue({ parts: [part], source: '' }, expander);
      if (part.kind === 'command' && !printsNumber(part, expander.state)) expander.note('arithmetic_code');
      if (part.kind === 'parameter' && expander.state.variables.get(part.name)?.foreign === true)
        expander.note('arithmetic_code');
      if (/[[`$]/.test(field.guess)) expander.note('arithmetic_code');
    }
  }
  if (aborts && !SAFE_ARITHMETIC.test(text)) expander.state.unsure = true;
  calculate(text, expander);
}
/** Arithmetic that cannot fail: a failed expansion ends its line, and the next one runs all the same. */
const SAFE_ARITHMETIC = /^\s*(?:0|[1-9]\d{0,8})(?:\s*[-+*]\s*(?:0|[1-9]\d{0,8}))*\s*$/;
