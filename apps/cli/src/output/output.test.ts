import { GatewayError } from '@sallyport/core';
import { expect, test } from 'vitest';
import { EXIT, exitOf } from '../exit-codes.ts';
import { renderExpanded, renderResult } from '../sql/result-table.ts';
import { renderFieldsOf, SqlError } from '../sql/sql-error.ts';
import { clip, safeLine, safeText, textWidth } from './safe-text.ts';
import { renderFields, renderTable } from './table.ts';
import { parseSince, parseSpan, parseUntil, showDistance, showSpan } from './time.ts';

test('nothing that drives a terminal or turns text round gets through', () => {
  expect(safeText('a\u001b[31mb\u0007\r\u009b\u202ec\u200bd\ne\tf')).toBe(
    'a\\x1b[31mb\\x07\\x0d\\x9b\\u{202e}c\\u{200b}d\ne\tf',
  );
  expect(safeLine('a\n  b\tc')).toBe('a b c');
  expect(safeText('héllo 日本 👍')).toBe('héllo 日本 👍');
});

test('wide characters count twice and combining marks not at all', () => {
  expect(['abc', '日本', 'e\u0301', '👍'].map(textWidth)).toEqual([3, 4, 1, 2]);
  expect(clip('日本語', 5)).toBe('日本…');
  expect(clip('abc', 3)).toBe('abc');
});

test('a table gives way where it may when the terminal is narrow', () => {
  const columns = [
    { title: 'id', show: (item: { id: string; text: string }) => item.id },
    { title: 'text', show: (item: { id: string; text: string }) => item.text, least: 8 },
  ];
  const items = [{ id: 'apr-1', text: 'a rather long statement' }];
  expect(renderTable(items, columns, undefined)).toEqual(['ID     TEXT', 'apr-1  a rather long statement']);
  expect(renderTable(items, columns, 20)).toEqual(['ID     TEXT', 'apr-1  a rather lon…']);
  expect(renderTable(items, columns, 3)).toEqual(['ID     TEXT', 'apr-1  a rathe…']);
  expect(renderTable([], columns, 80, 'None.')).toEqual(['None.']);
  expect(
    renderFields([
      ['a', 'x\ny'],
      ['longer', undefined],
      ['n', 0],
    ]),
  ).toEqual(['a  x\n   y', 'n  0']);
});

test('results show NULL apart from an empty text, and newlines in one line', () => {
  const table = {
    columns: ['a', 'b'],
    rows: [
      ['x\ny', null],
      ['', 'z'],
    ],
  };
  expect(renderResult(table)).toEqual(['a   │ b', '────┼──', 'x⏎y │ ∅', '    │ z', '(2 rows)']);
  expect(renderExpanded({ columns: ['name'], rows: [['x']] })).toEqual(['── row 1 ──────────', 'name │ x', '(1 row)']);
});

test('the JSON of a refusal is spelt out, and a plain detail is not', () => {
  const refusal = { severity: 'ERROR', code: '42501', message: 'Sallyport: no', detail: '{"rule":"p/r","retry":"no"}' };
  expect(renderFieldsOf(refusal)).toEqual(['ERROR:  42501: Sallyport: no', '  rule: p/r', '  retry: no']);
  expect(renderFieldsOf({ message: 'x', detail: '{not json' })).toEqual(['ERROR:  x', 'DETAIL:  {not json']);
  expect(renderFieldsOf({ severity: 'NOTICE', code: '00000', message: 'wait' })).toEqual(['NOTICE:  wait']);
  expect(renderFieldsOf({ severity: 'FATAL', code: '5\x1b', message: 'x' })[0]).not.toContain('\x1b');
  expect(new SqlError(refusal, undefined).exit).toBe('denied');
  expect(new SqlError({ ...refusal, code: '53400' }, undefined).exit).toBe('denied');
  // The server's own limit is nobody's refusal.
  expect(new SqlError({ code: '53400' }, undefined).exit).toBe('failure');
  expect(new SqlError({ code: '57014' }, undefined).exit).toBe('interrupted');
});

test('what is broken in a record is not an outage to a script', () => {
  expect(exitOf(new GatewayError('trail.broken', {}))).toBe(EXIT.notVerified);
});

test('spans and instants are read as people write them', () => {
  expect(['90', '90s', '10m', '1h30m', '2d', '250ms'].map(parseSpan)).toEqual([
    90_000, 90_000, 600_000, 5_400_000, 172_800_000, 250,
  ]);
  for (const bad of ['', 'x', '10 m', '5y', '-5m'])
    expect(() => parseSpan(bad), bad).toThrow(expect.objectContaining({ exit: 'usage' }));
  const now = Date.UTC(2026, 10, 21, 12);
  for (const read of [parseSince, parseUntil])
    expect(() => read('yesterday', now)).toThrow(
      expect.objectContaining({ exit: 'usage', hint: expect.stringContaining('2026-11-21') as string }),
    );
  expect(parseSince('1h', now)).toBe('2026-11-21T11:00:00.000Z');
  expect(parseSince('2026-11-20T00:00:00Z', now)).toBe('2026-11-20T00:00:00.000Z');
  expect(parseUntil('1h', now)).toBe('2026-11-21T13:00:00.000Z');
  expect(() => parseSince('2026-13-45', now)).toThrow(expect.objectContaining({ exit: 'usage' }));
  expect([showSpan(59_999), showSpan(3_600_000), showDistance(now + 90_000, now), showDistance(null, now)]).toEqual([
    '59s',
    '1h',
    'in 1m',
    '-',
  ]);
});
