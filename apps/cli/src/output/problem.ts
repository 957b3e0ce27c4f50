/** An error as a person reads it: what happened, where, its code and request id, and what to do. Never a stack. */
import { ApiError, type StepUp } from '@sallyport/api-client';
import { GatewayError, ParseError } from '@sallyport/core';
import { CliError } from '../exit-codes.ts';
import { fileTrouble } from '../file-trouble.ts';
import { refusalOf, SqlError } from '../sql/sql-error.ts';
import { safeLine, safeText } from './safe-text.ts';

const HINTS: Readonly<Record<string, string>> = {
  'auth.required': 'Sign in with `sallyport login`, or name a token by SALLYPORT_TOKEN_FILE.',
  'auth.failed': 'Sign in with `sallyport login`, or name a token by SALLYPORT_TOKEN_FILE.',
  'auth.forbidden': '`sallyport whoami` shows your roles and permissions; an administrator can change them.',
  'auth.throttled': 'Wait a minute.',
  'grant.missing': '`sallyport resources ls` shows what you may reach; an administrator can grant more.',
  'grant.exceeded': '`sallyport resources show` tells what your grants allow there.',
  'credential.agent_away':
    '`sallyport agents ls` shows which. Start it again, or `sallyport agents revoke <name>` one that will not come back.',
  'approval.not_yours':
    'Only members of the groups that the request names may answer, never who asked. `sallyport approvals ls` shows what you may answer.',
  'approval.answered': '`sallyport approvals show` tells who answered and how.',
  'request.not_found': 'Look at the name once more; the matching `ls` command lists what there is.',
  'agent.stale': 'The agent has lost its control plane for too long; `sallyport agents ls` shows since when.',
  'control_plane.unreachable':
    'Is it running (the demo: `npm start`), and is the URL right? `--url URL`, SALLYPORT_URL or `sallyport login --url URL` name it.',
  'control_plane.untrusted':
    'Is it the right host? A private CA in front of it is named by --ca-file PEM or SALLYPORT_CA_FILE.',
  'control_plane.unexpected': 'Look at the URL: SALLYPORT_URL or `sallyport login --url URL` name it.',
};

/** Lines for stderr. */
export function renderProblem(error: unknown): readonly string[] {
  if (error instanceof SqlError)
    return [...error.message.split('\n'), ...hintLine(HINTS[refusalOf(error.fields.detail)?.['reason'] ?? ''])];
  if (error instanceof CliError) return [`error: ${safeText(error.message)}`, ...hintLine(error.hint)];
  if (error instanceof ApiError) {
    const marks = [error.code, ...(error.requestId === undefined ? [] : [`request ${error.requestId}`])];
    return [
      `error: ${safeText(error.message)} [${safeLine(marks.join(', '))}]`,
      ...error.errors.map((one) => `  ${safeLine(whereOf(one))}${safeLine(one.message)}`),
      ...hintLine(error.stepUp === undefined ? HINTS[error.code] : stepUpHint(error.stepUp)),
    ];
  }
  if (error instanceof GatewayError)
    return [`error: ${error.safeMessage} [${error.code}]`, ...hintLine(HINTS[error.code])];
  if (error instanceof ParseError) return [`error: ${safeText(error.message)}`];
  return [`error: ${safeText(fileTrouble(error) ?? (error instanceof Error ? error.message : String(error)))}`];
}

/** The same for `--json`. */
export function problemJson(error: unknown): Readonly<Record<string, unknown>> {
  if (error instanceof ApiError) {
    const { code, status, requestId, errors } = error;
    return { error: { code, status, message: error.message, requestId, ...(errors.length === 0 ? {} : { errors }) } };
  }
  if (error instanceof GatewayError) return { error: { code: error.code, message: error.safeMessage } };
  if (error instanceof SqlError) {
    const { severity, message, hint, position } = error.fields;
    const refusal = refusalOf(error.fields.detail);
    const detail = refusal ?? error.fields.detail;
    return {
      error: {
        code: refusal?.['reason'] ?? 'sql.error',
        sqlstate: error.sqlstate,
        severity,
        message,
        detail,
        hint,
        position,
      },
    };
  }
  if (error instanceof CliError)
    return { error: { code: `cli.${error.exit}`, message: error.message, hint: error.hint } };
  const trouble = fileTrouble(error);
  if (trouble !== undefined) return { error: { code: 'cli.usage', message: trouble } };
  return { error: { code: 'cli.failure', message: error instanceof Error ? error.message : String(error) } };
}

/** The command that proves what is asked, and then the same command again. */
function stepUpHint({ maxAgeSeconds, acr, url }: StepUp): string {
  const provider = new URL(url).searchParams.get('provider');
  const parts = [
    'sallyport login --browser',
    ...(provider === null ? [] : [`--provider ${provider}`]),
    `--max-age ${maxAgeSeconds ?? 0}s`,
    ...(acr === undefined ? [] : [`--acr "${acr.join(' ')}"`]),
  ];
  return `Sign in again, then repeat the command: ${parts.join(' ')}`;
}

const hintLine = (hint: string | undefined): readonly string[] => (hint === undefined ? [] : [`  ${safeText(hint)}`]);

function whereOf(one: {
  readonly file?: string;
  readonly line?: number;
  readonly column?: number;
  readonly field: string;
}): string {
  const place = [one.file, one.line, one.column].filter((part) => part !== undefined).join(':');
  const field = one.field === '' ? '' : `${one.field}: `;
  return place === '' ? field : `${place}: ${field}`;
}
