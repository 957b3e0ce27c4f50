/** Test-only: a process that records, flushes and "forwards" (prints) as fast as it can, to be killed in the middle. */
import { writeSync } from 'node:fs';
import { SessionKey } from '@sallyport/trail';
import { judged, SESSION, spoolBench } from './spool.fixture.ts';

const [dir = '', count = '0'] = process.argv.slice(2);
const bench = spoolBench(dir);
const spool = bench.open({ segmentBytesMax: 100_000 });
const key = new SessionKey(SESSION);
const say = (line: string): void => void writeSync(1, `${line}\n`);

let recorded = 0;
let forwarded = 0;
for (let turn = 0; turn < Number(count); turn++) {
  bench.nowMs += 1;
  try {
    for (let i = 0; i < 1 + (turn % 7); i++) spool.record(judged(++recorded, 'select 1 '.repeat(turn % 50)), key);
    spool.flush();
    forwarded = recorded;
    say(`forwarded ${forwarded}`);
  } catch {
    say(`refused ${recorded}`);
    recorded = forwarded;
    break;
  }
}
