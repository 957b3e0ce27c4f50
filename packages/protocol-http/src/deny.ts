/**
 * A refusal as an HTTP client reads it: problem+json (RFC 9457) with the same machine block that other protocols have.
 * Refuses to say more than the code's text or what a rule's author wrote.
 */
import type { Header } from '@sallyport/http';
import { type DeniedAnswer, type HttpRefusal, machineBlock } from '@sallyport/http-session';

const TYPE: Header = ['content-type', 'application/problem+json'];
const NO_STORE: Header = ['cache-control', 'no-store'];
const CHALLENGE: Header = ['www-authenticate', 'Bearer realm="sallyport"'];
const LATER: Header = ['retry-after', '5'];

export function denyRequest(refusal: HttpRefusal): DeniedAnswer {
  const problem = {
    type: `https://sallyport.dev/errors/${refusal.code}`,
    title: refusal.message,
    status: refusal.status,
    code: refusal.code,
    sallyport: machineBlock(refusal),
  };
  const headers: Header[] = [TYPE, NO_STORE];
  if (refusal.status === 401) headers.push(CHALLENGE);
  if (refusal.retry === 'later' && refusal.status >= 429) headers.push(LATER);
  return { status: refusal.status, headers, body: Buffer.from(`${JSON.stringify(problem)}\n`) };
}
