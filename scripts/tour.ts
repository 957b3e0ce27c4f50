/**
 * `npm run tour`: plays the whole story on a private stack with a real driver and checks every step.
 * Options: --json, --chapter NAME (may repeat), --keep (leave the folder). Exit code 1 if any step is not as promised.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import path from 'node:path';
import { parseArgs } from 'node:util';
import pg from 'pg';
import { buildAll } from './stack/build.ts';
import { ANY_PORTS, type Stack, startStack } from './stack/stack.ts';
import { CHAPTERS } from './tour/chapters.ts';
import { tourContext } from './tour/context.ts';
import { tell } from './tour/story.ts';

const { values } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    chapter: { type: 'string', multiple: true },
    keep: { type: 'boolean', default: false },
  },
});
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
process.once('SIGINT', () => void end().then(() => process.exit(130)));
process.once('SIGTERM', () => void end().then(() => process.exit(143)));

try {
  say('Sallyport: the tour. A private stack is started; nothing of yours is touched.');
  await buildAll((line) => say(`  · ${line}`));
  stack = await startStack({ dir, fresh: false, ports: ANY_PORTS, say: (line) => say(`  · ${line}`) });
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
  process.exitCode = 1;
} finally {
  await end();
}
