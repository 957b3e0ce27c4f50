import { readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { formatFor } from './formats.ts';
import { OUTBOX_EVENTS } from './outbox.ts';
import { isWebhookSigned, signWebhook } from './signature.ts';

const message = (event: string, body: object) => ({ id: '7', event, createdAt: new Date(0), body });

test('a signature holds for its body and time alone, and not for long', () => {
  const secret = Buffer.from('secret');
  const sent = { signature: signWebhook(secret, 1_000, '{}'), timestamp: '1000', body: '{}' };
  expect(isWebhookSigned(secret, sent, 1_200)).toBe(true);
  expect(isWebhookSigned(secret, sent, 1_301)).toBe(false);
  expect(isWebhookSigned(secret, { ...sent, timestamp: '1001' }, 1_200)).toBe(false);
  expect(isWebhookSigned(secret, { ...sent, body: '{ }' }, 1_200)).toBe(false);
  expect(isWebhookSigned(Buffer.from('other'), sent, 1_200)).toBe(false);
  expect(isWebhookSigned(secret, { ...sent, timestamp: 'soon' }, 1_200)).toBe(false);
});

test('a statement cannot break out of its block in Slack, nor mention anybody', () => {
  const body = {
    principal: 'bot',
    resource: 'db',
    statement: "select '```<!channel> & <http://evil|x>'",
    rule: 'r',
    reason: 'why',
    id: 'apr-1',
    expiresAt: 'soon',
  };
  const text = JSON.stringify(formatFor('slack', message('approval.requested', body)));
  expect(text).not.toContain('<!channel>');
  expect(text).toContain('&lt;!channel&gt; &amp;');
  expect(text.match(/```/g)).toHaveLength(2);
});

test('nothing in a message makes it larger than Slack takes, or a part of what is not escaped', () => {
  for (const hostile of [
    '<'.repeat(5_000),
    '&'.repeat(5_000),
    '`'.repeat(5_000),
    'x'.repeat(100_000),
    '💥'.repeat(5_000),
  ]) {
    for (const event of ['approval.requested', 'approval.answered', 'session.killed', 'trail.alarm', 'test', hostile]) {
      const keys = [
        'principal',
        'onBehalfOf',
        'resource',
        'statement',
        'rule',
        'reason',
        'id',
        'expiresAt',
        'by',
        'alarm',
      ];
      const body = { ...Object.fromEntries(keys.map((key) => [key, hostile])), parameters: Array(50).fill(hostile) };
      const sent = formatFor('slack', message(event, body)) as { blocks: { text: { text: string } }[] };
      for (const { text } of sent.blocks) {
        expect(text.text.length).toBeLessThanOrEqual(3_000);
        expect(text.text.replaceAll(/&(amp|lt|gt);/g, '')).not.toMatch(/[&<>]/);
        expect(text.text.match(/`/g)?.length ?? 0).toSatisfy((ticks: number) => ticks % 2 === 0);
      }
    }
  }
});

test('an approver sees in Slack what the statement is run with, and that its transaction has written', () => {
  const body = { statement: 'delete from t where id = $1', parameters: ['7', null], wroteInTransaction: true };
  const text = JSON.stringify(formatFor('slack', message('approval.requested', body)));
  expect(text).toContain('with `7`, NULL');
  expect(text).toContain('has written already');
});

test('the generic format carries the message whole, with its delivery id', () => {
  expect(formatFor('generic', message('trail.head', { size: 3 }))).toEqual({
    id: '7',
    event: 'trail.head',
    createdAt: '1970-01-01T00:00:00.000Z',
    data: { size: 3 },
  });
});

test('every event that a webhook can subscribe to is in the table of those who receive them', () => {
  const page = readFileSync(path.join(import.meta.dirname, '../../../../docs/how-to/receive-webhooks.md'), 'utf8');
  for (const event of OUTBOX_EVENTS) expect(page).toContain(`\n| \`${event}\` |`);
});
