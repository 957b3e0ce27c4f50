/**
 * What a session leaves behind of each statement: its outcome for the trail, its columns, rows and notes for replay.
 * Refuses to judge and to wait; calls copy what they keep. Rows are the client's: masked, in whole messages.
 */
import type { SqlFacts } from '@sallyport/model';
import type { RecorderPort, SignedIn } from '@sallyport/protocol-kit';
import type { FieldDescription, Fields } from './messages.ts';
import type { Guard, Tally } from './mirror.ts';

export function openTally(
  number: number,
  facts: SqlFacts | undefined,
  guard: Guard,
  changes: Tally['changes'],
  vouched: Tally['vouched'],
  nowUs: number,
): Tally {
  return {
    number,
    facts,
    guard,
    startedUs: nowUs,
    rows: 0,
    rowsTagged: 0,
    bytes: 0,
    masked: 0,
    error: '',
    finished: false,
    index: 0,
    changes,
    vouched,
  };
}

/**
 * Rows that a command's tag says were written: `INSERT 0 3`, `DELETE 7`, `COPY 9`; a SELECT that sent none made a table of
 * them. 0 for what writes none (MOVE, FETCH, DDL). Protocol message formats, CommandComplete.
 */
export function rowsChanged(tag: string): number {
  if (tag !== lastTag) {
    lastCount = countOf(tag);
    lastTag = tag;
  }
  return lastCount;
}

// The same tag comes again and again.
let lastTag = '';
let lastCount = 0;

function countOf(tag: string): number {
  const count = /^(?:INSERT \d+|UPDATE|DELETE|MERGE|COPY|SELECT) (\d+)$/.exec(tag)?.[1];
  return count === undefined ? 0 : Number(count);
}

/** Tells the outcome, once. */
export function finish(tally: Tally, signed: SignedIn, nowUs: number): void {
  if (tally.finished) return;
  tally.finished = true;
  const { number, rows, bytes, error, masked } = tally;
  signed.finished({ number, rows, bytes, error, masked, durationUs: Math.max(0, Math.round(nowUs - tally.startedUs)) });
}

export function noteColumns(recorder: RecorderPort, tally: Tally, columns: readonly FieldDescription[]): void {
  if (recorder.level === 'statements') return;
  recorder.columns(
    tally.number,
    columns.map((column) => column.name),
  );
}

export function noteFields(recorder: RecorderPort, number: number, kind: 'error' | 'notice', fields: Fields): void {
  const detail = fields.get('D');
  const text = `${fields.get('S') ?? ''} ${fields.get('C') ?? ''}: ${fields.get('M') ?? ''}`;
  recorder.note(number, kind, detail === undefined ? text : `${text} (${detail})`);
}
