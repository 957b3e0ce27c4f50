/**
 * A refusal, a hold and an end in PostgreSQL's own words, so that every client shows the reason ("Error and Notice
 * Message Fields"). Refuses to say more than the code's text or the message a rule's author wrote.
 * DETAIL of a refusal is one line of JSON: rule, reason, requestId, retry.
 */
import { CODES, type ErrorCode, GatewayError } from '@sallyport/core';
import { askedFor, type HeldNotice, type Refusal } from '@sallyport/protocol-kit';
import { encodeFields, type Fields } from './messages.ts';

const ERROR_STATES: Partial<Record<ErrorCode, string>> = {
  'approval.cancelled': '57014',
  'statement.too_large': '54000',
  'trail.unavailable': '58030',
  // configuration_limit_exceeded: not the statement's fault, and drivers do not retry it.
  'budget.exceeded': '53400',
  'budget.unavailable': '53400',
};

const RETRY: Partial<Record<ErrorCode, string>> = {
  'approval.required': 'the same statement, once approved',
  'approval.expired': 'ask again',
  'approval.cancelled': 'ask again',
  'trail.unavailable': 'later',
  'policy.unavailable': 'later',
  'approval.reason_required': 'with a reason',
  'approval.transaction_required': 'inside BEGIN and COMMIT',
  'approval.transaction_limit': 'with fewer statements',
  'approval.quiet': 'after resetAt',
  'budget.exceeded': 'after resetAt',
  'budget.unavailable': 'later',
};

/** `<session id>/<number>`: the statement in `sallyport sessions show`. */
export const requestId = (sessionId: string, number: number): string => `${sessionId}/${number}`;

/** @param request as `requestId` makes it, unless an approval request has an id of its own */
export function refusalFields(refusal: Refusal, request: string): Fields {
  const { verdict, code } = refusal;
  const reason = verdict.kind !== 'allow' && verdict.message !== undefined ? verdict.message : CODES[code].text;
  const approvalId = refusal.cause instanceof GatewayError ? refusal.cause.detail['approvalId'] : undefined;
  const resetAt = verdict.kind === 'deny' ? verdict.resetAt : undefined;
  const detail = {
    rule: verdict.rule,
    reason: code,
    requestId: typeof approvalId === 'string' ? approvalId : request,
    // A session's budget may have no window: it is used up for good.
    retry: code === 'budget.exceeded' && resetAt === undefined ? 'no' : (RETRY[code] ?? 'no'),
    ...(resetAt === undefined ? {} : { resetAt: new Date(resetAt).toISOString() }),
  };
  return new Map([
    ['S', 'ERROR'],
    ['V', 'ERROR'],
    ['C', ERROR_STATES[code] ?? '42501'],
    ['M', `Sallyport: ${oneLine(reason)}`],
    ['D', JSON.stringify(detail)],
  ]);
}

export function heldNotice(held: HeldNotice, nowMs: number): Buffer {
  const { approval, message, rule } = held.verdict;
  const minutes = Math.max(0, Math.ceil((held.expiresAt - nowMs) / 60_000));
  const who = approval.count === 1 ? 'somebody' : `${approval.count} people`;
  const { groups, later } = askedFor(held, nowMs);
  const from = groups.length === 0 ? '' : ` in ${groups.join(' or ')}`;
  const why = [message === undefined ? '' : oneLine(message), later]
    .map((text) => (text === '' ? '' : ` ${text}`))
    .join('');
  return encodeFields(
    'N',
    new Map([
      ['S', 'NOTICE'],
      ['V', 'NOTICE'],
      ['C', '00000'],
      [
        'M',
        `Sallyport: waiting for ${who}${from} to approve this (request ${held.approvalId}, at most ${minutes} min).${why}`,
      ],
      ['D', JSON.stringify({ rule, reason: 'approval.wait', requestId: held.approvalId, retry: 'wait' })],
      ['H', 'Cancel the statement to stop waiting.'],
    ]),
  );
}

const FATAL_STATES: Partial<Record<ErrorCode, string>> = {
  'auth.failed': '28P01',
  'auth.throttled': '53300',
  'tls.required': '28000',
  'protocol.unsupported': '22023',
  'database.unknown': '3D000',
  'upstream.auth': '08004',
  'upstream.version': '0A000',
  'credential.unavailable': '08004',
  'session.limit': '53300',
  // idle_session_timeout of a server's own says the same.
  'session.idle': '57P05',
  'trail.unavailable': '58030',
  'mask.unvouched': '42501',
  'approval.rows': '54000',
  // transaction_timeout of a server's own says the same.
  'approval.transaction_timeout': '25P04',
  internal: 'XX000',
};

/** The end of a session. A parameter the client chose may be named; nothing else of `detail` is. */
export function fatal(error: GatewayError): Buffer {
  const { code } = error;
  const group = code.split('.')[0];
  const state =
    FATAL_STATES[code] ??
    (group === 'protocol' || group === 'frame' ? '08P01' : group === 'upstream' ? '08006' : '57P01');
  const parameter = code === 'protocol.unsupported' ? error.detail['parameter'] : undefined;
  const text = typeof parameter === 'string' ? `${CODES[code].text} (${oneLine(parameter)})` : CODES[code].text;
  return encodeFields(
    'E',
    new Map([
      ['S', 'FATAL'],
      ['V', 'FATAL'],
      ['C', state],
      ['M', `Sallyport: ${text}`],
    ]),
  );
}

/** What a server said at sign-in that the client may know: its message, never its detail or context. */
export const serverFatal = (fields: Fields): Buffer =>
  encodeFields(
    'E',
    new Map([
      ['S', 'FATAL'],
      ['V', 'FATAL'],
      ['C', fields.get('C') ?? '08006'],
      ['M', fields.get('M') ?? CODES['upstream.unreachable'].text],
    ]),
  );

/** An error of the client's own making, as the server would have said it. */
export const plainError = (state: string, message: string): Fields =>
  new Map([
    ['S', 'ERROR'],
    ['V', 'ERROR'],
    ['C', state],
    ['M', message],
  ]);

const oneLine = (text: string): string => text.replaceAll(/\s+/g, ' ').slice(0, 500);
