/** The tool run_sql: statements on a PostgreSQL resource, on a connection of their own. Refuses to carry COPY. */
import type { Context } from '../context.ts';
import { openWayIn, type WayInOptions } from '../proxy/way-in.ts';
import { openSqlConnection, type StatementResult } from '../sql/connection.ts';
import { refusalOf, type ServerFields, SqlError } from '../sql/sql-error.ts';
import type { Held, Outcome } from './held-calls.ts';
import { cut, failed, TEXT_MAX } from './results.ts';

export interface SqlCall {
  readonly resource: string;
  readonly sql: string;
  readonly database?: string | undefined;
  readonly max_rows?: number | undefined;
}

export const ROWS_DEFAULT = 200;
/** Of an answer, kept or not: whoever wants more asks for less at a time. */
const READ_MAX = 64 * 1024 * 1024;
const CANCEL_AGAIN_MS = 500;

export async function runSql(
  context: Context,
  options: WayInOptions,
  call: SqlCall,
  held: (what: Held) => void,
  signal: AbortSignal,
): Promise<Outcome> {
  try {
    const way = await openWayIn(context, call.resource, options);
    const connection = await openSqlConnection(way, call.database, (notice) => tellHold(notice, held));
    let again: NodeJS.Timeout | undefined;
    // One that comes before the statement has begun stops nothing.
    const cancel = (): void => {
      void connection.cancel().catch(() => undefined);
      again = setTimeout(cancel, CANCEL_AGAIN_MS);
    };
    signal.addEventListener('abort', cancel, { once: true });
    try {
      signal.throwIfAborted();
      const rowsMax = call.max_rows ?? ROWS_DEFAULT;
      const results = await connection.run(call.sql, { rowsMax, keptMax: TEXT_MAX, readMax: READ_MAX });
      return { text: cut(results.map(render).join('\n\n')) };
    } finally {
      signal.removeEventListener('abort', cancel);
      clearTimeout(again);
      await connection.close();
    }
  } catch (error) {
    return refused(error);
  }
}

function tellHold(notice: ServerFields, held: (what: Held) => void): void {
  const facts = refusalOf(notice.detail);
  if (facts?.['reason'] === 'approval.wait' && facts['requestId'] !== undefined)
    held({ approvalId: facts['requestId'], says: `${notice.message ?? ''} Rule: ${facts['rule'] ?? ''}.` });
}

function refused(error: unknown): Outcome {
  if (!(error instanceof SqlError)) return failed(error);
  const facts = refusalOf(error.fields.detail);
  const message = failed(error).text;
  if (facts?.['reason'] !== 'approval.required') return { text: message, isError: true };
  return {
    text: `${message}\nA person has to approve this first: approval ${facts['requestId']}. Ask with check_approval; once it is approved, run exactly the same statement again.`,
    isError: true,
  };
}

/** Tab-separated, as psql -A would: the cheapest form that every model reads. */
function render({ command, count, columns, rows }: StatementResult): string {
  if (columns.length === 0) return count === null ? command : `${command} ${count}`;
  const shown = rows.map((row) => row.map((cell) => (cell === null ? 'NULL' : clean(cell))).join('\t'));
  const all = count ?? rows.length;
  const rest = all > rows.length ? [`… ${all - rows.length} more rows: use LIMIT, or max_rows`] : [];
  return [columns.map(clean).join('\t'), ...shown, ...rest, `(${all} rows)`].join('\n');
}

const clean = (text: string): string => text.replaceAll('\\', '\\\\').replaceAll('\t', '\\t').replaceAll('\n', '\\n');
