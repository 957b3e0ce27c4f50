/**
 * What an assignment gives its variable: a value or a list, exact where all of it is known. POSIX.1-2024 2.9.1, bash manual
 * "Arrays". Refuses to set it.
 */
import { LIMITS } from '@sallyport/core';
import { type Expander, expandValue, expandWord, readArithmetic } from './expand.ts';
import { printsNumber } from './numbers.ts';
import { type Assignment, Unreadable } from './syntax.ts';
import type { Value } from './values.ts';

/** The value that a variable gets. */
export function assigned({ name, append, index, value }: Assignment, expander: Expander): Value {
  const before = expander.state.variables.get(name);
  if (index !== undefined) readArithmetic(index.parts, expander, true);
  if ('elements' in value) {
    // `[2]=x` inside sets by number.
    const numbered = value.elements.some((word) => word.source.startsWith('['));
    const fields = value.elements.flatMap((word) => expandWord(word, expander));
    const list = [...(append ? (before?.list ?? []) : []), ...fields.map((field) => field.guess)];
    if (list.length > LIMITS.shellWordsMax) throw new Unreadable();
    const exact = !numbered && !append && fields.every((field) => field.exact && !field.glob);
    return { text: list[0] ?? '', exact, list };
  }
  const field = expandValue(value, expander, true);
  const foreign = value.parts.some(
    (part) =>
      (part.kind === 'command' && !printsNumber(part, expander.state)) ||
      (part.kind === 'parameter' && expander.state.variables.get(part.name)?.foreign === true),
  );
  const text = append ? (before?.text ?? '') + field.guess : field.guess;
  expander.spend(text.length);
  const exact = field.exact && index === undefined && (!append || before?.exact === true);
  const exported = before?.exported === true;
  return { text, exact, ...(foreign ? { foreign } : {}), ...(exported ? { exported } : {}) };
}
