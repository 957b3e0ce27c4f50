import { GatewayError } from '@sallyport/core';
import type { TrailEvent } from '@sallyport/model';
import { expect, test } from 'vitest';
import { JudgedPayload } from './judged-payload.ts';
import { encodeEventPayload } from './payload-encode.ts';

type Judged = TrailEvent & { readonly kind: 'statement.judged' };

const ASKED: Judged = {
  kind: 'statement.judged',
  number: 7,
  verdict: 'allow',
  rule: 'grant',
  code: '',
  digest: 'ab'.repeat(32),
  effects: ['read'],
  text: 'GET /customers/1',
  parameters: [],
  approvalId: '',
  shadow: [],
  reached: ['GET /customers/{}'],
  preparation: false,
};
const WORK = { statements: [], count: 0, rows: 0, rowsRolledBack: 0, uncounted: 0, since: 0 };

/** One of each field: a new one is not compiled without a row, which fails where it is not compared. */
const EACH: Omit<Required<Judged>, 'kind'> = {
  number: 8,
  verdict: 'deny',
  rule: 'other/rule',
  code: 'policy.denied',
  digest: 'cd'.repeat(32),
  effects: ['write'],
  text: 'GET /customers/2',
  parameters: [{ type: 23, text: '1' }],
  approvalId: 'apr_1',
  shadow: [{ rule: 'a/b', verdict: 'deny' }],
  reached: ['GET /others'],
  preparation: true,
  untilCommit: true,
  work: WORK,
};
const OTHERS: readonly Partial<Judged>[] = [
  ...Object.entries(EACH).map(([field, value]) => ({ [field]: value })),
  {},
  { number: 127 },
  { number: 128 },
  { number: 16_384 },
  { number: 0 },
  { number: Number.MAX_SAFE_INTEGER },
  { text: 'GET /customers/12' },
];

test.each(OTHERS)('behind another, or before it, a statement with %o is what it is by itself', (other) => {
  const changed: Judged = { ...ASKED, ...other };
  const payload = new JudgedPayload();
  for (const event of [ASKED, changed, { ...changed }, { ...changed, number: 9 }, ASKED, ASKED])
    expect(Buffer.from(payload.of(event))).toEqual(encodeEventPayload(event));
});

test.each([-1, 1.5, 2 ** 53])('the number %d is refused, and the next is written whole', (number) => {
  const payload = new JudgedPayload();
  payload.of(ASKED);
  expect(() => payload.of({ ...ASKED, number })).toThrow(GatewayError);
  expect(Buffer.from(payload.of(ASKED))).toEqual(encodeEventPayload(ASKED));
});
