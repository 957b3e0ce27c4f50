/**
 * How much of the disk the trail and the recordings may use together. Refuses to look at the disk: callers say what they
 * wrote and removed. Limits: spoolBytesMax, recordingSpoolShareMax.
 */
export class DiskBudget {
  readonly bytesMax: number;
  #used = 0;
  constructor(bytesMax: number) {
    this.bytesMax = bytesMax;
  }
  get used(): number {
    return this.#used;
  }
  /** True when `bytes` more fit into `share` (0…1) of the budget. */
  fits(bytes: number, share = 1): boolean {
    return this.#used + bytes <= this.bytesMax * share;
  }
  add(bytes: number): void {
    this.#used += bytes;
  }
  remove(bytes: number): void {
    this.#used -= bytes;
  }
}
