/**
 * Accounts made for one principal and dropped after it: a login role in PostgreSQL, member of a template role to which its
 * sessions are pinned, so that the template owns what they make. DESIGN section 6, ADR 0018.
 * The server gets a SCRAM verifier, never the password; VALID UNTIL ends an account that nobody is left to drop.
 * Refuses a standby, a template that is a superuser, and DROP OWNED: what an account owns goes to the template.
 */
import { createHash, randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { GatewayError, type Logger } from '@sallyport/core';
import type { CredentialSource, Resource } from '@sallyport/model';
import { type Errand, ServerRefusal } from '@sallyport/protocol-postgres/errand';
import { scramVerifier } from '@sallyport/protocol-postgres/scram';

/** How an account's connection is opened by who may make accounts. */
export type OpenAdmin = (resource: Resource, database?: string) => Promise<Errand>;

const PASSWORD_BYTES = 24;
/** Dropping waits this long for an account's sessions to be gone. */
const SETTLE_MS = 2_000;
const DEPENDENT = '2BP01';

export interface EphemeralSettings {
  readonly template: string;
  readonly ttlMs: number;
  readonly reuseMs: number;
}

export function ephemeralSettings(source: CredentialSource): EphemeralSettings {
  const { template = '', ttl_ms: ttl = '3600000', reuse_ms: reuse = '300000' } = source.settings ?? {};
  return { template, ttlMs: Number(ttl), reuseMs: Number(reuse) };
}

/** Accounts of one process of one agent share these first letters: what it may sweep, and nothing else. */
export const accountPrefix = (agentId: string, instance: string): string =>
  `sp_${createHash('sha256').update(`${agentId}/${instance}`).digest('hex').slice(0, 10)}_`;

/** A name that says whose it is; at most 63 bytes. */
export const accountName = (prefix: string, principal: string): string =>
  `${prefix}${principal
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '_')
    .slice(0, 32)}_${randomBytes(5).toString('hex')}`;

export const newPassword = (): string => randomBytes(PASSWORD_BYTES).toString('base64url');

/** `"` doubled: PostgreSQL, "Identifiers and Key Words". */
const quoted = (name: string): string => `"${name.replaceAll('"', '""')}"`;
const literal = (text: string): string => {
  // Nothing that needs escaping is ever put in a text here: a backslash would be one under standard_conforming_strings=off.
  if (/['\\\0]/.test(text)) throw new GatewayError('internal', { reason: 'literal' });
  return `'${text}'`;
};
const instant = (ms: number): string => literal(new Date(ms).toISOString());

/**
 * @param account from `accountName`; @param leaseId stands in the role's comment
 * @throws GatewayError `credential.unavailable` when this server or template is not fit, or the server refuses
 */
export async function makeAccount(
  admin: Errand,
  wanted: {
    readonly account: string;
    readonly password: string;
    readonly template: string;
    readonly untilMs: number;
    readonly leaseId: string;
  },
): Promise<void> {
  const { account, password, template, untilMs, leaseId } = wanted;
  if (/['\\\0]/.test(template)) throw unfit('template');
  const [row] = await admin.run(
    `select pg_catalog.pg_is_in_recovery(), (select rolsuper or rolcreaterole or rolreplication or rolbypassrls
       from pg_catalog.pg_roles where rolname = ${literal(template)})`,
  );
  if (row?.[0] !== 'f') throw unfit('the server is a standby');
  if (row[1] === undefined) throw unfit('the template role is not there');
  if (row[1] !== 'f') throw unfit('the template role is a superuser or may make roles');
  const verifier = scramVerifier(password, randomBytes(16));
  // One text of several statements is one transaction: all of it, or nothing.
  await refusing(() =>
    admin.run(
      [
        `create role ${quoted(account)} login noinherit nosuperuser nocreatedb nocreaterole noreplication`,
        ` connection limit 4 password ${literal(verifier)} valid until ${instant(untilMs)} in role ${quoted(template)};`,
        `grant ${quoted(account)} to current_user;`,
        `comment on role ${quoted(account)} is ${literal(`sallyport lease ${leaseId}`)}`,
      ].join(' '),
    ),
  );
}

/** Longer life, under the same password. @throws GatewayError `credential.unavailable` */
export async function extendAccount(admin: Errand, account: string, untilMs: number): Promise<void> {
  await refusing(() => admin.run(`alter role ${quoted(account)} valid until ${instant(untilMs)}`));
}

/** Accounts with our prefix that the server has. */
export async function accountsOf(admin: Errand, prefix: string): Promise<readonly string[]> {
  const rows = await admin.run(
    `select rolname from pg_catalog.pg_roles where pg_catalog.starts_with(rolname::text, ${literal(prefix)})`,
  );
  return rows.flatMap((row) => row[0] ?? []);
}

/**
 * Ends an account's sessions, gives what it owns to the template, drops it. One that is gone is no error.
 * @throws GatewayError `credential.unavailable` when something keeps it: then it cannot sign in any more
 */
export async function dropAccount(
  open: OpenAdmin,
  resource: Resource,
  account: string,
  template: string,
  log: Logger,
): Promise<void> {
  const admin = await open(resource);
  try {
    const [there] = await admin.run(`select 1 from pg_catalog.pg_roles where rolname = ${literal(account)}`);
    if (there === undefined) return;
    await refusing(() => admin.run(`alter role ${quoted(account)} nologin`));
    await endSessions(admin, account);
    const reassign = `reassign owned by ${quoted(account)} to ${quoted(template)}`;
    await refusing(() => admin.run(reassign));
    for (const database of await databasesOf(admin, account)) {
      const there = await open(resource, database);
      await refusing(() => there.run(reassign)).finally(() => there.close());
    }
    await refusing(() => admin.run(`drop role if exists ${quoted(account)}`));
  } catch (error) {
    const kept = error instanceof GatewayError && error.detail['sqlstate'] === DEPENDENT;
    if (kept) log.error('an account could not be dropped: something was granted to it by name', { account });
    throw error;
  } finally {
    admin.close();
  }
}

async function endSessions(admin: Errand, account: string): Promise<void> {
  const deadline = performance.now() + SETTLE_MS;
  const ask = `select pg_catalog.count(pg_catalog.pg_terminate_backend(pid)) from pg_catalog.pg_stat_activity where usename = ${literal(account)}`;
  for (;;) {
    const [row] = await refusing(() => admin.run(ask));
    if (row?.[0] === '0' || performance.now() > deadline) return;
    await sleep(50);
  }
}

/** Databases in which something depends on the account. */
async function databasesOf(admin: Errand, account: string): Promise<readonly string[]> {
  const rows = await admin.run(
    `select distinct d.datname from pg_catalog.pg_shdepend s
       join pg_catalog.pg_roles r on r.oid = s.refobjid and s.refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass
       join pg_catalog.pg_database d on d.oid = s.dbid
     where r.rolname = ${literal(account)} and d.datname <> pg_catalog.current_database()`,
  );
  return rows.flatMap((row) => row[0] ?? []);
}

const unfit = (reason: string): GatewayError =>
  new GatewayError('credential.unavailable', { kind: 'ephemeral', reason });

/** The server's refusal as ours; its words stay there. */
async function refusing<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof ServerRefusal)) throw error;
    throw new GatewayError('credential.unavailable', {
      kind: 'ephemeral',
      reason: 'the server refused',
      sqlstate: error.sqlstate,
    });
  }
}
