/** Runs statements of the prompt or a script and shows what came back. Refuses to read input. */
import type { Context } from '../context.ts';
import type { SqlConnection, StatementResult } from './connection.ts';
import { describeTable, listTables } from './describe.ts';
import { type ResultTable, renderExpanded, renderResult } from './result-table.ts';

export const META_HELP = [
  '\\d           tables and views',
  '\\d NAME      columns of one',
  '\\x           one column a line, on or off',
  '\\timing      show how long statements take, on or off',
  '\\q           leave (also Ctrl-D)',
  'Ctrl-C       cancel what runs, also while it waits for approval',
];

export interface SqlSession {
  /** One or several statements. @throws SqlError */
  run(text: string): Promise<void>;
  /** A backslash command. @returns `quit` when it says to leave @throws SqlError */
  meta(line: string): Promise<'quit' | 'stay'>;
}

export function sqlSession(context: Context, connection: SqlConnection): SqlSession {
  let expanded = false;
  let timing = false;
  const show = (table: ResultTable): void => context.say(...(expanded ? renderExpanded(table) : renderResult(table)));

  const showResult = (result: StatementResult): void => {
    const { command, count, columns, rows } = result;
    if (context.json) context.say(JSON.stringify({ command, count, columns, rows }));
    else if (command === 'COPY')
      context.note('COPY moved no data: this prompt does not carry it. Use `sallyport connect`.');
    else if (columns.length > 0) show(result);
    else if (command !== '') context.say(count === null ? command : `${command} ${count}`);
  };

  const run = async (text: string): Promise<void> => {
    const started = performance.now();
    for (const result of await connection.run(text)) showResult(result);
    if (timing) context.note(`${(performance.now() - started).toFixed(1)} ms`);
  };

  const meta = async (line: string): Promise<'quit' | 'stay'> => {
    const [command = '', argument] = line.trim().replace(/;$/, '').split(/\s+/, 2);
    switch (command) {
      case '\\q':
        return 'quit';
      case '\\x':
        expanded = !expanded;
        context.note(`One column a line: ${expanded ? 'on' : 'off'}.`);
        break;
      case '\\timing':
        timing = !timing;
        context.note(`Timing: ${timing ? 'on' : 'off'}.`);
        break;
      case '\\d':
      case '\\dt':
      case '\\dv':
        show(argument === undefined ? await listTables(connection) : await describeTable(connection, argument));
        break;
      case '\\?':
      case '\\h':
        context.say(...META_HELP);
        break;
      default:
        context.note(
          `There is no ${command}. \\? lists what there is; psql with all of its commands: sallyport connect.`,
        );
    }
    return 'stay';
  };
  return { run, meta };
}
