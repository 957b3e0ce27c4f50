/** Whose an MCP session is: its id is a secret of the server's, and no proof of who sends it. Refuses another principal's. */
import { createHash } from 'node:crypto';
import { GatewayError, LIMITS } from '@sallyport/core';
import type { DialectSession } from '@sallyport/http-session';

export class SessionOwners {
  readonly #owners = new Map<string, string>();

  /** The server gave this id to that client. */
  given(id: string, session: DialectSession): void {
    const key = keyOf(id, session);
    this.#owners.delete(key);
    this.#owners.set(key, ownerOf(session));
    if (this.#owners.size > LIMITS.mcpSessionsMax) this.#owners.delete(this.#owners.keys().next().value!);
  }

  /** @throws GatewayError `mcp.session_unknown` */
  require(id: string, session: DialectSession): void {
    const key = keyOf(id, session);
    const owner = this.#owners.get(key);
    if (owner !== ownerOf(session)) throw new GatewayError('mcp.session_unknown');
    this.#owners.delete(key);
    this.#owners.set(key, owner);
  }
}

const keyOf = (id: string, { resource }: DialectSession): string =>
  createHash('sha256').update(`${resource.id} ${id}`).digest('base64url');

/** Tokens come and go within one session; the principal and whom it acts for do not. */
function ownerOf({ road: { info } }: DialectSession): string {
  return `${info.principal.id} ${info.onBehalfOf?.id ?? ''}`;
}
