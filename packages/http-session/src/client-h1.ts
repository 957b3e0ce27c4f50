/**
 * The client's side of an HTTP/1.1 connection: one request at a time, answered in the version the client speaks. Small answers
 * leave in one write. Refuses to keep a connection whose request was not read to its end. RFC 9112.
 */
import { Buffer } from 'node:buffer';
import { GatewayError, Views } from '@sallyport/core';
import {
  encodeChunk,
  encodeLastChunk,
  encodeResponseHead,
  type Header,
  KnownLines,
  lastLines,
  lentChunk,
  type RequestHead,
  RequestReader,
  type RequestsOwner,
  type ResponseFraming,
  statusLine,
  writeHead,
} from '@sallyport/http';
import type { ClientPort } from '@sallyport/protocol-kit';
import type { ClientStream, RawClient, RequestSink } from './client-stream.ts';

export interface Http1Owner {
  /** A request begins: who takes it. */
  exchange(stream: ClientStream): RequestSink;
  /** What came is no request. @returns the answer, written by `refuse` */
  malformed(error: GatewayError, stream: ClientStream): void;
  /** Between requests now; false = one has begun. */
  idle(idle: boolean): void;
}

/** The head of an answer before it is written. */
interface Lead {
  readonly status: number;
  /** Its first line and its fields, written. */
  readonly lines: Buffer;
  readonly more: string;
  readonly said: string | undefined;
}

/** Answers up to this size ride with their head. */
const JOINED_BYTES_MAX = 16 * 1024;
const NO_BYTES = Buffer.alloc(0);
/** What is small is put together in one place for all connections: it is taken at once, and memory of its own is new to the caches. */
const LEAVING_BYTES_MAX = 2 * 1024;
const leaving = new Views(Buffer.allocUnsafeSlow(LEAVING_BYTES_MAX));
const TUNNELLED = Buffer.from('HTTP/1.1 200 Connection Established\r\n\r\n');

function copied(bytes: Uint8Array): Buffer {
  const copy = Buffer.allocUnsafe(bytes.length);
  copy.set(bytes);
  return copy;
}

export class Http1Client implements RequestsOwner, ClientStream {
  readonly #port: ClientPort;
  readonly #owner: Http1Owner;
  readonly #reader: RequestReader;
  #sink: RequestSink | undefined;
  #head: RequestHead | undefined;
  /** A head that has not left, and what follows it at once. */
  #lead: Lead | undefined;
  readonly #lines = new KnownLines();
  #parts: Uint8Array[] = [];
  #gathered = 0;
  #framing: ResponseFraming = { kind: 'none' };
  #left = 0;
  #keepAlive = true;
  #answering = false;
  #answered = false;
  #requestRead = true;
  #closing = false;
  #raw: RawClient | undefined;
  #waitingFull = false;
  #bodyPaused = false;

  constructor(port: ClientPort, owner: Http1Owner, scheme: 'http' | 'https') {
    this.#port = port;
    this.#owner = owner;
    this.#reader = new RequestReader(this, scheme);
  }

  /** A head has begun to come and is not whole. */
  get begun(): boolean {
    return this.#reader.begun;
  }

  receive(chunk: Buffer): void {
    if (this.#raw !== undefined) this.#raw.onBytes(chunk);
    else if (!this.#closing) this.#reader.receive(chunk);
  }

  drained(): void {
    this.#sink?.drained();
  }

  closed(): void {
    this.#closing = true;
    this.#reader.stop();
    const sink = this.#sink;
    this.#sink = undefined;
    sink?.gone();
  }

  // From the reader.

  request(head: RequestHead, keepAlive: boolean, emptyBody: boolean): void {
    this.#owner.idle(false);
    this.#head = head;
    this.#keepAlive = keepAlive;
    this.#requestRead = head.framing.kind === 'none';
    this.#answering = false;
    this.#answered = false;
    const sink = this.#owner.exchange(this);
    this.#sink = sink;
    sink.begin(head, emptyBody);
  }

  bodyBytes(bytes: Buffer): void {
    this.#sink?.bodyBytes(bytes);
  }

  bodyEnd(trailers: readonly Header[]): void {
    this.#requestRead = true;
    this.#sink?.bodyEnd(trailers);
    this.#maybeNext();
  }

  malformed(error: GatewayError): void {
    if (this.#answering) return this.reset();
    this.#keepAlive = false;
    this.#requestRead = false;
    const sink = this.#sink;
    this.#sink = undefined;
    // In the middle of a body: what was sent on of it will never be whole.
    sink?.gone();
    if (!this.#answering) this.#owner.malformed(error, this);
  }

  waiting(full: boolean): void {
    this.#waitingFull = full;
    this.#applyPause();
  }

  #applyPause(): void {
    if (this.#waitingFull || this.#bodyPaused) this.#port.pause();
    else this.#port.resume();
  }

  // The answer.

  inform(status: number, headers: readonly Header[]): void {
    if (this.#answering || this.#head?.version === '1.0') return;
    this.#port.write(encodeResponseHead(status, headers, { kind: 'none' }));
  }

  head(status: number, headers: readonly Header[], framing: ResponseFraming, saidLength: string | undefined): void {
    this.#answering = true;
    const old = this.#head?.version === '1.0';
    // A body whose end only its connection says, or that its client would not stop sending, ends the connection.
    const open = framing.kind === 'until-close' || framing.kind === 'stream';
    const shown: ResponseFraming = !open ? framing : old ? { kind: 'until-close' } : { kind: 'stream' };
    if (shown.kind === 'until-close' || !this.#requestRead) this.#keepAlive = false;
    this.#framing = shown;
    this.#left = shown.kind === 'length' ? shown.bytes : 0;
    const more = this.#keepAlive ? (old ? 'connection: keep-alive\r\n' : '') : 'connection: close\r\n';
    const said = saidLength ?? (this.#head?.method === 'HEAD' ? '' : undefined);
    this.#lead = { status, lines: this.#lines.of(headers, statusLine(status)), more, said };
  }

  body(bytes: Uint8Array, given = false): boolean {
    if (this.#closing) return true;
    const framing = this.#framing.kind;
    if (framing === 'length') {
      this.#left -= bytes.length;
      if (this.#left < 0) throw new GatewayError('internal', { reason: 'longer than was said' });
    }
    if (this.#lead !== undefined && this.#gathered + bytes.length <= JOINED_BYTES_MAX) {
      // The last of a body whose length was said is copied behind its head, and nowhere in between.
      if (framing === 'length' && this.#left === 0) return this.#leave(this.#lead, bytes);
      const part = given ? bytes : copied(bytes);
      // Most answers are one: a list that grows takes room for many.
      if (this.#gathered === 0) this.#parts = [part];
      else this.#parts.push(part);
      this.#gathered += bytes.length;
      return true;
    }
    this.flush();
    if (framing !== 'stream') return this.#port.write(bytes, given);
    const chunk = lentChunk(bytes);
    return chunk === undefined ? this.#port.write(encodeChunk(bytes), true) : this.#port.write(chunk);
  }

  flush(): void {
    if (this.#lead !== undefined) this.#leave(this.#lead, NO_BYTES);
  }

  /** In one write: the head, what was gathered behind it, and what ends it. */
  #leave({ status, lines, more, said }: Lead, last: Uint8Array): boolean {
    const parts = this.#parts;
    const gathered = this.#gathered;
    this.#lead = undefined;
    this.#parts = [];
    this.#gathered = 0;
    const isChunked = this.#framing.kind === 'stream';
    const size = isChunked && gathered > 0 ? `${gathered.toString(16)}\r\n` : '';
    const after = size === '' ? 0 : 2;
    const ends = lastLines(status, this.#framing, more, said);
    const behind = size === '' ? ends : `${ends}${size}`;
    const length = lines.length + behind.length + gathered + after + last.length;
    const given = length > LEAVING_BYTES_MAX;
    const bytes = given ? Buffer.allocUnsafe(length) : leaving.of(length);
    let at = writeHead(bytes, lines, behind);
    for (const part of parts) {
      bytes.set(part, at);
      at += part.length;
    }
    if (after > 0) at += bytes.write('\r\n', at, 'latin1');
    bytes.set(last, at);
    return this.#port.write(bytes, given);
  }

  end(trailers: readonly Header[]): void {
    if (this.#closing) return;
    const lead = this.#lead;
    const isChunked = this.#framing.kind === 'stream';
    // Nothing of it has left: then it has a length.
    if (lead !== undefined && isChunked && trailers.length === 0)
      this.#framing = this.#gathered === 0 ? { kind: 'none' } : { kind: 'length', bytes: this.#gathered };
    const last = this.#framing.kind === 'stream' ? encodeLastChunk(trailers) : NO_BYTES;
    if (lead !== undefined) this.#leave(lead, last);
    else if (last.length > 0) this.#port.write(last);
    this.#answered = true;
    this.#sink?.left();
    if (this.#framing.kind === 'length' && this.#left > 0) return this.reset();
    if (!this.#keepAlive) return this.#close();
    this.#maybeNext();
  }

  reset(): void {
    if (this.#closing) return;
    this.#closing = true;
    this.#reader.stop();
    // Chunks without a last one, or fewer bytes than were said: the client sees that the answer is cut.
    this.flush();
    this.#port.end();
  }

  #close(): void {
    this.#closing = true;
    this.#reader.stop();
    this.#port.end();
  }

  #maybeNext(): void {
    if (!this.#answered || !this.#requestRead || this.#closing) return;
    this.#sink = undefined;
    this.#answering = false;
    this.#answered = false;
    this.#head = undefined;
    this.#bodyPaused = false;
    this.#owner.idle(true);
    this.#reader.next();
  }

  pauseBody(paused: boolean): void {
    if (this.#bodyPaused === paused || this.#closing) return;
    this.#bodyPaused = paused;
    this.#applyPause();
  }

  switch(headers: readonly Header[]): RawClient {
    const upgrade = headers.filter(([name]) => name === 'upgrade');
    const rest = headers.filter(([name]) => name !== 'upgrade');
    const more = `connection: upgrade\r\nupgrade: ${upgrade[0]?.[1] ?? ''}\r\n`;
    this.#answering = true;
    this.#port.write(encodeResponseHead(101, rest, { kind: 'none' }, more));
    const port = this.#port;
    const raw: RawClient = {
      first: this.#reader.switched(),
      write: (bytes, given) => port.write(bytes, given),
      pause: (paused) => (paused ? port.pause() : port.resume()),
      end: () => {
        this.#closing = true;
        port.end();
      },
      onBytes: () => undefined,
    };
    this.#raw = raw;
    return raw;
  }

  tunnel(onBytes: (chunk: Buffer) => void): Buffer {
    this.#answering = true;
    const port = this.#port;
    port.write(TUNNELLED);
    const first = this.#reader.switched();
    this.#raw = {
      first,
      write: (bytes) => port.write(bytes),
      pause: (paused) => (paused ? port.pause() : port.resume()),
      end: () => port.end(),
      onBytes,
    };
    return first;
  }
}
