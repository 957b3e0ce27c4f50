import type { Statement } from '@sallyport/model';
import { expect, test } from 'vitest';
import { hiddenParameters, hideAll, hideStatement } from './hidden.ts';

const CARD = '4111 1111 1111 1111';
const EMAIL = 'somebody.with.a.long.name@mail.example.com';
const JWT = `eyJhbGciOiJFUzI1NiJ9.${'A1b2'.repeat(200)}.${'c3D4'.repeat(20)}`;

test.each([CARD, EMAIL, JWT])('a value is hidden wherever a text is cut: %#', (value) => {
  for (let before = 0; before < 420; before++) {
    const text = `select '${'x '.repeat(before / 2)}${'y'.repeat(before % 2)}', '${value}' from t where note = 'z'`;
    const shown = hideAll(text, 300);
    for (let length = 6; length <= value.length; length++) {
      const part = value.slice(0, length);
      if (shown.includes(part) && !hideAll(text, 10_000).includes(part)) expect.fail(`${before}: ${shown}`);
    }
  }
});

test('a long statement shows its beginning and its end, and says how much is between them', () => {
  const text = `delete from a where id = 1; /*${' '.repeat(90_000)}*/ delete from payments where card = '${CARD}'`;
  const shown = hideStatement(text);
  expect(shown).toMatch(/^delete from a where id = 1;/);
  expect(shown).toMatch(/characters are not shown here/);
  expect(shown).toMatch(/delete from payments where card = '\*+1111'$/);
  expect(shown.length).toBeLessThan(82_000);

  for (const shift of [0, 5, 9, 14, 19]) {
    const at = 64 * 1024 - shift;
    expect(hideStatement(`${' '.repeat(at)}'${CARD}'${' y'.repeat(20_000)}`)).not.toContain('4111 1');
    expect(hideStatement(`${'x '.repeat(40_000)}'${CARD}'${' '.repeat(16 * 1024 - shift)}`)).not.toContain('4111 1');
  }
});

test('parameters beyond those shown are counted', () => {
  const parameters = Array.from({ length: 130 }, (_, i) => ({ text: i === 0 ? undefined : CARD, type: 25 }));
  const shown = hiddenParameters({ parameters } as unknown as Statement);
  expect(shown).toHaveLength(101);
  expect(shown[0]).toBeUndefined();
  expect(shown[1]).toBe('************1111');
  expect(shown.at(-1)).toContain('30 more');
});
