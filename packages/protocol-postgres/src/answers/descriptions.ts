/**
 * Row descriptions and the plans of their masks, each made once: a prepared statement answers alike a thousand times.
 * Refuses to say which columns are masked; mask.ts does. Limits: KEPT_DESCRIPTIONS_MAX of KEPT_DESCRIPTION_BYTES_MAX.
 */
import type { RowMasker } from '@sallyport/mask';
import { isSame } from '../codec.ts';
import { planRows } from '../mask.ts';
import { type FieldDescription, parseRowDescription } from '../messages.ts';
import type { Guard } from '../mirror.ts';

const KEPT_DESCRIPTIONS_MAX = 200;
const KEPT_DESCRIPTION_BYTES_MAX = 4 * 1024;

export class Descriptions {
  readonly #descriptions = new Map<string, readonly FieldDescription[]>();
  #last: { readonly bytes: Buffer; readonly columns: readonly FieldDescription[] } | undefined;
  readonly #plans = new WeakMap<
    readonly FieldDescription[],
    Pick<Guard, 'masks' | 'reach'> & { readonly masker: RowMasker }
  >();

  /** Of a RowDescription: the same bytes are the same object. */
  columns(bytes: Buffer, at: number, end: number): readonly FieldDescription[] {
    if (end - at > KEPT_DESCRIPTION_BYTES_MAX) return parseRowDescription(bytes, at, end);
    if (this.#last !== undefined && isSame(this.#last.bytes, this.#last.bytes.length, bytes, at, end))
      return this.#last.columns;
    const key = bytes.toString('latin1', at, end);
    let columns = this.#descriptions.get(key);
    if (columns === undefined) {
      if (this.#descriptions.size >= KEPT_DESCRIPTIONS_MAX) this.#descriptions.clear();
      columns = parseRowDescription(bytes, at, end);
      this.#descriptions.set(key, columns);
    }
    this.#last = { bytes: Buffer.from(bytes.subarray(at, end)), columns };
    return columns;
  }

  /** What looks into rows of these columns. */
  plan(columns: readonly FieldDescription[], guard: Guard): RowMasker {
    const known = this.#plans.get(columns);
    if (known !== undefined && known.masks === guard.masks && known.reach === guard.reach) return known.masker;
    const masker = planRows(columns, guard);
    this.#plans.set(columns, { masks: guard.masks, reach: guard.reach, masker });
    return masker;
  }
}
