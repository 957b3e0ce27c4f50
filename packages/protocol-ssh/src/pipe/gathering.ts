/**
 * What one read brings of a stream in several packets, side by side, so that whoever looks at it looks once. Memory is the
 * process's, so one gathers at a time. Refuses to wait: what is here goes on in a microtask at the latest, or when `flush`
 * is called because something has to stand behind it.
 */

const GATHERED_BYTES = 128 * 1024;
/** Smaller pieces are not worth a copy, but behind others. */
const PIECE_BYTES_MIN = 4 * 1024;

let room: Buffer = Buffer.allocUnsafeSlow(GATHERED_BYTES);
let used = 0;
/** `flush` of whose bytes are in the room. */
let holder: (() => void) | undefined;
/** What is done with bytes may come back here (a connection inside another one): each depth has a room of its own. */
const spare: Buffer[] = [];

export class Gathering {
  readonly #take: (bytes: Buffer, isStderr: boolean) => void;
  readonly #broken: (error: unknown) => void;
  #isStderr = false;

  /**
   * @param take gets bytes that are lent for the call
   * @param broken told what `take` threw when nobody was there to catch it
   */
  constructor(take: (bytes: Buffer, isStderr: boolean) => void, broken: (error: unknown) => void) {
    this.#take = take;
    this.#broken = broken;
  }

  /** Copies the piece, or hands it on at once. */
  add(piece: Buffer, isStderr: boolean): void {
    // What another one's bytes bring may be a third one's.
    while (
      holder !== undefined &&
      (holder !== this.#soon || this.#isStderr !== isStderr || used + piece.length > GATHERED_BYTES)
    )
      holder();
    if (holder === undefined) {
      if (piece.length < PIECE_BYTES_MIN || piece.length > GATHERED_BYTES) return this.#take(piece, isStderr);
      holder = this.#soon;
      this.#isStderr = isStderr;
      queueMicrotask(this.#soon);
    }
    piece.copy(room, used);
    used += piece.length;
  }

  /** What is gathered goes on before anything else. */
  flush(): void {
    if (holder === this.#soon) this.#soon();
  }

  readonly #soon = (): void => {
    if (holder !== this.#soon) return;
    const full = room;
    const bytes = full.subarray(0, used);
    room = spare.pop() ?? Buffer.allocUnsafeSlow(GATHERED_BYTES);
    used = 0;
    holder = undefined;
    try {
      this.#take(bytes, this.#isStderr);
    } catch (error) {
      this.#broken(error);
    } finally {
      spare.push(full);
    }
  };
}
