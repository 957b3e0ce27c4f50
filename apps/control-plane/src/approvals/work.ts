/**
 * What a COMMIT would commit, in words: for messages, and for whoever reads the request. Pure.
 * Refuses to say more than the server counted, and says what nobody counts.
 */
import type { ApprovalRequest, TransactionWork } from '@sallyport/model';

export const NOT_COUNTED = 'Rows that triggers, rules and cascades change are in no count.';

/** `2 statements, 14 rows (3 of them rolled back), 1 not counted`. */
export function workLine({ count, rows, rowsRolledBack, uncounted }: TransactionWork): string {
  const parts = [
    plural(count, 'statement'),
    `${plural(rows, 'row')}${rowsRolledBack === 0 ? '' : ` (${rowsRolledBack} of them rolled back)`}`,
  ];
  if (uncounted > 0) parts.push(`${plural(uncounted, 'statement')} not counted, or not all of it`);
  return `${parts.join(', ')}. ${NOT_COUNTED}`;
}

/** One line for each statement, its rows as a comment. */
export const workText = ({ statements, count }: TransactionWork): string =>
  [
    ...statements.map(
      ({ text = '', rows, counted, rolledBack }) =>
        `${text}; -- ${counted ? plural(rows, 'row') : rows > 0 ? `${plural(rows, 'row')} and more` : 'not counted'}${rolledBack ? ', rolled back' : ''}`,
    ),
    ...(count > statements.length ? [`-- … ${count - statements.length} more`] : []),
    'COMMIT;',
  ].join('\n');

/** How far a yes may go beyond this one statement; '' = no further. */
export function shapeLine({ shape, approval }: ApprovalRequest): string {
  if (shape === undefined || approval.shape === undefined) return '';
  const minutes = Math.max(1, Math.floor(approval.shape.forMsMax / 60_000));
  return `at most ${plural(approval.shape.rowsMax, 'row')} each, for ${minutes} min. ${NOT_COUNTED}`;
}

const plural = (count: number, what: string): string => `${count} ${what}${count === 1 ? '' : 's'}`;
