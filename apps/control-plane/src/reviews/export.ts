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

/** What an auditor looks for first, one line for each grant; the rest stands below. */
const SUMMARY: readonly (readonly [title: string, show: (item: ExportedItem) => string])[] = [
  ['grant', (item) => item.grant],
  ['who', (item) => whoOf(item)],
  ['on', (item) => onOf(item)],
  ['gave', (item) => item.subject.effects.join(' ')],
  ['answer', (item) => item.answer ?? item.state],
  ['left', (item) => item.answerEffects.join(' ')],
  ['answered by', (item) => item.answeredBy ?? ''],
  ['at', (item) => (item.answeredAt ?? '').slice(0, 16).replace('T', ' ')],
];
/** Long: over the whole width of the page. */
const WIDE = new Set([
  'holders',
  'reached',
  'why proposed',
  'reason',
  'last use on trail',
  'answer on trail',
  'digest',
]);

const STYLE = `@page{size:A4 landscape;margin:12mm}body{font:10pt/1.35 system-ui,sans-serif;margin:2em;overflow-wrap:anywhere}h1{font-size:16pt;margin:0 0 .3em}
h2{font-size:11pt;margin:0 0 .2em;break-after:avoid}table{border-collapse:collapse;width:100%;margin:1em 0}th,td{text-align:left;vertical-align:top;border-bottom:1px solid #ccc;padding:.2em .6em .2em 0}
th{color:#555;font-weight:normal}tr{break-inside:avoid}section{border-top:1px solid #999;padding:.6em 0}
dl{display:grid;grid-template-columns:repeat(2,minmax(0,1fr));gap:.1em 2em;margin:0}dl div{display:grid;grid-template-columns:9em minmax(0,1fr);break-inside:avoid}dl .wide{grid-column:1/-1}
dt{color:#555}dd{margin:0}@media print{body{margin:0;font-size:9pt}}`;

export function htmlOf(round: ExportedRound): string {
  const title = `Access review ${round.review}, round ${round.round}`;
  const answered = round.items.filter((item) => item.answer !== null).length;
  const row = (tag: string, cells: readonly string[]): string =>
    `<tr>${cells.map((text) => `<${tag}>${escaped(text)}</${tag}>`).join('')}</tr>`;
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>${escaped(title)}</title>
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<style>${STYLE}</style></head><body>
<h1>${escaped(title)}</h1><p>${escaped(round.description)}</p>
<dl>${pair('started', round.startedAt)}${pair('deadline', round.deadline)}${pair('after it', `a grant without an answer: ${round.afterReview}`)}${pair('answered', `${answered} of ${round.items.length}`)}${pair('exported', round.exportedAt)}</dl>
<table><thead>${row(
    'th',
    SUMMARY.map(([column]) => column),
  )}</thead><tbody>
${round.items
  .map((item) =>
    row(
      'td',
      SUMMARY.map(([, show]) => show(item)),
    ),
  )
  .join('\n')}
</tbody></table>
${round.items.map(sectionOf).join('\n')}
</body></html>
`;
}

const sectionOf = (item: ExportedItem): string =>
  `<section><h2>${escaped(item.grant)}: ${escaped(item.answer ?? item.state)}</h2><dl>${COLUMNS.slice(3)
    .map(([title, show]) => pair(title, String(show(item))))
    .join('')}</dl></section>`;

const pair = (title: string, text: string): string =>
  text === ''
    ? ''
    : `<div${WIDE.has(title) ? ' class="wide"' : ''}><dt>${escaped(title)}</dt><dd>${escaped(text)}</dd></div>`;

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
