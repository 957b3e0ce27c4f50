/**
 * Live view of a session: what is recorded, as recording frames, while someone who may see it watches. Refuses to keep
 * anything: frames that the link cannot take are gone, the recording has them.
 */
import type { RecordedBody, RecordedFile, RecorderPort } from '@sallyport/protocol-kit';
import { ByteBatch, FrameWriter, type HttpFrame, type HttpSide, type StreamFrame } from '@sallyport/trail';

/** A recorder that can be watched; before sign-in it has nothing behind it and records nothing. */
export class WatchableRecorder implements RecorderPort {
  #recorder: RecorderPort | undefined;
  #openedAtMs = 0;
  #onDrained: (() => void) | undefined;
  #show: ((frame: Buffer) => void) | undefined;
  readonly #nowMs: () => number;
  readonly #batch = new ByteBatch(256);
  readonly #frames = new FrameWriter(this.#batch);

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  /** The session has signed in: from here on everything is recorded. */
  bind(recorder: RecorderPort, openedAtMs: number): void {
    this.#recorder = recorder;
    this.#openedAtMs = openedAtMs;
    recorder.onDrained = () => this.#onDrained?.();
  }

  /** @param show receives each frame's bytes, times counted from the session's opening; undefined ends the view */
  watch(show: ((frame: Buffer) => void) | undefined): void {
    this.#show = show;
  }

  get level(): RecorderPort['level'] {
    return this.#recorder?.level ?? 'statements';
  }

  get saturated(): boolean {
    return this.#recorder?.saturated ?? false;
  }

  get onDrained(): (() => void) | undefined {
    return this.#onDrained;
  }

  set onDrained(drained: (() => void) | undefined) {
    this.#onDrained = drained;
  }

  statement(number: number, text: string): void {
    this.#recorder?.statement(number, text);
    if (this.#show !== undefined) this.#frame((atMs) => this.#frames.text('statement', atMs, number, text));
  }

  columns(number: number, names: readonly string[]): void {
    this.#recorder?.columns(number, names);
    if (this.#show !== undefined) this.#frame((atMs) => this.#frames.columns(atMs, number, names));
  }

  rows(number: number, bytes: Uint8Array, rowCount: number, isPiece = false, from = 0, to = bytes.length): void {
    this.#recorder?.rows(number, bytes, rowCount, isPiece, from, to);
    if (this.#show !== undefined) this.#frame((atMs) => this.#frames.rows(atMs, number, rowCount, bytes, from, to));
  }

  input(number: number, bytes: Uint8Array, lines: number): boolean {
    if (this.#recorder?.input(number, bytes, lines) !== true) return false;
    if (this.#show !== undefined) this.#frame((atMs) => this.#frames.input(atMs, number, lines, bytes));
    return true;
  }

  inputCut(number: number, lines: number, bytes: number, digest: string): void {
    this.#recorder?.inputCut(number, lines, bytes, digest);
    if (this.#show !== undefined) this.#frame((atMs) => this.#frames.inputCut(atMs, number, lines, bytes, digest));
  }

  note(number: number, kind: 'complete' | 'error' | 'notice', text: string): void {
    this.#recorder?.note(number, kind, text);
    if (this.#show !== undefined) this.#frame((atMs) => this.#frames.text(kind, atMs, number, text));
  }

  resize(number: number, columns: number, rows: number): void {
    this.#recorder?.resize(number, columns, rows);
    if (this.#show !== undefined) this.#stream({ kind: 'resize', atMs: 0, number, columns, rows });
  }

  streamOutput(number: number, stream: 'stdout' | 'stderr' | 'pty', bytes: Uint8Array, isLater = false): boolean {
    const owes = this.#recorder?.streamOutput(number, stream, bytes, isLater) === true;
    if (this.#show !== undefined) this.#stream({ kind: 'terminal_output', atMs: 0, number, stream, bytes });
    return owes;
  }

  settle(): void {
    this.#recorder?.settle();
  }

  streamInput(number: number, bytes: Uint8Array): void {
    this.#recorder?.streamInput(number, bytes);
    if (this.#show !== undefined) this.#stream({ kind: 'terminal_input', atMs: 0, number, bytes });
  }

  exit(number: number, end: { readonly code?: number; readonly signal?: string }): void {
    this.#recorder?.exit(number, end);
    if (this.#show !== undefined) this.#stream({ kind: 'exit', atMs: 0, number, ...end });
  }

  file(number: number, file: RecordedFile): void {
    this.#recorder?.file(number, file);
    if (this.#show !== undefined) this.#stream({ kind: 'file', atMs: 0, number, ...file });
  }

  httpHead(number: number, side: HttpSide, text: Uint8Array, bodyBytesMax?: number): void {
    this.#recorder?.httpHead(number, side, text, bodyBytesMax);
    if (this.#show !== undefined) this.#frame((atMs) => this.#frames.httpHead(atMs, number, side, text));
  }

  httpBody(number: number, side: HttpSide, bytes: Uint8Array): void {
    this.#recorder?.httpBody(number, side, bytes);
    if (this.#show !== undefined) this.#stream({ kind: 'http_body', atMs: 0, number, side, bytes });
  }

  httpEnd(number: number, side: HttpSide): RecordedBody | undefined {
    const body = this.#recorder?.httpEnd(number, side);
    // Who watches was shown all of it.
    if (this.#show !== undefined && body !== undefined)
      this.#frame((atMs) => this.#frames.httpEnd(atMs, number, side, body.bytes, 0, body.digest));
    return body;
  }

  #stream(frame: StreamFrame | HttpFrame): void {
    this.#frame((atMs) => this.#frames.streamFrame({ ...frame, atMs }));
  }

  #frame(write: (atMs: number) => void): void {
    this.#batch.clear(0);
    this.#frames.sinceMs = 0;
    write(Math.max(0, this.#nowMs() - this.#openedAtMs));
    this.#show?.(Buffer.from(this.#batch.view));
  }
}
