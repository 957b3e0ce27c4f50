/**
 * The payload of `statement.judged`, of which the one before is kept: clients ask the same again and again, and then nothing of
 * it is written but its number, which stands first. Refuses to compare what is seldom there: parameters, approvals, held work.
 */
import type { Buffer } from 'node:buffer';
import type { TrailEvent } from '@sallyport/model';
import { FieldWriter } from './fields.ts';
import { writeEventPayload } from './payload-encode.ts';

type Judged = TrailEvent & { readonly kind: 'statement.judged' };

export class JudgedPayload {
  readonly #out = new FieldWriter();
  #last: Judged | undefined;

  /** Valid until the next. @throws GatewayError `trail.broken` for a number out of range */
  of(event: Judged): Buffer {
    const last = this.#last;
    if (last === undefined || !isAlike(event, last) || !this.#out.renumber(last.number, event.number)) {
      this.#last = undefined;
      this.#out.reset();
      writeEventPayload(this.#out, event);
    }
    this.#last = event;
    return this.#out.view;
  }
}

/** All but the number. Lists are nobody's to change, so the same one says the same. */
const isAlike = (one: Judged, other: Judged): boolean =>
  one.digest === other.digest &&
  one.text === other.text &&
  one.verdict === other.verdict &&
  one.rule === other.rule &&
  one.code === other.code &&
  one.effects === other.effects &&
  one.reached === other.reached &&
  one.shadow === other.shadow &&
  one.preparation === other.preparation &&
  one.untilCommit === other.untilCommit &&
  isBare(one) &&
  isBare(other);

const isBare = ({ parameters, approvalId, work }: Judged): boolean =>
  parameters.length === 0 && approvalId === '' && work === undefined;
