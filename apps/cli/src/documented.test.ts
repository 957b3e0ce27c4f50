/** Every command line of ours in the documentation, held against the command tree: names, options and how many words they take. */
import { globSync, readFileSync } from 'node:fs';
import path from 'node:path';
import type { Command, Option } from 'commander';
import { expect, test } from 'vitest';
import { buildProgram } from './program.ts';

const ROOT = path.resolve(import.meta.dirname, '../../..');

/** Command lines in code blocks and in backticks, continued lines joined. */
function linesOf(text: string): readonly string[] {
  const lines: string[] = [];
  for (const [, block] of text.matchAll(/^```[^\n]*\n(.*?)^```/gms))
    for (const line of block!.replaceAll(/\\\n\s*/g, ' ').split('\n'))
      for (const [, found] of line.matchAll(
        /(?:^\s*|\(|[&;] )(?:\$ )?(?:\w+=\S+ )?(?:\.\/)?(sallyport [^#|<>]*(?:<[a-z…]+>[^#|<>]*)*)/g,
      ))
        lines.push(found!);
  for (const [, found] of text.replaceAll(/^```.*?^```/gms, '').matchAll(/`(?:\.\/)?(sallyport [^`\n]+)`/g))
    lines.push(found!);
  return lines
    .flatMap((line) => line.split(/ && |; |\)/).filter((part) => part.trim().startsWith('sallyport ')))
    .map((line) => line.trim());
}
const wordsOf = (line: string): readonly string[] =>
  [...line.matchAll(/"[^"]*"|'[^']*'|[^\s]+/g)].map(([word]) => word.replaceAll(/^["']|["']$/g, ''));

/** @returns what is wrong with it */
function wrongWith(program: Command, line: string): string | undefined {
  const words = wordsOf(line).slice(1);
  const chain = [program];
  const taken: string[] = [];
  const optionOf = (word: string): Option | undefined =>
    chain.flatMap((one) => [...one.options]).find((option) => option.long === word || option.short === word);
  const given = new Set<Option>();
  while (words.length > 0) {
    const word = words.shift()!;
    if (word === '--') {
      taken.push(...words.splice(0));
      break;
    }
    if (word === '…' || word === '[options]') return undefined;
    if (/^--?[a-z]/i.test(word)) {
      if (word === '--help') return undefined;
      const [name] = word.split('=');
      const option = optionOf(name!);
      if (option === undefined) return `no option ${name}`;
      given.add(option);
      if (option.required && !word.includes('=') && words.shift() === undefined) return `${name} needs a value`;
      continue;
    }
    const inner =
      taken.length > 0
        ? undefined
        : chain.at(-1)!.commands.find((one) => one.name() === word || one.aliases().includes(word));
    if (inner === undefined) taken.push(word);
    else chain.push(inner);
  }
  let last = chain.at(-1)!;
  if (last.commands.length > 0) {
    const usual = (last as unknown as { _defaultCommandName: string | null })._defaultCommandName;
    // A word for a group of commands names the group.
    if (usual === null) return taken.length === 0 ? undefined : `no command ${taken[0]}`;
    last = last.commands.find((one) => one.name() === usual)!;
  }
  const least = last.registeredArguments.filter((one) => one.required).length;
  const most = last.registeredArguments.some((one) => one.variadic) ? Infinity : last.registeredArguments.length;
  // In running text a command is named without its words.
  if (taken.length > most) return `${last.name()} takes no ${taken[most]}`;
  if (taken.length > 0 && taken.length < least) return `${last.name()} needs ${least} words`;
  const missing = last.options.find((option) => option.mandatory && !given.has(option));
  return taken.length + given.size > 0 && missing !== undefined ? `${missing.long} is missing` : undefined;
}

test('every command line in the documentation is one that the command line takes', () => {
  const program = buildProgram({} as never);
  const files = globSync(['README.md', 'docs/how-to/*.md', 'docs/reference/*.md'], { cwd: ROOT }).filter(
    (file) => !file.endsWith('cli.md'),
  );
  const lines = files.flatMap((file) =>
    linesOf(readFileSync(path.join(ROOT, file), 'utf8')).map((line) => ({ file, line })),
  );
  expect(lines.length).toBeGreaterThan(100);
  const wrong = lines.flatMap(({ file, line }) => {
    const why = wrongWith(program, line);
    return why === undefined ? [] : [`${file}: ${line}: ${why}`];
  });
  expect(wrong).toEqual([]);
});
