/**
 * Paths into JSON as masks name them: `customers[].ssn`, `**.token`, `data.*`, `"a.b".c`. Refuses to know documents: what
 * walks one (packages/mask) asks for the steps. docs/reference/http-masking.md, Paths.
 */

/** `key` one member by name · `any_key` any member · `element` any element · `deep` any number of either, also none. */
export type JsonStep =
  | { readonly kind: 'key'; readonly name: string }
  | { readonly kind: 'any_key' }
  | { readonly kind: 'element' }
  | { readonly kind: 'deep' };

const PATH_CHARACTERS_MAX = 512;
const STEPS_MAX = 32;
const ANY_KEY: JsonStep = { kind: 'any_key' };
const ELEMENT: JsonStep = { kind: 'element' };
const DEEP: JsonStep = { kind: 'deep' };

/** A segment: a quoted name (with JSON's escapes), stars, a plain name, or nothing; then any number of `[]`. */
const SEGMENT = /("(?:[^"\\]|\\.)*"|\*\*|\*|[^."*[\]]*)((?:\[\])*)(\.|$)/y;

/** @returns the steps from the root, or undefined for what is no path; pure, so that editors can ask for each key press */
export function parseJsonPath(path: string): readonly JsonStep[] | undefined {
  if (path === '' || path.length > PATH_CHARACTERS_MAX) return undefined;
  const steps: JsonStep[] = [];
  for (let at = 0; ; ) {
    SEGMENT.lastIndex = at;
    const match = SEGMENT.exec(path);
    if (match === null) return undefined;
    const [all, name = '', elements = '', end] = match;
    // Nothing before `[]` is an array itself: at the root, or in an array.
    if (name === '' && (elements === '' || at > 0)) return undefined;
    const step = name === '' ? undefined : stepOf(name);
    if (step === 'wrong') return undefined;
    if (step !== undefined) steps.push(step);
    for (let i = 0; i < elements.length; i += 2) steps.push(ELEMENT);
    if (steps.length > STEPS_MAX) return undefined;
    at += all.length;
    if (end === '') return steps;
    if (at >= path.length) return undefined;
  }
}

function stepOf(name: string): JsonStep | 'wrong' {
  if (name === '**') return DEEP;
  if (name === '*') return ANY_KEY;
  if (!name.startsWith('"')) return { kind: 'key', name };
  try {
    const text: unknown = JSON.parse(name);
    return typeof text === 'string' ? { kind: 'key', name: text } : 'wrong';
  } catch {
    return 'wrong';
  }
}
