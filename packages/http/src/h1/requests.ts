/**
 * The client's side of one HTTP/1.1 connection: requests one after the other. What comes behind a request that is not
 * answered waits, bounded; after a refusal nothing of the connection is read any more.
 * Refuses to answer: that is its owner's. RFC 9112 sections 9.3 and 9.6.
 */
import { Buffer } from 'node:buffer';
import { GatewayError, LIMITS } from '@sallyport/core';
import type { Header, RequestHead } from '../message.ts';
import { BodyReader } from './body.ts';
import { KnownFields, type ReadRequest, readRequestHead } from './head.ts';
import { HeadBytes } from './head-bytes.ts';
import { KNOWN_BYTES_MAX, KnownHead } from './known-head.ts';

export interface RequestsOwner {
  /** A request has begun. With a body, `bodyBytes` and `bodyEnd` follow; `keepAlive` = the client would send another. */
  request(head: RequestHead, keepAlive: boolean, emptyBody: boolean): void;
  /** Lent for the call. */
  bodyBytes(bytes: Buffer): void;
  bodyEnd(trailers: readonly Header[]): void;
  /** What came is no request: answer if nothing was answered yet, then close. Called once; nothing follows. */
  malformed(error: GatewayError): void;
  /** Bytes of the client's next request wait: true = stop reading. */
  waiting(full: boolean): void;
}

export class RequestReader {
  readonly #owner: RequestsOwner;
  readonly #scheme: 'http' | 'https';
  readonly #head = new HeadBytes(true);
  readonly #known = new KnownFields();
  /** A head that comes again: the same object is told, which nobody changes. Of requests without a body alone. */
  readonly #again = new KnownHead<ReadRequest>();
  #last = '';
  #body: BodyReader | undefined;
  /** `head`: between requests or inside a head; `busy`: a request was read and is not answered; `raw`: switched. */
  #state: 'head' | 'body' | 'busy' | 'raw' | 'ended' = 'head';
  #queue: Buffer[] = [];
  #queued = 0;
  #reading = false;

  constructor(owner: RequestsOwner, scheme: 'http' | 'https') {
    this.#owner = owner;
    this.#scheme = scheme;
  }

  /** A request has begun to come, and its head is not whole. */
  get begun(): boolean {
    return this.#head.begun;
  }

  /** Lent for the call. */
  receive(chunk: Buffer): void {
    if (this.#state === 'ended') return;
    if (this.#state === 'busy' || this.#reading) this.#wait(chunk);
    else this.#read(chunk);
  }

  #wait(chunk: Buffer): void {
    this.#queue.push(Buffer.from(chunk));
    this.#queued += chunk.length;
    if (this.#queued > LIMITS.httpHeadBytesMax) this.#owner.waiting(true);
  }

  /** The request is answered and read to its end: the next one may be read. */
  next(): void {
    if (this.#state === 'ended') return;
    this.#state = 'head';
    if (!this.#reading) this.#readQueue();
  }

  #readQueue(): void {
    while (this.#queue.length > 0 && this.#state === 'head') {
      const bytes = this.#queue.length === 1 ? (this.#queue[0] as Buffer) : Buffer.concat(this.#queue);
      this.#queue = [];
      this.#queued = 0;
      this.#owner.waiting(false);
      this.#read(bytes);
    }
  }

  /** The connection speaks another protocol from here on. @returns what of it has come */
  switched(): Buffer {
    this.#state = 'ended';
    const rest = Buffer.concat(this.#queue);
    this.#queue = [];
    this.#queued = 0;
    return rest;
  }

  /** Nothing of what comes is read any more. */
  stop(): void {
    this.#state = 'ended';
    this.#queue = [];
  }

  #read(chunk: Buffer): void {
    this.#reading = true;
    try {
      let at = 0;
      while (at < chunk.length) {
        if (this.#state === 'head') at = this.#readHead(chunk, at);
        else if (this.#state === 'body') at = this.#readBody(chunk, at);
        else break;
      }
      if (at < chunk.length && this.#state === 'busy') this.#wait(chunk.subarray(at));
    } catch (error) {
      this.stop();
      this.#owner.malformed(error instanceof GatewayError ? error : new GatewayError('internal', {}, { cause: error }));
    } finally {
      this.#reading = false;
    }
    // Answered while it was being read: what waited behind it is read now.
    if (this.#state === 'head' && this.#queue.length > 0) this.#readQueue();
  }

  #readHead(chunk: Buffer, at: number): number {
    const from = this.#head.begun ? at : HeadBytes.skipBlank(chunk, at);
    if (from >= chunk.length) return from;
    const isWhole = !this.#head.begun;
    const again = isWhole ? this.#again.find(chunk, from) : undefined;
    if (again !== undefined) {
      this.#state = 'busy';
      this.#owner.request(again.head, again.keepAlive, again.emptyBody);
      return from + this.#again.length;
    }
    const text = this.#head.take(chunk, from);
    if (text === undefined) return chunk.length;
    const { end } = this.#head;
    const read = readRequestHead(text, this.#scheme, this.#known);
    const { framing } = read.head;
    if (framing.kind !== 'none') {
      this.#body ??= new BodyReader(this.#owner);
      this.#body.begin(framing);
    } else if (isWhole && text === this.#last) this.#again.keep(chunk, from, end, read);
    this.#last = text.length > KNOWN_BYTES_MAX ? '' : text;
    this.#state = framing.kind === 'none' ? 'busy' : 'body';
    this.#owner.request(read.head, read.keepAlive, read.emptyBody);
    return end;
  }

  #readBody(chunk: Buffer, at: number): number {
    const body = this.#body as BodyReader;
    // The owner may stop us in between; its own calls to `next` count only once the body is whole.
    const end = body.read(chunk, at);
    if (body.done && this.#state === 'body') this.#state = 'busy';
    return end;
  }
}
