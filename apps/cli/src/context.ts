/**
 * What a command works with: the API as whoever is signed in, and how to answer, for people or for scripts.
 * Refuses to know commands. Made once per run; nothing is asked of the network until a command does.
 */
import { type ApiClient, createApiClient } from '@sallyport/api-client';
import { type Access, type GlobalOptions, openAccess } from './config/access.ts';
import { CliError } from './exit-codes.ts';
import { type Column, renderTable } from './output/table.ts';
import type { Terminal } from './terminal.ts';
import { VERSION } from './version.ts';

export interface Context {
  readonly terminal: Terminal;
  readonly options: GlobalOptions;
  readonly json: boolean;
  readonly access: Access;
  readonly api: ApiClient;
  /** @throws CliError unauthenticated */
  requireToken(): Promise<string>;
  /** Lines to stdout. */
  say(...lines: readonly string[]): void;
  /** Lines to stderr: progress and warnings, never the answer itself. */
  note(...lines: readonly string[]): void;
  /** The answer: as JSON for scripts, else as the lines that `render` makes. */
  answer<T>(value: T, render: (value: T) => readonly string[]): void;
  /** Ends the program with this code although nothing was thrown. */
  finish(code: number): void;
  readonly exitCode: number;
  /** One thing as the answer: an object for scripts, a table of one row for people. */
  one<T>(item: T, columns: readonly Column<T>[]): void;
  /** A list as the answer. */
  list<T>(items: readonly T[], columns: readonly Column<T>[], empty?: string): void;
}

export function openContext(options: GlobalOptions, terminal: Terminal): Context {
  let access: Access | undefined;
  let api: ApiClient | undefined;
  let exitCode = 0;
  const context: Context = {
    terminal,
    options,
    json: options.json === true,
    get access() {
      access ??= openAccess(options, terminal);
      return access;
    },
    get api() {
      api ??= connect(context.access);
      return api;
    },
    get exitCode() {
      return exitCode;
    },
    finish: (code) => {
      exitCode = code;
    },
    requireToken: async () => {
      const token = await context.access.token();
      if (token === undefined)
        throw new CliError('unauthenticated', 'You are not signed in.', loginCommand(context.access));
      return token;
    },
    say: (...lines) => {
      for (const line of lines) terminal.stdout.write(`${line}\n`);
    },
    note: (...lines) => {
      for (const line of lines) terminal.stderr.write(`${line}\n`);
    },
    answer: (value, render) => {
      if (context.json) context.say(JSON.stringify(value, undefined, 2));
      else context.say(...render(value));
    },
    one: (item, columns) => context.answer(item, () => renderTable([item], columns, terminal.columns())),
    list: (items, columns, empty) =>
      context.answer(items, () => renderTable(items, columns, terminal.columns(), empty)),
  };
  return context;
}

const loginCommand = ({ url, project }: Access): string =>
  `sallyport login --url ${url}${project === undefined ? '' : ` --project ${project}`}`;

const connect = (access: Access): ApiClient =>
  createApiClient({
    baseUrl: access.url,
    token: access.token,
    project: access.project,
    userAgent: `sallyport-cli/${VERSION}`,
  });

/** All items of a paged list, up to a maximum. */
export async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}
