/**
 * A round as a file for auditors: CSV, JSON, or HTML that prints well. Pure. Everything quoted is escaped for where it stands;
 * a cell that a spreadsheet would run as a formula is made text (OWASP, CSV Injection). RFC 4180.
 */
import type { ItemView } from './reviews.dto.ts';

export interface TrailPlace {
  readonly chain: string;
  readonly sequence: number;
}
export interface ExportedItem extends Omit<ItemView, 'answerable'> {
  /** Where the answer stands on the trail; null until it is chained, and without an answer. */
  readonly answerOnTrail: TrailPlace | null;
}
export interface ExportedRound {
  readonly review: string;
  readonly description: string;
  readonly round: number;
  readonly startedAt: string;
  readonly deadline: string;
  readonly afterReview: string;
  readonly exportedAt: string;
  readonly items: readonly ExportedItem[];
}

const COLUMNS: readonly (readonly [title: string, show: (item: ExportedItem) => string | number])[] = [
  ['review', (item) => item.review],
  ['round', (item) => item.round],
  ['grant', (item) => item.grant],
  ['who', (item) => whoOf(item)],
  ['on', (item) => onOf(item)],
  ['effects', (item) => item.subject.effects.join(' ')],
  ['roles', (item) => item.subject.roles.join(' ')],
  ['kind', (item) => item.subject.kind],
  ['source', (item) => item.subject.source],
  ['holders', (item) => item.holders.map((holder) => holder.name).join(' ')],
  [
    'used effects',
    (item) =>
      item.evidence.effects
        .filter((sum) => sum.allowed > 0)
        .map((sum) => sum.word)
        .join(' '),
  ],
  ['reached', (item) => item.evidence.reached.map((sum) => `${sum.word} (${sum.allowed})`).join('; ')],
  ['allowed', (item) => item.evidence.allowed],
  ['held', (item) => item.evidence.held],
  ['denied', (item) => item.evidence.denied],
  ['last use', (item) => item.evidence.lastAt ?? ''],
  ['last use on trail', (item) => placeText(item.evidence.trail)],
  ['proposal', (item) => item.proposal],
  ['why proposed', (item) => item.proposalReason],
  ['answer', (item) => item.answer ?? item.state],
  ['left', (item) => item.answerEffects.join(' ')],
  ['reason', (item) => item.reason ?? ''],
  ['answered by', (item) => item.answeredBy ?? ''],
  ['answered at', (item) => item.answeredAt ?? ''],
  ['answer on trail', (item) => placeText(item.answerOnTrail)],
  ['digest', (item) => item.digest ?? ''],
];

export const csvOf = (round: ExportedRound): string =>
  [COLUMNS.map(([title]) => title), ...round.items.map((item) => COLUMNS.map(([, show]) => show(item)))]
    .map((cells) => `${cells.map(cell).join(',')}\r\n`)
    .join('');

export const jsonOf = (round: ExportedRound): string => `${JSON.stringify(round, null, 2)}\n`;

export function htmlOf(round: ExportedRound): string {
  const title = `Access review ${round.review}, round ${round.round}`;
  const answered = round.items.filter((item) => item.answer !== null).length;
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>${escaped(title)}</title>
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<style>@page{size:A4 landscape;margin:12mm}body{font:10pt/1.4 system-ui,sans-serif;margin:2em}h1{font-size:16pt}
section{break-inside:avoid;border-top:1px solid #999;padding:.6em 0}h2{font-size:12pt;margin:0 0 .3em}dl{display:grid;grid-template-columns:10em 1fr;margin:0;gap:.1em 1em}
dt{color:#555}dd{margin:0;overflow-wrap:anywhere}code{font-size:9pt}</style></head><body>
<h1>${escaped(title)}</h1><p>${escaped(round.description)}</p>
<dl>${pair('started', round.startedAt)}${pair('deadline', round.deadline)}${pair('after it', `a grant without an answer: ${round.afterReview}`)}${pair('answered', `${answered} of ${round.items.length}`)}${pair('exported', round.exportedAt)}</dl>
${round.items.map(sectionOf).join('\n')}
</body></html>
`;
}

const sectionOf = (item: ExportedItem): string =>
  `<section><h2>${escaped(item.grant)}: ${escaped(item.answer ?? item.state)}</h2><dl>${COLUMNS.slice(3)
    .map(([title, show]) => pair(title, String(show(item))))
    .join('')}</dl></section>`;

const pair = (title: string, text: string): string =>
  text === '' ? '' : `<dt>${escaped(title)}</dt><dd>${escaped(text)}</dd>`;

const placeText = (place: TrailPlace | null): string => (place === null ? '' : `${place.chain}#${place.sequence}`);

export const whoOf = ({ subject }: Pick<ItemView, 'subject'>): string =>
  subject.group === null ? (subject.principal ?? '') : `group ${subject.group}`;
export const onOf = ({ subject }: Pick<ItemView, 'subject'>): string =>
  subject.resource ??
  Object.entries(subject.labels ?? {})
    .map(([key, value]) => `${key}=${value}`)
    .join(' ');

/** A leading tab, carriage return, `=`, `+`, `-`, `@` starts a formula, behind quotes too. */
function cell(value: string | number): string {
  if (typeof value === 'number') return String(value);
  const text = /^[\s]*[=+\-@\t\r＝＋－＠]/.test(value) ? `'${value}` : value;
  return `"${text.replaceAll('"', '""')}"`;
}

const ESCAPED: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};
const escaped = (text: string): string => text.replaceAll(/[&<>"']/g, (character) => ESCAPED[character]!);
