/**
 * What the server says beside its rows (errors, notices, notifications, settings) as the client may see it: with what masks
 * hide taken out, and on the record. Refuses a setting that moved though what is judged rests on it.
 * PostgreSQL protocol, "Asynchronous Operations".
 */
import { GatewayError } from '@sallyport/core';
import type { Entry } from '../flight.ts';
import { hideFields, type Nearness, quotesAnotherRow, quotesNothing, raisedWithin } from '../mask.ts';
import { encodeFields, type Fields, notification, parseFields, parseNotification, parseStatus } from '../messages.ts';
import { noteFields } from '../record.ts';
import type { Road } from '../road.ts';

/** Passed on untouched, left out, or replaced. */
export type Fate = 'keep' | 'drop' | Buffer;

export class Shown {
  readonly #road: Road;

  constructor(road: Road) {
    this.#road = road;
  }

  notice(bytes: Buffer, at: number, end: number): Fate {
    const { signed, host, flight } = this.#road;
    const first = flight.first;
    if (first?.own !== undefined) return 'drop';
    const masks = signed.masks().columns.length > 0;
    const hides = masks || signed.masks().detect.length > 0 || first?.tally?.guard.quotes === true;
    if (!hides && host.recorder.level === 'statements') return 'keep';
    const given = parseFields(bytes, at, end);
    const touches = first?.tally?.guard.quotes ?? masks;
    const fields = this.hidden(
      given,
      touches || (masks && (quotesAtEnd(given, first) || raisedWithin(given))) ? 'read' : 'clear',
    );
    noteFields(host.recorder, first?.tally?.number ?? 0, 'notice', fields);
    return hides ? encodeFields('N', fields) : 'keep';
  }

  parameterStatus(bytes: Buffer, at: number, end: number): Fate {
    const [name, value] = parseStatus(bytes, at, end);
    const moved =
      (name === 'client_encoding' && value !== 'UTF8') ||
      (name === 'standard_conforming_strings' && value !== 'on') ||
      (name === 'default_transaction_read_only' && value !== 'on' && this.#road.signed.readOnly) ||
      (name === 'session_authorization' && value !== this.#road.account);
    // What judging rests on has changed by a way nobody knew: a function, a trigger, another's ALTER.
    if (moved) throw new GatewayError('upstream.protocol', { why: 'a pinned setting changed', setting: name });
    this.#road.meaning.told(name, value);
    // 13 says it again at DISCARD ALL; the client knows itself by another name.
    return name === 'session_authorization' ? 'drop' : 'keep';
  }

  notification(bytes: Buffer, at: number, end: number): Fate {
    const { signed } = this.#road;
    if (signed.masks().detect.length === 0) return 'keep';
    const { processId, channel, payload } = parseNotification(bytes, at, end);
    return notification(processId, channel, signed.hide(payload));
  }

  /** Fields of an error or a notice as the client may see them. */
  hidden(fields: Fields, near: Nearness): Fields {
    return hideFields(fields, (text) => this.#road.signed.hide(text), near);
  }

  #nearness(fields: Fields, from: Entry | undefined): Nearness {
    const { signed, catalog } = this.#road;
    const masks = signed.masks().columns.length > 0;
    if (from?.tally?.guard.quotes === true) return 'read';
    if (masks && (quotesAnotherRow(fields, catalog.reach) || quotesAtEnd(fields, from) || raisedWithin(fields)))
      return 'read';
    return from?.tally === undefined && from?.kind !== 'query' && masks ? 'named' : 'clear';
  }

  /** An ErrorResponse, ours or the server's. @param from what it answers */
  error(fields: Fields, from: Entry | undefined): Buffer {
    const { host } = this.#road;
    const ours = from?.refusal !== undefined;
    const out = ours ? fields : this.hidden(fields, this.#nearness(fields, from));
    if (from?.tally !== undefined) noteFields(host.recorder, from.tally.number, 'error', out);
    return encodeFields('E', out);
  }
}

/** The end of a transaction reads what is left of a cursor WITH HOLD: its words may be about any table. */
const quotesAtEnd = (fields: Fields, from: Entry | undefined): boolean =>
  !quotesNothing(fields) &&
  (from === undefined || from.tally?.facts?.statements.some(({ transaction }) => transaction === 'commit') === true);
