export declare class SegmentFile {
  #private;
  readonly path: string;
  private constructor();
  /** A fresh file whose first bytes are `bytes`. @throws what the file system says; nothing is left behind then */
  static create(path: string, bytes: Uint8Array): SegmentFile;
  /** Goes on after `size` bytes of a file that is there; what follows them is cut. */
  static reopen(path: string, size: number): SegmentFile;
  get size(): number;
  /** @throws what the file system says, after taking a partial write back */
  append(bytes: Uint8Array): void;
  /**
   * Resolves with the number of bytes that are on the disk, not only in the kernel. Callers that come while a sync is
   * under way share the next one.
   */
  sync(): Promise<number>;
  /** Ends writing: syncs, then closes. The bytes that are on the disk. */
  finish(): Promise<number>;
  /** Ends writing and waits for the disk. */
  finishSync(): void;
}
