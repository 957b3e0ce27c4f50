/**
 * Files that hold secrets: written 0600 and whole, read only when nobody else may. Refuses to use a file that others can
 * read, since a secret in it must be taken as known. Windows has no such bits; there the check is left out.
 */
import { chmodSync, existsSync, mkdirSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { CliError } from '../exit-codes.ts';

const posix = process.platform !== 'win32';

/** @throws CliError usage when group or others may read or write it */
export function requirePrivate(file: string): void {
  if (!posix) return;
  const mode = statSync(file).mode & 0o777;
  if ((mode & 0o077) === 0) return;
  throw new CliError(
    'usage',
    `${file} can be read or written by others (mode ${mode.toString(8).padStart(4, '0')}), so what it holds is not used.`,
    `chmod 600 ${file} — and get a new secret if anyone else has had the chance to read it.`,
  );
}

/** @returns the text, or undefined when there is no such file @throws CliError usage when others can read it */
export function readPrivateFile(file: string): string | undefined {
  if (!existsSync(file)) return undefined;
  requirePrivate(file);
  return readFileSync(file, 'utf8');
}

/** A token or secret alone in a file, without the newline an editor adds. @throws CliError usage */
export function readSecretFile(file: string): string {
  const text = readPrivateFile(file)?.trim();
  if (text === undefined) throw new CliError('usage', `There is no file ${file}.`);
  if (text === '' || /\s/.test(text)) throw new CliError('usage', `${file} does not hold one secret alone.`);
  return text;
}

/** Writes whole or not at all; folders that are missing are made 0700. */
export function writePrivateFile(file: string, text: string): void {
  mkdirSync(path.dirname(file), { recursive: true, mode: 0o700 });
  const fresh = `${file}.${process.pid}.new`;
  writeFileSync(fresh, text, { mode: 0o600 });
  chmodSync(fresh, 0o600);
  renameSync(fresh, file);
}
