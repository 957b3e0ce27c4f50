/** Every row of rows/ssh-commands.ts against the shipped rules, through the reader and the engine an agent runs. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parsePolicyDocument, testPolicies } from '@sallyport/policy';
import { readCommand } from '@sallyport/shell';
import { describe, expect, test } from 'vitest';
import { type CommandRow, SSH_COMMANDS } from './rows/ssh-commands.ts';

const POLICY = parsePolicyDocument(
  readFileSync(join(import.meta.dirname, '../../policies/ssh-baseline.yaml'), 'utf8'),
  'ssh-baseline.yaml',
);
const STRICTNESS = { allow: 0, hold: 1, deny: 2 } as const;

function verdictOf({ command, pty }: CommandRow): { readonly kind: keyof typeof STRICTNESS; readonly by: string } {
  const table = { kind: 'PolicyTest', cases: [{ command, pty: pty ?? false, expect: 'allow' }] };
  // As escapes: a document takes nothing that turns text round, a command line that is judged may hold it.
  const source = JSON.stringify(table).replace(
    /[^\x20-\x7e]/g,
    (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
  const [result] = testPolicies({
    policies: [POLICY],
    tables: [{ file: 'row', source }],
    extract: () => ({ unknown: 'not SQL' }),
    readCommand,
  }).results;
  const [kind, by = ''] = result!.got.split(' by ');
  return { kind: kind as keyof typeof STRICTNESS, by };
}

for (const [title, rows] of Object.entries(SSH_COMMANDS)) {
  describe(title, () => {
    test.each(rows.map((row) => ({ ...row, name: JSON.stringify(row.command).slice(0, 120) })))(
      '$name: $expect',
      (row) => {
        const { kind, by } = verdictOf(row);
        if (row.expect === 'allow') expect(`${kind} by ${by}`).toBe('allow by grant');
        else expect(STRICTNESS[kind], `${kind} by ${by}`).toBeGreaterThanOrEqual(STRICTNESS[row.expect]);
      },
    );
  });
}

/** As long as a command line that is read may be: each took the event loop, and every session with it, for seconds. */
const LONG: readonly (readonly [string, string])[] = [
  ["sed 's…", `sed '${'s'.repeat(120_000)}'`],
  ['sed of empty lines', `sed '${'\n'.repeat(120_000)}!'`],
  ["awk 'printf…", `awk '${'printf %s '.repeat(12_000)}'`],
  ['a quote that opens again and again', `perl -e '${'system "'.repeat(16_000)}'`],
  ['a value of brackets', `x='${'a['.repeat(60_000)}'`],
  ['names that lead to many', `b='${'c+'.repeat(30_000)}1'; let '${'b+'.repeat(20_000)}1'`],
  ['many short scripts', Array.from({ length: 80 }, () => `sed '${'s'.repeat(1_490)}'`).join(';')],
];

test.each(LONG)('%s is read in no time', (_name, command) => {
  const took = (): number => {
    const before = process.cpuUsage();
    readCommand(command);
    const { user, system } = process.cpuUsage(before);
    return (user + system) / 1_000;
  };
  // Half a second at most on a machine that is busy; what is not linear takes many.
  expect(Math.min(took(), took())).toBeLessThan(1_500);
});

/** What a script runs is guessed at wherever it stands in it. */
test.each([10, 1_480, 3_000, 19_000, 100_000])('%i characters before it hide nothing', (length) => {
  const pad = `#${'x'.repeat(length)}\n`;
  for (const command of [
    `perl -e '${pad}system("rm -rf /")'`,
    `sed '${pad}1e rm -rf /'`,
    `awk '${pad}BEGIN { system("rm -rf /") }'`,
  ])
    expect(verdictOf({ command, expect: 'deny' }).kind, command.slice(0, 10)).toBe('deny');
});
