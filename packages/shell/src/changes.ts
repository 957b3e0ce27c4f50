/** Which names a part of a script may change: a loop's body is read once, so what it changes is not known in it. */
import type { Command, Script, Word } from './syntax.ts';

/** Builtins whose arguments name what they change. */
const CHANGERS = new Set([
  'read',
  'declare',
  'typeset',
  'local',
  'export',
  'readonly',
  'printf',
  'mapfile',
  'readarray',
  'getopts',
  'let',
  'unset',
]);
/** After these nothing is known. */
const ANYTHING = new Set(['eval', '.', 'source', 'builtin', 'command', 'trap']);
const MOVERS = new Set(['cd', 'pushd', 'popd', 'chdir']);

/** Names; `cd`, `exec` and `shift` stand for themselves. */
export type Changed = ReadonlySet<string> | 'all';

export function changedIn(parts: readonly (Script | Command)[]): Changed {
  const names = new Set<string>();
  let all = false;
  const stack: unknown[] = [...parts];
  while (stack.length > 0) {
    const node = stack.pop();
    if (Array.isArray(node)) {
      for (const each of node) stack.push(each);
      continue;
    }
    if (typeof node !== 'object' || node === null) continue;
    const command = node as Partial<Command> & { readonly [key: string]: unknown };
    switch (command.kind) {
      case 'simple':
        for (const { name } of (command as { assignments: readonly { name: string }[] }).assignments) names.add(name);
        if (simple((command as { words: readonly Word[] }).words, names)) all = true;
        break;
      case 'for':
        names.add((command as { name: string }).name);
        break;
      case 'calculate':
      case 'count':
        all = true;
        break;
      default:
    }
    const part = node as { kind?: string; name?: string; operator?: string };
    if (part.kind === 'parameter' && part.operator?.endsWith('=') === true) names.add(part.name!);
    if (part.kind === 'arithmetic') for (const name of identifiers(node)) names.add(name);
    for (const value of Object.values(node)) if (typeof value === 'object') stack.push(value);
  }
  return all ? 'all' : names;
}

/** @returns whether anything may change */
function simple(words: readonly Word[], names: Set<string>): boolean {
  const first = words[0];
  if (first === undefined) return false;
  const program = first.parts.length === 1 && first.parts[0]!.kind === 'bare' ? first.parts[0]!.text : undefined;
  // Quoted or expanded, it may be any of the builtins.
  if (program === undefined || ANYTHING.has(program)) return true;
  if (MOVERS.has(program)) names.add('cd');
  if (program === 'exec') names.add('exec');
  if (program === 'shift' || program === 'set') names.add('shift');
  if (CHANGERS.has(program))
    for (const word of words) for (const [name] of word.source.matchAll(/[A-Za-z_]\w*/g)) names.add(name);
  return false;
}

const identifiers = (node: object): readonly string[] => {
  const { parts } = node as { parts: readonly { text?: string }[] };
  return parts.flatMap((part) => part.text?.match(/[A-Za-z_]\w*/g) ?? []);
};
