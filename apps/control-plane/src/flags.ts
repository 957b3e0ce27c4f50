/**
 * How this process collects its garbage, settled before anything allocates: main.ts imports it first. What it holds of a
 * company is 150 MB, and a full collection of it takes a quarter of a second of CPU: on two cores all sign-ins of that time
 * waited for it. Launchers give `--v8-pool-size=1` besides, which V8 takes on the command line alone: one thread collects
 * beside the event loop, and not four.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { getPriority, setPriority } from 'node:os';
import v8 from 'node:v8';

// Else what is read from sockets counts as garbage pressure, and brings a full collection every few seconds of a rush (Node
// 24; check again at each Node upgrade).
v8.setFlagsFromString('--external-memory-accounted-in-global-limit');
// The next full collection comes when two and a half times as much is held as after the last one, and not a third more.
v8.setFlagsFromString('--heap-growing-percent=150');

// Small buffers are cut from a common piece, which stays as long as one of them does: of Node's own 64 KiB what a sign-in keeps
// for some seconds held six megabytes a second, until the next full collection.
Buffer.poolSize = 8 * 1024;

const COLLECTORS = 'V8Worker';
const NICE = 15;
const THREADS = '/proc/self/task';

/** V8's own threads take what the event loop, the database and everybody else leave (setpriority(2): of a thread, on Linux). */
function letOthersFirst(): void {
  if (process.platform !== 'linux') return;
  for (const id of readdirSync(THREADS)) {
    try {
      if (readFileSync(`${THREADS}/${id}/comm`, 'utf8').trim() !== COLLECTORS) continue;
      if (getPriority(Number(id)) < NICE) setPriority(Number(id), NICE);
    } catch {
      // A thread that has ended, or a system that does not let us: it goes on as it was.
    }
  }
}
letOthersFirst();
