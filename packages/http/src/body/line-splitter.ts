/**
 * Lines of a stream as HTML and Server-Sent Events end them: LF, CR or CRLF, wherever it is cut. Each keeps its end.
 * Refuses to know what lines mean.
 */
const LF = 10;
const CR = 13;

export class LineSplitter {
  #parts: Uint8Array[] = [];
  #bytes = 0;
  /** The last line ended with a CR; an LF that follows belongs to it. */
  #afterCr = false;

  /** Bytes of the line that has not ended. */
  get heldBytes(): number {
    return this.#bytes;
  }

  /** @param line gets each line that ended: its text, and its end; an LF alone that belongs to the line before comes with `late` */
  push(chunk: Uint8Array, line: (text: Uint8Array, end: Uint8Array, late: boolean) => void): void {
    let from = 0;
    if (this.#afterCr && chunk.length > 0) {
      this.#afterCr = false;
      if (chunk[0] === LF) {
        line(chunk.subarray(0, 0), chunk.subarray(0, 1), true);
        from = 1;
      }
    }
    for (let at = from; at < chunk.length; at++) {
      const byte = chunk[at];
      if (byte !== LF && byte !== CR) continue;
      const isCrLf = byte === CR && chunk[at + 1] === LF;
      const to = at + (isCrLf ? 2 : 1);
      if (byte === CR && to === chunk.length && !isCrLf) this.#afterCr = true;
      line(this.#take(chunk.subarray(from, at)), chunk.subarray(at, to), false);
      from = to;
      at = to - 1;
    }
    if (from < chunk.length) {
      this.#parts.push(Uint8Array.from(chunk.subarray(from)));
      this.#bytes += chunk.length - from;
    }
  }

  /** The line that has no end. */
  rest(): Uint8Array {
    return this.#take(new Uint8Array(0));
  }

  #take(last: Uint8Array): Uint8Array {
    if (this.#parts.length === 0) return last;
    const whole = Buffer.concat([...this.#parts, last]);
    this.#parts = [];
    this.#bytes = 0;
    return whole;
  }
}
