/**
 * Loaded into an agent that is measured (`--import`): writes each second how long its event loop stood still at most, in ms,
 * as a line of the file in BENCH_STALLS. Refuses to run anywhere else: without that variable it does nothing.
 */
import { appendFileSync } from 'node:fs';
import { monitorEventLoopDelay } from 'node:perf_hooks';

const file = process.env['BENCH_STALLS'];
if (file !== undefined) {
  const resolution = 5;
  const delay = monitorEventLoopDelay({ resolution });
  delay.enable();
  setInterval(() => {
    appendFileSync(file, `${Math.max(0, delay.max / 1e6 - resolution)}\n`);
    delay.reset();
  }, 1_000).unref();
}
