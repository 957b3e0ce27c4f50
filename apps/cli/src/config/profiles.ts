/**
 * Who one is signed in as, and where: profiles in `config.json`, mode 0600. XDG base directory specification.
 * Refuses unknown fields, and a file that others can read.
 */
import path from 'node:path';
import { objectOf, optional, type Parsed, ParseError, parseInteger, parseString, recordOf } from '@sallyport/core';
import { CliError } from '../exit-codes.ts';
import { readPrivateFile, writePrivateFile } from './private-file.ts';

const parseProfile = objectOf({
  url: parseString,
  /** Session token of a sign-in. */
  token: optional(parseString),
  /** UTC milliseconds. */
  tokenExpiresAt: optional(parseInteger),
  /** PEM file of a private CA in front of the REST API. */
  caFile: optional(parseString),
  /** Project that the token is for, as it was asked for. */
  project: optional(parseString),
  /** PEM of Sallyport's own root, as it was at the first sign-in: what exports are verified against. */
  root: optional(parseString),
});
export type Profile = Parsed<typeof parseProfile>;

const parseConfig = objectOf({ current: optional(parseString), profiles: recordOf(parseProfile) });
export type Config = Parsed<typeof parseConfig>;

type Env = Readonly<Record<string, string | undefined>>;

/** SALLYPORT_CONFIG, else `$XDG_CONFIG_HOME/sallyport/config.json`, else under `~/.config`. */
export function configFile(env: Env): string {
  const named = env['SALLYPORT_CONFIG'];
  if (named !== undefined && named !== '') return path.resolve(named);
  return path.join(baseDir(env, 'XDG_CONFIG_HOME', '.config'), 'sallyport/config.json');
}

/** Where history lives: `$XDG_STATE_HOME/sallyport`, else `~/.local/state/sallyport`. */
export const stateDir = (env: Env): string => path.join(baseDir(env, 'XDG_STATE_HOME', '.local/state'), 'sallyport');

function baseDir(env: Env, variable: string, fallback: string): string {
  const given = env[variable];
  // The specification ignores relative paths.
  if (given !== undefined && path.isAbsolute(given)) return given;
  const home = env['HOME'] ?? '';
  if (home === '') throw new CliError('usage', 'HOME is not set.', 'Set SALLYPORT_CONFIG to a file of yours.');
  return path.join(home, fallback);
}

/** @throws CliError usage when the file is readable by others or is not what this program writes */
export function readConfig(env: Env): Config {
  const file = configFile(env);
  const text = readPrivateFile(file);
  if (text === undefined) return { profiles: {} };
  try {
    return parseConfig(JSON.parse(text), '');
  } catch (error) {
    if (!(error instanceof ParseError || error instanceof SyntaxError)) throw error;
    throw new CliError(
      'usage',
      `${file} is damaged: ${error.message}.`,
      'Remove it and sign in again with `sallyport login`.',
    );
  }
}

export const writeConfig = (env: Env, config: Config): void =>
  writePrivateFile(configFile(env), `${JSON.stringify(config, undefined, 2)}\n`);

/** Replaces one profile and makes it the current one; `undefined` forgets it. */
export function saveProfile(env: Env, name: string, profile: Profile | undefined): void {
  const { profiles } = readConfig(env);
  const { [name]: _old, ...others } = profiles;
  if (profile !== undefined) writeConfig(env, { current: name, profiles: { ...others, [name]: profile } });
  else writeConfig(env, { profiles: others });
}
