/** What comes of reading a text: its facts, or why there are none. An unknown text is refused whatever the rules say. */
import { EFFECTS, type Effect, type SqlFacts } from '@sallyport/model';

/**
 * `construct`: a node nobody listed; `too_deep`: nested beyond what is walked; `timeout`, `overloaded`: the worker could not
 * read it in time or has too many texts waiting; the others say themselves.
 */
export type UnknownReason =
  | 'nul'
  | 'too_large'
  | 'too_many_statements'
  | 'too_deep'
  | 'syntax'
  | 'construct'
  | 'timeout'
  | 'overloaded';
export interface SqlUnknown {
  readonly unknown: UnknownReason;
}
export type SqlReading = SqlFacts | SqlUnknown;

export const isUnknownSql = (reading: SqlReading): reading is SqlUnknown => 'unknown' in reading;

/** The effects of all statements, each once, in the order of EFFECTS. */
export function effectsOf(facts: SqlFacts): readonly Effect[] {
  if (facts.statements.length === 1) return facts.statements[0]!.effects;
  return EFFECTS.filter((effect) => facts.statements.some((statement) => statement.effects.includes(effect)));
}
