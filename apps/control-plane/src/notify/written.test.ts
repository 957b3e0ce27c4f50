import { expect, test } from 'vitest';
import { formatFor } from './formats.ts';
import { mailOf } from './mail-text.ts';
import { isAddress } from './mailer.ts';

const message = (event: string, body: object) => ({ id: '7', event, createdAt: new Date(0), body });
const HOSTILE = [
  '<img src=x onerror=alert(1)>',
  '[click](https://evil.example) **bold** # Heading',
  'line\r\nBcc: everybody@corp.example\r\n\r\nhello',
  '\u202Etxt.exe\u202C and \u0000\u0007',
  '"><script>alert(1)</script>',
  '\u2028second\u2029third',
];
const EVENTS = [
  'approval.requested',
  'approval.answered',
  'access.requested',
  'access.answered',
  'change.proposed',
  'change.answered',
  'approval.escalated',
  'approval.delegated',
  'approval.commented',
  'review.started',
  'review.lapsed',
  'drift.found',
  'account.break_glass',
  'trail.alarm',
  'other',
];
const bodyOf = (text: string) => ({
  id: text,
  principal: text,
  requestedBy: text,
  proposer: text,
  call: text,
  changes: [text],
  onBehalfOf: text,
  resource: text,
  target: text,
  statement: text,
  parameters: [text],
  rule: text,
  reason: text,
  effects: [text],
  state: text,
  by: text,
  alarm: text,
  to: text,
  text,
  review: text,
  askedReason: text,
  findings: Array.from({ length: 50 }, () => ({ kind: text, target: text, what: text })),
});

/** Every object of a card. */
const nodes = (value: unknown): Record<string, unknown>[] =>
  typeof value !== 'object' || value === null
    ? []
    : [value as Record<string, unknown>, ...Object.values(value).flatMap((inner) => nodes(inner))];

test('a card for Teams quotes in runs alone, which know no Markdown, and has nothing to press or to load', () => {
  for (const text of HOSTILE)
    for (const event of EVENTS) {
      const card = formatFor('teams', message(event, bodyOf(text)));
      const types = nodes(card).flatMap((node) => (typeof node['type'] === 'string' ? [node['type']] : []));
      for (const type of types)
        expect(['message', 'AdaptiveCard', 'RichTextBlock', 'TextRun', 'Container']).toContain(type);
      expect(nodes(card).flatMap((node) => Object.keys(node))).not.toContain('selectAction');
      expect(JSON.stringify(card)).not.toMatch(/\u202E/);
      expect(JSON.stringify(card).length).toBeLessThan(28_000);
    }
  const long = formatFor('teams', message('approval.requested', bodyOf('x'.repeat(100_000))));
  expect(JSON.stringify(long).length).toBeLessThan(28_000);
});

test('a mail’s subject is one line, its HTML holds no tag that was quoted, and its text no line that looks like ours', () => {
  for (const text of HOSTILE)
    for (const event of EVENTS) {
      const mail = mailOf(event, bodyOf(text));
      expect(mail.subject).not.toMatch(/[\p{Cc}\p{Zl}\p{Zp}]/u);
      expect(mail.html).not.toMatch(/<(img|script)/);
      expect(mail.html).not.toContain('onerror=alert(1)>');
      expect(mail.text).not.toMatch(/^Bcc:/m);
    }
});

test('a statement and a command stand in the mail as they are', () => {
  const mail = mailOf('approval.requested', { ...bodyOf('x'), statement: 'delete from t\nwhere a < 1', id: 'apr-1' });
  expect(mail.text).toContain('    | delete from t\n    | where a < 1');
  expect(mail.html).toContain('delete from t\nwhere a &lt; 1');
  expect(mail.text).toContain('sallyport approvals show apr-1');
});

test('an address is one address and nothing else', () => {
  for (const good of ['ana@corp.example', "o'neil+x@sub.corp.example"]) expect(isAddress(good)).toBe(true);
  for (const bad of [
    'ana',
    'a@b, c@d',
    'Ana <a@b.example>',
    'a@b.example\r\nBcc: c@d',
    'a b@c.example',
    '"a"@b.example',
    '',
  ])
    expect(isAddress(bad)).toBe(false);
});
