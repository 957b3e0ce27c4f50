/**
 * What MCP servers said of their tools at first, on the agent's disk: a later description that differs is flagged, also after a
 * restart. Taking the file away forgets them. Refuses more than LIMITS.mcpToolsMax: such a tool counts as changed.
 */
import path from 'node:path';
import { LIMITS, type Logger, objectOf, parseString, recordOf } from '@sallyport/core';
import type { ToolMemory } from '@sallyport/protocol-http';
import { readIfThere, writeWhole } from '../files.ts';

const parseFile = objectOf({ tools: recordOf(parseString) });
const WRITE_AFTER_MS = 200;

export class ToolFile implements ToolMemory {
  readonly #file: string;
  readonly #log: Logger;
  /** Digest by `<resource id> <tool>`. */
  readonly #first: Map<string, string>;
  #writing: NodeJS.Timeout | undefined;

  constructor(dataDir: string, log: Logger) {
    this.#file = path.join(dataDir, 'mcp_tools.json');
    this.#log = log;
    this.#first = new Map(Object.entries(this.#read()));
  }

  firstOf(resourceId: string, tool: string): string | undefined {
    return this.#first.get(`${resourceId} ${tool}`);
  }

  remember(resourceId: string, tool: string, digest: string): boolean {
    if (this.#first.size >= LIMITS.mcpToolsMax) return false;
    this.#first.set(`${resourceId} ${tool}`, digest);
    // A list brings many at once: they are written together.
    this.#writing ??= setTimeout(() => this.close(), WRITE_AFTER_MS).unref();
    return true;
  }

  /** Writes what is not written yet. */
  close(): void {
    if (this.#writing === undefined) return;
    clearTimeout(this.#writing);
    this.#writing = undefined;
    try {
      writeWhole(this.#file, JSON.stringify({ tools: Object.fromEntries(this.#first) }));
    } catch (error) {
      this.#log.error('what MCP servers say of their tools could not be kept', { error });
    }
  }

  /** A damaged file is no reason to trust anew what was trusted: it stops the start. @throws ParseError */
  #read(): Readonly<Record<string, string>> {
    const bytes = readIfThere(this.#file);
    return bytes === undefined ? {} : parseFile(JSON.parse(bytes.toString('utf8')), 'mcp_tools.json').tools;
  }
}
