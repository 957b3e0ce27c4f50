/**
 * What was made of a list of headers, kept with the list: a client's requests on one connection have the same fields again and
 * again, read once into one list (see `KnownFields`), and what is made of them is made once, too.
 * Refuses to know what is made.
 */
import type { Header } from './message.ts';

export class MadeOf {
  readonly headers: readonly Header[];
  // Few: a list is gone through sooner than a map finds its key.
  readonly #makes: unknown[] = [];
  readonly #made: unknown[] = [];

  constructor(headers: readonly Header[]) {
    this.headers = headers;
  }

  /** @param make pure, and a constant of its module: it names what it makes */
  of<V>(make: (headers: readonly Header[]) => V): V {
    const makes = this.#makes;
    for (let i = 0; i < makes.length; i++) if (makes[i] === make) return this.#made[i] as V;
    const made = make(this.headers);
    makes.push(make);
    this.#made.push(made);
    return made;
  }
}

/** What of a request or an answer its fields are. */
export interface Fielded {
  readonly headers: readonly Header[];
  readonly made?: MadeOf | undefined;
}

/** The same value for heads with the same list of headers. @param make as `MadeOf.of` */
export function madeOf<V>({ headers, made }: Fielded, make: (headers: readonly Header[]) => V): V {
  // One that was given other headers has no share in what was made of its old ones.
  return made?.headers === headers ? made.of(make) : make(headers);
}
