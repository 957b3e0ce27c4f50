import type { TrailEvent } from '@sallyport/model';
import type { EventRecord, ReadEvent } from '@sallyport/trail';
import { expect, test } from 'vitest';
import { indexBatch } from './index-rows.ts';

const SESSION = '0190b3a4-0000-7000-8000-000000000001';
let sequence = 0;
const of = (event: TrailEvent, sessionId = SESSION): ReadEvent => ({
  kind: 'event',
  record: { kind: event.kind, kindCode: 1, sequence: ++sequence, timeMs: 1_000, sessionId } as EventRecord,
  event,
});
const judged = (verdict: 'allow' | 'deny' | 'hold', more: object = {}, sessionId = SESSION): ReadEvent =>
  of(
    {
      kind: 'statement.judged',
      number: 1,
      verdict,
      rule: 'p/r',
      code: '',
      digest: 'd',
      effects: ['read'],
      text: 'select 1',
      parameters: [],
      approvalId: '',
      shadow: [],
      ...more,
    } as TrailEvent,
    sessionId,
  );

test('allowed statements are one row a session, everything else has its own', () => {
  const other = '0190b3a4-0000-7000-8000-000000000002';
  const { rows } = indexBatch([
    judged('allow'),
    judged('allow'),
    judged('deny'),
    judged('allow', {}, other),
    judged('hold', { approvalId: 'apr-1' }),
    judged('allow', { approvalId: 'apr-1' }),
  ]);
  const shown = rows.map((row) => [row.verdict, row.session, row.count]);
  expect(shown).toEqual(
    expect.arrayContaining([
      ['allow', SESSION, 2],
      ['deny', SESSION, 1],
      ['hold', SESSION, 1],
      ['allow', SESSION, 1],
      ['allow', other, 1],
    ]),
  );
  expect(rows).toHaveLength(5);
});

test('an allowed statement that a shadow rule would have stopped has its own row', () => {
  const { rows } = indexBatch([judged('allow'), judged('allow', { shadow: [{ rule: 'p/s', verdict: 'deny' }] })]);
  expect(rows.map((row) => row.count)).toEqual([1, 1]);
});

test('what the index cannot hold never stops the record', () => {
  const { rows } = indexBatch([
    of({ kind: 'auth.failed', clientAddress: 'a', resource: 'pay\0ments', why: 'x'.repeat(5_000) }, ''),
    of({ kind: 'auth.failed', clientAddress: 'a', resource: 'r', why: `${'x'.repeat(999)}\u{1f600}` }, ''),
  ]);
  expect(rows[1]!.code).toBe(`${'x'.repeat(999)}\ufffd`);
  expect(rows[0]).toMatchObject({ target: 'resource/payments' });
  expect(rows[0]!.code).toHaveLength(1_000);
  const principal = { id: 'not a uuid', name: 'n', kind: 'person' as const };
  const act = indexBatch([
    of(
      { kind: 'control.act', principal, onBehalfOf: undefined, action: 'a', target: 't', detail: '{}', requestId: 'r' },
      '',
    ),
  ]);
  expect(act.rows[0]).not.toHaveProperty('principal');
});

test('a payload that cannot be opened is indexed by its header', () => {
  const record = { kind: 'statement.judged', kindCode: 8, sequence: 9, timeMs: 5, sessionId: SESSION } as EventRecord;
  expect(indexBatch([{ kind: 'sealed', record }]).rows).toEqual([
    { time: 5, sequence: 9, kind: 'statement.judged', session: SESSION, code: 'sealed', count: 1 },
  ]);
});
