/**
 * Sessions that span connections: HTTP clients open and drop connections as they like, and one principal using one resource
 * by one token is one session all the same (ADR on shared sessions). It closes a while after its last connection has left.
 * Refuses to verify tokens: whoever joins has shown a good one just now.
 */
import { type ErrorCode, LIMITS } from '@sallyport/core';
import type { JoinedSession, SessionMember } from '@sallyport/protocol-kit';
import type { LiveSession, SessionCarrier } from './live.ts';

/** A kill is heard by every connection, and whoever does not leave is left behind. */
const LEAVE_MS_MAX = 900;

class SharedSession implements SessionCarrier {
  /** Set right after its carrier was made. */
  session!: LiveSession;
  readonly #members = new Set<SessionMember>();
  readonly #closed: (code: ErrorCode | '') => void;
  #linger: NodeJS.Timeout | undefined;
  #over = false;

  constructor(closed: (code: ErrorCode | '') => void) {
    this.#closed = closed;
  }

  join(member: SessionMember): Omit<JoinedSession, 'tokenExpiresAtMs'> {
    this.#enter(member);
    return {
      road: this.session.road,
      recorder: this.session.watchable,
      leave: () => this.#gone(member),
      keep: (ended) => {
        const waiting: SessionMember = {
          end: (code) => {
            this.#gone(waiting);
            ended(code);
          },
          bundleChanged: () => undefined,
        };
        this.#enter(waiting);
        return () => this.#gone(waiting);
      },
    };
  }

  #enter(member: SessionMember): void {
    clearTimeout(this.#linger);
    this.#members.add(member);
  }

  #gone(member: SessionMember): void {
    if (!this.#members.delete(member) || this.#members.size > 0 || this.#over) return;
    this.#linger = setTimeout(() => this.#close(''), LIMITS.httpSessionLingerMsMax);
    this.#linger.unref();
  }

  end(code: ErrorCode): void {
    if (this.#over) return;
    // Whoever comes from here on opens a session of their own, if they may.
    this.#over = true;
    clearTimeout(this.#linger);
    for (const member of this.#members) member.end(code);
    if (this.#members.size === 0) this.#leave(code);
    else setTimeout(() => this.#leave(code), LEAVE_MS_MAX);
  }

  bundleChanged(): void {
    for (const member of this.#members) member.bundleChanged();
  }

  #close(code: ErrorCode | ''): void {
    this.#over = true;
    this.#leave(code);
  }

  #leave(code: ErrorCode | ''): void {
    this.#members.clear();
    this.#closed(code);
  }

  get over(): boolean {
    return this.#over;
  }

  /** The agent stops: nobody lingers. */
  closeIfIdle(): void {
    if (this.#members.size > 0 || this.#over) return;
    clearTimeout(this.#linger);
    this.#close('');
  }
}

export class SharedSessions {
  readonly #close: (session: LiveSession, code: ErrorCode | '') => void;
  readonly #sessions = new Map<string, SharedSession>();

  /** @param close writes what a session's end puts on the record */
  constructor(close: (session: LiveSession, code: ErrorCode | '') => void) {
    this.#close = close;
  }

  find(key: string): SharedSession | undefined {
    const found = this.#sessions.get(key);
    return found === undefined || found.over ? undefined : found;
  }

  /** @param open opens the session that is carried @throws what `open` throws */
  add(key: string, open: (carrier: SessionCarrier) => LiveSession): SharedSession {
    const shared = new SharedSession((code) => {
      if (this.#sessions.get(key) === shared) this.#sessions.delete(key);
      this.#close(shared.session, code);
    });
    shared.session = open(shared);
    this.#sessions.set(key, shared);
    return shared;
  }

  /** Closes those that only linger; for shutdown. */
  closeIdle(): void {
    for (const shared of this.#sessions.values()) shared.closeIfIdle();
  }
}
