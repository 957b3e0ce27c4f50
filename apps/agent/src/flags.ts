/**
 * V8 settings that must be in place before anything allocates: main.ts imports them alone. And what is asked of V8 later: an
 * agent that nobody uses holds little.
 * V8 takes two on the command line alone, so launchers give them (deploy/). Without `--max-semi-space-size=4` the young
 * generation grows to 64 MB and more under load, and nothing is faster for it. Without `--initial-old-space-size=64` the first
 * full collection comes when 270 MB have gathered, minutes after the start, and the C library keeps what it took for them.
 * Launchers limit that library's areas too, and let it keep a megabyte (`MALLOC_MMAP_THRESHOLD_`, `MALLOC_TRIM_THRESHOLD_`): with
 * less each buffer of a recording or a batch is new pages, and a page costs a fault.
 */
import v8 from 'node:v8';
import vm from 'node:vm';

// Without this one TLS reads count as garbage pressure and force a full collection every few hundred statements (Node 24;
// check again at each Node upgrade).
v8.setFlagsFromString('--external-memory-accounted-in-global-limit');

const COMPILERS = ['opt', 'maglev'];
// What runs once at the start is not worth compiling: V8's compilers take 25 MB for it, and the C library keeps them.
for (const compiler of COMPILERS) v8.setFlagsFromString(`--no-${compiler}`);

/** Somebody is here: what is hot from now on is compiled. Cheap; may be called at any time. */
export function compileHotCode(): void {
  for (const compiler of COMPILERS) v8.setFlagsFromString(`--${compiler}`);
}

type Collect = (options: { type: 'major'; execution: 'sync'; flavor: 'last-resort' }) => void;
let collect: Collect | undefined;

/** Collects garbage, and bytecode that nobody ran of late. Everything stands still for it, 20 to 50 ms: for idle times. */
export function giveBack(): void {
  if (collect === undefined) {
    v8.setFlagsFromString('--expose-gc');
    collect = vm.runInNewContext('gc') as Collect;
    v8.setFlagsFromString('--no-expose-gc');
  }
  // The first finds what is old, the second takes it.
  for (let i = 0; i < 2; i++) collect({ type: 'major', execution: 'sync', flavor: 'last-resort' });
}
