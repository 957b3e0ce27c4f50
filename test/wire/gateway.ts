/**
 * Ways to the gateway, and past it. Through: a raw wire signed in as one of the demo principals. Past: the truth in the
 * database, and what its server was asked to run.
 */
import { readFileSync, statSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { openWire, type Seen, type Wire } from '@sallyport/testkit';
import pg from 'pg';
import type { DevFile } from '../../scripts/stack/dev-file.ts';
import { accessToken, type Rest, restClient } from '../../scripts/stack/rest.ts';
import { apiToken } from '../../scripts/stack/sql-client.ts';
import { FINGERPRINT } from './objects.ts';

export type Road = 'plain' | 'tls' | 'direct-tls';

export interface Gateway {
  readonly dev: DevFile;
  /** An access token; kept for two minutes, since sign-in is rate-limited. */
  token(principal: string, resource?: string): Promise<string>;
  /** A connection that has said nothing yet. */
  wire(road?: Road): Promise<Wire>;
  /** Signed in, past ReadyForQuery. @throws Error when that is refused */
  signedIn(principal: string, options?: { road?: Road; parameters?: Record<string, string> }): Promise<Wire>;
  /** REST as somebody. */
  rest(principal: string): Promise<Rest>;
  /** The first value, asked of the database past the gateway, as its superuser. */
  truth(sql: string, values?: readonly unknown[]): Promise<string>;
  /** FINGERPRINT, afresh; and as it was last, which is what it must still be. */
  fingerprint(): Promise<string>;
  lastFingerprint(): Promise<string>;
  /** What the database's server ran since `from` (a byte position), one string. */
  serverRan(from: number): Promise<string>;
  logPosition(): number;
  close(): Promise<void>;
}

const TOKEN_KEPT_MS = 120_000;
const LOG_WITHIN_MS = 5_000;

export function gatewayTo(dev: DevFile, serverLog: string): Gateway {
  const tokens = new Map<string, { readonly token: string; readonly at: number }>();
  const people = new Map<string, Rest>();
  const past = new pg.Pool({
    host: dev.demo.host,
    port: dev.demo.port,
    database: dev.demo.database,
    user: dev.demo.superuser,
    password: dev.demo.superuserPassword,
    ssl: { rejectUnauthorized: false },
    max: 1,
  });
  const ca = readFileSync(dev.ca, 'utf8');
  const port = dev.agent.postgresPlaintext;
  if (port === undefined) throw new Error('the stack has no plaintext listener');
  const { host } = dev.agent;

  const token = async (principal: string, resource = 'payments-db'): Promise<string> => {
    const key = `${principal}/${resource}`;
    const kept = tokens.get(key);
    if (kept !== undefined && Date.now() - kept.at < TOKEN_KEPT_MS) return kept.token;
    const made = await accessToken(dev.rest, await apiToken(dev, principal), resource);
    tokens.set(key, { token: made, at: Date.now() });
    return made;
  };
  const wire = (road: Road = 'plain'): Promise<Wire> =>
    road === 'plain'
      ? openWire({ host, port })
      : openWire({ host, port: dev.agent.postgres, tls: { ca, direct: road === 'direct-tls' } });
  const truth = async (sql: string, values: readonly unknown[] = []): Promise<string> => {
    const { rows } = await past.query({ text: sql, rowMode: 'array', values: [...values] });
    return String((rows as unknown[][])[0]?.[0]);
  };

  let last: string | undefined;
  const fingerprint = async (): Promise<string> => {
    last = await truth(FINGERPRINT);
    return last;
  };

  return {
    dev,
    token,
    wire,
    truth,
    fingerprint,
    lastFingerprint: async () => last ?? fingerprint(),
    signedIn: async (principal, { road = 'plain', parameters = {} } = {}) => {
      const opened = await wire(road);
      const seen = await opened.signIn({
        user: 'payments-db',
        secret: await token(principal),
        database: dev.demo.database,
        parameters,
      });
      if (seen.ready !== 'I')
        throw new Error(`${principal} was not let in: ${JSON.stringify(seen.errors)} ${seen.types}`);
      return opened;
    },
    rest: async (principal) => {
      const known = people.get(principal) ?? restClient(dev.rest, await apiToken(dev, principal));
      people.set(principal, known);
      return known;
    },
    logPosition: () => statSync(serverLog).size,
    serverRan: async (from) => {
      const mark = `reached ${from} ${Math.random()}`;
      await truth(`select '${mark}'`);
      const deadline = Date.now() + LOG_WITHIN_MS;
      for (;;) {
        const log = readFileSync(serverLog).subarray(from).toString('utf8');
        const end = log.indexOf(mark);
        if (end >= 0) return log.slice(0, log.lastIndexOf('\n', end) + 1);
        if (Date.now() > deadline) throw new Error('the server log does not go on');
        await sleep(10);
      }
    },
    close: () => past.end(),
  };
}

/** The answer to everything sent is complete, or it waits for a person. */
export const settled =
  (readies = 1) =>
  (seen: Seen): boolean =>
    seen.ready.length >= readies || seen.held.length > 0;
