/**
 * What was really used of a grant, from the sums by day, and what that proposes: keep, reduce to what was used, revoke.
 * Pure. Refuses to tell two grants of one principal on one resource apart: a use counts for both.
 */
import type { Answer, EvidenceView } from './reviews.dto.ts';

/** One sum: of a principal on a resource since the evidence begins. */
export interface UsedSum {
  readonly principalId: string;
  readonly resourceId: string;
  readonly kind: string;
  readonly word: string;
  readonly allowed: number;
  readonly held: number;
  readonly denied: number;
  readonly lastAt: Date;
  /** Of those that were allowed. */
  readonly lastAllowedAt: Date | null;
  /** agent/instance/epoch. */
  readonly chain: string;
  readonly sequence: number;
}

export interface Proposal {
  readonly answer: Answer;
  readonly effects: readonly string[];
  readonly reason: string;
}

const REACHED_SHOWN = 50;
const HOLDERS_SHOWN = 200;
/** A grant this young has had no time to be used. */
const YOUNG_MS = 14 * 86_400_000;

interface Sum {
  allowed: number;
  held: number;
  denied: number;
  last: UsedSum;
}

/** @param names of the principals by id */
export function evidenceOf(
  used: readonly UsedSum[],
  from: Date,
  to: Date,
  names: (principalId: string) => string,
): EvidenceView {
  const totals = used.filter((sum) => sum.kind === 'total');
  const all = sumBy(totals, () => '').get('');
  const words = (kind: string) =>
    [
      ...sumBy(
        used.filter((sum) => sum.kind === kind),
        (sum) => sum.word,
      ),
    ]
      .map(([word, sum]) => ({ word, ...counts(sum), lastAt: sum.last.lastAt.toISOString() }))
      .sort((a, b) => b.allowed - a.allowed || b.denied - a.denied || (a.word < b.word ? -1 : 1));
  const reached = words('reached');
  const holders = [...sumBy(totals, (sum) => sum.principalId)]
    .map(([id, sum]) => ({ name: names(id), ...counts(sum), lastAt: sum.last.lastAt.toISOString() }))
    .sort((a, b) => b.allowed - a.allowed || (a.name < b.name ? -1 : 1));
  return {
    from: from.toISOString(),
    to: to.toISOString(),
    ...(all === undefined ? { allowed: 0, held: 0, denied: 0 } : counts(all)),
    lastAt: all?.last.lastAt.toISOString() ?? null,
    effects: words('effect'),
    reached: reached.slice(0, REACHED_SHOWN),
    reachedMore: Math.max(0, reached.length - REACHED_SHOWN),
    holders: holders.slice(0, HOLDERS_SHOWN),
    trail: all === undefined ? null : { chain: all.last.chain, sequence: all.last.sequence },
  };
}

/** @param grant as it is when the round begins */
export function proposalFor(
  grant: { readonly effects: readonly string[]; readonly kind: string; readonly createdAt: Date },
  evidence: EvidenceView,
): Proposal {
  const days = Math.round((Date.parse(evidence.to) - Date.parse(evidence.from)) / 86_400_000);
  const used = grant.effects.filter((effect) => evidence.effects.some((sum) => sum.word === effect && sum.allowed > 0));
  const keep = (reason: string): Proposal => ({ answer: 'keep', effects: grant.effects, reason });
  if (grant.kind === 'break_glass') return keep('It is for emergencies: that it is unused says nothing.');
  if (used.length === grant.effects.length) return keep(`All of it was used in the last ${days} days.`);
  if (Date.parse(evidence.to) - grant.createdAt.getTime() < YOUNG_MS) return keep('It is too young to say.');
  if (evidence.allowed === 0)
    return { answer: 'revoke', effects: [], reason: `It was not used in the last ${days} days.` };
  if (used.length === 0) return keep(`It was used in the last ${days} days, for nothing that has an effect.`);
  const unused = grant.effects.filter((effect) => !used.includes(effect));
  return {
    answer: 'reduce',
    effects: used,
    reason: `Of what it gives, ${unused.join(', ')} ${unused.length === 1 ? 'was' : 'were'} not used in the last ${days} days.`,
  };
}

function sumBy(sums: readonly UsedSum[], key: (sum: UsedSum) => string): Map<string, Sum> {
  const out = new Map<string, Sum>();
  for (const sum of sums) {
    const known = out.get(key(sum));
    if (known === undefined) {
      out.set(key(sum), { allowed: sum.allowed, held: sum.held, denied: sum.denied, last: sum });
      continue;
    }
    known.allowed += sum.allowed;
    known.held += sum.held;
    known.denied += sum.denied;
    if (sum.lastAt > known.last.lastAt) known.last = sum;
  }
  return out;
}

const counts = ({ allowed, held, denied }: Sum) => ({ allowed, held, denied });
