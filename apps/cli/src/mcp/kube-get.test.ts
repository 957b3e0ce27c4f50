/** What a model reads of an object. The tool itself is called on a stack: test/e2e/mcp.test.ts. */
import { expect, test } from 'vitest';
import { withoutManagers } from './kube-get.ts';

test('a model reads objects without who wrote which of their fields', () => {
  const object = (name: string) => ({ metadata: { name, managedFields: [{ manager: 'kubectl' }] }, data: { a: 'b' } });
  const plain = (name: string) => ({ metadata: { name }, data: { a: 'b' } });
  expect(JSON.parse(withoutManagers(JSON.stringify(object('one'))))).toEqual(plain('one'));
  const list = { kind: 'List', metadata: { resourceVersion: '7' }, items: [object('one'), object('two'), {}] };
  expect(JSON.parse(withoutManagers(JSON.stringify(list)))).toEqual({
    ...list,
    items: [plain('one'), plain('two'), {}],
  });
  for (const other of ['no JSON', '"text"', '7', 'null']) expect(withoutManagers(other)).toBe(other);
});
