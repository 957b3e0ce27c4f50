/**
 * How much of the disk the trail and the recordings may use together. Refuses to look at the disk: callers say what they
 * wrote and removed. Limits: spoolBytesMax, recordingSpoolShareMax.
 */
export declare class DiskBudget {
  #private;
  readonly bytesMax: number;
  constructor(bytesMax: number);
  get used(): number;
  /** True when `bytes` more fit into `share` (0…1) of the budget. */
  fits(bytes: number, share?: number): boolean;
  add(bytes: number): void;
  remove(bytes: number): void;
}
