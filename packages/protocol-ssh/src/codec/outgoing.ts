/**
 * Packets on their way out of one connection, side by side in memory that the whole process shares, so that what one read
 * brought leaves in one write. Refuses to know packets. What is here leaves before anything else runs: in a microtask at the
 * latest, or when `flush` is called because something has to stand behind it.
 */

/** What a socket takes in one piece without memory of its own for it (packages/relay, byte-socket.ts). */
const STAGE_BYTES = 160 * 1024;

let stage: Buffer = Buffer.allocUnsafeSlow(STAGE_BYTES);
let used = 0;
/** `flush` of whose bytes are in the stage. */
let holder: (() => void) | undefined;
/** Writing may come back here (a connection inside another one): each depth has a stage of its own. */
const spare: Buffer[] = [];

export class Outgoing {
  readonly #write: (bytes: Buffer) => void;

  /** @param write gets bytes that are lent for the call */
  constructor(write: (bytes: Buffer) => void) {
    this.#write = write;
  }

  /** Room for one packet, to be filled and given to `sent` before anything else is reserved. */
  reserve(size: number): Buffer {
    // What another one writes may bring a third one's bytes here.
    while (used > 0 && (holder !== this.flush || used + size > STAGE_BYTES)) holder?.();
    return stage.subarray(used, used + size);
  }

  /** What was reserved last is whole. */
  sent(packet: Buffer): void {
    if (used === 0) {
      holder = this.flush;
      queueMicrotask(this.flush);
    }
    used += packet.length;
  }

  readonly flush = (): void => {
    if (holder !== this.flush || used === 0) return;
    const full = stage;
    const bytes = full.subarray(0, used);
    stage = spare.pop() ?? Buffer.allocUnsafeSlow(STAGE_BYTES);
    used = 0;
    holder = undefined;
    try {
      this.#write(bytes);
    } finally {
      spare.push(full);
    }
  };
}
