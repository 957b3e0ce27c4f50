/** The difference of two documents as lines for people: `- field: old`, `+ field: new`. Pure. */
const flat = (value: unknown, path: string, out: Map<string, string>): Map<string, string> => {
  if (value === null || value === undefined) return out;
  if (typeof value === 'object' && !Array.isArray(value)) {
    for (const [key, inner] of Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)))
      flat(inner, path === '' ? key : `${path}.${key}`, out);
    return out;
  }
  return out.set(path, typeof value === 'string' && !value.includes('\n') ? value : JSON.stringify(value));
};

/** Empty when they say the same. Undefined stands for "not there". */
export function diffOf(before: object | undefined, after: object | undefined): readonly string[] {
  const old = flat(before ?? {}, '', new Map());
  const now = flat(after ?? {}, '', new Map());
  const lines: string[] = [];
  for (const key of [...new Set([...old.keys(), ...now.keys()])].sort()) {
    if (old.get(key) === now.get(key)) continue;
    if (old.has(key)) lines.push(`- ${key}: ${old.get(key)}`);
    if (now.has(key)) lines.push(`+ ${key}: ${now.get(key)}`);
  }
  return lines;
}

/** Changed lines of a text, in order, with what is alike left out. */
export function textDiff(before: string, after: string): readonly string[] {
  if (before === after) return [];
  const a = before.split('\n');
  const b = after.split('\n');
  // Longest common subsequence; documents are a few hundred lines.
  const table = Array.from({ length: a.length + 1 }, () => new Uint16Array(b.length + 1));
  for (let i = a.length - 1; i >= 0; i--)
    for (let j = b.length - 1; j >= 0; j--)
      table[i]![j] = a[i] === b[j] ? table[i + 1]![j + 1]! + 1 : Math.max(table[i + 1]![j]!, table[i]![j + 1]!);
  const lines: string[] = [];
  let i = 0;
  let j = 0;
  while (i < a.length || j < b.length) {
    if (i < a.length && j < b.length && a[i] === b[j]) {
      i++;
      j++;
    } else if (j >= b.length || (i < a.length && table[i + 1]![j]! >= table[i]![j + 1]!)) lines.push(`- ${a[i++]}`);
    else lines.push(`+ ${b[j++]}`);
  }
  return lines;
}
