/**
 * JSON with one spelling: keys in code-unit order, no spaces, undefined members left out. A chunk is named by the digest
 * of its bytes, so equal content must give equal bytes on every replica. Refuses numbers that are not whole.
 */

/** @throws TypeError for a value JSON cannot carry exactly (functions, symbols, fractions, NaN) */
export function canonicalJson(value: unknown): string {
  if (value === null || typeof value === 'boolean' || typeof value === 'string') return JSON.stringify(value);
  if (typeof value === 'number') {
    if (!Number.isSafeInteger(value)) throw new TypeError('only whole numbers have one spelling');
    return String(value);
  }
  if (Array.isArray(value))
    return `[${value.map((entry) => canonicalJson(entry === undefined ? null : entry)).join(',')}]`;
  if (typeof value !== 'object') throw new TypeError(`a ${typeof value} has no JSON form`);
  // A loop without lists of pairs: a project of 20,000 grants is written here grant by grant.
  const record = value as Readonly<Record<string, unknown>>;
  let members = '';
  for (const key of Object.keys(record).sort()) {
    const entry = record[key];
    if (entry === undefined) continue;
    members += `${members === '' ? '' : ','}${JSON.stringify(key)}:${canonicalJson(entry)}`;
  }
  return `{${members}}`;
}
