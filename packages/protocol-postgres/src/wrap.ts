/**
 * A transaction of the gateway's own around a write that would commit by itself, where the resource says `wrapAutocommit`.
 * Its messages have their own names, so that nothing of the client's is touched, and their answers never reach it.
 * Refuses to decide: whether its COMMIT may pass is judged as any other. ADR 0025.
 */
import type { Statement } from '@sallyport/model';
import { digestOfText } from './classify/digests.ts';
import { NO_PARAMETERS } from './classify/parameters.ts';
import { type Resolved, readSql, resolve, type SessionState, statementOf } from './classify.ts';
import { type Entry, entry, type OwnQuestion } from './flight.ts';
import { bind, close, execute, parse } from './messages.ts';
import type { Road } from './road.ts';

/** A portal stays until its transaction ends, so each has a name of its own. */
const messages = (text: string): readonly (readonly [Entry['kind'], Buffer])[] => {
  const name = `sallyport_${text.toLowerCase()}`;
  const closing = ['close', close({ kind: 'statement', name })] as const;
  // First, too: where one failed, the server skipped what came behind it.
  return [closing, ['parse', parse(name, text)], ['bind', bind(name, name, [])], ['execute', execute(name)], closing];
};
const MESSAGES = { BEGIN: messages('BEGIN'), COMMIT: messages('COMMIT'), ROLLBACK: messages('ROLLBACK') };
export const OWN_MESSAGES = MESSAGES.BEGIN.length;

export interface OwnMessage {
  readonly bytes: Buffer;
  readonly item: Entry;
}

/** BEGIN, COMMIT or ROLLBACK as the gateway says it: to be sent in order, inside of a pipeline. */
export const ownTransaction = (
  what: keyof typeof MESSAGES,
  segment: number,
  own: OwnQuestion = { left: OWN_MESSAGES, error: undefined, skipped: false, done: () => undefined },
): readonly OwnMessage[] => MESSAGES[what].map(([kind, bytes]) => ({ bytes, item: entry(kind, segment, { own }) }));

/** The COMMIT of such a transaction, to be judged. */
export function ownCommit(
  road: Road,
  state: SessionState,
): { readonly statement: Statement; readonly resolved: Resolved } | undefined {
  const { text, reading } = readSql(road, Buffer.from('COMMIT'));
  if (reading instanceof Promise) return undefined;
  const resolved = resolve(reading, text, road.mirror, state.chain);
  return { statement: statementOf(text, digestOfText(text), NO_PARAMETERS, resolved, state), resolved };
}
