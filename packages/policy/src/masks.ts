/**
 * The masks of a set of policies as one set: every column once, with the strictest method anyone asked for.
 * Refuses to apply any; a set is one object for as long as the bundle lives, so that plans can hang on it in a WeakMap.
 */
import {
  type ColumnMask,
  type DetectMask,
  type HeaderMask,
  type JsonMask,
  type KubernetesMask,
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
  const json = new Map<string, JsonMask>();
  const headers = new Map<string, HeaderMask>();
  const kubernetes = new Map<string, KubernetesMask>();
  for (const mask of masks) {
    for (const name of mask.columns ?? []) {
      const [schema = '', table = '', column = ''] = name.split('.');
      columns.set(name, { schema, table, column, with: stricter(columns.get(name)?.with, mask.with) });
    }
    for (const name of mask.detect ?? [])
      detect.set(name, { detect: name, with: stricter(detect.get(name)?.with, mask.with) });
    for (const path of mask.json ?? []) json.set(path, { path, with: stricter(json.get(path)?.with, mask.with) });
    for (const header of mask.headers ?? [])
      headers.set(header, { header, with: stricter(headers.get(header)?.with, mask.with) });
    for (const place of mask.kubernetes ?? [])
      kubernetes.set(place, { place, with: stricter(kubernetes.get(place)?.with, mask.with) });
  }
  return Object.freeze({
    columns: listed(columns),
    detect: listed(detect),
    ...(json.size === 0 ? {} : { json: listed(json) }),
    ...(headers.size === 0 ? {} : { headers: listed(headers) }),
    ...(kubernetes.size === 0 ? {} : { kubernetes: listed(kubernetes) }),
  });
}

const listed = <T>(map: ReadonlyMap<string, T>): readonly T[] => Object.freeze([...map.values()]);

const stricter = (a: MaskMethod | undefined, b: MaskMethod): MaskMethod =>
  a !== undefined && STRICTNESS.indexOf(a) > STRICTNESS.indexOf(b) ? a : b;
