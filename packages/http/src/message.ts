/**
 * HTTP messages as both engines and dialects read them: one reading, from which what is sent on is written anew.
 * Refuses to know sockets and policy. RFC 9110 (semantics), RFC 9112 (HTTP/1.1), RFC 9113 (HTTP/2).
 */
import type { ErrorCode } from '@sallyport/core';
import type { MadeOf } from './made-of.ts';

/** Name in lower case; value as Latin-1 text without the white space around it. In the order they came; names may repeat. */
export type Header = readonly [name: string, value: string];

/** How much body follows a head: `stream` = chunked, or HTTP/2 without a length. */
export type BodyFraming =
  | { readonly kind: 'none' }
  | { readonly kind: 'length'; readonly bytes: number }
  | { readonly kind: 'stream' };

export const NO_BODY: BodyFraming = Object.freeze({ kind: 'none' });
export const STREAM_BODY: BodyFraming = Object.freeze({ kind: 'stream' });

export interface RequestHead {
  readonly method: string;
  readonly scheme: 'http' | 'https';
  /** As the client wrote it: Host, or :authority; never empty. */
  readonly authority: string;
  /** Origin-form (RFC 9112 section 3.2.1) as it is sent on. */
  readonly target: string;
  /** Normalised: percent-decoded once where that is safe, without dot segments. */
  readonly path: string;
  /** Raw, without `?`. */
  readonly query: string;
  /** Without what belongs to the connection (RFC 9110 section 7.6.1) and without Host and framing fields. */
  readonly headers: readonly Header[];
  readonly version: '1.0' | '1.1' | '2';
  readonly framing: BodyFraming;
  readonly expectContinue: boolean;
  /** Protocol asked for by Upgrade, lower case; '' without. */
  readonly upgrade: string;
  /** It was written in absolute form (RFC 9112 section 3.2.2), as to a proxy. */
  readonly absolute?: boolean;
  /** What was made of these very `headers`; see `madeOf`. */
  readonly made?: MadeOf | undefined;
}

/** `until-close`: an HTTP/1.x answer without a length, which ends with its connection. */
export type ResponseFraming = BodyFraming | { readonly kind: 'until-close' };

export interface ResponseHead {
  readonly status: number;
  readonly headers: readonly Header[];
  readonly framing: ResponseFraming;
  /** What was made of these very `headers`; see `madeOf`. */
  readonly made?: MadeOf | undefined;
}

/** Makes what a client may see of a body. Bytes it holds back are bounded; what it returns may be empty. */
export interface BodyMasker {
  push(chunk: Uint8Array): Uint8Array;
  /** What `push` returned last is its receiver's: nobody writes into it again. Absent or false = it is lent, as the chunk is. */
  readonly isGiven?: boolean;
  /** The body is over: what was held. */
  end(): Uint8Array;
  /** Nothing has come for a moment: what may be shown of what is held. */
  idle(): Uint8Array;
  readonly heldBytes: number;
  /** Set once it cannot vouch for what comes: the answer is cut with this code. */
  readonly failed?: ErrorCode;
}

/** The first value of a header; undefined without. `name` in lower case. */
export function headerOf(headers: readonly Header[], name: string): string | undefined {
  for (const [key, value] of headers) if (key === name) return value;
  return undefined;
}

/** All values of a header, in order. `name` in lower case. */
export function headerValues(headers: readonly Header[], name: string): readonly string[] {
  return headers.filter(([key]) => key === name).map(([, value]) => value);
}
