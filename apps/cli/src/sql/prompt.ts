/**
 * The prompt itself: lines in, statements out, history, Ctrl-C. The transaction's state stands in the prompt as psql shows
 * it (`*` open, `!` failed). Refuses to know SQL beyond where a statement ends.
 */
import { createInterface, type Interface } from 'node:readline';
import type { Context } from '../context.ts';
import { renderProblem } from '../output/problem.ts';
import type { SqlConnection } from './connection.ts';
import { openHistory } from './history.ts';
import type { SqlSession } from './session.ts';
import { SqlError } from './sql-error.ts';
import { statementReader } from './statement-reader.ts';

const MARKS = { idle: '', open: '*', failed: '!' } as const;

/**
 * @param name shown in the prompt
 * @returns how it ended: the person left, or the session ended under a statement and its error has been shown
 * @throws SqlError when the session is ended from the other side while nothing runs
 */
export async function runPrompt(
  context: Context,
  name: string,
  connection: SqlConnection,
  session: SqlSession,
): Promise<'left' | 'ended'> {
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
  let done = false;
  let gone = false;
  let why: unknown;
  void connection.ended.then((reason) => {
    gone = true;
    // What runs tells it by its own error.
    if (running || done) return;
    why = reason;
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
  let ended = false;
  showPrompt();
  for await (const line of takeLines(lines)) {
    running = true;
    const then = await takeLine(context, session, reader, line);
    running = false;
    ended = then === 'ended' || gone;
    done = then === 'leave' || ended;
    if (done) break;
    showPrompt();
  }
  lines.close();
  if (why !== undefined) throw why;
  return ended ? 'ended' : 'left';
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

/** Runs what a line completes. Errors are shown here; a FATAL one is the session's end, and the socket's close follows it. */
async function takeLine(
  context: Context,
  session: SqlSession,
  reader: ReturnType<typeof statementReader>,
  line: string,
): Promise<'stay' | 'leave' | 'ended'> {
  try {
    if (reader.pending() === '' && line.trim().startsWith('\\'))
      return (await session.meta(line)) === 'quit' ? 'leave' : 'stay';
    if (reader.pending() === '' && /^\s*(quit|exit)\s*;?\s*$/i.test(line)) return 'leave';
    for (const statement of reader.push(`${line}\n`)) await session.run(statement);
  } catch (error) {
    reader.clear();
    context.note(...renderProblem(error).map((text) => text.replace(/^error: /, '')));
    if (error instanceof SqlError && error.fields.severity === 'FATAL') return 'ended';
  }
  return 'stay';
}
