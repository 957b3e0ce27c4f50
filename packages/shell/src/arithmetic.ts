/**
 * Arithmetic, whose names are expressions again, with subscripts that run commands. POSIX.1-2024 2.6.4, bash manual "Shell
 * Arithmetic". Refuses to compute: what it may change is not known behind it.
 */
import type { Expander } from './expand.ts';
import type { State } from './values.ts';

const IDENTIFIER = /[A-Za-z_][A-Za-z0-9_]*/g;
const CHANGES = /=|\+\+|--/;

/** @param text of an arithmetic expression after expansion */
export function calculate(text: string, { state, note }: Pick<Expander, 'state' | 'note'>): void {
  const changes = CHANGES.test(text);
  const seen = new Set<string>();
  for (const [name] of text.matchAll(IDENTIFIER)) {
    if (isCode(name, state, seen)) note('arithmetic_code');
    if (changes) state.set(name, { text: '', exact: false });
  }
}

/** A value is an expression again, with names of others in it. */
function isCode(name: string, state: State, seen: Set<string>): boolean {
  const value = state.variables.get(name);
  if (value === undefined || seen.has(name)) return false;
  seen.add(name);
  if (value.foreign === true || !/^[\w\s+*/%-]*$/.test(value.text)) return true;
  return [...value.text.matchAll(IDENTIFIER)].some(([inner]) => isCode(inner, state, seen));
}
