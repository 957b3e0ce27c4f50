/**
 * The server's side of one HTTP/1.1 connection: the answer to one request at a time, read as strictly as requests are.
 * An answer that lies about its length, or comes unasked, ends the connection. RFC 9112 sections 6.3 and 9.
 */
import { GatewayError } from '@sallyport/core';
import type { Header, ResponseHead } from '../message.ts';
import { type BodyOwner, BodyReader } from './body.ts';
import { KnownAnswer, type ReadResponse } from './head.ts';
import { HeadBytes } from './head-bytes.ts';
import { KnownHead } from './known-head.ts';

export interface ResponsesOwner {
  /** 1xx besides 101. */
  informed(head: ResponseHead): void;
  answered(head: ResponseHead, answer: ReadResponse): void;
  /** Lent for the call. */
  bodyBytes(bytes: Buffer): void;
  /** The answer is whole; the connection may be used again when it was kept alive. */
  bodyEnd(trailers: readonly Header[]): void;
  /** After 101: bytes of the other protocol. */
  rawBytes(bytes: Buffer): void;
  /** The server does not speak HTTP as it must, or ended in the middle: nothing of this connection counts any more. */
  broken(error: GatewayError): void;
}

/** 1xx answers before the one that counts. */
const INFORMED_MAX = 32;
const NOTHING: readonly Header[] = Object.freeze([]);

export class ResponseReader implements BodyOwner {
  readonly #owner: ResponsesOwner;
  readonly #head = new HeadBytes(false);
  readonly #body = new BodyReader(this);
  readonly #known: KnownAnswer;
  /** A head that comes again, in answer to that method. */
  readonly #again = new KnownHead<{ readonly method: string; readonly answer: ReadResponse }>();
  #last: ReadResponse | undefined;
  #state: 'idle' | 'head' | 'body' | 'raw' | 'broken' = 'idle';
  #method = '';
  #informed = 0;

  /** @param known of all connections to one service for one client */
  constructor(owner: ResponsesOwner, known = new KnownAnswer()) {
    this.#owner = owner;
    this.#known = known;
  }

  get idle(): boolean {
    return this.#state === 'idle';
  }

  /** A request of that method was sent. */
  expect(method: string): void {
    this.#method = method;
    this.#state = 'head';
    this.#informed = 0;
  }

  /** Lent for the call. */
  receive(chunk: Buffer): void {
    try {
      let at = 0;
      while (at < chunk.length) {
        const next = this.#step(chunk, at);
        if (next === undefined) return;
        at = next;
      }
    } catch (error) {
      this.#fail(error);
    }
  }

  #step(chunk: Buffer, at: number): number | undefined {
    switch (this.#state) {
      case 'head':
        return this.#readHead(chunk, at);
      case 'body':
        return this.#body.read(chunk, at);
      case 'raw':
        this.#owner.rawBytes(at === 0 ? chunk : chunk.subarray(at));
        return undefined;
      case 'idle':
        throw new GatewayError('http.upstream', { reason: 'bytes that nobody asked for' });
      case 'broken':
        return undefined;
      default:
        return this.#state satisfies never;
    }
  }

  #readHead(chunk: Buffer, at: number): number {
    const isWhole = !this.#head.begun;
    const again = isWhole ? this.#again.find(chunk, at) : undefined;
    if (again !== undefined && again.method === this.#method) {
      const end = at + this.#again.length;
      this.#begin(again.answer.head, again.answer);
      return end;
    }
    const text = this.#head.take(chunk, at);
    if (text === undefined) return chunk.length;
    const { end } = this.#head;
    const answer = this.#known.read(text, this.#method);
    const { head } = answer;
    // Only what counts is known: no 1xx comes as the same object.
    if (isWhole && answer === this.#last) this.#again.keep(chunk, at, end, { method: this.#method, answer });
    this.#last = answer;
    if (head.status === 101) {
      this.#state = 'raw';
      this.#owner.answered(head, answer);
    } else if (head.status < 200) {
      if (++this.#informed > INFORMED_MAX) throw new GatewayError('http.upstream', { reason: '1xx without end' });
      this.#owner.informed(head);
    } else this.#begin(head, answer);
    return end;
  }

  #begin(head: ResponseHead, answer: ReadResponse): void {
    const none = head.framing.kind === 'none';
    this.#state = none ? 'idle' : 'body';
    if (!none) this.#body.begin(head.framing);
    this.#owner.answered(head, answer);
    if (none) this.#owner.bodyEnd(NOTHING);
  }

  /** Of the body's reader. */
  bodyBytes(bytes: Buffer): void {
    this.#owner.bodyBytes(bytes);
  }

  /** Of the body's reader. */
  bodyEnd(trailers: readonly Header[]): void {
    if (this.#state === 'body') this.#state = 'idle';
    this.#owner.bodyEnd(trailers);
  }

  /** The connection is at its end. */
  closed(): void {
    if (this.#state === 'idle' || this.#state === 'broken' || this.#state === 'raw') return;
    if (this.#state === 'body' && this.#body.closed()) return;
    this.#fail(new GatewayError('http.upstream', { reason: 'ended in the middle' }));
  }

  #fail(error: unknown): void {
    if (this.#state === 'broken') return;
    this.#state = 'broken';
    const code = error instanceof GatewayError ? error : new GatewayError('internal', {}, { cause: error });
    this.#owner.broken(
      code.code === 'http.upstream' || code.code === 'internal'
        ? code
        : new GatewayError('http.upstream', { reason: code.code }, { cause: code }),
    );
  }
}
