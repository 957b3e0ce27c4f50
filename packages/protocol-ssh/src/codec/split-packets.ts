/**
 * Memory for packets that one read begins and another one ends, where nothing is kept of what flows by: ssh2 would make new
 * memory for each, outside of V8's heap, and collections of all garbage come with it. Refuses to know what is in a packet.
 * Rests on ssh2 1.17's ciphers of the addon: they ask for `_packet` where a packet has begun, and set it otherwise.
 */

/** ssh2's own limit of a packet is 35,000 bytes. */
const ROOM_BYTES = 36 * 1024;
const ROOMS_KEPT = 32;
const rooms: Buffer[] = [];

interface Decipher {
  readonly _len?: number;
  readonly _packet?: Uint8Array | null;
}

export class SplitPackets {
  #decipher: Decipher | undefined;
  #packet: Uint8Array | null = null;
  #room: Buffer | undefined;
  /** Of packets that are whole by now. */
  #done: Buffer[] = [];
  /** Set before each read: nothing was kept of what came before it. */
  lends = false;

  /** Once per set of keys. */
  attach(decipher: Decipher): void {
    if (this.#decipher === decipher) return;
    this.#decipher = decipher;
    this.#packet = decipher._packet ?? null;
    Object.defineProperty(decipher, '_packet', {
      get: () => (this.#packet ??= this.lends ? this.#take(decipher._len ?? 0) : null),
      set: (packet: Uint8Array | null) => {
        this.#packet = packet;
        if (packet !== null || this.#room === undefined) return;
        this.#done.push(this.#room);
        this.#room = undefined;
      },
    });
  }

  /** What has come of a packet that is not whole. */
  get begun(): Uint8Array | null {
    return this.#packet;
  }

  /** A read is over. @param isKept somebody may have kept something of it */
  over(isKept: boolean): void {
    for (const room of this.#done) if (!isKept && rooms.length < ROOMS_KEPT) rooms.push(room);
    if (this.#done.length > 0) this.#done = [];
  }

  #take(size: number): Buffer | null {
    if (size > ROOM_BYTES) return null;
    this.#room = rooms.pop() ?? Buffer.allocUnsafeSlow(ROOM_BYTES);
    return this.#room.subarray(0, size);
  }
}
