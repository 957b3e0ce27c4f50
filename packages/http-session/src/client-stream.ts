/**
 * The way back to the client of one request, whatever version it speaks; and what the connection tells the request.
 * Refuses to know what is said.
 */
import type { Header, RequestHead, ResponseFraming } from '@sallyport/http';

export interface ClientStream {
  /** 1xx besides 101. */
  inform(status: number, headers: readonly Header[]): void;
  /** The answer's head; `saidLength`: a Content-Length that describes what does not follow (HEAD, 304). */
  head(status: number, headers: readonly Header[], framing: ResponseFraming, saidLength: string | undefined): void;
  /** Lent for the call, unless `given`: then nobody writes into it again. False = stop until `clientDrained`. */
  body(bytes: Uint8Array, given?: boolean): boolean;
  /** What was given so far may leave now. */
  flush(): void;
  /** The answer is whole. */
  end(trailers: readonly Header[]): void;
  /** The answer cannot be completed: the client must see that. @param why told where there is a place for it that is no data */
  reset(why?: string): void;
  /** Stop or go on giving the request's body. */
  pauseBody(paused: boolean): void;
  /** Answers 101 and gives the connection's bytes away; undefined where this version knows no such thing. */
  switch?(headers: readonly Header[]): RawClient;
  /**
   * Answers 200 to CONNECT: what comes from here on is not this connection's to read.
   * @returns what came behind the request already; undefined where this version knows no such thing
   */
  tunnel?(onBytes: (chunk: Buffer) => void): Buffer;
}

/** A connection that speaks another protocol from here on. */
export interface RawClient {
  /** What the client sent behind its request. */
  readonly first: Buffer;
  /** @param given the memory is given away: nobody writes into it again */
  write(bytes: Uint8Array, given?: boolean): boolean;
  pause(paused: boolean): void;
  end(): void;
  /** Set by who takes over. */
  onBytes: (chunk: Buffer) => void;
}

/** One request, as its connection talks to it. */
export interface RequestSink {
  begin(head: RequestHead, emptyBody: boolean): void;
  /** Lent for the call. */
  bodyBytes(bytes: Buffer): void;
  bodyEnd(trailers: readonly Header[]): void;
  /** The client is gone, or took the request back. */
  gone(): void;
  /** The end of its answer is written, and nothing that follows on its connection has been read. */
  left(): void;
  drained(): void;
}
