/** The lines by which two texts differ, for people. Pure. Quadratic in the number of lines: callers bound it. */

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
