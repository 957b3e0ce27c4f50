/** `npm run bench`: hands over to test/bench. Options: --quick (a minute), --json. */
import { spawnSync } from 'node:child_process';
import path from 'node:path';

const main = path.join(import.meta.dirname, '../test/bench/main.ts');
const { status } = spawnSync(
  process.execPath,
  ['--disable-warning=ExperimentalWarning', main, ...process.argv.slice(2)],
  {
    stdio: 'inherit',
  },
);
process.exit(status ?? 1);
