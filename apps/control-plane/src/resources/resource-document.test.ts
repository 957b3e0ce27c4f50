import { expect, test } from 'vitest';
import { ResourceDocument, specOf } from './resource-document.ts';

const document = { name: 'payments-db', type: 'postgres', postgres: { host: 'db.internal' } };

test('limits of a session are durations, and left out where there are none', () => {
  const limited = specOf(ResourceDocument.parse({ ...document, idleMsMax: '30m', sessionMsMax: '12h' }));
  expect(limited).toMatchObject({ idleMsMax: 1_800_000, sessionMsMax: 43_200_000 });
  const free = specOf(ResourceDocument.parse({ ...document, idleMsMax: null }));
  expect(Object.keys(free)).not.toEqual(expect.arrayContaining(['idleMsMax']));
  expect(Object.keys(free)).not.toEqual(expect.arrayContaining(['sessionMsMax']));
});

test('a limit that would end every session at once, or that no timer can wait for, is refused', () => {
  for (const value of ['0s', 999, '25d']) {
    expect(ResourceDocument.safeParse({ ...document, idleMsMax: value }).success).toBe(false);
    expect(ResourceDocument.safeParse({ ...document, sessionMsMax: value }).success).toBe(false);
  }
});
