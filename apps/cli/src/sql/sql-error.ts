/** What a server or an agent said against a statement, as a person reads it. Refuses to hide the reason: DETAIL of a refusal is data. */
import { CliError, type ExitName } from '../exit-codes.ts';
import { safeLine, safeText } from '../output/safe-text.ts';

/** Fields of an ErrorResponse or NoticeResponse that are shown. */
export interface ServerFields {
  readonly severity?: string | undefined;
  readonly code?: string | undefined;
  readonly message?: string | undefined;
  readonly detail?: string | undefined;
  readonly hint?: string | undefined;
  /** Character of the statement, from 1. */
  readonly position?: string | undefined;
}

export class SqlError extends CliError {
  readonly sqlstate: string;
  readonly fields: ServerFields;
  constructor(fields: ServerFields, cause: unknown) {
    super(exitOf(fields), renderFieldsOf(fields).join('\n'), undefined, { cause });
    this.sqlstate = fields.code ?? '';
    this.fields = fields;
  }
}

/** PostgreSQL errcodes: 42501 insufficient_privilege; 53400 a limit, with a refusal of ours a budget; class 08 connection, 28 authorization, 57P admin shutdown, 58 system; 3D000 no such database. */
function exitOf({ code: sqlstate = '', detail }: ServerFields): ExitName {
  if (sqlstate === '42501' || (sqlstate === '53400' && refusalOf(detail) !== undefined)) return 'denied';
  if (sqlstate.startsWith('28')) return 'denied';
  if (sqlstate.startsWith('08') || sqlstate.startsWith('57P') || sqlstate.startsWith('58')) return 'unavailable';
  if (sqlstate === '57014') return 'interrupted';
  if (sqlstate === '3D000') return 'notFound';
  return 'failure';
}

/** Lines as psql shows them with its codes (VERBOSITY verbose); the one line of JSON in a refusal's DETAIL is spelt out. */
export function renderFieldsOf(fields: ServerFields): readonly string[] {
  const refusal = refusalOf(fields.detail);
  const lines = [`${safeLine(fields.severity ?? 'ERROR')}:  ${codeOf(fields)}${safeText(fields.message ?? '')}`];
  if (refusal !== undefined)
    lines.push(...Object.entries(refusal).map(([name, value]) => `  ${safeLine(name)}: ${safeLine(value)}`));
  else if (fields.detail !== undefined) lines.push(`DETAIL:  ${safeText(fields.detail)}`);
  if (fields.hint !== undefined) lines.push(`HINT:  ${safeText(fields.hint)}`);
  if (fields.position !== undefined) lines.push(`at character ${safeLine(fields.position)}`);
  return lines;
}

/** Notices mostly carry the code of success, which says nothing. */
const codeOf = ({ code = '' }: ServerFields): string => (code === '' || code === '00000' ? '' : `${safeLine(code)}: `);

/** The JSON of a DETAIL that the agent wrote, or undefined. */
export function refusalOf(detail: string | undefined): Readonly<Record<string, string>> | undefined {
  if (detail === undefined || !detail.startsWith('{')) return undefined;
  try {
    const value = JSON.parse(detail) as Record<string, unknown>;
    return Object.fromEntries(
      Object.entries(value).map(([key, entry]) => [key, typeof entry === 'string' ? entry : JSON.stringify(entry)]),
    );
  } catch {
    // A server's own detail may begin with a brace too; then it is text.
    return undefined;
  }
}
