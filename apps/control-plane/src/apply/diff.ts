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
