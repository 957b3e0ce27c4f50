/**
 * One HTTP/1.1 connection to the service: one call at a time. Refuses to be used again after anything that was not exactly
 * one whole answer to one whole request. Bytes leave through the permit of the call they belong to.
 */
import { GatewayError } from '@sallyport/core';
import {
  encodeChunk,
  encodeLastChunk,
  encodeRequestHead,
  type Header,
  type KnownAnswer,
  KnownRequestHead,
  type ReadResponse,
  type ResponseHead,
  ResponseReader,
  type ResponsesOwner,
} from '@sallyport/http';
import type { Permit, UpstreamPort } from '@sallyport/protocol-kit';
import type { CallOwner, UpstreamCall, UpstreamLine, UpstreamRequest } from './upstream-call.ts';

export interface LineOwner {
  /** It may take another call. */
  free(line: UpstreamLine): void;
  closed(line: UpstreamLine): void;
}

export class Http1Line implements UpstreamLine, UpstreamCall, ResponsesOwner {
  readonly #port: UpstreamPort;
  readonly #owner: LineOwner;
  readonly #reader: ResponseReader;
  readonly #known = new KnownRequestHead();
  #call: CallOwner | undefined;
  #permit: Permit | undefined;
  #chunked = false;
  #sent = false;
  #answered = false;
  #whole = false;
  #keepAlive = false;
  #heard = false;
  #used = false;
  #raw = false;
  #over = false;
  #paused = false;

  /** @param known of all lines of one pool */
  constructor(port: UpstreamPort, owner: LineOwner, known: KnownAnswer) {
    this.#port = port;
    this.#owner = owner;
    this.#reader = new ResponseReader(this, known);
  }

  get free(): boolean {
    return this.#call === undefined && !this.#over;
  }

  call(request: UpstreamRequest, owner: CallOwner): UpstreamCall {
    const { framing } = request;
    const more = request.upgrade === '' ? '' : `connection: upgrade\r\nupgrade: ${request.upgrade}\r\n`;
    const head = encodeRequestHead(request, framing, request.emptyBody, more, this.#known);
    this.#call = owner;
    this.#permit = request.permit;
    this.#chunked = framing.kind === 'stream';
    this.#sent = framing.kind === 'none';
    this.#answered = false;
    this.#whole = false;
    this.#heard = false;
    this.#reader.expect(request.method);
    this.#port.send(request.permit, head, true);
    return this;
  }

  // The request.

  body(bytes: Uint8Array): boolean {
    if (this.#over || this.#permit === undefined) return true;
    return this.#chunked
      ? this.#port.send(this.#permit, encodeChunk(bytes), true)
      : this.#port.send(this.#permit, bytes);
  }

  end(trailers: readonly Header[]): void {
    if (this.#over || this.#permit === undefined || this.#sent) return;
    if (this.#chunked) this.#port.send(this.#permit, encodeLastChunk(trailers));
    this.#sent = true;
    this.#maybeFree();
  }

  abort(): void {
    this.#call = undefined;
    this.#close();
  }

  pause(paused: boolean): void {
    if (this.#over || paused === this.#paused) return;
    this.#paused = paused;
    if (paused) this.#port.pause();
    else this.#port.resume();
  }

  raw(bytes: Uint8Array): boolean {
    return this.#over || this.#permit === undefined ? true : this.#port.send(this.#permit, bytes);
  }

  rawEnd(): void {
    this.#over = true;
    this.#port.end();
  }

  // The port.

  received(chunk: Buffer): void {
    this.#heard = true;
    const call = this.#call;
    this.#reader.receive(chunk);
    call?.flush();
  }

  drained(): void {
    this.#call?.sendable();
  }

  closed(error: GatewayError | undefined): void {
    if (this.#over && !this.#raw) return;
    const call = this.#call;
    if (this.#raw) {
      this.#over = true;
      call?.rawClosed();
      return;
    }
    this.#reader.closed();
    if (this.#over) return;
    this.#over = true;
    this.#call = undefined;
    this.#owner.closed(this);
    // A kept connection that the server closed as we wrote: it has read nothing of the request (RFC 9112 section 9.3.1).
    call?.failed(error ?? new GatewayError('http.upstream', { reason: 'closed' }), this.#used && !this.#heard);
  }

  #close(): void {
    if (this.#over) return;
    this.#over = true;
    this.#owner.closed(this);
    this.#port.destroy();
  }

  // The answer.

  informed(head: ResponseHead): void {
    this.#call?.informed(head);
  }

  answered(head: ResponseHead, answer: ReadResponse): void {
    this.#answered = true;
    this.#keepAlive = answer.keepAlive;
    if (head.status === 101) this.#raw = true;
    this.#call?.answered(head, head.framing.kind === 'none' ? answer.saidLength : undefined);
  }

  bodyBytes(bytes: Buffer): void {
    this.#call?.data(bytes);
  }

  bodyEnd(trailers: readonly Header[]): void {
    this.#whole = true;
    const call = this.#call;
    this.#maybeFree();
    call?.ended(trailers);
  }

  rawBytes(bytes: Buffer): void {
    this.#call?.raw(bytes);
  }

  broken(error: GatewayError): void {
    const call = this.#call;
    this.#call = undefined;
    this.#close();
    const early = this.#used && !this.#heard && !this.#answered;
    call?.failed(error, early);
  }

  #maybeFree(): void {
    if (!this.#whole || this.#raw) return;
    this.#call = undefined;
    // An answer that came before the request was whole leaves the connection in the middle of it.
    if (!this.#sent || !this.#keepAlive) return this.#close();
    this.#permit = undefined;
    this.#used = true;
    this.pause(false);
    this.#owner.free(this);
  }
}
