/**
 * What an open transaction did, as its server told: for the approver of its COMMIT and for the trail. ADR 0025.
 * Refuses to guess: what no command tag counts is said not to be counted. What triggers, rules and cascades change never is.
 */
import { listOf, objectOf, optional, parseBoolean, parseInteger, parseString } from '@sallyport/core';

/** Rows a statement gave back itself (RETURNING), as the client saw them: after masks and detectors. */
export const parseRowSample = objectOf({
  columns: listOf(parseString, 1_600),
  /** Undefined = NULL. Long values are cut. */
  rows: listOf(listOf(optional(parseString), 1_600), 100),
});
export type RowSample = ReturnType<typeof parseRowSample>;

export const parseWorkStatement = objectOf({
  /** In its session. */
  number: parseInteger,
  /** Cut where it is long. Absent on the trail, where it stands under its number; so do its parameters. */
  text: optional(parseString),
  /** Undefined = NULL. Absent where there are none. */
  parameters: optional(listOf(optional(parseString), 200)),
  /** Of its command tag; 0 where that has none. */
  rows: parseInteger,
  /** `rows` is all that it changed by itself. */
  counted: parseBoolean,
  /** It was undone by ROLLBACK TO. */
  rolledBack: parseBoolean,
  sample: optional(parseRowSample),
});
export type WorkStatement = ReturnType<typeof parseWorkStatement>;

export const parseTransactionWork = objectOf({
  /** What writes or may have written, in order: the first of them where there are many. */
  statements: listOf(parseWorkStatement, 1_000),
  /** How many there are in all. */
  count: parseInteger,
  /** Rows changed by all of them. */
  rows: parseInteger,
  /** Of `rows`: undone by ROLLBACK TO. */
  rowsRolledBack: parseInteger,
  /** Statements of which not all, or nothing, is in `rows`. */
  uncounted: parseInteger,
  /** UTC ms: the first of them that a rule let run until COMMIT. */
  since: parseInteger,
});
export type TransactionWork = ReturnType<typeof parseTransactionWork>;
