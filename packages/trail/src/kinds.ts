/**
 * Numbers that stand for words in the bytes. Never change or reuse one: docs/reference/trail-format.md, Payloads.
 * Refuses to know fields; those are in payload-encode.ts and payload-decode.ts.
 */
import type { Effect, PrincipalKind, TrailEventKind } from '@sallyport/model';
import { broken } from './bytes.ts';

export const KIND_CODES: Readonly<Record<TrailEventKind, number>> = {
  'epoch.started': 1,
  'epoch.ended': 2,
  'bundle.applied': 3,
  'bundle.refused': 4,
  'auth.failed': 5,
  'session.opened': 6,
  'session.closed': 7,
  'statement.judged': 8,
  'statement.finished': 9,
  'approval.requested': 10,
  'approval.answered': 11,
  'recording.chunk': 12,
  'control.act': 13,
  // 14 is PART_CODE.
  'tool.changed': 15,
};
/** A piece of a payload too large for one event; never a value of its own. */
export const PART_CODE = 14;

/** As `KIND_CODES[kind]`, where a statement's events need no look-up outside of compiled code. */
export const kindCode = (kind: TrailEventKind): number =>
  kind === 'statement.judged'
    ? KIND_CODES['statement.judged']
    : kind === 'statement.finished'
      ? KIND_CODES['statement.finished']
      : KIND_CODES[kind];

/** Name no person, and the verifier needs them without a key: never encrypted. */
export const isClear = (kind: TrailEventKind): boolean =>
  kind === 'epoch.started' ||
  kind === 'epoch.ended' ||
  kind === 'bundle.applied' ||
  kind === 'bundle.refused' ||
  kind === 'recording.chunk';

const KINDS = new Map(Object.entries(KIND_CODES).map(([kind, code]) => [code, kind as TrailEventKind]));
/** Undefined for a kind of a later version. */
export const kindOf = (code: number): TrailEventKind | undefined => KINDS.get(code);

const VERDICTS = ['allow', 'deny', 'hold'] as const;
export type VerdictWord = (typeof VERDICTS)[number];
const EFFECT_CODES: readonly Effect[] = ['read', 'write', 'ddl', 'exec', 'admin', 'forward'];
const PRINCIPALS: readonly PrincipalKind[] = ['person', 'service', 'ai_agent'];

const codeIn = <T>(list: readonly T[], word: T): number => {
  const index = list.indexOf(word);
  if (index < 0) throw broken('word');
  return index + 1;
};
const wordIn = <T>(list: readonly T[], code: number): T => {
  const word = list[code - 1];
  if (word === undefined) throw broken('word');
  return word;
};

export const verdictCode = (word: VerdictWord): number => codeIn(VERDICTS, word);
export const verdictWord = (code: number): VerdictWord => wordIn(VERDICTS, code);
export const effectCode = (word: Effect): number => codeIn(EFFECT_CODES, word);
export const effectWord = (code: number): Effect => wordIn(EFFECT_CODES, code);
export const principalCode = (word: PrincipalKind): number => codeIn(PRINCIPALS, word);
export const principalWord = (code: number): PrincipalKind => wordIn(PRINCIPALS, code);
