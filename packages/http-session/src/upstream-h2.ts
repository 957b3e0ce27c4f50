/**
 * One HTTP/2 connection to the service: many calls of one session at a time. What node:http2 writes is framing of requests
 * that were admitted one by one; a call is made with its permit alone. RFC 9113.
 */
import type { ClientHttp2Session, ClientHttp2Stream } from 'node:http2';
import { GatewayError, LIMITS } from '@sallyport/core';
import {
  BytesDuplex,
  H2_CANCEL,
  H2_FLAG_END_STREAM,
  H2_NO_ERROR,
  H2_REFUSED_STREAM,
  type Header,
  http2Fields,
  openHttp2Client,
  readHttp2Response,
  readHttp2Trailers,
} from '@sallyport/http';
import { isPermit, OWN_PERMIT, type UpstreamPort } from '@sallyport/protocol-kit';
import type { CallOwner, UpstreamCall, UpstreamLine, UpstreamRequest } from './upstream-call.ts';
import type { LineOwner } from './upstream-h1.ts';

export class Http2Line implements UpstreamLine {
  readonly #port: UpstreamPort;
  readonly #owner: LineOwner;
  readonly #stream: BytesDuplex;
  readonly #session: ClientHttp2Session;
  #calls = 0;
  #over = false;

  constructor(port: UpstreamPort, owner: LineOwner) {
    this.#port = port;
    this.#owner = owner;
    this.#stream = new BytesDuplex({
      write: (bytes) => port.send(OWN_PERMIT, bytes),
      pause: () => port.pause(),
      resume: () => port.resume(),
      end: () => port.end(),
    });
    this.#session = openHttp2Client(this.#stream, 'https://upstream.invalid');
    this.#session.on('error', () => this.#close());
    this.#session.on('goaway', () => this.#leave());
    this.#session.on('close', () => this.#close());
    this.#stream.on('error', () => this.#close());
  }

  get free(): boolean {
    const most = this.#session.remoteSettings?.maxConcurrentStreams ?? LIMITS.httpRequestsInFlightMax;
    return !this.#over && this.#calls < Math.min(most, LIMITS.httpRequestsInFlightMax);
  }

  call(request: UpstreamRequest, owner: CallOwner): UpstreamCall {
    if (!isPermit(request.permit)) throw new GatewayError('internal', { reason: 'no permit' });
    const { framing } = request;
    const type = request.headers.find(([name]) => name === 'content-type')?.[1] ?? '';
    const fields = {
      ...http2Fields(request.headers),
      ...(framing.kind === 'length' ? { 'content-length': String(framing.bytes) } : {}),
      // Without it gRPC servers take the client for a proxy that loses trailers.
      ...(type.startsWith('application/grpc') ? { te: 'trailers' } : {}),
      ':method': request.method,
      ':scheme': request.scheme,
      ':authority': request.authority,
      ':path': request.target,
    };
    const hasBody = framing.kind !== 'none';
    const stream = this.#session.request(fields, { endStream: !hasBody, waitForTrailers: hasBody });
    this.#calls++;
    return new Http2Call(stream, request.method, owner, () => {
      this.#calls--;
      if (this.#over && this.#calls === 0) this.#session.close();
    });
  }

  received(chunk: Buffer): void {
    this.#stream.receive(chunk);
  }

  drained(): void {
    this.#stream.drained();
  }

  closed(_error: GatewayError | undefined): void {
    this.#stream.gone();
    this.#session.destroy();
    this.#close();
  }

  /** It takes no more calls; those that run go on. */
  #leave(): void {
    if (this.#over) return;
    this.#over = true;
    this.#owner.closed(this);
  }

  #close(): void {
    this.#leave();
    this.#port.destroy();
  }
}

class Http2Call implements UpstreamCall {
  readonly #stream: ClientHttp2Stream;
  readonly #owner: CallOwner;
  readonly #method: string;
  #trailers: readonly Header[] = [];
  #sendTrailers: readonly Header[] = [];
  #over = false;

  constructor(stream: ClientHttp2Stream, method: string, owner: CallOwner, closed: () => void) {
    this.#stream = stream;
    this.#owner = owner;
    this.#method = method;
    stream.on('response', (_fields, flags, raw: unknown) => this.#answered(flags, raw as readonly string[]));
    stream.on('trailers', (_fields, _flags, raw: unknown) => {
      this.#trailers = readHttp2Trailers((raw ?? []) as readonly string[]);
    });
    stream.on('wantTrailers', () => {
      if (!stream.destroyed) stream.sendTrailers(http2Fields(this.#sendTrailers) as Record<string, string>);
    });
    stream.on('drain', () => owner.sendable());
    stream.on('error', () => undefined);
    stream.on('close', () => {
      closed();
      this.#fail(new GatewayError('http.upstream', { reason: `stream closed: ${stream.rstCode}` }));
    });
  }

  #answered(flags: number, raw: readonly string[]): void {
    if (this.#over) return;
    try {
      const { head, saidLength } = readHttp2Response(raw, (flags & H2_FLAG_END_STREAM) !== 0, this.#method);
      this.#owner.answered(head, head.framing.kind === 'none' ? saidLength : undefined);
      this.#owner.flush();
      this.#flow();
    } catch (error) {
      this.#stream.close(H2_CANCEL);
      this.#fail(error instanceof GatewayError ? error : new GatewayError('http.upstream'));
    }
  }

  /** Bytes of one read with the head would be told before it: nothing flows until the head was told. */
  #flow(): void {
    const stream = this.#stream;
    stream.on('data', (chunk: Buffer) => {
      this.#owner.data(chunk);
      this.#owner.flush();
    });
    stream.on('end', () => {
      if (this.#over || stream.rstCode !== H2_NO_ERROR) return;
      this.#over = true;
      this.#owner.ended(this.#trailers);
    });
  }

  #fail(error: GatewayError): void {
    if (this.#over) return;
    this.#over = true;
    this.#owner.failed(error, this.#stream.rstCode === H2_REFUSED_STREAM);
  }

  body(bytes: Uint8Array): boolean {
    return this.#stream.destroyed || this.#stream.writableEnded ? true : this.#stream.write(Buffer.from(bytes));
  }

  end(trailers: readonly Header[]): void {
    this.#sendTrailers = trailers;
    if (!this.#stream.destroyed && !this.#stream.writableEnded) this.#stream.end();
  }

  abort(): void {
    this.#over = true;
    if (!this.#stream.destroyed) this.#stream.close(H2_CANCEL);
  }

  pause(paused: boolean): void {
    if (paused) this.#stream.pause();
    else this.#stream.resume();
  }

  raw(): boolean {
    return true;
  }

  rawEnd(): void {
    this.abort();
  }
}
