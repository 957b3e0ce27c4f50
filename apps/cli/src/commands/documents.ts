/**
 * Documents on disk: YAML files of a folder, read for `apply`, `policy check` and `policy test`.
 * Refuses to read what is not YAML by its name, and to follow a folder beyond a number of files.
 */
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import type { ApplyDocument } from '@sallyport/api-client';
import { LineCounter, parseAllDocuments } from 'yaml';
import { CliError } from '../exit-codes.ts';
import { readStdin, type Terminal } from '../terminal.ts';

const FILES_MAX = 2_000;

/** @param target a file, a folder (read with its folders, in order of names) or `-` for stdin @throws CliError usage */
export async function readDocuments(terminal: Terminal, target: string): Promise<readonly ApplyDocument[]> {
  if (target === '-') return [{ file: 'stdin', text: await readStdin(terminal) }];
  if (!existsSync(target)) throw new CliError('usage', `There is no file or folder ${target}.`);
  if (!statSync(target).isDirectory()) return [{ file: target, text: readFileSync(target, 'utf8') }];
  const names = readdirSync(target, { recursive: true, encoding: 'utf8' })
    .filter((name) => /\.ya?ml$/.test(name) && !name.split(path.sep).some((part) => part.startsWith('.')))
    .sort();
  if (names.length === 0) throw new CliError('usage', `There are no YAML files under ${target}.`);
  if (names.length > FILES_MAX) throw new CliError('usage', `More than ${FILES_MAX} YAML files are under ${target}.`);
  return names.map((name) => ({ file: path.join(target, name), text: readFileSync(path.join(target, name), 'utf8') }));
}

export interface KindDocument extends ApplyDocument {
  readonly kind: string;
}

/** Each YAML document of each text with its kind; blank lines before it keep its line numbers. @throws CliError usage for text that is no YAML */
export function splitDocuments(documents: readonly ApplyDocument[]): readonly KindDocument[] {
  return documents.flatMap(({ file, text }) =>
    parseAllDocuments(text, { lineCounter: new LineCounter() }).flatMap((document) => {
      if (document.errors.length > 0) throw new CliError('usage', `${file} is no YAML: ${document.errors[0]!.message}`);
      const kind: unknown = document.get('kind');
      if (document.contents === null || typeof kind !== 'string') return [];
      const [start, , end] = document.range;
      const before = text.slice(0, start).replaceAll(/[^\n]/g, '');
      return [{ file, kind, text: before + text.slice(start, end).replace(/^\.\.\.\s*$/m, '') }];
    }),
  );
}
