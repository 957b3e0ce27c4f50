/**
 * The text of a statement read without its server: SQL by packages/sql, a command line over SSH by packages/shell, a request by
 * packages/http, as agents read them. Refuses to know the server: neither catalog nor host is asked, so an account's shell counts as any of the Bourne family.
 */
import type { Effect, Resource, ShellFacts, StatementFacts } from '@sallyport/model';
import { readCommand } from '@sallyport/shell';
import { effectsOf, extractSqlFacts, isUnknownSql, loadSqlParser } from '@sallyport/sql';
import { readHttpStatement } from './explain-http.ts';

export interface ExplainReading {
  /** Why the text has no facts. */
  readonly unknown: string | undefined;
  readonly effects: readonly Effect[];
  readonly facts: StatementFacts;
}

export async function readStatement(
  text: string,
  resource: Pick<Resource, 'kind' | 'http' | 'mcp'>,
  login: string,
): Promise<ExplainReading> {
  switch (resource.kind) {
    case 'postgres': {
      await loadSqlParser();
      const reading = extractSqlFacts(text);
      if (isUnknownSql(reading)) return { unknown: reading.unknown, effects: [], facts: {} };
      return { unknown: undefined, effects: effectsOf(reading), facts: { sql: reading } };
    }
    case 'ssh': {
      const { facts, effects } = readCommand(text);
      if (!facts.understood) return { unknown: 'shell', effects: [], facts: {} };
      const ssh = { channel: 'exec', login, pty: false, subsystem: '' } as const;
      return { unknown: undefined, effects, facts: { ssh, shell: facts } };
    }
    case 'http':
    case 'kubernetes':
    case 'mcp': {
      const { understood, effects, facts } = readHttpStatement(text, resource);
      return { unknown: understood ? undefined : resource.kind, effects, facts };
    }
    default:
      return resource.kind satisfies never;
  }
}

/** What a person is shown of a command line; null for anything else. */
export function shownCommands(shell: ShellFacts | undefined): {
  commands: string[];
  pathsWritten: string[];
  pathsRead: string[];
  opaque: string[];
} | null {
  if (shell === undefined) return null;
  const commands = shell.commands.map(({ via, program, arguments: args }) => [...via, program, ...args].join(' '));
  return {
    commands: [...new Set(commands)].slice(0, COMMANDS_SHOWN_MAX),
    pathsWritten: shell.pathsWritten.slice(0, COMMANDS_SHOWN_MAX),
    pathsRead: shell.pathsRead.slice(0, COMMANDS_SHOWN_MAX),
    opaque: [...shell.opaque],
  };
}
const COMMANDS_SHOWN_MAX = 100;
