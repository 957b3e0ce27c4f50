/**
 * Our reading of a command line against dash's and bash's own: whatever program ran, with whatever arguments, is in the facts, or the
 * facts say that they do not tell. The shells run where every program is a stub.
 */
import type { ShellFacts } from '@sallyport/model';
import { parseCommandLine } from '@sallyport/shell';
import { afterAll, describe, expect, test } from 'vitest';
import { SSH_COMMANDS } from '../bypass/rows/ssh-commands.ts';
import { LineMaker } from './shell-lines.ts';
import { openSandbox, type Ran, type SandboxShell } from './shell-sandbox.ts';

const LINES = Number(process.env['SALLYPORT_TEST_LINES'] ?? 100);
const sandbox = openSandbox();
afterAll(() => sandbox?.close());

const PATTERN = /[*?[]/;

/** Whether the facts tell of what ran. */
export function tells(facts: ShellFacts, ran: Ran): boolean {
  if (!facts.understood || facts.opaque.some((reason) => reason !== 'deceptive_characters')) return true;
  return facts.commands.some((command) => {
    if (command.program !== ran.program) return false;
    if (command.dynamic || command.arguments.some((argument) => PATTERN.test(argument))) return true;
    return JSON.stringify(command.arguments.map(homed)) === JSON.stringify(ran.arguments);
  });
}
const homed = (argument: string): string =>
  Buffer.from(argument.replace(/(^|=|:)~(?=\/|$)/, '$1/home')).toString('latin1');

async function untold(shell: SandboxShell, text: string): Promise<readonly string[]> {
  const facts = parseCommandLine(text, { dialect: shell === 'bash' ? 'bash' : 'posix' });
  // Refused before it could run.
  if (!facts.understood) return [];
  const ran = await sandbox!.run(shell, text);
  return ran
    .filter((each) => !tells(facts, each))
    .map((each) => `${shell}: ${JSON.stringify(text)} ran ${each.program} ${JSON.stringify(each.arguments)}`);
}

async function readable(shell: SandboxShell, text: string): Promise<boolean> {
  const facts = parseCommandLine(text, { dialect: shell === 'bash' ? 'bash' : 'posix' });
  return facts.understood && facts.opaque.length === 0;
}

describe.skipIf(sandbox === undefined)('what dash and bash really ran is in the facts', () => {
  test.each([1, 2])(
    'of lines made from the grammar (seed %i)',
    async (seed) => {
      const maker = new LineMaker(seed);
      const problems: string[] = [];
      let read = 0;
      for (let count = 0; count < LINES; count++) {
        const line = maker.line();
        for (const shell of ['dash', 'bash'] as const) {
          if (await readable(shell, line)) read++;
          problems.push(...(await untold(shell, line)));
        }
      }
      expect(problems).toEqual([]);
      // A reader that calls everything opaque would pass, too.
      expect(read).toBeGreaterThan(LINES / 4);
    },
    600_000,
  );

  test.each([
    'ordinary work',
    'variables that are not what the line says',
    'text that a shell reads otherwise than it stands',
  ])(
    'of the rows about %s',
    async (title) => {
      const problems: string[] = [];
      for (const { command } of SSH_COMMANDS[title]!) {
        if (command.includes('\0') || command.includes('while')) continue;
        for (const shell of ['dash', 'bash'] as const) problems.push(...(await untold(shell, command)));
      }
      expect(problems).toEqual([]);
    },
    600_000,
  );

  test('of lines with something changed in them', async () => {
    const maker = new LineMaker(77);
    const problems: string[] = [];
    for (let count = 0; count < LINES; count++) {
      const line = maker.broken(maker.line());
      for (const shell of ['dash', 'bash'] as const) problems.push(...(await untold(shell, line)));
    }
    expect(problems).toEqual([]);
  }, 600_000);
});
