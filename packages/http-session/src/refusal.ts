/**
 * From an error to what an HTTP client is told: code, status, rule, and whether to ask again. The same machine block as the
 * other protocols have. Refuses to tell more than the code's text or what a rule's author wrote.
 */
import { CODES, type ErrorCode, GatewayError } from '@sallyport/core';
import { Refusal } from '@sallyport/protocol-kit';
import type { HttpRefusal } from './dialect.ts';

const RETRY: Partial<Record<ErrorCode, string>> = {
  'approval.required': 'the same request, once approved',
  'approval.expired': 'ask again',
  'approval.cancelled': 'ask again',
  'approval.reason_required': 'with a reason',
  'approval.quiet': 'after resetAt',
  'budget.exceeded': 'after resetAt',
  'budget.unavailable': 'later',
  'trail.unavailable': 'later',
  'policy.unavailable': 'later',
  'credential.unavailable': 'later',
  'upstream.unreachable': 'later',
  'http.upstream_timeout': 'later',
  'agent.stale': 'later',
  'agent.stopping': 'later',
  'session.limit': 'later',
  'auth.failed': 'with a fresh token',
  'session.revoked': 'with a fresh token',
};

/** 408 asks a client to send the same again at once: what nobody approved in time is refused for good. */
const STATUS: Partial<Record<ErrorCode, number>> = { 'approval.expired': 403, 'approval.cancelled': 403 };

/** Why what runs is ended, in a line. */
export const wordsOf = (code: ErrorCode): string => `Sallyport: ${CODES[code].text} (${code})`;

export const oneLine = (text: string): string => text.replaceAll(/\s+/g, ' ').slice(0, 500);

/** @param requestId `<session>/<number>`, '' before a session */
export function refusalOf(error: unknown, requestId: string): HttpRefusal {
  const code: ErrorCode = error instanceof GatewayError ? error.code : 'internal';
  const verdict = error instanceof Refusal ? error.verdict : undefined;
  const message = verdict !== undefined && verdict.kind !== 'allow' ? verdict.message : undefined;
  const approvalId =
    error instanceof Refusal && error.cause instanceof GatewayError ? error.cause.detail['approvalId'] : undefined;
  const resetAt = verdict?.kind === 'deny' ? verdict.resetAt : undefined;
  return {
    code,
    status: STATUS[code] ?? CODES[code].http,
    rule: verdict?.rule ?? '',
    message: oneLine(message ?? CODES[code].text),
    requestId: typeof approvalId === 'string' ? approvalId : requestId,
    // A session's budget may have no window: it is used up for good.
    retry: code === 'budget.exceeded' && resetAt === undefined ? 'no' : (RETRY[code] ?? 'no'),
    ...(resetAt === undefined ? {} : { resetAt: new Date(resetAt).toISOString() }),
  };
}

/** The member of problem+json that programs read. */
export const machineBlock = (refusal: HttpRefusal): Readonly<Record<string, string>> => ({
  rule: refusal.rule,
  reason: refusal.code,
  requestId: refusal.requestId,
  retry: refusal.retry,
  ...(refusal.resetAt === undefined ? {} : { resetAt: refusal.resetAt }),
});
