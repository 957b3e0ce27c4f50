/**
 * Requests without a body that one client has asked before, with the very same fields: what was read of them is read once, and
 * their facts are the same object, which is how rules know that they were asked. Refuses to grow, and to know what is kept of a body.
 */
import type { RequestHead } from '@sallyport/http';

/** A client that asks for more is one that counts something up. Each keeps the text of its head. */
const TARGETS_MAX = 16;
const TARGET_CHARS_MAX = 1_024;

interface Known<T, Read> {
  /** The last one that was the same. */
  request: RequestHead;
  readonly service: T;
  readonly read: Read;
}

/** Of one list of fields (see `MadeOf`). @typeParam T what the reading hangs on besides the request, by identity */
export class KnownRequests<T extends object, Read> {
  readonly #known = new Map<string, Known<T, Read>>();
  #last: Known<T, Read> | undefined;

  find(request: RequestHead, service: T): Read | undefined {
    const last = this.#last;
    if (last !== undefined && last.request === request && last.service === service) return last.read;
    const known = this.#known.get(request.target);
    if (known === undefined || known.service !== service) return undefined;
    if (!isSame(known.request, request)) return undefined;
    known.request = request;
    this.#last = known;
    return known.read;
  }

  keep(request: RequestHead, service: T, read: Read): void {
    if (request.target.length > TARGET_CHARS_MAX) return;
    if (this.#known.size >= TARGETS_MAX) this.#known.clear();
    this.#last = { request, service, read };
    this.#known.set(request.target, this.#last);
  }
}

const isSame = (one: RequestHead, other: RequestHead): boolean =>
  one.method === other.method &&
  one.path === other.path &&
  one.query === other.query &&
  one.authority === other.authority &&
  one.scheme === other.scheme &&
  one.upgrade === other.upgrade;
