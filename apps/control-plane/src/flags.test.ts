/** What the process is started with: threads that collect garbage give way. A process of its own, as main.ts begins. */
import { execFileSync } from 'node:child_process';
import { getPriority } from 'node:os';
import { expect, test } from 'vitest';

const NICE_OF_EACH = `
  import ${JSON.stringify(new URL('./flags.ts', import.meta.url).href)};
  import fs from 'node:fs';
  const tasks = '/proc/self/task/';
  const nice = (id) => Number(fs.readFileSync(tasks + id + '/stat', 'utf8').split(') ')[1].split(' ')[16]);
  const all = fs.readdirSync(tasks).map((id) => [fs.readFileSync(tasks + id + '/comm', 'utf8').trim(), nice(id)]);
  console.log(JSON.stringify(all));
`;

test.runIf(process.platform === 'linux')('V8’s threads run when others need no core, and all else as it did', () => {
  const said = execFileSync(process.execPath, ['--v8-pool-size=2', '--input-type=module', '-e', NICE_OF_EACH]);
  const threads = JSON.parse(said.toString()) as [string, number][];
  const collectors = threads.filter(([name]) => name === 'V8Worker');
  expect(collectors.length).toBeGreaterThanOrEqual(1);
  // Whoever started the tests may have them run like that as a whole.
  const given = getPriority();
  for (const [, nice] of collectors) expect(nice).toBe(Math.max(15, given));
  for (const [name, nice] of threads) if (name !== 'V8Worker') expect(nice).toBe(given);
});
