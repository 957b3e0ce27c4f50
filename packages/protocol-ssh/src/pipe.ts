/**
 * A client's channel joined to the host's: data both ways with the windows of both sides, exit status, ends. What flows back
 * may be looked at, masked and recorded on its way. Refuses to judge: it is made with what was permitted.
 * Back-pressure: a side gets window for what the other side took.
 */
import type { Channel, ChannelOwner } from './channels.ts';
import type { Filter } from './mask.ts';
import type { ChannelRequest } from './messages.ts';
import { Gathering } from './pipe/gathering.ts';

export interface PipeOwner {
  /** `exit-status` or `exit-signal`, as the host said. */
  exited(request: ChannelRequest): void;
  /** Both sides are closed. */
  closed(): void;
}

export class Pipe implements ChannelOwner {
  readonly #client: Channel;
  readonly #host: Channel;
  readonly #filter: Filter;
  readonly #owner: PipeOwner;
  /** Window owed to the host for bytes that the client has not taken. */
  #owedDown = 0;
  #owedUp = 0;
  #hostEof = false;
  #clientEof = false;
  #exited = false;
  #eofHeld = false;
  #over = false;
  readonly #gathering = new Gathering(
    (bytes, isStderr) => this.#down(bytes, isStderr),
    (error) => this.#host.broken(error),
  );

  constructor(client: Channel, host: Channel, filter: Filter, owner: PipeOwner) {
    this.#client = client;
    this.#host = host;
    this.#filter = filter;
    this.#owner = owner;
    host.owner = this;
  }

  // From the client, by its channel's owner.

  clientData(chunk: Buffer): void {
    const bytes = this.#filter.up(chunk);
    if (this.#host.write(bytes) && this.#owedUp === 0) this.#client.took(chunk.length);
    else this.#owedUp += chunk.length;
  }

  clientEof(): void {
    this.#clientEof = true;
    this.#host.eof();
  }

  clientClosed(): void {
    this.#host.abort();
  }

  clientDrained(): void {
    this.#payDown();
  }

  /** The record caught up. */
  caughtUp(): void {
    if (this.#client.queued === 0) this.#payDown();
  }

  /** Something of ours for the client, between the host's words. */
  say(bytes: Buffer, isStderr: boolean): void {
    this.#gathering.flush();
    this.#client.write(bytes, isStderr);
  }

  toHost(bytes: Buffer): void {
    this.#host.write(bytes);
  }

  /** What the filter held back and lets go by itself. */
  release(bytes: Buffer, isStderr: boolean): void {
    if (bytes.length > 0) this.#client.write(bytes, isStderr);
  }

  requestHost(type: string, data: Uint8Array): void {
    this.#host.request(type, data);
  }

  /** Ends both sides now; a host that keeps its side open holds nothing up. */
  stop(status: Uint8Array): void {
    this.#gathering.flush();
    this.#host.abort();
    this.#client.request('exit-status', status);
    this.#client.eof();
    this.#client.close();
  }

  #payDown(): void {
    if (this.#owedDown === 0 || this.#filter.saturated) return;
    const owed = this.#owedDown;
    this.#owedDown = 0;
    this.#host.took(owed);
  }

  // From the host.

  get takesLent(): boolean {
    return this.#filter.takesLent === true;
  }

  data(chunk: Buffer, isStderr: boolean): void {
    if (this.#filter.gathers === true) this.#gathering.add(chunk, isStderr);
    else this.#down(chunk, isStderr);
  }

  #down(chunk: Buffer, isStderr: boolean): void {
    const filter = this.#filter;
    const bytes = filter.down(chunk, isStderr);
    try {
      const taken = bytes.length === 0 || this.#client.write(bytes, isStderr);
      if (taken && this.#owedDown === 0 && !filter.saturated) this.#host.took(chunk.length);
      else {
        this.#owedDown += chunk.length;
        if (taken) this.#payDown();
      }
      if (filter.owes === true) this.#client.flush();
    } finally {
      filter.settle?.();
    }
  }

  #flushFilter(): void {
    this.#gathering.flush();
    if (this.#hostEof) return;
    this.#hostEof = true;
    for (const isStderr of [false, true]) this.release(this.#filter.rest(isStderr), isStderr);
  }

  eof(): void {
    this.#flushFilter();
    // A client that has ended its side may close at our end of the data, and miss the exit status that is on its way.
    if (this.#clientEof && !this.#exited) this.#eofHeld = true;
    else this.#client.eof();
  }

  drained(): void {
    const owed = this.#owedUp;
    this.#owedUp = 0;
    if (owed > 0) this.#client.took(owed);
  }

  request(request: ChannelRequest): void {
    this.#gathering.flush();
    switch (request.type) {
      case 'exit-status':
      case 'exit-signal':
        // Not the end of what it says: data may come behind it.
        this.#client.request(request.type, request.data);
        this.#owner.exited(request);
        this.#exited = true;
        if (this.#eofHeld) this.#client.eof();
        break;
      case 'eow@openssh.com':
        this.#client.request(request.type, new Uint8Array());
        break;
      default:
        // Keep-alives among them: the answer no is an answer.
        if (request.wantReply) this.#host.answer(false);
    }
  }

  closed(): void {
    if (this.#over) return;
    this.#over = true;
    this.#flushFilter();
    this.#client.close();
    this.#owner.closed();
  }
}
