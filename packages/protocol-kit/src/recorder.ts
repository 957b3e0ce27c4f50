/**
 * What a session gives to its recording. Refuses to say where that is kept, and how much of it: the resource's level and
 * LIMITS do (`recorded*`).
 */
/** What the client saw and what it loaded, for replay; calls copy what they keep and never block. */
export interface RecorderPort {
  /** How much the resource wants kept. */
  readonly level: 'statements' | 'results' | 'full';
  /** True while the writer is behind at level `full`: pause who sends until `onDrained`. */
  readonly saturated: boolean;
  onDrained: (() => void) | undefined;
  statement(number: number, text: string): void;
  /** Column names of an answer, once before its rows. */
  columns(number: number, names: readonly string[]): void;
  /**
   * Protocol bytes of rows as the client sees them (masked): whole messages; of one that is too large to be gathered, pieces.
   * @param rowCount how many rows end in `bytes`
   * @param isPiece of a message larger than `LIMITS.recordedRowBytesPerStatementMax`: only `full` keeps it
   * @param from where they stand in `bytes`, up to `to`; absent: all of it
   */
  rows(number: number, bytes: Uint8Array, rowCount: number, isPiece?: boolean, from?: number, to?: number): void;
  /**
   * What the client sends behind a statement (COPY), without framing and masked, at every level, as parameters are.
   * @param lines line ends in `bytes`
   * @returns false when the level keeps no more of this statement: tell the rest by `inputCut`
   */
  input(number: number, bytes: Uint8Array, lines: number): boolean;
  /** What the client sent and `input` did not take: line ends, bytes and hex SHA-256 of it as it was sent. */
  inputCut(number: number, lines: number, bytes: number, digest: string): void;
  /** Command tag, error or notice text as the client sees it. */
  note(number: number, kind: 'complete' | 'error' | 'notice', text: string): void;
  /** The terminal of this statement has this size from here on. Called first before its first output. */
  resize(number: number, columns: number, rows: number): void;
  /**
   * What a stream of this statement shows, as the client sees it (masked). Several statements may run at once; what is left
   * out (level, limits, a writer that is behind) is counted and digested until `exit`.
   * @param isLater `settle` follows before `bytes` change: what is left out may be digested there
   * @returns true where `settle` has something to do
   */
  streamOutput(number: number, stream: 'stdout' | 'stderr' | 'pty', bytes: Uint8Array, isLater?: boolean): boolean;
  /** Digests what was left out of streams: once the client has it, which so waits for less. */
  settle(): void;
  /** What the client sent to it: only where the resource has input recorded, and never while nothing is echoed. */
  streamInput(number: number, bytes: Uint8Array): void;
  /** The statement's streams have ended, last of all it said; with neither a code nor a signal when it just ended. */
  exit(number: number, end: { readonly code?: number; readonly signal?: string }): void;
  /**
   * A request as it was judged, or the answer's status and headers, as text; credentials taken out by the caller. Several
   * requests may run at once. Kept at every level.
   * @param text UTF-8, lent for the call
   * @param bodyBytesMax what `results` keeps of the body that follows; absent: `LIMITS.recordedHttpBodyBytes`
   */
  httpHead(number: number, side: 'request' | 'response', text: Uint8Array, bodyBytesMax?: number): void;
  /** Bytes of the body as the client sent or sees it, masked, in its content coding. Behind `httpHead`. */
  httpBody(number: number, side: 'request' | 'response', bytes: Uint8Array): void;
  /** The body is over, or will not go on. @returns what it was; undefined where no head was given */
  httpEnd(number: number, side: 'request' | 'response'): RecordedBody | undefined;
  /** A file was read, written or changed, at every level; without its contents. */
  file(number: number, file: RecordedFile): void;
}

export interface RecordedBody {
  readonly bytes: number;
  /** Of them, not in the recording. */
  readonly cut: number;
  /** SHA-256 of the whole, a letter for each byte; '' at level `statements`, which does not read bodies. */
  readonly digest: string;
}

export interface RecordedFile {
  /** `read`, `write`, `rename`, … */
  readonly op: string;
  readonly path: string;
  /** The other path of a rename or link; '' without. */
  readonly target: string;
  /** Bytes that went through; absent where none did. */
  readonly size?: number;
  /** Hex SHA-256 of what went through; '' where it is not known. */
  readonly digest: string;
  /** `sftp`, `scp`, `rsync`, `git`. */
  readonly via: string;
}
