/**
 * The client's side of an HTTP/2 connection: each stream is a request of its own. Counts what a client takes back, since work
 * that nobody waits for is the cheapest attack there is. RFC 9113.
 */
import type { ServerHttp2Session, ServerHttp2Stream, ServerStreamResponseOptions } from 'node:http2';
import { GatewayError, LIMITS } from '@sallyport/core';
import {
  BytesDuplex,
  H2_ENHANCE_YOUR_CALM,
  H2_FLAG_END_STREAM,
  H2_INTERNAL_ERROR,
  H2_NO_ERROR,
  H2_REFUSED_STREAM,
  type Header,
  http2Fields,
  KnownHttp2Fields,
  KnownHttp2Lines,
  openHttp2Server,
  type RequestHead,
  type ResponseFraming,
  readHttp2Request,
  readHttp2Trailers,
} from '@sallyport/http';
import type { ClientPort } from '@sallyport/protocol-kit';
import type { ClientStream, RequestSink } from './client-stream.ts';
import { Running } from './running.ts';

export interface Http2Owner {
  exchange(stream: ClientStream): RequestSink;
  malformed(error: GatewayError, stream: ClientStream): void;
  idle(idle: boolean): void;
}

const WINDOW_MS = 10_000;
/** Answers up to this size are gathered with their head. */
const JOINED_BYTES_MAX = 16 * 1024;

export class Http2Client implements AnswerHome {
  readonly #owner: Http2Owner;
  readonly #port: ClientPort;
  /** Undefined where the session has the TLS stream itself. */
  readonly #bytes: BytesDuplex | undefined;
  readonly #session: ServerHttp2Session;
  readonly #open = new Running<Http2Answer>();
  readonly #known = new KnownHttp2Fields();
  readonly lines = new KnownHttp2Lines();
  #resets = 0;
  #windowStart = 0;
  #leaving = false;
  #calmed = false;

  constructor(port: ClientPort, owner: Http2Owner) {
    this.#owner = owner;
    this.#port = port;
    const own = port.takeStream?.();
    const bytes = own ?? new BytesDuplex(port);
    this.#bytes = bytes instanceof BytesDuplex ? bytes : undefined;
    this.#session = openHttp2Server(bytes);
    this.#session.on('stream', (stream, _headers, flags, raw) =>
      this.#request(stream, flags, raw as unknown as readonly string[]),
    );
    // What is wrong with the peer's frames ends its connection; nothing of it is anybody else's matter.
    this.#session.on('error', () => port.end());
    this.#session.on('close', () => port.end());
    bytes.on('error', () => port.destroy());
  }

  receive(chunk: Buffer): void {
    this.#bytes?.receive(chunk);
  }

  drained(): void {
    this.#bytes?.drained();
  }

  closed(): void {
    for (const answer of this.#open.now()) answer.gone();
    this.#session.destroy();
    this.#bytes?.gone();
  }

  /**
   * Of a stream that is cut nothing can be told beside its data. Where it is the only one its connection goes with it, and GOAWAY
   * has a place for words (RFC 9113 section 6.8); Go's clients, kubectl among them, print them.
   */
  leaveSaying(why: string): boolean {
    if (this.#open.size !== 1 || this.#session.destroyed) return false;
    this.#leaving = true;
    this.#session.goaway(H2_NO_ERROR, 0, Buffer.from(why));
    setImmediate(() => this.#port.end());
    return true;
  }

  /** No more requests; what runs is finished, then the connection closes. */
  goAway(): void {
    if (this.#leaving) return;
    this.#leaving = true;
    if (!this.#session.destroyed) this.#session.goaway(H2_NO_ERROR);
    if (this.#open.size === 0) this.#session.close();
  }

  #request(stream: ServerHttp2Stream, flags: number, raw: readonly string[]): void {
    // Taken back in the very read that brought it: nobody waits for it, and it counts.
    if (stream.destroyed || stream.aborted) return this.#tookBack();
    if (this.#calmed) return stream.close(H2_REFUSED_STREAM);
    const answer = new Http2Answer(stream, this);
    this.#open.add(answer);
    this.#owner.idle(false);
    let head: RequestHead;
    try {
      head = readHttp2Request(raw, (flags & H2_FLAG_END_STREAM) !== 0, this.#known);
    } catch (error) {
      this.#owner.malformed(error instanceof GatewayError ? error : new GatewayError('http.malformed'), answer);
      return;
    }
    answer.serve(this.#owner.exchange(answer), head);
  }

  over(answer: Http2Answer): void {
    this.#open.delete(answer);
    if (answer.tookBack) this.#tookBack();
    if (this.#open.size > 0) return;
    if (this.#leaving) this.#session.close();
    else this.#owner.idle(true);
  }

  #tookBack(): void {
    const now = performance.now();
    if (now - this.#windowStart > WINDOW_MS) {
      this.#windowStart = now;
      this.#resets = 0;
    }
    if (++this.#resets > LIMITS.httpResetsPerWindowMax) this.#calm();
  }

  /** Its last word is why, which a connection that is torn down would take with it. */
  #calm(): void {
    if (this.#calmed) return;
    this.#calmed = true;
    const session = this.#session;
    if (!session.destroyed) session.goaway(H2_ENHANCE_YOUR_CALM);
    for (const answer of this.#open.now()) answer.refuse();
    session.close();
    setImmediate(() => this.#port.end());
  }
}

/** What an answer asks of its connection. */
interface AnswerHome {
  readonly lines: KnownHttp2Lines;
  over(answer: Http2Answer): void;
  /** Ends the connection with these words, if no other stream is on it. */
  leaveSaying(why: string): boolean;
}

class Http2Answer implements ClientStream {
  readonly #stream: ServerHttp2Stream;
  readonly #home: AnswerHome;
  #sink: RequestSink | undefined;
  #method = '';
  /** Nothing follows its head. */
  #bodiless = false;
  #trailers: readonly Header[] = [];
  #requestTrailers: readonly Header[] = [];
  /** A head that has not left, and what follows it at once. */
  #lead: readonly string[] | undefined;
  #parts: Uint8Array[] = [];
  #gathered = 0;
  #hearsDrain = false;
  #answered = false;
  #over = false;
  tookBack = false;

  constructor(stream: ServerHttp2Stream, home: AnswerHome) {
    this.#stream = stream;
    this.#home = home;
    const gone = (): void => this.gone();
    stream.on('error', gone);
    stream.on('aborted', gone);
    stream.on('close', gone);
  }

  serve(sink: RequestSink, head: RequestHead): void {
    this.#sink = sink;
    this.#method = head.method;
    const stream = this.#stream;
    this.#bodiless = head.framing.kind === 'none';
    // Of one without a body node:http2 sees the end itself, once it is answered: read before, it would be torn down as its
    // last write is told to be done, and Node makes an error with a stack for that.
    if (!this.#bodiless) {
      stream.on('trailers', (_fields: unknown, _flags: number, raw?: unknown) => {
        this.#requestTrailers = readHttp2Trailers((raw ?? []) as readonly string[]);
      });
      stream.on('data', (chunk: Buffer) => this.#sink?.bodyBytes(chunk));
      stream.on('end', () => this.#sink?.bodyEnd(this.#requestTrailers));
    }
    sink.begin(head, false);
  }

  gone(): void {
    if (this.#over) return;
    this.#over = true;
    this.tookBack ||= this.#stream.aborted;
    const sink = this.#sink;
    this.#sink = undefined;
    if (!this.#answered) sink?.gone();
    this.#home.over(this);
  }

  // The answer.

  inform(status: number, headers: readonly Header[]): void {
    const stream = this.#stream;
    if (stream.destroyed || stream.headersSent) return;
    stream.additionalHeaders({ ...http2Fields(headers), ':status': status });
  }

  head(status: number, headers: readonly Header[], framing: ResponseFraming, saidLength: string | undefined): void {
    const stream = this.#stream;
    if (stream.destroyed) return;
    const length = framing.kind === 'length' ? String(framing.bytes) : framing.kind === 'none' ? saidLength : undefined;
    const lines = this.#home.lines.of(status, headers, length);
    if (framing.kind === 'none') stream.respond(lines, { endStream: true });
    else this.#lead = lines;
  }

  /** What follows at once is gathered: an answer that is whole by then needs no turn for trailers it has not. */
  body(bytes: Uint8Array, given = false): boolean {
    const stream = this.#stream;
    if (stream.destroyed || this.#method === 'HEAD') return true;
    if (this.#lead !== undefined && this.#gathered + bytes.length <= JOINED_BYTES_MAX) {
      this.#parts.push(given ? bytes : Buffer.from(bytes));
      this.#gathered += bytes.length;
      return true;
    }
    this.flush();
    return this.#write(given ? bytes : Buffer.from(bytes));
  }

  flush(): void {
    const lead = this.#lead;
    const stream = this.#stream;
    if (lead === undefined || stream.destroyed) return;
    this.#lead = undefined;
    stream.on('wantTrailers', () => {
      if (!stream.destroyed) stream.sendTrailers(http2Fields(this.#trailers) as Record<string, string>);
    });
    if (this.#respond(lead, { waitForTrailers: true }) && this.#gathered > 0) this.#write(this.#taken());
  }

  /** A head that HTTP/2 cannot say ends its stream, as an answer that cannot be completed does. */
  #respond(lead: readonly string[], options: ServerStreamResponseOptions): boolean {
    try {
      this.#stream.respond(lead, options);
      return true;
    } catch {
      this.reset();
      return false;
    }
  }

  #write(bytes: Uint8Array): boolean {
    const room = this.#stream.write(bytes);
    if (!room && !this.#hearsDrain) {
      this.#hearsDrain = true;
      this.#stream.on('drain', () => this.#sink?.drained());
    }
    return room;
  }

  #taken(): Uint8Array {
    const parts = this.#parts;
    this.#parts = [];
    this.#gathered = 0;
    return parts.length === 1 ? (parts[0] as Uint8Array) : Buffer.concat(parts);
  }

  end(trailers: readonly Header[]): void {
    this.#answered = true;
    this.#trailers = trailers;
    const stream = this.#stream;
    if (trailers.length > 0) this.flush();
    const lead = this.#lead;
    this.#lead = undefined;
    if (!stream.destroyed && !stream.writableEnded) {
      if (lead === undefined) stream.end();
      else if (this.#gathered === 0) this.#respond(lead, { endStream: true });
      else if (this.#respond(lead, {})) stream.end(this.#taken());
    }
    // A request whose answer came first is not read to its end.
    if (!this.#bodiless && !stream.readableEnded) stream.resume();
  }

  reset(why?: string): void {
    this.#answered = true;
    if (this.#stream.destroyed || (why !== undefined && this.#home.leaveSaying(why))) return;
    this.#stream.close(H2_INTERNAL_ERROR);
  }

  /** Nobody is answered any more. */
  refuse(): void {
    if (!this.#stream.destroyed) this.#stream.close(H2_ENHANCE_YOUR_CALM);
    this.gone();
  }

  pauseBody(paused: boolean): void {
    if (paused) this.#stream.pause();
    else this.#stream.resume();
  }
}
