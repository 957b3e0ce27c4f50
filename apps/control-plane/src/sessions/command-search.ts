/**
 * A text among the commands of many sessions, newest first. Each session that is looked into is a viewing like any other, on
 * the record before it is read. Refuses to look without end: after so many sessions or so long a page ends, and its cursor
 * goes on. Limits: LIMITS.commandSearchSessionsMax, LIMITS.commandSearchMsMax.
 */
import { Injectable } from '@nestjs/common';
import { GatewayError, LIMITS } from '@sallyport/core';
import { type Caller, requirePermission } from '../http/caller.ts';
import { InvalidRequest } from '../http/invalid-request.ts';
import { SystemClock } from '../time.ts';
import { SessionFilms } from './session-films.ts';
import type { CommandSearchQuery, CommandView, FoundCommand, SessionView } from './sessions.dto.ts';
import { SessionsService } from './sessions.service.ts';

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** The next command is behind this one. */
interface Place {
  readonly openedAt: Date;
  readonly id: string;
  /** -1: the whole session is behind us. */
  readonly number: number;
}

@Injectable()
export class CommandSearch {
  constructor(
    private readonly sessions: SessionsService,
    private readonly films: SessionFilms,
    private readonly clock: SystemClock,
  ) {}

  async find(caller: Caller, query: CommandSearchQuery) {
    if (query.clear === true) requirePermission(caller, 'session:view-clear');
    const began = query.cursor === undefined ? undefined : placeOf(query.cursor);
    const until = this.clock.now().getTime() + LIMITS.commandSearchMsMax;
    // One more tells whether there is more; one may be behind us already.
    const rows = await this.sessions.viewable(caller, query, began, query.sessions + 2);
    const left = rows.filter(({ id }) => began?.number !== -1 || id !== began.id);
    const items: FoundCommand[] = [];
    let [looked, unreadable] = [0, 0];
    let place: Place | undefined;
    for (const session of left) {
      if (
        looked === query.sessions ||
        items.length === query.limit ||
        (looked > 0 && this.clock.now().getTime() > until)
      )
        return { items, nextCursor: cursorOf(place), looked, unreadable };
      looked++;
      const after = began?.id === session.id ? began.number : 0;
      const room = query.limit - items.length;
      const { found, isWhole } = await this.#commands(caller, session, query, after, room + 1);
      if (!isWhole) unreadable++;
      const { id, openedAt, protocol, resource, principal, onBehalfOf } = session;
      const within = { id, openedAt, protocol, resource, principal, onBehalfOf };
      for (const command of found.slice(0, room)) items.push({ ...command, session: within });
      const last = found.length > room ? (found[room - 1]?.number ?? after) : -1;
      place = { openedAt: new Date(session.openedAt), id: session.id, number: last };
      if (last !== -1) return { items, nextCursor: cursorOf(place), looked, unreadable };
    }
    return { items, nextCursor: null, looked, unreadable };
  }

  async #commands(
    caller: Caller,
    session: SessionView,
    { q, clear }: CommandSearchQuery,
    after: number,
    limit: number,
  ): Promise<{ readonly found: readonly CommandView[]; readonly isWhole: boolean }> {
    try {
      return await this.films.found(caller, session.id, { q, clear, after, limit, form: 'search' });
    } catch (error) {
      if (error instanceof GatewayError && error.code.startsWith('recording.')) return { found: [], isWhole: false };
      throw error;
    }
  }
}

const cursorOf = (place: Place | undefined): string | null =>
  place === undefined
    ? null
    : Buffer.from(JSON.stringify([place.openedAt.toISOString(), place.id, place.number])).toString('base64url');

function placeOf(cursor: string): Place {
  try {
    const [openedAt, id, number] = JSON.parse(Buffer.from(cursor, 'base64url').toString()) as unknown[];
    const at = new Date(typeof openedAt === 'string' ? openedAt : Number.NaN);
    if (typeof id !== 'string' || !UUID.test(id) || !Number.isSafeInteger(number) || Number.isNaN(at.getTime()))
      throw new Error('shape');
    return { openedAt: at, id, number: number as number };
  } catch (cause) {
    throw new InvalidRequest([{ field: 'cursor', message: 'not a cursor of this search' }], 'request.invalid', {
      cause,
    });
  }
}
