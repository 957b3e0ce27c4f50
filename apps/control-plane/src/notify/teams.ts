/**
 * Messages as Adaptive Cards for a Teams workflow ("When a Teams webhook request is received"). Every text that we quote
 * stands in a TextRun, which knows no Markdown, so that nothing quoted can make a link, a mention or a heading.
 * Adaptive Cards 1.4: RichTextBlock, TextRun, Container. Refuses cards larger than Teams takes (28 KB).
 */
import { oneLine, plainText, wordingOf } from './wording.ts';

const LINE_MAX = 600;
const CODE_MAX = 4_000;
const LINES_MAX = 20;

const run = (text: string, more: object = {}): object => ({ type: 'TextRun', text, ...more });
const block = (runs: readonly object[], more: object = {}): object => ({
  type: 'RichTextBlock',
  inlines: runs,
  ...more,
});

export function teamsOf(event: string, body: unknown): object {
  const { title, lines, code, command } = wordingOf(event, body);
  const content = {
    $schema: 'http://adaptivecards.io/schemas/adaptive-card.json',
    type: 'AdaptiveCard',
    version: '1.4',
    // Read out in notifications.
    fallbackText: oneLine(title),
    msteams: { width: 'Full' },
    body: [
      block([run(oneLine(title), { weight: 'Bolder', size: 'Medium' })]),
      ...(code === undefined
        ? []
        : [
            {
              type: 'Container',
              style: 'emphasis',
              items: [block([run(plainText(code, CODE_MAX), { fontType: 'Monospace' })])],
            },
          ]),
      ...lines.slice(0, LINES_MAX).map(({ label, text }) =>
        block([run(`${oneLine(label)}: `, { weight: 'Bolder' }), run(plainText(text, LINE_MAX))], {
          spacing: 'Small',
        }),
      ),
      ...(command === undefined
        ? []
        : [block([run('Look and answer: '), run(oneLine(command), { fontType: 'Monospace' })], { spacing: 'Medium' })]),
    ],
  };
  return {
    type: 'message',
    attachments: [{ contentType: 'application/vnd.microsoft.card.adaptive', contentUrl: null, content }],
  };
}
