/**
 * What was sent to the server and is not answered, in order, so that every answer is known by its question: rows to their
 * statement, the gateway's own look-ups to the gateway, an error to all that the server then skips.
 * Refuses to know bytes and sockets. PostgreSQL protocol, "Message Flow: Extended Query".
 */
import type { FieldDescription, Fields } from './messages.ts';
import type { Portal, Prepared, Tally } from './mirror.ts';

/** A question of the gateway's own, in one or more messages; its answers never reach the client. */
export interface OwnQuestion {
  /** Messages that are not answered. */
  left: number;
  error: Fields | undefined;
  /** An earlier message of the pipeline failed, so the server did not look at this one. */
  skipped: boolean;
  /** It goes before a message of the client's that would have failed alike: its error is the client's. */
  readonly tells?: boolean;
  columns?(columns: readonly FieldDescription[]): void;
  row?(cells: readonly (string | undefined)[]): void;
  /** All is answered, or skipped by the server after `error`. */
  done(): void;
}

/** A simple query whose end the client has not been told. */
export interface Wrapped {
  readonly own: OwnQuestion;
  /** CommandComplete of its last statement. */
  tag: Uint8Array | undefined;
}

export interface Entry {
  readonly kind: 'query' | 'parse' | 'bind' | 'describe' | 'execute' | 'close' | 'sync';
  readonly segment: number;
  /** Set: the client never sees the answer. */
  readonly own: OwnQuestion | undefined;
  readonly prepared: Prepared | undefined;
  readonly portal: Portal | undefined;
  readonly tally: Tally | undefined;
  /** Set: stands in for a refused message; the server's error is rewritten into this. */
  readonly refusal: Fields | undefined;
  /** Set: an empty statement stands in for what the gateway did itself; the client gets this command tag. */
  readonly tag: string | undefined;
  /** Set: a simple query in a transaction of ours; its end and its last tag wait for that one's. */
  readonly wrapped: Wrapped | undefined;
  /** Of a Bind: what it makes. Its confirming and stepping back are the road's, so that nothing is made for them. */
  readonly bound: Portal | undefined;
  /** Called when the server did what was asked. */
  readonly confirm: (() => void) | undefined;
  /** Called when it did not: `skipped` because of an earlier error, or failed by itself. Newest first. */
  readonly undo: ((skipped: boolean) => void) | undefined;
}

type Parts = { readonly [K in Exclude<keyof Entry, 'kind' | 'segment'>]?: Entry[K] | undefined };

/** What is usual has no `parts`: fields read from objects of many shapes are looked up in memory that is not in the caches. */
export const entry = (kind: Entry['kind'], segment: number, parts?: Parts): Entry =>
  parts === undefined
    ? plainEntry(kind, segment, undefined, undefined, undefined, undefined, undefined)
    : { ...plainEntry(kind, segment, undefined, undefined, undefined, undefined, undefined), ...parts };

/** Of a portal: the Bind that makes it, its Describe, its Execute. */
export const portalEntry = (
  kind: 'bind' | 'describe' | 'execute',
  segment: number,
  portal: Portal,
  tag?: string,
): Entry =>
  kind === 'bind'
    ? plainEntry(kind, segment, undefined, undefined, undefined, undefined, portal)
    : plainEntry(kind, segment, portal, kind === 'execute' ? portal.tally : undefined, tag, undefined, undefined);

/** Of a simple query that runs. */
export const queryEntry = (segment: number, tally: Tally, wrapped: Wrapped | undefined): Entry =>
  plainEntry('query', segment, undefined, tally, undefined, wrapped, undefined);

const plainEntry = (
  kind: Entry['kind'],
  segment: number,
  portal: Portal | undefined,
  tally: Tally | undefined,
  tag: string | undefined,
  wrapped: Wrapped | undefined,
  bound: Portal | undefined,
): Entry => ({
  kind,
  segment,
  own: undefined,
  prepared: undefined,
  portal,
  tally,
  refusal: undefined,
  tag,
  wrapped,
  bound,
  confirm: undefined,
  undo: undefined,
});

const KEPT_ENTRIES_MAX = 1024;

/** First in, first out, without moving what is left at every step. */
export class Flight {
  #entries: (Entry | undefined)[] = [];
  #head = 0;
  /** The array keeps its length when all is answered: V8 leaves compiled code to change it. */
  #tail = 0;

  get size(): number {
    return this.#tail - this.#head;
  }
  get first(): Entry | undefined {
    return this.#entries[this.#head];
  }
  push(item: Entry): void {
    this.#entries[this.#tail++] = item;
  }
  shift(): Entry | undefined {
    const item = this.#entries[this.#head];
    if (item === undefined) return undefined;
    this.#entries[this.#head++] = undefined;
    if (this.#head === this.#tail) {
      if (this.#tail > KEPT_ENTRIES_MAX) this.#entries = [];
      this.#head = 0;
      this.#tail = 0;
    } else if (this.#head > KEPT_ENTRIES_MAX) {
      this.#entries = this.#entries.slice(this.#head, this.#tail);
      this.#tail -= this.#head;
      this.#head = 0;
    }
    return item;
  }
  has(...kinds: readonly Entry['kind'][]): boolean {
    for (const item of this) if (kinds.includes(item.kind)) return true;
    return false;
  }
  /** Everything in order; for counting and for looking ahead. */
  *[Symbol.iterator](): Iterator<Entry> {
    for (let i = this.#head; i < this.#tail; i++) yield this.#entries[i]!;
  }
  /**
   * Takes out what a server skips after an error: all before the next `sync`, or all when none was sent.
   * @returns in order; and whether a sync is there to end the skipping
   */
  dropToSync(): { readonly dropped: readonly Entry[]; readonly synced: boolean } {
    const dropped: Entry[] = [];
    while (this.size > 0 && this.first!.kind !== 'sync' && this.first!.kind !== 'query') dropped.push(this.shift()!);
    return { dropped, synced: this.size > 0 };
  }
}
