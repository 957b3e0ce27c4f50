/**
 * A refusal, a hold and an end in words a person at an SSH client reads: on stderr, and as the exit status of what did not
 * run. Refuses to say more than the code's text or the message a rule's author wrote.
 */
import { CODES, type ErrorCode, GatewayError } from '@sallyport/core';
import { askedFor, type HeldNotice, Refusal } from '@sallyport/protocol-kit';

/** "Command invoked cannot execute" (POSIX, Exit Status for Commands): it was found and may not run. */
export const REFUSED_STATUS = 126;
/** What ssh itself says when the connection behind it fails. */
const FAILED_STATUS = 255;

const oneLine = (text: string): string => text.replace(/[\p{Cc}\p{Cf}]+/gu, ' ').trim();

/** @param request `<session>/<number>` */
export function refusalText(error: unknown, request: string): string {
  if (error instanceof Refusal) {
    const { verdict, code } = error;
    const reason = verdict.kind !== 'allow' && verdict.message !== undefined ? verdict.message : CODES[code].text;
    const approvalId = error.cause instanceof GatewayError ? error.cause.detail['approvalId'] : undefined;
    const id = typeof approvalId === 'string' ? approvalId : request;
    return `Sallyport: ${oneLine(reason)}\nSallyport: rule ${oneLine(verdict.rule)}, ${code}, request ${id}\n`;
  }
  return endText(error instanceof GatewayError ? error.code : 'internal');
}

export const endText = (code: ErrorCode): string => `Sallyport: ${CODES[code].text} (${code})\n`;

export function heldText(held: HeldNotice, nowMs: number): string {
  const { approval, message, rule } = held.verdict;
  const minutes = Math.max(0, Math.ceil((held.expiresAt - nowMs) / 60_000));
  const who = approval.count === 1 ? 'somebody' : `${approval.count} people`;
  const { groups, later } = askedFor(held, nowMs);
  const from = groups.length === 0 ? '' : ` of ${groups.map(oneLine).join(' or ')}`;
  const why = [message ?? '', later].map((text) => (text === '' ? '' : `\nSallyport: ${oneLine(text)}`)).join('');
  return (
    `Sallyport: waiting for ${who}${from} to approve this, at most ${minutes} min: ${held.approvalId}${why}\n` +
    `Sallyport: rule ${oneLine(rule)}. Ctrl-C gives up.\n`
  );
}

export const refusedStatus = (error: unknown): number => (error instanceof Refusal ? REFUSED_STATUS : FAILED_STATUS);

/** A terminal in raw mode needs its carriage returns. */
export const forTerminal = (text: string, pty: boolean): Buffer =>
  Buffer.from(pty ? text.replaceAll('\n', '\r\n') : text);
