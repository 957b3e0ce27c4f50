/** sql: a small prompt of our own, for those without psql; `-c` and `-f` for scripts. */
import { existsSync, readFileSync } from 'node:fs';
import type { Context } from '../context.ts';
import { CliError, EXIT } from '../exit-codes.ts';
import { renderProblem } from '../output/problem.ts';
import { openWayIn, type WayInOptions } from '../proxy/way-in.ts';
import type { SqlConnection } from '../sql/connection.ts';
import { runPrompt } from '../sql/prompt.ts';
import { type SqlSession, sqlSession } from '../sql/session.ts';
import { renderFieldsOf } from '../sql/sql-error.ts';
import { statementReader } from '../sql/statement-reader.ts';
import { readStdin } from '../terminal.ts';
import { type Registry, repeated } from './command.ts';
import { withWayIn } from './connect.ts';

type SqlOptions = WayInOptions & {
  readonly command?: readonly string[];
  readonly file?: string;
  readonly database?: string;
};

export function registerSql({ program, run }: Registry): void {
  withWayIn(program.command('sql').argument('<resource>'))
    .description('run SQL: a prompt, or statements by -c, -f or stdin')
    .option('-c, --command <sql>', 'run this and leave (repeatable)', repeated)
    .option('-f, --file <file>', 'run the statements of this file, stop at the first error (`-` = stdin)')
    .option('--database <name>', 'database to open')
    .action(run(sql));
}

async function sql(context: Context, name: string, options: SqlOptions): Promise<void> {
  const [way, { openSqlConnection }] = await Promise.all([
    openWayIn(context, name, options),
    import('../sql/connection.ts'),
  ]);
  const connection = await openSqlConnection(way, options.database, (notice) =>
    context.note(...renderFieldsOf({ severity: 'NOTICE', ...notice })),
  );
  try {
    const session = sqlSession(context, connection);
    if (options.command === undefined && options.file === undefined && context.terminal.stdin.isTTY) {
      context.note(`Connected to ${way.resource.name}. \\d lists tables, \\? helps, \\q leaves.`);
      const end = await runPrompt(context, way.resource.name, connection, session);
      if (end === 'ended') context.finish(EXIT.unavailable);
      return;
    }
    await cancelOnInterrupt(context, connection, async () => {
      for (const text of options.command ?? []) await session.run(text);
      if (options.command === undefined || options.file !== undefined)
        await runScript(session, await scriptText(context, options.file));
    });
  } finally {
    await connection.close();
  }
}

async function scriptText(context: Context, file: string | undefined): Promise<string> {
  if (file === undefined || file === '-') return readStdin(context.terminal);
  if (!existsSync(file)) throw new CliError('usage', `There is no file ${file}.`);
  return readFileSync(file, 'utf8');
}

async function runScript(session: SqlSession, text: string): Promise<void> {
  const reader = statementReader();
  for (const statement of reader.push(text)) await session.run(statement);
  const rest = reader.pending();
  if (rest !== '') await session.run(rest);
}

/** The first Ctrl-C cancels the statement; a second one ends the program. */
async function cancelOnInterrupt(
  context: Context,
  connection: SqlConnection,
  work: () => Promise<void>,
): Promise<void> {
  const onInterrupt = (): void => {
    context.note('Cancelling …');
    connection.cancel().catch((error: unknown) => context.note(...renderProblem(error)));
  };
  process.once('SIGINT', onInterrupt);
  try {
    await work();
  } finally {
    process.off('SIGINT', onInterrupt);
  }
}
