/**
 * Brace expansion: bash manual, "Brace Expansion". Textual, before every other expansion, on what is not quoted.
 * Refuses (Unreadable) more words than LIMITS.shellWordsMax.
 */
import { LIMITS } from '@sallyport/core';
import { type Part, Unreadable, type Word } from './syntax.ts';

/** One character outside quotes, or a piece that is taken whole. */
type Atom = string | Part;

const ATOMS_MAX = 200_000;

export function expandBraces(word: Word): readonly Word[] {
  if (!word.parts.some((part) => part.kind === 'bare' && part.text.includes('{'))) return [word];
  const atoms: Atom[] = [];
  for (const part of word.parts) {
    if (part.kind === 'bare') atoms.push(...part.text.split(''));
    else atoms.push(part);
  }
  // Each brace may look at all that follows.
  if (atoms.reduce((sum, atom) => sum + (atom === '{' ? 1 : 0), 0) * atoms.length > ATOMS_MAX) throw new Unreadable();
  const results = expand(atoms, 0);
  if (results.length === 1 && results[0] === atoms) return [word];
  return results.map(toWord);
}

function toWord(atoms: readonly Atom[]): Word {
  const parts: Part[] = [];
  let source = '';
  for (const atom of atoms) {
    if (typeof atom !== 'string') {
      parts.push(atom);
      source += 'source' in atom ? atom.source : 'text' in atom ? atom.text : '';
      continue;
    }
    source += atom;
    const last = parts.at(-1);
    if (last?.kind === 'bare') parts[parts.length - 1] = { kind: 'bare', text: last.text + atom };
    else parts.push({ kind: 'bare', text: atom });
  }
  return { parts, source };
}

function expand(atoms: readonly Atom[], depth: number): readonly (readonly Atom[])[] {
  if (depth > LIMITS.shellNestingMax) throw new Unreadable();
  for (let open = atoms.indexOf('{'); open >= 0; open = atoms.indexOf('{', open + 1)) {
    const found = choices(atoms, open);
    if (found === undefined) {
      // Bash looks on past a brace that does not match, by rules of its own: `{a}}b,c}`.
      const comma = atoms.indexOf(',', open);
      if (comma >= 0 && atoms.includes('}', comma)) throw new Unreadable();
      continue;
    }
    const before = atoms.slice(0, open);
    const middles = found.items.flatMap((item) => expand(item, depth + 1));
    const afters = expand(atoms.slice(found.end + 1), depth + 1);
    const words = middles.length * afters.length;
    if (words > LIMITS.shellWordsMax || words * atoms.length > ATOMS_MAX) throw new Unreadable();
    return middles.flatMap((middle) => afters.map((after) => [...before, ...middle, ...after]));
  }
  return [atoms];
}

function choices(
  atoms: readonly Atom[],
  open: number,
): { readonly items: readonly (readonly Atom[])[]; readonly end: number } | undefined {
  const items: Atom[][] = [];
  let item: Atom[] = [];
  let depth = 0;
  for (let at = open + 1; at < atoms.length; at++) {
    const atom = atoms[at]!;
    if (atom === '{') depth++;
    else if (atom === '}') {
      if (depth === 0) {
        if (items.length > 0) return { items: [...items, item], end: at };
        const sequence = sequenceOf(item);
        return sequence === undefined ? undefined : { items: sequence, end: at };
      }
      depth--;
    } else if (atom === ',' && depth === 0) {
      items.push(item);
      item = [];
      continue;
    }
    item.push(atom);
  }
  return undefined;
}

const SEQUENCE = /^(?:(-?\d{1,15})\.\.(-?\d{1,15})|([A-Za-z])\.\.([A-Za-z]))(?:\.\.(-?\d{1,15}))?$/;

/** `{1..5}`, `{a..e..2}`. */
function sequenceOf(item: readonly Atom[]): readonly (readonly Atom[])[] | undefined {
  let text = '';
  for (const atom of item) {
    if (typeof atom !== 'string') return undefined;
    text += atom;
  }
  const match = SEQUENCE.exec(text);
  if (match === null) return undefined;
  const [, from, to, first, last, by] = match;
  const letters = first !== undefined;
  const start = letters ? first.charCodeAt(0) : Number(from);
  const end = letters ? last!.charCodeAt(0) : Number(to);
  const step = Math.max(1, Math.abs(Number(by ?? 1)));
  if (Math.abs(end - start) / step >= LIMITS.shellWordsMax) throw new Unreadable();
  const padded = !letters && (/^-?0\d/.test(from!) || /^-?0\d/.test(to!));
  const width = padded ? Math.max(from!.length, to!.length) : 0;
  const out: string[][] = [];
  for (let value = start; start <= end ? value <= end : value >= end; value += start <= end ? step : -step) {
    const digits = String(Math.abs(value)).padStart(value < 0 ? width - 1 : width, '0');
    out.push((letters ? String.fromCharCode(value) : `${value < 0 ? '-' : ''}${digits}`).split(''));
  }
  return out;
}
