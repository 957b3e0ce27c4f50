/**
 * Substitutions that print a number and nothing else, whatever is on the host: arithmetic may use them. Everything else that
 * a program prints may be a name with a subscript, which bash runs. Refuses what the line itself has redefined.
 */
import type { Part, SimpleCommand } from './syntax.ts';
import type { State } from './values.ts';

const PRINTERS: Readonly<Record<string, RegExp>> = {
  nproc: /^--(?:all|ignore=\d+)$/,
  // With a file's name it prints that, too.
  wc: /^-[lwcmL]$/,
  date: /^(?:-u|["']?\+%-?[sYmdHMSjNuV]["']?)$/,
};

export function printsNumber(part: Part, { functions, aliases }: State): boolean {
  if (part.kind !== 'command' || part.body.length !== 1) return false;
  const { first, rest, background } = part.body[0]!;
  const last = first.commands.at(-1);
  if (last?.kind !== 'simple' || rest.length > 0 || background) return false;
  const [program, ...args] = (last satisfies SimpleCommand).words;
  const known = program === undefined || last.assignments.length > 0 ? undefined : program.source;
  if (known === undefined || !Object.hasOwn(PRINTERS, known) || functions.has(known) || aliases.has(known))
    return false;
  if (known === 'date' && !args.some(({ source }) => source.includes('+%'))) return false;
  return (
    args.every(({ source }) => PRINTERS[known]!.test(source)) &&
    last.redirects.every(({ operator, descriptor }) => operator === '<' || (descriptor === '2' && operator === '>'))
  );
}
