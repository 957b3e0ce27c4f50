/**
 * Loaded into an agent that is measured (`--import`): writes each second how long its event loop stood still at most, in ms,
 * as a line of the file in BENCH_STALLS; and lets go of garbage when the file with `.gc` behind its name is there, so that what is
 * left in memory is what is in use. Refuses to run anywhere else: without that variable it does nothing.
 */
import { appendFileSync, existsSync, rmSync } from 'node:fs';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

const file = process.env['BENCH_STALLS'];
if (file !== undefined) {
  const resolution = 5;
  const delay = monitorEventLoopDelay({ resolution });
  delay.enable();
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  setInterval(() => {
    appendFileSync(file, `${Math.max(0, delay.max / 1e6 - resolution)}\n`);
    if (existsSync(`${file}.gc`)) {
      collect();
      collect();
      rmSync(`${file}.gc`);
    }
    delay.reset();
  }, 1_000).unref();
}
