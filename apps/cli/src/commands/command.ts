/** What a command file needs to hang its commands into the tree. */
import type { Command } from 'commander';
import type { Context } from '../context.ts';
import { CliError } from '../exit-codes.ts';

/** `run` opens the context from the global options and hands it to the action; what it throws ends the program. */
export interface Registry {
  readonly program: Command;
  readonly run: <A extends readonly unknown[]>(
    action: (context: Context, ...rest: A) => Promise<void> | void,
  ) => (...rest: A) => Promise<void>;
}

/** Collects a repeatable option. */
export const repeated = (value: string, before: readonly string[] | undefined): readonly string[] => [
  ...(before ?? []),
  value,
];

/** `key=value` pairs of a repeatable option. */
export function pairs(values: readonly string[] | undefined): Readonly<Record<string, string>> | undefined {
  if (values === undefined) return undefined;
  return Object.fromEntries(
    values.map((value) => {
      const cut = value.indexOf('=');
      if (cut < 1) throw new CliError('usage', `"${value}" is no label.`, 'Write it as key=value.');
      return [value.slice(0, cut), value.slice(cut + 1)];
    }),
  );
}

/** `--limit`: a whole number from 1 on. @throws CliError usage */
export function countOption(text: string): number {
  const count = Number(text);
  if (!Number.isInteger(count) || count < 1) throw new CliError('usage', `"${text}" is no number of things.`);
  return count;
}
