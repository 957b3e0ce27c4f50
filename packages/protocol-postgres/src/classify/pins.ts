/**
 * What no session may do, whatever a policy says: settings and roles that the reading of later statements rests on. And the
 * gateway's own setting, which the server never hears of (reason.ts). Refuses to know rules.
 */
import type { SqlFacts, SqlStatementFacts } from '@sallyport/model';
import { OWN_SETTINGS, REASON_SETTING } from '../reason.ts';

export interface Pins {
  readonly readOnly: boolean;
  /** The session runs as a role of its own. */
  readonly role: boolean;
}

/** Why no policy can allow this: it would change what the gateway's reading of later statements rests on. */
export function pinnedReason(facts: SqlFacts, pins: Pins): string | undefined {
  for (const statement of facts.statements) {
    const reason = pinnedBy(statement, pins);
    if (reason !== undefined) return reason;
  }
  return undefined;
}

function pinnedBy(facts: SqlStatementFacts, pins: Pins): string | undefined {
  const setting = facts.kind === 'show' ? undefined : facts.setting;
  if (setting !== undefined) {
    const reason = settingReason(setting, facts, pins);
    if (reason !== undefined) return reason;
  }
  if (facts.opaque.includes('set_config')) return 'set_config is allowed alone and with constants only.';
  if (facts.opaque.includes('set_role') || facts.opaque.includes('set_session_authorization')) {
    if (!(facts.kind === 'reset' && facts.setting === 'role')) return 'The role of a session is fixed.';
  }
  if (facts.kind === 'discard' && facts.object === 'all' && pins.role)
    return 'The role of a session is fixed; use DISCARD PLANS, SEQUENCES, TEMP.';
  if (facts.relations.some((relation) => relation.name === 'pg_settings' && relation.access !== 'read')) {
    return 'Settings are changed by SET.';
  }
  for (const inner of facts.nested ?? []) {
    const reason = pinnedBy(inner, pins);
    if (reason !== undefined) return reason;
  }
  return undefined;
}

/** What `SET sallyport.reason = '…'` says, '' for RESET and DEFAULT; undefined for any other statement. Never the server's. */
export function reasonOf(facts: SqlFacts | undefined): string | undefined {
  const statement = facts?.statements[0];
  if (statement?.setting !== REASON_SETTING || facts!.statements.length > 1) return undefined;
  if ((statement.kind !== 'set' && statement.kind !== 'reset') || statement.settingLocal === true) return undefined;
  return statement.settingValue ?? '';
}

const UTF8 = /^(utf-?8|unicode)$/i;
const ON = /^(on|true|yes|1|t|y)$/i;

function settingReason(setting: string, { kind, settingValue }: SqlStatementFacts, pins: Pins): string | undefined {
  if (setting.startsWith(OWN_SETTINGS)) return `Only SET ${REASON_SETTING} = '…' is known, in a message of its own.`;
  // RESET goes back to what the connection was opened with, which is what is pinned.
  const isReset = kind === 'reset';
  switch (setting) {
    case 'role':
      return isReset ? undefined : 'The role of a session is fixed.';
    case 'session_authorization':
      return 'The role of a session is fixed.';
    case 'client_encoding':
    case 'names':
      return isReset || settingValue === undefined || UTF8.test(settingValue)
        ? undefined
        : 'client_encoding is fixed to UTF8.';
    case 'standard_conforming_strings':
      return isReset || settingValue === undefined || ON.test(settingValue)
        ? undefined
        : 'standard_conforming_strings is fixed to on.';
    case 'search_path':
      // pg_catalog first is how the server works anyway; named elsewhere, a function of that name in another schema wins.
      return settingValue !== undefined && /pg_catalog|pg_temp|pg_toast|\$\$|\\/i.test(settingValue)
        ? 'search_path may not name pg_catalog or pg_temp.'
        : undefined;
    case 'transaction_read_only':
    case 'default_transaction_read_only':
      if (!pins.readOnly || isReset) return undefined;
      return settingValue !== undefined && ON.test(settingValue)
        ? undefined
        : 'This session is read-only: its grants give no more.';
    default:
      return undefined;
  }
}
