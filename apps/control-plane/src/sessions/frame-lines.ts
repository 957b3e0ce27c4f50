/**
 * Recording frames as lines of JSON for people's tools: statements, columns, rows as cells, what ended them.
 * What the detectors find is shown in part unless it is asked for in clear. Refuses to know who asks.
 */
import { type Cell, PostgresRowReader, type RecordingFrame } from '@sallyport/trail';
import { hideDetected } from '../masking/detected.ts';

/** One per stream: rows may begin in one frame and end in the next. */
export class FrameLines {
  readonly #show: (text: string) => string;
  readonly #rows = new PostgresRowReader();
  #number = 0;
  constructor(clear: boolean) {
    this.#show = clear ? (text) => text : hideDetected;
  }

  /** One line with its newline; '' when a frame only begins a row. */
  line(frame: RecordingFrame): string {
    const value = this.#valueOf(frame);
    return value === undefined ? '' : `${JSON.stringify(value)}\n`;
  }

  #valueOf(frame: RecordingFrame): object | undefined {
    const { kind, atMs } = frame;
    switch (frame.kind) {
      case 'statement':
      case 'complete':
      case 'error':
      case 'notice':
        return { atMs, kind, number: frame.number, text: this.#show(frame.text) };
      case 'columns':
        return { atMs, kind, number: frame.number, columns: frame.names };
      case 'rows': {
        if (frame.number !== this.#number) this.#rows.reset();
        this.#number = frame.number;
        const rows = this.#rows.push(frame.bytes);
        return rows.length === 0
          ? undefined
          : { atMs, kind, number: frame.number, rows: rows.map((row) => row.map((cell) => this.#cell(cell))) };
      }
      case 'cut':
        this.#rows.reset();
        return { atMs, kind, number: frame.number, rows: frame.rows, bytes: frame.bytes, digest: frame.digest };
      case 'client':
      case 'server':
        return { atMs, kind, bytes: frame.bytes.toString('base64') };
      default:
        return frame satisfies never;
    }
  }

  #cell(cell: Cell): string | null {
    return cell === undefined ? null : this.#show(cell);
  }
}
