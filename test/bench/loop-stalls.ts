/**
 * Loaded into an agent that is measured (`--import`): writes each second how long its event loop stood still at most, and how
 * long the process waited for a processor within that second, in ms, as a line of the file in BENCH_STALLS; and, when the file
 * with `.ask` behind its name is there, lets go of garbage and writes what memory is left in use. Refuses to run anywhere
 * else: without that variable it does nothing.
 */
import { appendFileSync, existsSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

const file = process.env['BENCH_STALLS'];
if (file !== undefined) {
  const resolution = 5;
  const delay = monitorEventLoopDelay({ resolution });
  delay.enable();
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  // What the main thread waited while it could have run (proc(5), schedstat).
  const waitedMs = (): number => Number(readFileSync('/proc/self/schedstat', 'latin1').split(' ')[1]) / 1e6;
  let before = waitedMs();
  let asked = false;
  const answer = async (): Promise<void> => {
    // Finalizers of one collection leave garbage for the next.
    for (let i = 0; i < 4; i++) {
      collect();
      await sleep(250);
    }
    const { rss, heapUsed, external } = process.memoryUsage();
    writeFileSync(`${file}.part`, JSON.stringify({ rss, used: heapUsed + external }));
    renameSync(`${file}.part`, `${file}.memory`);
    rmSync(`${file}.ask`);
    delay.reset();
    asked = false;
  };
  setInterval(() => {
    const now = waitedMs();
    appendFileSync(file, `${Math.max(0, delay.max / 1e6 - resolution)} ${now - before}\n`);
    before = now;
    if (!asked && existsSync(`${file}.ask`)) {
      asked = true;
      void answer();
    }
    delay.reset();
  }, 1_000).unref();
}
