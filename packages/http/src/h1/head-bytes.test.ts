/** Where a head ends: at its first empty line, whatever stands before it. */
import { expect, test } from 'vitest';
import { HeadBytes } from './head-bytes.ts';

/** All texts of that length of these letters. */
function* texts(letters: string, length: number): Generator<string> {
  if (length === 0) yield '';
  else for (const letter of letters) for (const rest of texts(letters, length - 1)) yield letter + rest;
}

test('the first empty line is found among any line ends, and only there', () => {
  for (const text of texts('x\r\n', 9)) {
    const end = text.indexOf('\r\n\r\n', 1);
    const bytes = new HeadBytes(false);
    expect(bytes.take(Buffer.from(text), 1), JSON.stringify(text)).toBe(end === -1 ? undefined : text.slice(1, end));
    if (end !== -1) expect(bytes.end).toBe(end + 4);
    expect(bytes.begun).toBe(end === -1);
  }
});

test('it is found wherever the head is torn', () => {
  const text = 'GET / HTTP/1.1\r\nhost: a\n\r\r\nb: c\r\n\r\nbody';
  const end = text.indexOf('\r\n\r\n');
  for (let at = 1; at < end + 4; at++) {
    const bytes = new HeadBytes(false);
    expect(bytes.take(Buffer.from(text.slice(0, at)), 0)).toBeUndefined();
    expect(bytes.take(Buffer.from(text.slice(at)), 0)).toBe(text.slice(0, end));
    expect(bytes.end).toBe(end + 4 - at);
  }
});
