/**
 * What a server says of its tools, remembered from the first time on: a description that changes later is how a server that was
 * looked at becomes one that was not. Refuses to judge what changed; rules do, by the fact `mcp.changed`.
 */
import { createHash } from 'node:crypto';
import type { McpTarget } from '@sallyport/model';
import { isObject, type JsonObject } from './message.ts';

/** Kept by the agent, for as long as it has its data directory. */
export interface ToolMemory {
  /** Digest of the tool as it was shown first; undefined when it never was. */
  firstOf(resourceId: string, tool: string): string | undefined;
  /** @returns false when there is no room: the tool then counts as changed */
  remember(resourceId: string, tool: string, digest: string): boolean;
}

/** For as long as the process lives. */
export function toolMemory(): ToolMemory {
  const known = new Map<string, string>();
  return {
    firstOf: (resourceId, tool) => known.get(`${resourceId} ${tool}`),
    remember: (resourceId, tool, digest) => {
      known.set(`${resourceId} ${tool}`, digest);
      return true;
    },
  };
}

/** Descriptions that somebody has looked at. */
type Accepted = NonNullable<McpTarget['accepted']>;

/** Tools whose latest description is not the first one, by resource. */
export class ToolWatch {
  readonly #memory: ToolMemory;
  /** Digest of the latest description, by tool. */
  readonly #changed = new Map<string, Map<string, string>>();

  constructor(memory: ToolMemory) {
    this.#memory = memory;
  }

  /**
   * A description was shown.
   * @param news told once of each description in turn that is neither the first one nor accepted. @returns true of such a one
   */
  seen(
    resourceId: string,
    tool: string,
    description: JsonObject,
    news: (first: string, digest: string) => void = () => undefined,
    accepted: Accepted = [],
  ): boolean {
    const digest = digestOf(description);
    const first = this.#memory.firstOf(resourceId, tool);
    const isOther = first === undefined ? !this.#memory.remember(resourceId, tool, digest) : first !== digest;
    const known = this.#changed.get(resourceId) ?? new Map<string, string>();
    this.#changed.set(resourceId, known);
    if (!isOther) {
      known.delete(tool);
      return false;
    }
    const isNews = known.get(tool) !== digest;
    known.set(tool, digest);
    if (isAccepted(accepted, tool, digest)) return false;
    if (isNews) news(first ?? '', digest);
    return true;
  }

  /** Whether the server has ever listed a tool of exactly this name: some servers take another spelling, and rules do not. */
  isListed(resourceId: string, tool: string): boolean {
    return this.#memory.firstOf(resourceId, tool) !== undefined;
  }

  isChanged(resourceId: string, tool: string, accepted: Accepted = []): boolean {
    const latest = this.#changed.get(resourceId)?.get(tool);
    return latest !== undefined && !isAccepted(accepted, tool, latest);
  }
}

const isAccepted = (accepted: Accepted, tool: string, digest: string): boolean =>
  accepted.some((one) => one.tool === tool && one.digest === digest);

/** Of everything a model or a person reads of a tool; the order of keys says nothing. */
function digestOf(description: JsonObject): string {
  const { name, title, description: text, inputSchema, outputSchema, annotations } = description;
  return createHash('sha256')
    .update(JSON.stringify(sorted([name, title, text, inputSchema, outputSchema, annotations])))
    .digest('hex');
}

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (!isObject(value)) return value ?? null;
  return Object.fromEntries(
    Object.keys(value)
      .sort()
      .map((key) => [key, sorted(value[key])]),
  );
}
