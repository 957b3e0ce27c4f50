/**
 * What a place that keeps credentials is to Sallyport: a kind, the settings it takes, and a way to ask it for one secret.
 * Used alike in the agent and in the control plane, whichever a credential names. Refuses to know sessions, bundles and rows.
 * Limits: SECRET_BYTES_MAX, ASK_MS_MAX.
 */
import { GatewayError, Secret } from '@sallyport/core';
import type { IssuedSshCertificate, SshCertificateAsk } from './ssh-certificate.ts';

/** A secret longer than this is refused: a password or a PEM with its chain is far below. */
export const SECRET_BYTES_MAX = 64 * 1024;
/** Milliseconds one question to a store may take, sign-in there included. */
export const ASK_MS_MAX = 8_000;

/** One setting of a source; `pattern` must match the whole of it. */
export interface Setting {
  readonly required?: boolean;
  readonly pattern: RegExp;
  /** One line for docs and for who typed it wrong. */
  readonly help: string;
}

export type Settings = Readonly<Record<string, string>>;

/** What is asked for. */
export interface Ask {
  /** As configured; '' = the source knows it. */
  readonly username: string;
  readonly settings: Settings;
  /** The secret that opens the source (a token, a secret id), from the credential's own sealed box. */
  readonly key: Secret<string> | undefined;
  /** The server the credential is for; undefined where nobody knows it. */
  readonly target: { readonly host: string; readonly port: number } | undefined;
}

export interface Lease {
  /** The source's own name of it. */
  readonly id: string;
  /** UTC ms. */
  readonly expiresAtMs: number;
}

export interface Fetched {
  readonly username: string;
  readonly secret: Secret<string>;
  /** It was made for this ask, and is given back at the end. */
  readonly lease?: Lease;
  /** UTC ms after which it does not sign in any more; absent = as long as it stands in the source. */
  readonly expiresAtMs?: number;
}

export interface CredentialSource {
  readonly kind: string;
  /** One line for docs. */
  readonly about: string;
  readonly settings: Readonly<Record<string, Setting>>;
  /** What one of these settings is wrong with the others; undefined = nothing. */
  check?(settings: Settings): { readonly setting: string; readonly message: string } | undefined;
  /** Each ask gives a secret of its own: never cached, and never fetched by the control plane. */
  perSession(settings: Settings): boolean;
  /** @throws GatewayError `credential.unavailable`, with a reason that holds no secret */
  fetch(ask: Ask): Promise<Fetched>;
  /**
   * Signs a session's public key; absent where the place signs none.
   * @throws GatewayError `credential.unavailable`, also for a certificate that is not what was asked for
   */
  readonly sshCertificate?: (ask: Ask, wanted: SshCertificateAsk) => Promise<IssuedSshCertificate>;
  /** Longer life for a lease. @returns when it ends, UTC ms @throws GatewayError `credential.unavailable` */
  readonly renew?: (ask: Ask, leaseId: string) => Promise<number>;
  /** Gives a lease back; one that is gone already is no error. @throws GatewayError `credential.unavailable` */
  readonly revoke?: (ask: Ask, leaseId: string) => Promise<void>;
}

/** What sources may use of the host they run on. */
export interface SourceHost {
  nowMs(): number;
  /** Folder in which the clouds' SDKs are looked for. */
  readonly sdkDir: string;
  /** A variable of this process; undefined when it is not there or not theirs to read. */
  variable(name: string): string | undefined;
  /** A file of this host, as text. @throws when it cannot be read */
  readText(path: string): Promise<string>;
}

export const unavailable = (kind: string, reason: string, cause?: unknown): GatewayError =>
  new GatewayError('credential.unavailable', { kind, reason }, { cause });

/** What is wrong with these settings, by name; empty = nothing. */
export function settingProblems(
  source: Pick<CredentialSource, 'kind' | 'settings' | 'check'>,
  settings: Settings,
): readonly { readonly setting: string; readonly message: string }[] {
  const problems: { setting: string; message: string }[] = [];
  for (const [name, value] of Object.entries(settings)) {
    const setting = Object.hasOwn(source.settings, name) ? source.settings[name] : undefined;
    if (setting === undefined) problems.push({ setting: name, message: `${source.kind} has no such setting` });
    else if (value.length > 16_384 || !matchesWhole(setting.pattern, value))
      problems.push({ setting: name, message: `expected: ${setting.help}` });
  }
  for (const [name, setting] of Object.entries(source.settings)) {
    if (setting.required === true && settings[name] === undefined)
      problems.push({ setting: name, message: `is needed: ${setting.help}` });
  }
  const together = problems.length === 0 ? source.check?.(settings) : undefined;
  return together === undefined ? problems : [together];
}

const matchesWhole = (pattern: RegExp, value: string): boolean => pattern.exec(value)?.[0] === value;

/**
 * The password, and perhaps the user name, in what a store gave: the text itself, or fields of a JSON object.
 * @throws GatewayError `credential.unavailable` when a field is not there
 */
export function pickFrom(kind: string, text: string, ask: Ask): Fetched {
  const { field, username_field: usernameField } = ask.settings;
  if (Buffer.byteLength(text) > SECRET_BYTES_MAX) throw unavailable(kind, 'the secret is too large');
  if (field === undefined && usernameField === undefined)
    return { username: ask.username, secret: new Secret(requireText(kind, text.replace(/\r?\n$/, ''))) };
  return pickFields(kind, parseObject(kind, text), ask);
}

/** As `pickFrom`, of an object; without `field` it is the one named `password` or `value`, or the only one. */
export function pickFields(kind: string, fields: Readonly<Record<string, unknown>>, ask: Ask): Fetched {
  const { field, username_field: usernameField } = ask.settings;
  const names = Object.keys(fields);
  const chosen =
    field ??
    ['password', 'value'].find((name) => Object.hasOwn(fields, name)) ??
    (names.length === 1 ? names[0] : undefined);
  if (chosen === undefined) throw unavailable(kind, 'which field? give the setting `field`');
  const user = usernameField === undefined ? ask.username : textAt(kind, fields, usernameField);
  return { username: user, secret: new Secret(requireText(kind, textAt(kind, fields, chosen))) };
}

function textAt(kind: string, fields: Readonly<Record<string, unknown>>, name: string): string {
  const value = Object.hasOwn(fields, name) ? fields[name] : undefined;
  if (typeof value !== 'string') throw unavailable(kind, `the secret has no text field ${name.slice(0, 64)}`);
  return value;
}

function requireText(kind: string, text: string): string {
  if (text === '' || text.includes('\0')) throw unavailable(kind, 'the secret is empty or holds a NUL');
  return text;
}

function parseObject(kind: string, text: string): Readonly<Record<string, unknown>> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    // The parser's own words quote the text: they must not become a cause that is logged.
    throw unavailable(kind, 'a field is named, but the secret is no JSON');
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw unavailable(kind, 'a field is named, but the secret is no JSON object');
  return value as Record<string, unknown>;
}

// Patterns that several sources share.
export const FIELD: Setting = { pattern: /[A-Za-z0-9_.-]{1,128}/, help: 'the name of a field of the secret' };
export const USERNAME_FIELD: Setting = { pattern: FIELD.pattern, help: 'the field that holds the user name' };
export const ENDPOINT: Setting = {
  pattern: /https:\/\/[^\s?#@]{1,500}|http:\/\/(127\.0\.0\.1|localhost|\[::1\])(:\d{1,5})?(\/[^\s?#@]*)?/,
  help: 'an https URL (http on loopback alone)',
};
