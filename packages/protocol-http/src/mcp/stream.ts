/**
 * A server's answer, message by message: one JSON document, or server-sent events whose data are messages. Each is handed over
 * whole, and written anew. Refuses a message longer than LIMITS.mcpMessageBytesMax and what is no JSON.
 * HTML Living Standard, "Server-sent events", 9.2.6.
 */
import { type ErrorCode, LIMITS } from '@sallyport/core';
import type { BodyMasker, JoinedMessage, JoinedTexts } from '@sallyport/http';
import { isObject, type JsonObject, parseExactly } from './message.ts';

/** What the client gets of a message; undefined = nothing. */
export type Rewrite = (message: JsonObject) => JsonObject | undefined;

const NOTHING = new Uint8Array(0);

abstract class Gathering implements BodyMasker {
  failed?: ErrorCode;
  protected readonly rewrite: Rewrite;
  protected held: Uint8Array[] = [];
  heldBytes = 0;

  constructor(rewrite: Rewrite) {
    this.rewrite = rewrite;
  }

  abstract push(chunk: Uint8Array): Uint8Array;
  abstract end(): Uint8Array;

  idle(): Uint8Array {
    return NOTHING;
  }

  protected hold(bytes: Uint8Array): void {
    this.heldBytes += bytes.length;
    if (this.heldBytes > LIMITS.mcpMessageBytesMax) this.fail();
    else this.held.push(Buffer.from(bytes));
  }

  protected take(): string {
    const text = Buffer.concat(this.held).toString('utf8');
    this.held = [];
    this.heldBytes = 0;
    return text;
  }

  protected fail(): void {
    this.failed = 'http.body_unmaskable';
    this.held = [];
    this.heldBytes = 0;
  }

  /** @returns JSON; undefined when nothing of it is shown */
  protected rewritten(text: string): string | undefined {
    try {
      const read = parseExactly(text);
      if (Array.isArray(read)) {
        const all = read.flatMap((item) => (isObject(item) ? (this.rewrite(item) ?? []) : []));
        return JSON.stringify(all);
      }
      if (!isObject(read)) throw new Error('no message');
      const made = this.rewrite(read);
      return made === undefined ? undefined : JSON.stringify(made);
    } catch {
      // Whatever it was, nobody can say what it shows.
      this.fail();
      return undefined;
    }
  }
}

/** `application/json`. */
export class OneMessage extends Gathering {
  push(chunk: Uint8Array): Uint8Array {
    if (this.failed === undefined) this.hold(chunk);
    return NOTHING;
  }

  end(): Uint8Array {
    if (this.failed !== undefined) return NOTHING;
    const text = this.take();
    if (text.trim() === '') return NOTHING;
    const made = this.rewritten(text);
    return made === undefined ? NOTHING : Buffer.from(made);
  }
}

const FIELDS: ReadonlySet<string> = new Set(['event', 'id', 'retry']);

/** `text/event-stream`. */
export class EventMessages extends Gathering {
  /** The last byte was a CR: an LF that follows belongs to it. */
  #afterCr = false;
  #event: string[] = [];
  #data: string[] = [];
  /** Of the event so far. */
  #size = 0;
  readonly #mayShow: (value: string) => boolean;
  readonly #idFor: (id: string) => string;
  readonly #texts: JoinedTexts<undefined> | undefined;

  /**
   * @param mayShow whether an event's id or name goes on: nothing takes the place of one that is masked
   * @param idFor an event's id as its client gets it
   * @param texts that come in pieces, one in each of what the server tells
   */
  constructor(
    rewrite: Rewrite,
    mayShow: (value: string) => boolean = () => true,
    idFor: (id: string) => string = (id) => id,
    texts?: JoinedTexts<undefined>,
  ) {
    super(rewrite);
    this.#texts = texts;
    this.#mayShow = mayShow;
    this.#idFor = idFor;
  }

  push(chunk: Uint8Array): Uint8Array {
    const out: string[] = [];
    let from = 0;
    for (let at = 0; at < chunk.length && this.failed === undefined; at++) {
      const byte = chunk[at];
      if (byte !== 10 && byte !== 13) {
        this.#afterCr = false;
        continue;
      }
      if (byte === 10 && this.#afterCr) {
        this.#afterCr = false;
        from = at + 1;
        continue;
      }
      this.#afterCr = byte === 13;
      this.hold(chunk.subarray(from, at));
      from = at + 1;
      if (this.failed === undefined) this.#line(this.take(), out);
    }
    if (this.failed === undefined && from < chunk.length) this.hold(chunk.subarray(from));
    return out.length === 0 ? NOTHING : Buffer.from(out.join(''));
  }

  /** An event that was not ended is none. */
  end(): Uint8Array {
    const out: string[] = [];
    if (this.failed === undefined) this.#emit(this.#texts?.end() ?? [], out);
    return out.length === 0 ? NOTHING : Buffer.from(out.join(''));
  }

  #line(line: string, out: string[]): void {
    if (line === '') return this.#dispatch(out);
    if (line.startsWith(':')) {
      // A comment keeps the connection alive; what it says is nobody's to read.
      out.push(':\n\n');
      return;
    }
    const colon = line.indexOf(':');
    const field = colon === -1 ? line : line.slice(0, colon);
    const value = colon === -1 ? '' : line.slice(colon + 1).replace(/^ /, '');
    if (field === 'data') this.#data.push(value);
    else if (FIELDS.has(field) && this.#mayShow(value))
      // An empty id says that there is none.
      this.#event.push(`${field}: ${field === 'id' && value !== '' ? this.#idFor(value) : value}\n`);
    this.#size += line.length;
    if (this.#size > LIMITS.mcpMessageBytesMax) this.fail();
  }

  #dispatch(out: string[]): void {
    const head = this.#event.join('');
    const data = this.#data.join('\n');
    this.#event = [];
    this.#data = [];
    this.#size = 0;
    if (data === '') {
      if (head !== '') out.push(`${head}\n`);
      return;
    }
    const made = this.rewritten(data);
    const shown = made === undefined ? undefined : this.#joined(made, out);
    if (shown !== undefined) out.push(`${head}data: ${shown}\n\n`);
  }

  /** What is told is read as one with what was told before; an answer ends it. */
  #joined(message: string, out: string[]): string | undefined {
    const texts = this.#texts;
    if (texts === undefined) return message;
    const read = JSON.parse(message) as JsonObject | readonly unknown[];
    if (!Array.isArray(read) && 'method' in read && !('id' in read)) {
      const shown = texts.mask(Buffer.from(message), '', undefined);
      if (shown === undefined) {
        this.fail();
        return undefined;
      }
      this.#emit(shown.before, out);
      return Buffer.from(shown.data).toString('utf8');
    }
    this.#emit(texts.end(), out);
    return message;
  }

  /** Messages of our own, like the last one of their text. */
  #emit(messages: readonly JoinedMessage<undefined>[], out: string[]): void {
    for (const { data } of messages) out.push(`data: ${Buffer.from(data).toString('utf8')}\n\n`);
  }
}
