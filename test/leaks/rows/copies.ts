/**
 * Values in the data of a COPY, and what a recording may keep of them. In: the client loads them, so they reach the
 * database as they are, and nobody who views the session sees them, not even in clear. Out: as for any other answer.
 */
import { frames } from '@sallyport/testkit';

export interface CopyRow {
  readonly name: string;
  readonly sql: string;
  /** Messages sent once the server waits for data; none for COPY out. */
  readonly data?: readonly Uint8Array[];
  /** Sent by the extended protocol. */
  readonly extended?: true;
  /** In one packet each. */
  readonly apart?: true;
  /** What must not be in the recording. */
  readonly secrets: readonly string[];
  /** What must be, so that it is not empty for another reason: text, or that something is left out with its length. */
  readonly keeps: string | { readonly bytes: number };
}

const { copyData, copyDone, copyFail } = frames;
const CARD = '4111111111111111';
const GROUPS = '5555 5555 5555 4444';
const SHOWN = '************1111';
const NAME = 'Wilhelmina Quarterflash';
const INTO = 'copy ledger (id, note, amount) from stdin';
const line = (id: number, note: string): string => `${id}\t${note}\t1\n`;
const binary = (note: string): Buffer => {
  const field = (bytes: Buffer): Buffer => Buffer.concat([frames.int32(bytes.length), bytes]);
  const tuple = [frames.int16(3), field(frames.int32(9009)), field(Buffer.from(note)), field(frames.int32(1))];
  return Buffer.concat([
    Buffer.from('PGCOPY\n\xff\r\n\0', 'latin1'),
    Buffer.alloc(8),
    ...tuple,
    Buffer.from('ffff', 'hex'),
  ]);
};
const customer = `990001\t${NAME}\twq@example.com\t219-09-9999\t${CARD}\tBergen\t2026-01-01\n`;

export const COPIES: readonly CopyRow[] = [
  {
    name: 'a card in a line',
    sql: INTO,
    data: [copyData(line(9001, CARD)), copyDone()],
    secrets: [CARD],
    keeps: SHOWN,
  },
  {
    name: 'a card cut across two messages',
    sql: INTO,
    data: [copyData(`9001\t${CARD.slice(0, 8)}`), copyData(`${CARD.slice(8)}\t1\n`), copyDone()],
    apart: true,
    secrets: [CARD, CARD.slice(0, 8), CARD.slice(8)],
    keeps: SHOWN,
  },
  {
    name: 'a card in groups, a byte in each message',
    sql: INTO,
    data: [
      ...line(9001, GROUPS)
        .split('')
        .map((letter) => copyData(letter)),
      copyDone(),
    ],
    apart: true,
    secrets: [GROUPS, GROUPS.slice(0, 9)],
    keeps: '4444',
  },
  {
    name: 'a last line without its end',
    sql: INTO,
    data: [copyData(line(9001, 'first')), copyData(line(9002, CARD).slice(0, -1)), copyDone()],
    secrets: [CARD],
    keeps: SHOWN,
  },
  {
    name: 'lines that end in a carriage return',
    sql: INTO,
    data: [copyData(line(9001, CARD).replace('\n', '\r')), copyData(line(9002, CARD).replace('\n', '\r')), copyDone()],
    secrets: [CARD],
    keeps: SHOWN,
  },
  {
    name: 'CSV with quotes and an e-mail',
    sql: `${INTO} with (format csv)`,
    data: [copyData(`9001,"${CARD}",1\n9002,"to ada.lovelace@example.com",2\n`), copyDone()],
    secrets: [CARD, 'ada.lovelace'],
    keeps: SHOWN,
  },
  {
    name: 'by the extended protocol',
    sql: INTO,
    extended: true,
    data: [copyData(line(9001, CARD)), copyDone()],
    secrets: [CARD],
    keeps: SHOWN,
  },
  {
    name: 'a number behind escapes',
    sql: INTO,
    data: [copyData(line(9001, '\\x34111 1111 1111 1111')), copyDone()],
    secrets: ['111 1111 1111 1111'],
    keeps: '[redacted]',
  },
  {
    name: 'a COPY that is given up in the middle of a value',
    sql: INTO,
    data: [copyData(`${line(9001, 'first')}9002\t${CARD.slice(0, 12)}`), copyFail('enough')],
    secrets: [CARD.slice(0, 12)],
    keeps: 'first',
  },
  {
    name: 'binary',
    sql: `${INTO} with (format binary)`,
    data: [copyData(binary(CARD)), copyDone()],
    secrets: [CARD, Buffer.from(CARD).toString('hex')],
    keeps: { bytes: binary(CARD).length },
  },
  {
    name: 'into masked columns',
    sql: 'copy customers (id, name, email, national_id, card_number, city, created_at) from stdin',
    data: [copyData(customer), copyDone()],
    secrets: [CARD, NAME, '219-09-9999', 'Bergen'],
    keeps: { bytes: customer.length },
  },
  {
    name: 'a long COPY, beyond what is kept of it',
    sql: INTO,
    data: [
      ...Array.from({ length: 40 }, (_, i) => copyData(line(9100 + i, `${'x'.repeat(4000)} ${CARD}`))),
      copyDone(),
    ],
    secrets: [CARD],
    keeps: SHOWN,
  },
  { name: 'COPY out', sql: `copy (select 1, '${SHOWN} kept') to stdout`, secrets: [], keeps: `1\\t${SHOWN} kept` },
  {
    name: 'COPY out of what was loaded before',
    sql: 'copy (select id, note from ledger where id = 1) to stdout with (format csv)',
    secrets: [],
    keeps: '1,n1',
  },
];
