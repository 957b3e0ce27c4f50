/**
 * Approved tickets that wait to be used: kept on disk, so that one survives a restart and is used once.
 * Refuses to hand out a ticket before its use is on the disk: after a crash it is used up, never usable twice.
 */
import path from 'node:path';
import { listOf, objectOf, parseBoolean, parseString } from '@sallyport/core';
import { type Approval, parseApproval } from '@sallyport/model';
import { readIfThere, writeWhole } from '../files.ts';

const parseTickets = listOf(objectOf({ approval: parseApproval, signed: parseString, used: parseBoolean }), 10_000);
type Ticket = ReturnType<typeof parseTickets>[number];

export interface TicketUse {
  readonly digest: string;
  readonly principalId: string;
  readonly resourceId: string;
  readonly nowMs: number;
}

export class Tickets {
  readonly #file: string;
  #tickets: readonly Ticket[];

  /** @throws ParseError when the file is damaged: a ticket that cannot be read must not be guessed */
  constructor(dataDir: string) {
    this.#file = path.join(dataDir, 'tickets.json');
    const bytes = readIfThere(this.#file);
    this.#tickets = bytes === undefined ? [] : parseTickets(JSON.parse(bytes.toString('utf8')), 'tickets');
  }

  /** Keeps a granted answer for later. The same id again changes nothing. @returns `used` when it was used already */
  keep(approval: Approval, signed: string, nowMs: number): 'kept' | 'used' {
    const known = this.#tickets.find((ticket) => ticket.approval.id === approval.id);
    if (known !== undefined) return known.used ? 'used' : 'kept';
    // Used ones stay until they expire, so that a repeated answer cannot bring one back.
    this.#write([
      ...this.#tickets.filter((ticket) => ticket.approval.expiresAt > nowMs),
      { approval, signed, used: false },
    ]);
    return 'kept';
  }

  /** Uses up the ticket for exactly this statement, if there is one. Its use is on the disk when this returns. */
  consume(use: TicketUse): { readonly approval: Approval; readonly signed: string } | undefined {
    const found = this.#tickets.find(
      ({ approval, used }) =>
        !used &&
        approval.granted &&
        approval.digest === use.digest &&
        approval.principalId === use.principalId &&
        approval.resourceId === use.resourceId &&
        approval.expiresAt > use.nowMs,
    );
    if (found === undefined) return undefined;
    this.#write(this.#tickets.map((ticket) => (ticket === found ? { ...ticket, used: true } : ticket)));
    return found;
  }

  #write(tickets: readonly Ticket[]): void {
    writeWhole(this.#file, JSON.stringify(tickets));
    this.#tickets = tickets;
  }
}
