/**
 * Texts for people who may not see values: every detector on, whatever the policies say. What is too long is shown in part
 * and says so. A value that a cut would take apart could hide from the detectors, so texts are cut where no value is. Pure.
 */

import { maskDetected } from '@sallyport/mask';
import { DETECTORS, type DetectMask, type Statement, type TransactionWork } from '@sallyport/model';

const ALL: readonly DetectMask[] = DETECTORS.map((detect) => ({ detect, with: 'partial' }));
/** What an approver is shown of a statement, in UTF-16 units: its beginning, and of a longer one also its end. */
const STATEMENT_MAX = 64 * 1024;
const STATEMENT_END_MAX = 16 * 1024;
const PARAMETER_MAX = 1_024;
const PARAMETERS_MAX = 100;
/** Longer than a session keeps of a statement of its transaction. */
const WORK_TEXT_MAX = 4 * 1024;
/** Longer than any value with spaces in it that a detector knows. */
const CUT_VALUE_MAX = 128;
const BETWEEN = /[\s'"(),;]/;

const hidden = (text: string): string => maskDetected(text, ALL).text;
const left = (count: number): string => `… (${count} more)`;

/** @param max UTF-16 units that are looked at; what is shown ends before them where the text goes on */
export function hideAll(text: string, max: number): string {
  return text.length <= max ? hidden(text) : `${beginningOf(text, max)} …`;
}

/** The whole statement up to a limit; beyond it the beginning and the end, for what comes last may matter most. */
export function hideStatement(text: string): string {
  if (text.length <= STATEMENT_MAX + STATEMENT_END_MAX) return hidden(text);
  const between = text.length - STATEMENT_MAX - STATEMENT_END_MAX;
  return `${beginningOf(text, STATEMENT_MAX)} … (${between} characters are not shown here) … ${endOf(text, STATEMENT_END_MAX)}`;
}

/** Bind values as an approver sees them; undefined = SQL NULL. */
export function hiddenParameters(statement: Statement): readonly (string | undefined)[] {
  const { parameters } = statement;
  const shown = parameters
    .slice(0, PARAMETERS_MAX)
    .map(({ text }) => (text === undefined ? undefined : hideAll(text, PARAMETER_MAX)));
  return parameters.length <= PARAMETERS_MAX ? shown : [...shown, left(parameters.length - PARAMETERS_MAX)];
}

/** What a COMMIT would commit: texts, parameters and the rows that came back, which the session's own masks have passed. */
export function hiddenWork(work: TransactionWork): TransactionWork {
  const cell = (text: string | undefined): string | undefined =>
    text === undefined ? undefined : hideAll(text, PARAMETER_MAX);
  return {
    ...work,
    statements: work.statements.map(({ text, parameters, sample, ...counts }) => ({
      ...counts,
      ...(text === undefined ? {} : { text: hideAll(text, WORK_TEXT_MAX) }),
      ...(parameters === undefined ? {} : { parameters: parameters.map(cell) }),
      ...(sample === undefined ? {} : { sample: { ...sample, rows: sample.rows.map((row) => row.map(cell)) } }),
    })),
  };
}

/** Without the end that may be a part of a value: as long as one with spaces, and on to where one without begins. */
function beginningOf(text: string, max: number): string {
  const seen = hidden(text.slice(0, max));
  let end = Math.max(0, seen.length - CUT_VALUE_MAX);
  while (end > 0 && !BETWEEN.test(seen[end - 1]!)) end--;
  return seen.slice(0, end).trimEnd();
}

function endOf(text: string, max: number): string {
  const seen = hidden(text.slice(-max));
  let start = Math.min(seen.length, CUT_VALUE_MAX);
  while (start < seen.length && !BETWEEN.test(seen[start]!)) start++;
  return seen.slice(start).trimStart();
}
