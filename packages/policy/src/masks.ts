/**
 * The masks of a set of policies as one set: every column once, with the strictest method anyone asked for.
 * Refuses to apply any; a set is one object for as long as the bundle lives, so that plans can hang on it in a WeakMap.
 */
import {
  type ColumnMask,
  type DetectMask,
  type Mask,
  type MaskMethod,
  type MaskSet,
  NO_MASKS,
  type Policy,
} from '@sallyport/model';

/** Later is stricter: on a conflict over one column the stricter method stays. */
const STRICTNESS: readonly MaskMethod[] = ['partial', 'hash', 'redact', 'null'];

export class MaskSets {
  readonly #sets = new Map<string, MaskSet>();

  /** The same object for the same policies. */
  of(policies: readonly Policy[]): MaskSet {
    const masking = policies.filter((policy) => policy.mode === 'enforce' && policy.masks.length > 0);
    if (masking.length === 0) return NO_MASKS;
    const key = masking
      .map((policy) => policy.id)
      .sort()
      .join('\0');
    const known = this.#sets.get(key);
    if (known !== undefined) return known;
    const set = union(masking.flatMap((policy) => policy.masks));
    this.#sets.set(key, set);
    return set;
  }
}

function union(masks: readonly Mask[]): MaskSet {
  const columns = new Map<string, ColumnMask>();
  const detect = new Map<string, DetectMask>();
  for (const mask of masks) {
    for (const name of mask.columns ?? []) {
      const [schema = '', table = '', column = ''] = name.split('.');
      columns.set(name, { schema, table, column, with: stricter(columns.get(name)?.with, mask.with) });
    }
    for (const name of mask.detect ?? [])
      detect.set(name, { detect: name, with: stricter(detect.get(name)?.with, mask.with) });
  }
  return Object.freeze({ columns: Object.freeze([...columns.values()]), detect: Object.freeze([...detect.values()]) });
}

const stricter = (a: MaskMethod | undefined, b: MaskMethod): MaskMethod =>
  a !== undefined && STRICTNESS.indexOf(a) > STRICTNESS.indexOf(b) ? a : b;
