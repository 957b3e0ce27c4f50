/** Exports for auditors: whatever a name holds, it runs nowhere, and on paper nothing of it is lost. */
import { existsSync } from 'node:fs';
import { chromium } from 'playwright-core';
import { expect, test } from 'vitest';
import { csvOf, type ExportedItem, type ExportedRound, htmlOf, jsonOf } from './export.ts';

const AT = '2026-11-21T07:00:00.000Z';
const item = (more: Partial<ExportedItem>): ExportedItem => ({
  id: '0190b3a4-0000-7000-8000-000000000001',
  review: 'r',
  round: 1,
  grant: 'g',
  subject: {
    principal: 'ada',
    group: null,
    resource: 'db',
    labels: null,
    effects: ['read', 'write'],
    roles: [],
    kind: 'standing',
    source: 'manual',
    createdAt: AT,
    notAfter: null,
    reaches: ['db'],
  },
  holders: [{ id: 'p', name: 'ada', kind: 'person' }],
  reviewers: [],
  evidence: {
    from: AT,
    to: AT,
    allowed: 3,
    held: 0,
    denied: 1,
    lastAt: AT,
    effects: [{ word: 'read', allowed: 3, held: 0, denied: 0, lastAt: AT }],
    reached: [],
    reachedMore: 0,
    holders: [],
    trail: { chain: 'a/main/7', sequence: 12 },
  },
  proposal: 'reduce',
  proposalEffects: ['read'],
  proposalReason: 'why',
  state: 'answered',
  answer: 'keep',
  answerEffects: ['read', 'write'],
  reason: null,
  answeredAt: AT,
  answeredBy: 'eva',
  digest: 'ab'.repeat(32),
  answerOnTrail: { chain: 'cp/control-plane/7', sequence: 3 },
  ...more,
});
const round = (...items: ExportedItem[]): ExportedRound => ({
  review: 'r',
  description: '',
  round: 1,
  startedAt: AT,
  deadline: AT,
  afterReview: 'deny',
  exportedAt: AT,
  items,
});

test.each(['=1+1', '+1', '-1', '@SUM(A1)', '\t=1', '\r=1', ' =cmd|calc', '＝1', '\n+1'])(
  'a cell %j is text to a spreadsheet',
  (text) => {
    const [, row] = csvOf(round(item({ reason: text }))).split('\r\n"r"');
    expect(row).toContain(`"'${text}"`);
  },
);

test('quotes, commas and line ends stay inside their cell', () => {
  const csv = csvOf(round(item({ reason: 'a "b", c\nd' })));
  expect(csv).toContain('"a ""b"", c\nd"');
  expect(csv.split('\r\n').length).toBe(3);
});

test('a line names what was used and where use and answer stand on the trail', () => {
  const csv = csvOf(round(item({})));
  for (const text of ['"a/main/7#12"', '"cp/control-plane/7#3"', '"read"', 'ab'.repeat(32)])
    expect(csv).toContain(text);
});

test('HTML shows markup as text and lets nothing run', () => {
  const evil = `<img src=x onerror=alert(1)>"'&`;
  const html = htmlOf({ ...round(item({ reason: evil, grant: evil })), description: evil });
  expect(html).not.toContain('<img');
  expect(html).toContain('&lt;img src=x onerror=alert(1)&gt;&quot;&#39;&amp;');
  expect(html).toContain("default-src 'none'");
});

test('JSON is the whole round', () => {
  expect(JSON.parse(jsonOf(round(item({}))))).toEqual(JSON.parse(JSON.stringify(round(item({})))));
});

const CHROMIUM = '/usr/bin/chromium';
test.skipIf(!existsSync(CHROMIUM))(
  'printed by Chromium nothing runs over the paper, and its first page sums it up',
  async () => {
    const long = 'x'.repeat(300);
    const items = Array.from({ length: 30 }, (_, i) =>
      item({ grant: `${i}-${long}`, reason: long, digest: 'ab'.repeat(32) }),
    );
    const browser = await chromium.launch({ executablePath: CHROMIUM, args: ['--no-sandbox'] });
    try {
      // A4 landscape less its margins, at 96 dots per inch.
      const page = await browser.newPage({ viewport: { width: 1_031, height: 703 } });
      await page.emulateMedia({ media: 'print' });
      await page.setContent(htmlOf(round(...items)));
      const seen = await page.evaluate(
        '({ over: document.documentElement.scrollWidth - innerWidth, rows: document.querySelectorAll("tbody tr").length, sections: document.querySelectorAll("section").length })',
      );
      expect(seen).toEqual({ over: 0, rows: 30, sections: 30 });
      expect((await page.pdf({ preferCSSPageSize: true })).subarray(0, 5).toString()).toBe('%PDF-');
    } finally {
      await browser.close();
    }
  },
  60_000,
);
