/** `npm stop`: ends what `npm start` started in this checkout, and waits until it is gone. */
import { setTimeout as sleep } from 'node:timers/promises';
import { parseOptions } from './stack/options.ts';
import { stackDir, supervisorOf } from './stack/place.ts';

const values = parseOptions(
  { dir: { type: 'string' } },
  'npm stop -- [options]\n\n  --dir DIR   the folder that was given to `npm start` (default: .sallyport)',
);
const dir = stackDir(values.dir);
const pid = supervisorOf(dir);
if (pid === undefined) {
  console.log('Nothing is running here.');
} else {
  process.kill(pid, 'SIGTERM');
  for (let i = 0; i < 600 && supervisorOf(dir) === pid; i++) await sleep(50);
  if (supervisorOf(dir) === pid) {
    console.error(`Process ${pid} did not end within 30 seconds.`);
    process.exit(1);
  }
  console.log('Stopped.');
}
