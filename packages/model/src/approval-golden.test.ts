/** Signed approvals and requests outlive code: their JSON is pinned. docs/adr/0017-approvals-and-budgets.md. */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { parseApproval, parseApprovalRequest } from './approval.ts';
import { parsePolicy } from './policy.ts';

const golden = (name: string): Record<string, unknown> =>
  JSON.parse(readFileSync(path.join(import.meta.dirname, '../golden', name), 'utf8')) as Record<string, unknown>;

test.each([
  ['approval-once.json', parseApproval],
  ['approval-shape.json', parseApproval],
  ['approval-request.json', parseApprovalRequest],
  ['approval-request-commit.json', parseApprovalRequest],
  ['policy-with-budgets.json', parsePolicy],
  ['policy-at-commit.json', parsePolicy],
])('%s is read as it was written, and a field nobody knows is refused', (name, parse) => {
  const document = golden(name);
  expect(parse(document, '')).toEqual(document);
  expect(() => parse({ ...document, secretly: 1 }, '')).toThrow('secretly');
});
