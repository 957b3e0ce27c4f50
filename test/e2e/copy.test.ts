/** COPY as people use it: psql through a real agent, then the session replayed and watched by the command line. */
import { existsSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, expect, inject, test } from 'vitest';
import { openCli, PROGRAM, until } from './cli-process.ts';

const dev = inject('dev');
const { home, spawn, start, run, runJson, end } = openCli(dev);
const PSQL = '/usr/bin/psql';
const CARD = '4111111111111111';
afterAll(end);

const sessionOf = (principal: string, live: boolean): Promise<string> =>
  until(async () => {
    const sessions = await runJson<{ id: string; live: boolean; application: string }[]>([
      '--as',
      'admin',
      'sessions',
      'ls',
      '--principal',
      principal,
      '--limit',
      '1',
    ]);
    const session = sessions[0];
    return session?.live === live && session.application === 'psql' ? session.id : undefined;
  });

test.skipIf(!existsSync(PSQL))('psql copies in and out, and the replay shows both ways, masked', async () => {
  const file = path.join(home, 'arrivals.csv');
  writeFileSync(file, '3,"a ""quoted"" one"\n');
  const script = [
    'create temp table arrivals (id int, note text);',
    'copy arrivals from stdin;',
    '1\tfirst',
    `2\tpaid with ${CARD}`,
    '\\.',
    `\\copy arrivals from '${file}' with (format csv)`,
    'copy (select * from arrivals order by id) to stdout with (format csv);',
    'copy (select 4, 5) to stdout;',
    '',
  ].join('\n');
  const ran = await run(['--as', 'payments-bot', 'connect', 'payments-db', '--', '-At'], script);
  expect(ran.err).toBe('');
  expect(ran.out).toContain('3,"a ""quoted"" one"\n4\t5\n');
  const id = await sessionOf('payments-bot', false);
  const replayed = await until(async () => {
    const replay = await run(['--as', 'admin', 'sessions', 'replay', id, '--speed', '0']);
    return replay.code === 0 && replay.out.includes('4 5') ? replay : undefined;
  });
  const lines = replayed.out.split('\n').map((line) => line.replace(/^[0-9:.]+ /, ''));
  const from = (statement: string): readonly string[] => {
    const at = lines.findIndex((line) => line.startsWith(`❯ ${statement}`));
    const end = lines.findIndex((line, i) => i > at && line.startsWith('✓'));
    // Some versions of psql send the end mark as data, too.
    return lines.slice(at + 1, end + 1).filter((line) => line !== '→ \\.');
  };
  expect(from('copy arrivals from stdin;')).toEqual(['→ 1 first', '→ 2 paid with ************1111', '✓ COPY 2']);
  expect(from('COPY  arrivals FROM STDIN')).toEqual(['→ 3,"a ""quoted"" one"', '✓ COPY 1']);
  expect(from('copy (select * from arrivals')).toEqual([
    '  1,first',
    '  2,paid with ************1111',
    '  3,"a ""quoted"" one"',
    '✓ COPY 3',
  ]);
  expect(replayed.out).not.toContain(CARD);
});

test.skipIf(!existsSync(PSQL))('who watches sees what is loaded while it is loaded', async () => {
  const psql = spawn(process.execPath, [PROGRAM, '--as', 'payments-bot', 'connect', 'payments-db', '--', '-At']);
  psql.child.stdin!.write("create temp table arrivals (id int, note text);\nselect 'ready';\n");
  await until(() => (psql.out().includes('ready') ? true : undefined));
  const id = await sessionOf('payments-bot', true);
  const watching = start(['--as', 'admin', 'sessions', 'watch', id]);
  await until(() => (watching.out().includes('watching') ? true : undefined));
  // Enough for a first packet while the COPY goes on.
  const lines = Array.from({ length: 3000 }, (_, i) => `${i}\tarrival ${i}\n`).join('');
  psql.child.stdin!.write(`copy arrivals from stdin;\n${lines}`);
  await until(() => (/→ 7 arrival 7\n/.test(watching.out()) ? true : undefined));
  expect(watching.out()).not.toContain('✓ COPY');
  psql.child.stdin!.end('\\.\n');
  await psql.ended;
  await until(() => (watching.out().includes('COPY 3000') ? true : undefined));
  await watching.ended;
});
