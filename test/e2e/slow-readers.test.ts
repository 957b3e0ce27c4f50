/**
 * Slow readers of masked rows, all at once: the agent masks in one shared memory, and what waits for a slow client must
 * not be overwritten by what comes for another. Compared byte by byte with rows that SQL itself masked.
 */
import { createHash } from 'node:crypto';
import { connect } from 'node:net';
import pg from 'pg';
import { describe, expect, inject, test } from 'vitest';
import { accessToken } from '../../scripts/stack/rest.ts';
import { apiToken } from '../../scripts/stack/sql-client.ts';

const dev = inject('dev');
const RESOURCE = 'payments-db';

function message(type: string, body: Buffer): Buffer {
  const head = Buffer.alloc(type.length + 4);
  head.write(type, 'latin1');
  head.writeInt32BE(body.length + 4, type.length);
  return Buffer.concat([head, body]);
}

/** A DataRow as the server would send it. */
function dataRow(cells: readonly string[]): Buffer {
  const count = Buffer.alloc(2);
  count.writeInt16BE(cells.length);
  const parts = cells.flatMap((cell) => {
    const bytes = Buffer.from(cell);
    const length = Buffer.alloc(4);
    length.writeInt32BE(bytes.length);
    return [length, bytes];
  });
  return message('D', Buffer.concat([count, ...parts]));
}

interface Read {
  readonly rows: number;
  readonly digest: string;
}

/** Reads all rows of one simple query over the plaintext listener, stopping for `pauseMs` every now and then. */
function readSlowly(port: number, password: string, sql: string, pauseMs: number): Promise<Read> {
  const startup = Buffer.from(`\0\x03\0\0user\0${RESOURCE}\0database\0${dev.demo.database}\0\0`);
  return new Promise((resolve, reject) => {
    const socket = connect({ host: '127.0.0.1', port });
    const hash = createHash('sha256');
    let rows = 0;
    let chunks = 0;
    let asked = false;
    let rest = Buffer.alloc(0);
    const received = (type: string, frame: Buffer): void => {
      if (type === 'R' && frame.readInt32BE(5) === 3) socket.write(message('p', Buffer.from(`${password}\0`)));
      else if (type === 'E') reject(new Error(frame.toString('utf8', 5)));
      else if (type === 'D') {
        hash.update(frame);
        rows++;
      } else if (type === 'Z' && asked) {
        socket.end();
        resolve({ rows, digest: hash.digest('hex') });
      } else if (type === 'Z') {
        asked = true;
        socket.write(message('Q', Buffer.from(`${sql}\0`)));
      }
    };
    socket.on('connect', () => socket.write(message('', startup)));
    socket.on('error', reject);
    socket.on('data', (chunk: Buffer) => {
      rest = Buffer.concat([rest, chunk]);
      let at = 0;
      while (at + 5 <= rest.length) {
        const end = at + 1 + rest.readInt32BE(at + 1);
        if (end > rest.length) break;
        received(String.fromCharCode(rest[at]!), rest.subarray(at, end));
        at = end;
      }
      rest = Buffer.from(rest.subarray(at));
      if (pauseMs > 0 && ++chunks % 20 === 0) {
        socket.pause();
        setTimeout(() => socket.resume(), pauseMs);
      }
    });
  });
}

describe('masked rows', () => {
  test('reach slow readers unharmed, however many read at once', async () => {
    const direct = new pg.Client({
      host: dev.demo.host,
      port: dev.demo.port,
      user: dev.demo.username,
      password: dev.demo.password,
      database: dev.demo.database,
      ssl: { rejectUnauthorized: false },
    });
    await direct.connect();
    const { rows } = await direct.query<string[]>({
      text: `select id::text, name, city, '***-**-' || right(national_id, 4), '************' || right(card_number, 4),
        left(email, 1) || '***@e***.com' from customers order by customers.id`,
      rowMode: 'array',
    });
    await direct.end();
    const hash = createHash('sha256');
    for (const row of rows) hash.update(dataRow(row));
    const expected: Read = { rows: rows.length, digest: hash.digest('hex') };
    expect(expected.rows).toBeGreaterThan(10_000);
    const password = await accessToken(dev.rest, await apiToken(dev, 'carla'), RESOURCE);
    const port = dev.agent.postgresPlaintext;
    if (port === undefined) throw new Error('the stack has no plaintext listener');
    const sql = 'select id, name, city, national_id, card_number, email from customers order by id';
    const reads = await Promise.all([0, 2, 5, 10, 20, 40].map((pauseMs) => readSlowly(port, password, sql, pauseMs)));
    expect(reads).toEqual(reads.map(() => expected));
  });
});
