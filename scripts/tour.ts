/**
 * `npm run tour`: plays the whole story on a private stack with a real driver and checks every step.
 * Options: --json, --chapter NAME (may repeat), --keep (leave the folder). Exit code 1 if any step is not as promised.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import path from 'node:path';
import pg from 'pg';
import { buildAll } from './stack/build.ts';
import { parseOptions } from './stack/options.ts';
import { ANY_PORTS, type Stack, startStack } from './stack/stack.ts';
import { CHAPTERS } from './tour/chapters.ts';
import { tourContext } from './tour/context.ts';
import { tell } from './tour/story.ts';

const values = parseOptions(
  {
    json: { type: 'boolean', default: false },
    chapter: { type: 'string', multiple: true },
    keep: { type: 'boolean', default: false },
  },
  `npm run tour -- [options]

  --json           answer in JSON, for scripts
  --chapter NAME   only this chapter (repeatable): ${CHAPTERS.map((chapter) => chapter.name).join(', ')}
  --keep           leave the stack's folder`,
);
const say = (line: string): void => {
  if (!values.json) console.log(line);
};
const unknown = (values.chapter ?? []).filter((name) => !CHAPTERS.some((chapter) => chapter.name === name));
if (unknown.length > 0) {
  console.error(`There is no chapter ${unknown.join(', ')}. Chapters: ${CHAPTERS.map((c) => c.name).join(', ')}`);
  process.exit(2);
}

const dir = mkdtempSync('/var/tmp/sallyport-tour-');
let stack: Stack | undefined;
let truth: pg.Client | undefined;
const end = async (): Promise<void> => {
  await truth?.end().catch(() => undefined);
  await stack?.stop();
  if (!values.keep) rmSync(dir, { recursive: true, force: true });
};
const starting = new AbortController();
let failure = 1;
const stop = (code: number): void => {
  failure = code;
  // While it starts, the start itself stops what it had started.
  if (stack === undefined) starting.abort(new Error('Stopped before it was ready.'));
  else void end().then(() => process.exit(code));
};
process.once('SIGINT', () => stop(130));
process.once('SIGTERM', () => stop(143));

try {
  say('Sallyport: the tour. A private stack is started; nothing of yours is touched.');
  await buildAll((line) => say(`  · ${line}`));
  const { signal } = starting;
  stack = await startStack({ dir, fresh: false, ports: ANY_PORTS, say: (line) => say(`  · ${line}`), signal });
  truth = new pg.Client({
    connectionString: stack.database.server.url(stack.database.database),
    ssl: { rejectUnauthorized: false },
  });
  await truth.connect();
  const direct = truth;
  const ask = async (sql: string): Promise<string> => {
    const { rows } = await direct.query({ text: sql, rowMode: 'array' });
    const value: unknown = (rows as unknown[][])[0]?.[0];
    return value === true ? 't' : value === false ? 'f' : String(value);
  };
  const chapters = CHAPTERS.filter((chapter) => values.chapter === undefined || values.chapter.includes(chapter.name));
  const results = await tell(chapters, tourContext(stack, path.resolve(dir), ask), say);
  const ok = results.every((result) => result.ok);
  if (values.json) console.log(JSON.stringify({ ok, chapters: results }, undefined, 2));
  say(ok ? '\nEvery step was as promised.' : '\nSome steps were not as promised; see ✗ above.');
  process.exitCode = ok ? 0 : 1;
} catch (error) {
  console.error(error instanceof Error ? error.message : String(error));
  process.exitCode = failure;
} finally {
  await end();
}
