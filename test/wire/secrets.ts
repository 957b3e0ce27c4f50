/** The values that must not come out, in the forms in which they might. Looked for in raw bytes. */
import { createHash } from 'node:crypto';
import type { Gateway } from './gateway.ts';

export interface Secret {
  /** Which value in which form, for a failure's text. */
  readonly what: string;
  readonly bytes: Buffer;
}

const IDS = [1, 2, 3, 4, 5];

/** A partial mask shows the end of a value, and an e-mail's first letters: what is looked for is what it never shows. */
const parts = (column: string, value: string): readonly string[] =>
  column === 'name'
    ? [value]
    : column === 'email'
      ? [value, value.slice(0, value.indexOf('@'))]
      : [value, value.slice(0, column === 'card_number' ? 10 : 7)];

const forms = (value: string): readonly (readonly [string, Buffer])[] => {
  const bytes = Buffer.from(value);
  const wide = Buffer.from(value, 'utf16le');
  // The last letters of base64 hang on what follows.
  const base64 = bytes.toString('base64').replace(/=+$/, '').slice(0, -1);
  return [
    ['as it is', bytes],
    ['in capitals', Buffer.from(value.toUpperCase())],
    ['as hex', Buffer.from(bytes.toString('hex'))],
    ['as base64', Buffer.from(base64)],
    ['backwards', Buffer.from(bytes).reverse()],
    ['as UTF-16', wide],
    ['as md5', Buffer.from(createHash('md5').update(bytes).digest('hex'))],
  ];
};

/** Of customers 1 to 5, asked past the gateway. */
export async function secrets(gateway: Gateway): Promise<readonly Secret[]> {
  const out: Secret[] = [];
  for (const id of IDS) {
    for (const column of ['card_number', 'national_id', 'email', 'name']) {
      const value = await gateway.truth(`select ${column} from customers where id = ${id}`);
      for (const part of parts(column, value)) {
        for (const [form, bytes] of forms(part)) out.push({ what: `${column} of ${id}, ${form}`, bytes });
      }
    }
  }
  return out;
}

/** What of them stands in `raw`. */
export const found = (raw: Buffer, all: readonly Secret[]): readonly string[] =>
  all.filter(({ bytes }) => raw.includes(bytes)).map(({ what }) => what);
