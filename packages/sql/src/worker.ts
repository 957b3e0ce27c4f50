/**
 * The worker thread that reads large statements, so that no text stalls the event loop; recycled by parse-pool.ts, since the
 * grammar's memory never shrinks. Refuses to know who asks: one text in, one reading out, by number.
 */
import { parentPort } from 'node:worker_threads';
import { extractSqlFacts } from './extract.ts';
import { loadSqlParser } from './parser.ts';

const port = parentPort;
if (port === null) throw new Error('worker.ts runs as a worker thread only');
await loadSqlParser();
port.on('message', ({ id, text, major }: { readonly id: number; readonly text: string; readonly major: number }) => {
  port.postMessage({ id, reading: extractSqlFacts(text, major) });
});
