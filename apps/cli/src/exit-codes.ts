/**
 * How a command ends, for scripts. Public contract: add, never change. docs/reference/cli.md lists them from here.
 * Refuses to know commands.
 */
import { ApiError } from '@sallyport/api-client';
import { CODES, GatewayError, isErrorCode } from '@sallyport/core';
import { fileTrouble } from './file-trouble.ts';

export const EXIT = {
  ok: 0,
  failure: 1,
  usage: 2,
  unauthenticated: 3,
  denied: 4,
  notFound: 5,
  conflict: 6,
  invalid: 7,
  unavailable: 8,
  notVerified: 9,
  interrupted: 130,
} as const;
export type ExitName = keyof typeof EXIT;

export const EXIT_MEANINGS: Readonly<Record<ExitName, string>> = {
  ok: 'done',
  failure: 'something went wrong that no other code names; for `policy test`, a case did not hold',
  usage: 'the command line or a local file is not right',
  unauthenticated: 'not signed in, or the token is not valid any more',
  denied: 'a role, a grant, a policy or an approver said no',
  notFound: 'there is no such thing, or not any more',
  conflict: 'it exists already, or has been answered already',
  invalid: 'the control plane refused the content of the request or document',
  unavailable: 'the control plane, the agent or the resource did not answer',
  notVerified: 'the record does not verify',
  interrupted: 'Ctrl-C',
};

/** An error that a command makes itself: what happened, and what to do about it. */
export class CliError extends Error {
  override readonly name = 'CliError';
  readonly exit: ExitName;
  readonly hint: string | undefined;
  constructor(exit: ExitName, message: string, hint?: string, options?: { readonly cause?: unknown }) {
    super(message, options);
    this.exit = exit;
    this.hint = hint;
  }
}

/** The code for any error that reaches the end of a command. */
export function exitOf(error: unknown): number {
  if (error instanceof CliError) return EXIT[error.exit];
  if (error instanceof ApiError) return EXIT[ofStatus(meantBy(error))];
  if (error instanceof GatewayError && error.code === 'trail.broken') return EXIT.notVerified;
  if (error instanceof GatewayError) return EXIT[ofStatus(CODES[error.code].http)];
  if (fileTrouble(error) !== undefined) return EXIT.usage;
  return EXIT.failure;
}

/** The token endpoint answers 400 whatever is wrong (RFC 6749 section 5.2); the code beside it tells more. */
const meantBy = ({ oauthError, code, status }: ApiError): number =>
  oauthError !== undefined && isErrorCode(code) ? CODES[code].http : status;

function ofStatus(status: number): ExitName {
  if (status === 401) return 'unauthenticated';
  if (status === 403) return 'denied';
  if (status === 404 || status === 410) return 'notFound';
  if (status === 409) return 'conflict';
  if (status === 400 || status === 422 || status === 413) return 'invalid';
  if (status === 0 || status === 429 || status >= 500) return 'unavailable';
  return 'failure';
}
