/** `npm run bench`: hands over to test/bench. Options: --quick (a minute), --json, --only control-plane. */
import { spawn } from 'node:child_process';
import path from 'node:path';

const main = path.join(import.meta.dirname, '../test/bench/main.ts');
const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', main, ...process.argv.slice(2)], {
  stdio: 'inherit',
});
// Ctrl-C reaches the child itself; it stops what it started, and we end with it.
process.on('SIGINT', () => undefined);
process.on('SIGTERM', () => child.kill('SIGTERM'));
child.once('exit', (code) => process.exit(code ?? 1));
