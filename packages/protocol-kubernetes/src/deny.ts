/**
 * A refusal as kubectl and client libraries read one: a Kubernetes `Status`, with the machine's block as a cause. Refuses to say
 * more than the code's text, or what the rule's author wrote.
 */
import type { DeniedAnswer, HttpRefusal } from '@sallyport/http-session';

const REASONS: Readonly<Record<number, string>> = {
  400: 'BadRequest',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'NotFound',
  405: 'MethodNotAllowed',
  406: 'NotAcceptable',
  409: 'Conflict',
  413: 'RequestEntityTooLarge',
  415: 'UnsupportedMediaType',
  429: 'TooManyRequests',
  500: 'InternalError',
  503: 'ServiceUnavailable',
  504: 'Timeout',
};

export function statusOf(refusal: HttpRefusal): object {
  const { code, status, rule, message, requestId, retry, resetAt } = refusal;
  const block = { code, rule, reason: message, requestId, retry, ...(resetAt === undefined ? {} : { resetAt }) };
  const where = [rule === '' ? '' : `rule ${rule}`, code, requestId === '' ? '' : `request ${requestId}`];
  return {
    kind: 'Status',
    apiVersion: 'v1',
    metadata: {},
    status: 'Failure',
    message: `Sallyport: ${message} (${where.filter((part) => part !== '').join(', ')})`,
    reason: REASONS[status] ?? 'Unknown',
    details: { causes: [{ reason: 'Sallyport', message: JSON.stringify(block) }] },
    code: status,
  };
}

export function deniedAnswer(refusal: HttpRefusal): DeniedAnswer {
  return {
    status: refusal.status,
    headers: [['content-type', 'application/json']],
    body: Buffer.from(`${JSON.stringify(statusOf(refusal))}\n`),
  };
}
