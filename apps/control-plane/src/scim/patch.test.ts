/** PATCH as the RFC says it, and as Okta and Entra ID send it. */
import { LIMITS } from '@sallyport/core';
import { expect, test } from 'vitest';
import { ENTERPRISE, GROUP_SCHEMA, USER, USER_SCHEMA } from './attributes.ts';
import { readDocument } from './document.ts';
import { applyPatch, readOperations } from './patch.ts';
import { ScimError, type ScimType } from './scim-error.ts';

const ADA = {
  userName: 'ada@example.com',
  active: true,
  name: { givenName: 'Ada', familyName: 'King' },
  emails: [{ value: 'ada@example.com', type: 'work', primary: true }],
};
const patch = (operations: unknown, before: object = ADA) =>
  applyPatch(USER_SCHEMA, { ...before }, readOperations({ Operations: operations }));
const inGroup = (operations: unknown, ...members: string[]) =>
  applyPatch(
    GROUP_SCHEMA,
    { displayName: 'g', members: members.map((value) => ({ value })) },
    readOperations({ Operations: operations }),
  )['members'];
function refusal(work: () => unknown): ScimType | 'none' {
  try {
    work();
    return 'none';
  } catch (error) {
    if (error instanceof ScimError) return error.scimType;
    throw error;
  }
}

test('Entra ID deactivates with a capitalised operation and a text', () => {
  expect(patch([{ op: 'Replace', path: 'active', value: 'False' }])['active']).toBe(false);
});

test('Okta deactivates without a path, and sends the id along', () => {
  expect(patch([{ op: 'replace', value: { active: false, id: 'x', schemas: [USER] } }])['active']).toBe(false);
});

test('Entra ID’s dotted and schema-led names without a path are attributes', () => {
  const after = patch([
    {
      op: 'Add',
      value: {
        'name.givenName': 'Augusta',
        [`${ENTERPRISE}:department`]: 'Engines',
        [`${ENTERPRISE}:manager`]: [{ value: 'm1', $ref: '../Users/m1' }],
        unheardOf: 1,
      },
    },
  ]);
  expect(after['name']).toEqual({ givenName: 'Augusta', familyName: 'King' });
  expect(after[ENTERPRISE]).toEqual({ department: 'Engines', manager: { value: 'm1' } });
});

test('the manager is set by a bare id and taken away by an empty one', () => {
  const path = `${ENTERPRISE}:manager`;
  const after = patch([{ op: 'add', path, value: 'm2' }]);
  expect(after[ENTERPRISE]).toEqual({ manager: { value: 'm2' } });
  expect(patch([{ op: 'replace', path, value: '' }], after)[ENTERPRISE]).toBeUndefined();
  expect(patch([{ op: 'remove', path }], after)[ENTERPRISE]).toBeUndefined();
});

test('one address of a list is changed by its type, and made when there is none', () => {
  const path = 'emails[type eq "work"].value';
  expect(patch([{ op: 'Replace', path, value: 'new@example.com' }])['emails']).toEqual([
    { value: 'new@example.com', type: 'work', primary: true },
  ]);
  expect(patch([{ op: 'Add', path: 'emails[type eq "home"].value', value: 'h@x' }])['emails']).toEqual([
    ADA.emails[0],
    { type: 'home', value: 'h@x' },
  ]);
  expect(patch([{ op: 'remove', path: 'emails[type eq "work"]' }])['emails']).toBeUndefined();
});

test('one value alone is primary', () => {
  const after = patch([{ op: 'add', path: 'emails', value: [{ value: 'b@x', primary: 'True' }] }]);
  expect(after['emails']).toEqual([
    { ...ADA.emails[0], primary: false },
    { value: 'b@x', primary: true },
  ]);
});

test('a name keeps the parts that a replace does not mention', () => {
  expect(patch([{ op: 'replace', path: 'name', value: { familyName: 'Lovelace' } }])['name']).toEqual({
    givenName: 'Ada',
    familyName: 'Lovelace',
  });
  expect(patch([{ op: 'remove', path: 'name.familyName' }])['name']).toEqual({ givenName: 'Ada' });
});

test('members are added, replaced and removed, by filter or by value', () => {
  expect(inGroup([{ op: 'Add', path: 'members', value: [{ value: 'b' }, { value: 'a' }] }], 'a')).toEqual([
    { value: 'a' },
    { value: 'b' },
  ]);
  expect(inGroup([{ op: 'remove', path: 'members[value eq "a"]' }], 'a', 'b')).toEqual([{ value: 'b' }]);
  expect(inGroup([{ op: 'Remove', path: 'members', value: [{ value: 'A' }] }], 'a', 'b')).toEqual([{ value: 'b' }]);
  expect(inGroup([{ op: 'remove', path: 'members' }], 'a', 'b')).toBeUndefined();
  expect(inGroup([{ op: 'replace', path: 'members', value: [{ value: 'c' }] }], 'a')).toEqual([{ value: 'c' }]);
  expect(inGroup([{ op: 'replace', value: { members: [{ value: 'd' }] } }], 'a')).toEqual([{ value: 'd' }]);
});

test('removing nobody removes nobody', () => {
  expect(inGroup([{ op: 'remove', path: 'members', value: [] }], 'a')).toEqual([{ value: 'a' }]);
  expect(inGroup([{ op: 'remove', path: 'members[value eq "x"]' }], 'a')).toEqual([{ value: 'a' }]);
});

test('attributes of the RFC that are not kept are taken without a word', () => {
  expect(patch([{ op: 'add', path: 'phoneNumbers[type eq "work"].value', value: '1' }])).toEqual(ADA);
  expect(patch([{ op: 'add', path: 'roles', value: [{ value: 'admin' }] }])).toEqual(ADA);
});

test.each<[unknown, ScimType]>([
  [[], 'invalidSyntax'],
  ['x', 'invalidSyntax'],
  [[{ op: 'move', path: 'a' }], 'invalidSyntax'],
  [[{ path: 'active', value: true }], 'invalidSyntax'],
  [[{ op: 'remove' }], 'noTarget'],
  [[{ op: 'add', value: 'x' }], 'invalidValue'],
  [[{ op: 'add', path: 'active', value: 'perhaps' }], 'invalidValue'],
  [[{ op: 'add', path: 'userName', value: {} }], 'invalidValue'],
  [[{ op: 'remove', path: 'userName' }], 'invalidValue'],
  [[{ op: 'replace', path: 'userName', value: ' ' }], 'invalidValue'],
  [[{ op: 'replace', path: 'id', value: 'x' }], 'mutability'],
  [[{ op: 'add', path: 'groups', value: [{ value: 'g' }] }], 'mutability'],
  [[{ op: 'add', path: '__proto__.x', value: 'y' }], 'invalidPath'],
  [[{ op: 'add', path: 'constructor', value: 'y' }], 'invalidPath'],
  [[{ op: 'add', path: 'urn:other:2.0:User:x', value: 'y' }], 'invalidPath'],
  [[{ op: 'add', path: 'active[value eq 1]', value: true }], 'invalidPath'],
  [[{ op: 'add', path: 'emails[type co "w"].value', value: 'y' }], 'invalidFilter'],
  [[{ op: 'add', path: 'emails[not (type eq "work")].value', value: 'y' }], 'noTarget'],
])('%j is refused: %s', (operations, type) => {
  expect(refusal(() => patch(operations))).toBe(type);
});

test('an operation that fails leaves nothing behind of those before it', () => {
  const before = structuredClone(ADA);
  expect(
    refusal(() =>
      patch([
        { op: 'replace', path: 'emails[type eq "work"].value', value: 'evil@x' },
        { op: 'replace', path: 'active', value: 'perhaps' },
      ]),
    ),
  ).toBe('invalidValue');
  expect(ADA).toEqual(before);
});

test('a body’s keys cannot reach beyond the document', () => {
  const body = JSON.parse(
    '{"userName":"x","__proto__":{"isAdmin":true},"constructor":{"a":1},"roles":["owner"]}',
  ) as object;
  expect(readDocument(USER_SCHEMA, body)).toEqual({ userName: 'x' });
  expect(({} as { isAdmin?: boolean }).isAdmin).toBeUndefined();
  patch([{ op: 'add', value: JSON.parse('{"name":{"__proto__":{"isAdmin":true}}}') as object }]);
  expect(({} as { isAdmin?: boolean }).isAdmin).toBeUndefined();
});

test('texts and lists have their limits', () => {
  const long = 'x'.repeat(LIMITS.scimTextCharsMax);
  expect(patch([{ op: 'add', path: 'title', value: long }])['title']).toBe(long);
  expect(refusal(() => patch([{ op: 'add', path: 'title', value: `${long}x` }]))).toBe('invalidValue');
  const many = Array.from({ length: LIMITS.scimValuesMax + 1 }, (_, n) => ({ value: String(n) }));
  expect(inGroup([{ op: 'add', path: 'members', value: many.slice(1) }])).toHaveLength(LIMITS.scimValuesMax);
  expect(refusal(() => inGroup([{ op: 'add', path: 'members', value: many }]))).toBe('tooMany');
});
