/**
 * One line as a terminal would show it, from the raw bytes that drew it: escapes leave seams, backspaces move back and what
 * comes then writes over. Refuses rows and columns: text that is drawn piece by piece at other places stands side by side.
 */

/** What a line showed before it was written over. */
export interface Showing {
  /** Bytes of the text from the left; a view. */
  readonly text: Uint8Array;
  readonly seams: Uint8Array;
  /** Raw offsets of the first and last byte that drew each one; negative = drawn before this input. */
  readonly first: Int32Array;
  readonly last: Int32Array;
}

/** The end of a line that has left already. */
export interface Shown {
  readonly text: Uint8Array;
  readonly seams: Uint8Array;
  readonly cursor: number;
  /** Something that is not shown stands behind it. */
  readonly isSeam: boolean;
}
const EMPTY = new Uint8Array(0);
const NO_PLACES = new Int32Array(0);
/** Of a lane that has any. */
const ROOM_MIN = 1_024;
export const NOTHING_SHOWN: Shown = { text: EMPTY, seams: EMPTY, cursor: 0, isSeam: false };
const SEAM_ONLY: Shown = { ...NOTHING_SHOWN, isSeam: true };
/** Of it is kept what something may have begun in: no form but a word is longer. */
const SHOWN_BYTES_MAX = 300;
const LF = 10;

/** How often a region may write over something else until only what stands at its end is looked at. */
const SHOWINGS_MAX = 64;
/** Nothing shorter is what a detector looks for, but a very short address. */
const LEAST_TEXT = 6;

export class Lane {
  // Until something is read they have no memory: most streams of a command say nothing, and few draw strings.
  text = EMPTY;
  seams = EMPTY;
  first = NO_PLACES;
  last = NO_PLACES;
  /** Where the next byte is written. */
  cursor = 0;
  /** Bytes that are shown; the cursor may stand before their end. */
  length = 0;
  /** What was shown and then written over. */
  readonly before: Showing[] = [];
  /** Set before reading: whether `before` is wanted. */
  keepsBefore = true;
  #seam = false;
  #kept = false;
  #wraps = false;
  /** Bytes that were drawn twice on the way over the right edge. */
  readonly #doubles: number[] = [];

  /** Begins with text that has left already. */
  begin({ text, seams, cursor, isSeam }: Shown): void {
    this.#room(text.length);
    this.text.set(text);
    this.seams.set(seams);
    this.first.fill(-1, 0, text.length);
    this.last.fill(-1, 0, text.length);
    this.length = text.length;
    this.cursor = cursor;
    this.#seam = isSeam;
    this.#kept = this.#wraps = false;
    this.before.length = 0;
    this.#doubles.length = 0;
  }

  /** The end of the line as it is drawn by raw bytes before `until`. */
  shownUntil(until: number): Shown {
    let end = this.length;
    while (end > 0 && this.first[end - 1]! >= until) end--;
    const line = this.text.lastIndexOf(LF, end - 1) + 1;
    const start = Math.max(line > end ? 0 : line, end - SHOWN_BYTES_MAX);
    const whole = end === this.length;
    const isSeam = whole ? this.#seam : this.seams[end] === 1;
    if (start >= end) return isSeam ? SEAM_ONLY : NOTHING_SHOWN;
    return {
      text: Buffer.from(this.text.subarray(start, end)),
      seams: Buffer.from(this.seams.subarray(start, end)),
      cursor: whole ? Math.max(0, this.cursor - start) : end - start,
      isSeam,
    };
  }

  push(byte: number, raw: number): void {
    const at = this.cursor;
    if (this.#wraps) {
      this.#wraps = false;
      if (at > 0 && this.text[at - 1] === byte) this.#doubles.push(at - 1);
    }
    if (at === this.text.length) this.#room(at + 1);
    if (at < this.length) {
      // Written over by itself nothing is lost.
      if (this.text[at] !== byte) this.#keep();
      this.text[at] = byte;
      if (this.first[at]! < 0) this.first[at] = raw;
      this.last[at] = raw;
    } else {
      this.text[at] = byte;
      this.seams[at] = 0;
      this.first[at] = this.last[at] = raw;
      this.length = at + 1;
    }
    if (this.#seam) {
      this.seams[at] = 1;
      this.#seam = false;
    }
    this.cursor = at + 1;
  }

  /** Something that is not shown stands here. */
  seam(): void {
    this.#seam = true;
  }

  back(count: number): void {
    this.cursor = Math.max(0, this.cursor - count);
    this.#seam = true;
    this.#kept = false;
  }

  /** Readline's way over the right edge: a space, and back to the line's begin, where the next byte writes over it. */
  return(): void {
    if (this.cursor > 0 && this.text[this.cursor - 1] === 32) this.back(1);
    else this.#seam = true;
  }

  /** To the first column of a row: an editor may have drawn its first character already, to get over the right edge. */
  rowStart(): void {
    this.#seam = this.#wraps = true;
  }

  /** What stands there now if what was drawn twice is one; undefined when nothing was. */
  undoubled(): Showing | undefined {
    if (this.#doubles.length === 0) return undefined;
    const { text, seams, first, last } = this.showing();
    const kept = Array.from(text.keys()).filter((i) => !this.#doubles.includes(i));
    return {
      text: Uint8Array.from(kept, (i) => text[i]!),
      seams: Uint8Array.from(kept, (i) => seams[i]!),
      first: Int32Array.from(kept, (i) => first[i]!),
      last: Int32Array.from(kept, (i) => last[i]!),
    };
  }

  /** What stands there now. */
  showing(): Showing {
    return {
      text: this.text.subarray(0, this.length),
      seams: this.seams.subarray(0, this.length),
      first: this.first.subarray(0, this.length),
      last: this.last.subarray(0, this.length),
    };
  }

  /** The line as it is before it is written over, once per way back. */
  #keep(): void {
    if (!this.keepsBefore || this.#kept || this.length < LEAST_TEXT || this.before.length >= SHOWINGS_MAX) {
      // What is written over is no longer shown; the rest stays.
      return;
    }
    this.#kept = true;
    const from = Math.max(0, this.length - 256);
    this.before.push({
      text: this.text.slice(from, this.length),
      seams: this.seams.slice(from, this.length),
      first: this.first.slice(from, this.length),
      last: this.last.slice(from, this.length),
    });
  }

  #room(size: number): void {
    if (size <= this.text.length) return;
    const grown = Math.max(size, this.text.length * 2, ROOM_MIN);
    const text = new Uint8Array(grown);
    const seams = new Uint8Array(grown);
    const first = new Int32Array(grown);
    const last = new Int32Array(grown);
    text.set(this.text);
    seams.set(this.seams);
    first.set(this.first);
    last.set(this.last);
    this.text = text;
    this.seams = seams;
    this.first = first;
    this.last = last;
  }
}
