/**
 * One request to the service and its answer, whatever version that connection speaks. Refuses to know why it is sent: a
 * permit says that it may be.
 */
import type { GatewayError } from '@sallyport/core';
import type { BodyFraming, Header, ResponseHead } from '@sallyport/http';
import type { Permit } from '@sallyport/protocol-kit';

export interface SentAs {
  readonly framing: BodyFraming;
  /** The request says that its body is empty. */
  readonly emptyBody: boolean;
  /** Protocol asked for; '' without. */
  readonly upgrade: string;
}

export interface UpstreamRequest extends SentAs {
  readonly permit: Permit;
  readonly method: string;
  readonly scheme: 'http' | 'https';
  readonly authority: string;
  readonly target: string;
  readonly headers: readonly Header[];
}

export interface CallOwner {
  informed(head: ResponseHead): void;
  /** `saidLength`: Content-Length where no body follows. */
  answered(head: ResponseHead, saidLength: string | undefined): void;
  /** Lent for the call. */
  data(bytes: Buffer): void;
  /** What a read brought is all told: what was written to the client may leave. */
  flush(): void;
  ended(trailers: readonly Header[]): void;
  /** Once, instead of what is missing. `untouched`: the service cannot have seen the request. */
  failed(error: GatewayError, untouched: boolean): void;
  /** The body may go on. */
  sendable(): void;
  /** After 101. */
  raw(bytes: Buffer): void;
  rawClosed(): void;
}

export interface UpstreamCall {
  /** False = stop until `sendable`. */
  body(bytes: Uint8Array): boolean;
  end(trailers: readonly Header[]): void;
  /** Nobody waits for it any more. */
  abort(): void;
  /** Stop or go on with the answer. */
  pause(paused: boolean): void;
  /** After 101. False = stop until `sendable`. */
  raw(bytes: Uint8Array): boolean;
  rawEnd(): void;
}

/** A connection that takes calls. */
export interface UpstreamLine {
  readonly free: boolean;
  call(request: UpstreamRequest, owner: CallOwner): UpstreamCall;
}
