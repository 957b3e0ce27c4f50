/**
 * A message as e-mail: a subject of one line, a plain text, and the same as HTML. Pure.
 * Refuses to let a quoted text end a header, make a tag, or pass for a line of ours: quoted lines are indented.
 */
import { oneLine, plainText, wordingOf } from './wording.ts';

const TEXT_MAX = 20_000;
const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};
const html = (text: string): string => text.replaceAll(/[&<>"']/g, (character) => ENTITIES[character]!);

export interface MailText {
  readonly subject: string;
  readonly text: string;
  readonly html: string;
}

export function mailOf(event: string, body: unknown): MailText {
  const { title, lines, code, command } = wordingOf(event, body);
  const clean = (text: string): string => plainText(text, TEXT_MAX);
  const quoted = (text: string): string => clean(text).replaceAll('\n', '\n    | ');
  const rows = lines.map(({ label, text }) => ({ label: oneLine(label), text }));
  const text = [
    oneLine(title),
    '',
    ...rows.map((row) => `${row.label}: ${quoted(row.text)}`),
    ...(code === undefined ? [] : ['', `    | ${quoted(code)}`]),
    ...(command === undefined ? [] : ['', `Look and answer: ${oneLine(command)}`]),
    '',
  ].join('\n');
  const cells = rows
    .map(
      (row) =>
        `<tr><th align="left" valign="top">${html(row.label)}</th><td style="white-space:pre-wrap">${html(clean(row.text))}</td></tr>`,
    )
    .join('');
  const parts = [
    `<p><strong>${html(oneLine(title))}</strong></p>`,
    code === undefined ? '' : `<pre style="white-space:pre-wrap">${html(clean(code))}</pre>`,
    `<table cellpadding="4">${cells}</table>`,
    command === undefined ? '' : `<p>Look and answer: <code>${html(oneLine(command))}</code></p>`,
  ];
  return {
    subject: oneLine(`[Sallyport] ${title}`),
    text,
    html: `<!doctype html><html><body>${parts.join('')}</body></html>`,
  };
}
