/**
 * The prompt itself: lines in, statements out, history, Ctrl-C. The transaction's state stands in the prompt as psql shows
 * it (`*` open, `!` failed). Refuses to know SQL beyond where a statement ends.
 */
import { createInterface, type Interface } from 'node:readline';
import type { Context } from '../context.ts';
import { CliError } from '../exit-codes.ts';
import { renderProblem } from '../output/problem.ts';
import type { SqlConnection } from './connection.ts';
import { openHistory } from './history.ts';
import type { SqlSession } from './session.ts';
import { statementReader } from './statement-reader.ts';

const MARKS = { idle: '', open: '*', failed: '!' } as const;

/** @param name shown in the prompt. Resolves when the person leaves. @throws SqlError when the session is ended from the other side */
export async function runPrompt(
  context: Context,
  name: string,
  connection: SqlConnection,
  session: SqlSession,
): Promise<void> {
  const history = openHistory(context.terminal.env);
  const reader = statementReader();
  const lines = createInterface({
    input: context.terminal.stdin,
    output: context.terminal.stdout,
    history: [...history.lines],
    historySize: 1000,
    removeHistoryDuplicates: true,
  });
  let running = false;
  let over: { readonly why: unknown; readonly told: boolean } | undefined;
  void connection.ended.then((why) => {
    over = { why, told: running };
    if (running) return;
    context.say('');
    lines.close();
  });
  const showPrompt = (): void => {
    const mark = reader.pending() === '' ? '=' : '-';
    lines.setPrompt(`${name}${mark}${MARKS[connection.status()]}> `);
    lines.prompt();
  };
  lines.on('history', (kept: string[]) => history.save(kept));
  lines.on('SIGINT', () => {
    if (running) {
      context.note('Cancelling …');
      connection.cancel().catch((error: unknown) => context.note(...renderProblem(error)));
      return;
    }
    reader.clear();
    lines.write(null, { ctrl: true, name: 'e' });
    lines.write(null, { ctrl: true, name: 'u' });
    context.say('');
    showPrompt();
  });
  showPrompt();
  for await (const line of takeLines(lines)) {
    running = true;
    const leave = await takeLine(context, session, reader, line);
    running = false;
    if (leave || over !== undefined) break;
    showPrompt();
  }
  lines.close();
  if (over?.why !== undefined && !over.told) throw over.why;
  if (over?.told === true) throw new CliError('unavailable', 'The session is over.');
}

/** One after another, also when several lines were pasted at once. */
async function* takeLines(lines: Interface): AsyncGenerator<string> {
  const queue: string[] = [];
  let wake: (() => void) | undefined;
  let closed = false;
  lines.on('line', (line) => {
    queue.push(line);
    wake?.();
  });
  lines.on('close', () => {
    closed = true;
    wake?.();
  });
  for (;;) {
    const line = queue.shift();
    if (line !== undefined) yield line;
    else if (closed) return;
    else
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
  }
}

/** @returns whether to leave */
async function takeLine(
  context: Context,
  session: SqlSession,
  reader: ReturnType<typeof statementReader>,
  line: string,
): Promise<boolean> {
  try {
    if (reader.pending() === '' && line.trim().startsWith('\\')) return (await session.meta(line)) === 'quit';
    if (reader.pending() === '' && /^\s*(quit|exit)\s*;?\s*$/i.test(line)) return true;
    for (const statement of reader.push(`${line}\n`)) await session.run(statement);
  } catch (error) {
    reader.clear();
    context.note(...renderProblem(error).map((text) => text.replace(/^error: /, '')));
  }
  return false;
}
