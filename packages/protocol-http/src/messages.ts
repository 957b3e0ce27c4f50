/**
 * What of an HTTP request people read. Refuses to read bodies.
 */
import { type RequestHead, targetWithoutTokens } from '@sallyport/http';

/** What an approver sees: the request line, and the body as text where it was read. @param unread bytes of one that was not; -1 = unknown */
export function requestText(request: RequestHead, text: string | undefined, unread: number): string {
  const line = `${request.method} ${targetWithoutTokens(request.target)}`;
  if (text === undefined)
    return unread === 0 ? line : `${line}\n\n[a body${unread < 0 ? '' : ` of ${unread} bytes`} that was not read]`;
  return text === '' ? line : `${line}\n\n${text}`;
}
