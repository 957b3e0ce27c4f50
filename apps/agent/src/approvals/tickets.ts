/**
 * Approved tickets that wait to be used: kept on disk, so that one survives a restart and is used once.
 * Refuses to hand out a ticket before its use is on the disk: after a crash it is used up, never usable twice.
 */
import path from 'node:path';
import { listOf, objectOf, parseBoolean, parseInteger, parseString } from '@sallyport/core';
import { type Approval, parseApproval } from '@sallyport/model';
import { readIfThere, writeWhole } from '../files.ts';

const KEPT_MAX = 10_000;
const parseKept = { approval: parseApproval, signed: parseString, used: parseBoolean };
const parseTickets = listOf(objectOf({ ...parseKept, surroundings: parseString }), KEPT_MAX);
/** Tickets that were asked for: what each is bound to beside what is signed, for as long as an answer could be of use. */
const parseAsked = listOf(objectOf({ id: parseString, surroundings: parseString, until: parseInteger }), KEPT_MAX);
const parseFile = objectOf({ tickets: parseTickets, asked: parseAsked });
/** As it was written before surroundings were bound: used ones still count, others are of no use. */
const parseUnbound = listOf(objectOf(parseKept), KEPT_MAX);
type Ticket = ReturnType<typeof parseTickets>[number];
type Asked = ReturnType<typeof parseAsked>[number];

/** Of a ticket nobody asked this agent for; no statement has these. */
const UNKNOWN = '';

export interface TicketUse {
  readonly digest: string;
  readonly principalId: string;
  readonly resourceId: string;
  /** Hex SHA-256: what else an approver was shown, and what the statement's names mean something by. */
  readonly surroundings: string;
  readonly nowMs: number;
}

export class Tickets {
  readonly #file: string;
  #tickets: readonly Ticket[] = [];
  #asked: readonly Asked[] = [];

  /** @throws ParseError when the file is damaged: a ticket that cannot be read must not be guessed */
  constructor(dataDir: string) {
    this.#file = path.join(dataDir, 'tickets.json');
    const bytes = readIfThere(this.#file);
    if (bytes === undefined) return;
    const kept: unknown = JSON.parse(bytes.toString('utf8'));
    if (Array.isArray(kept))
      this.#tickets = parseUnbound(kept, 'tickets').map((ticket) => ({ ...ticket, surroundings: UNKNOWN }));
    else ({ tickets: this.#tickets, asked: this.#asked } = parseFile(kept, 'tickets'));
  }

  /** A ticket is about to be asked for. @param until ms UTC: no answer can be of use later */
  asked(id: string, surroundings: string, until: number, nowMs: number): void {
    const others = this.#asked.filter((asked) => asked.until > nowMs && asked.id !== id).slice(1 - KEPT_MAX);
    this.#write(this.#tickets, [...others, { id, surroundings, until }]);
  }

  /** Keeps a granted answer for later. The same id again changes nothing. @returns `used` when it was used already */
  keep(approval: Approval, signed: string, nowMs: number): 'kept' | 'used' {
    const known = this.#tickets.find((ticket) => ticket.approval.id === approval.id);
    if (known !== undefined) return known.used ? 'used' : 'kept';
    const surroundings = this.#asked.find(({ id }) => id === approval.id)?.surroundings ?? UNKNOWN;
    // Used ones stay until they expire, so that a repeated answer cannot bring one back.
    this.#write(
      [
        ...this.#tickets.filter((ticket) => ticket.approval.expiresAt > nowMs),
        { approval, signed, used: false, surroundings },
      ],
      this.#asked.filter(({ id }) => id !== approval.id),
    );
    return 'kept';
  }

  /** Uses up the ticket for exactly this statement in such a session, if there is one. Its use is on the disk when this returns. */
  consume(
    use: TicketUse,
    isRevoked: (approvalId: string) => boolean,
  ): { readonly approval: Approval; readonly signed: string } | undefined {
    const found = this.#tickets.find(
      ({ approval, used, surroundings }) =>
        !used &&
        surroundings === use.surroundings &&
        surroundings !== UNKNOWN &&
        approval.granted &&
        approval.digest === use.digest &&
        approval.principalId === use.principalId &&
        approval.resourceId === use.resourceId &&
        approval.expiresAt > use.nowMs &&
        !isRevoked(approval.id),
    );
    if (found === undefined) return undefined;
    this.#write(
      this.#tickets.map((ticket) => (ticket === found ? { ...ticket, used: true } : ticket)),
      this.#asked,
    );
    return found;
  }

  #write(tickets: readonly Ticket[], asked: readonly Asked[]): void {
    writeWhole(this.#file, JSON.stringify({ tickets, asked }));
    this.#tickets = tickets;
    this.#asked = asked;
  }
}
