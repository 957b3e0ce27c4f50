/** One attempt to get past a rule, phrased as what a person would see; and the check that nothing else happened. */
import { frames, type Seen } from '@sallyport/testkit';
import { expect } from 'vitest';
import { type Gateway, settled } from './gateway.ts';

/**
 * `denied`: 42501 with a rule in DETAIL. `held`: a notice names the request, nothing ran. `ended`: the session is closed
 * with an error. `server`: the database's server refuses it itself (`sqlstate`). `harmless`: it ran, and changed nothing.
 */
export type Expected = 'denied' | 'held' | 'ended' | 'server' | 'harmless';

export interface Attempt {
  readonly name: string;
  /** Default payments-bot, who may read, write and change schemas. */
  readonly as?: string;
  /** A simple query and, unless `how` says otherwise, the extended protocol as well. */
  readonly sql: string | Uint8Array;
  readonly how?: 'query' | 'extended';
  /** Sent first, each as a simple query that must succeed. */
  readonly before?: readonly string[];
  readonly expect: Expected;
  /** The rule in DETAIL, where it matters which one. */
  readonly rule?: string | RegExp;
  readonly sqlstate?: string;
  /** Text that must not be among what the server ran; the attempt's own text unless `server` or `harmless`. */
  readonly never?: readonly string[];
  /** What `harmless` answers, where it matters. */
  readonly rows?: readonly (readonly string[])[];
  /** What it may change, so that the fingerprint is not compared; say why in `name`. */
  readonly changes?: boolean;
}

const escaped = (text: string): string => text.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&');

/** Log lines by which the server ran `text`: as a simple query or as an execution. */
export const ran = (log: string, text: string): boolean =>
  new RegExp(`(statement|execute [^:]*): [\\s\\S]{0,400}?${escaped(text)}`).test(log);

export async function attempt(gateway: Gateway, row: Attempt, how: 'query' | 'extended'): Promise<void> {
  const before = await gateway.lastFingerprint();
  const wire = await gateway.signedIn(row.as ?? 'payments-bot');
  try {
    for (const sql of row.before ?? []) {
      const mark = wire.mark();
      await wire.send(frames.query(sql));
      const seen = await wire.until(settled(), { mark });
      expect(seen.errors, `before: ${sql}`).toEqual([]);
    }
    const from = gateway.logPosition();
    const mark = wire.mark();
    await wire.send(how === 'query' ? frames.query(row.sql) : frames.extended(row.sql));
    const seen = await wire.until(settled(), { mark });
    expectSeen(row, seen, wire.isClosed());
    const never = row.never ?? (row.expect === 'server' || row.expect === 'harmless' ? [] : [textOf(row.sql)]);
    const log = await gateway.serverRan(from);
    for (const text of never) expect(ran(log, text), `the server ran: ${text}`).toBe(false);
  } finally {
    wire.destroy();
  }
  const after = await gateway.fingerprint();
  if (row.changes !== true) expect(after, 'the database changed').toBe(before);
}

const textOf = (sql: string | Uint8Array): string =>
  typeof sql === 'string' ? sql : Buffer.from(sql).toString('utf8');

export function expectSeen(
  row: Pick<Attempt, 'expect' | 'rule' | 'sqlstate' | 'rows'>,
  seen: Seen,
  closed: boolean,
): void {
  const said = JSON.stringify({ errors: seen.errors, types: seen.types, held: seen.held });
  switch (row.expect) {
    case 'denied':
      expect(seen.errors[0]?.sqlstate, said).toBe(row.sqlstate ?? '42501');
      expect(seen.errors[0]?.rule, said).not.toBe('');
      if (row.rule !== undefined) expect(seen.errors[0]?.rule, said).toMatch(row.rule);
      break;
    case 'held':
      expect(seen.held.length, said).toBe(1);
      expect(seen.types.at(-1), said).toBe('N');
      break;
    case 'ended':
      expect(closed, said).toBe(true);
      expect(seen.errors.length === 0 || seen.errors.at(-1)?.fatal, said).toBe(true);
      if (row.sqlstate !== undefined) expect(seen.errors[0]?.sqlstate, said).toBe(row.sqlstate);
      break;
    case 'server':
      expect(seen.errors[0]?.rule, said).toBe('');
      expect(seen.errors[0]?.sqlstate, said).toBe(row.sqlstate);
      break;
    case 'harmless':
      expect(seen.errors, said).toEqual([]);
      expect(seen.ready, said).not.toBe('');
      if (row.rows !== undefined) expect(seen.rows, said).toEqual(row.rows);
      break;
    default:
      row.expect satisfies never;
  }
}
