/** Whose an MCP session or event is: its id is a secret of the server's, and no proof of who sends it. Refuses another principal's. */
import { createHash, createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import { GatewayError, LIMITS, secretKey } from '@sallyport/core';
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

const MARK_BYTES = 16;

/**
 * An event's id goes to its client with a mark of whose it is, which only this process can make: nothing is kept for it, and
 * whoever comes back with it gets what was theirs.
 */
export class EventOwners {
  readonly #key = secretKey(randomBytes(32));

  sealed(id: string, session: DialectSession): string {
    return `${id}.${this.#mark(id, session)}`;
  }

  /** The server's own id; undefined when this client was not given it. */
  opened(sealed: string, session: DialectSession): string | undefined {
    const at = sealed.lastIndexOf('.');
    const id = sealed.slice(0, Math.max(at, 0));
    const [given, made] = [Buffer.from(sealed.slice(at + 1)), Buffer.from(this.#mark(id, session))];
    return given.length === made.length && timingSafeEqual(given, made) ? id : undefined;
  }

  #mark(id: string, session: DialectSession): string {
    const mac = createHmac('sha256', this.#key).update(JSON.stringify([session.resource.id, ownerOf(session), id]));
    return mac.digest().subarray(0, MARK_BYTES).toString('base64url');
  }
}

const keyOf = (id: string, { resource }: DialectSession): string =>
  createHash('sha256').update(`${resource.id} ${id}`).digest('base64url');

/** Tokens come and go within one session; the principal and whom it acts for do not. */
function ownerOf({ road: { info } }: DialectSession): string {
  return `${info.principal.id} ${info.onBehalfOf?.id ?? ''}`;
}
