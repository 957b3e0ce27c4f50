/**
 * What the operators of a parameter make of its text: `${a:1:2}`, `${a#b}`, `${a/b/c}`, `${a^^}`. Bash manual "Shell Parameter
 * Expansion". Refuses to match patterns: they are taken literally.
 */

/** A guess for the operators that cut and replace. */
export function transformed(text: string, operator: string, operand: string): string {
  if (operator === ':') {
    const [offset = '0', length] = operand.split(':').map((piece) => piece.trim());
    const from = Number(offset);
    const count = length === undefined ? undefined : Number(length);
    if (!Number.isInteger(from) || (count !== undefined && !Number.isInteger(count))) return text;
    const start = from < 0 ? Math.max(0, text.length + from) : from;
    return text.slice(start, count === undefined ? undefined : count < 0 ? text.length + count : start + count);
  }
  if (operator === '^^') return text.toUpperCase();
  if (operator === ',,') return text.toLowerCase();
  if (operator === '^') return text.slice(0, 1).toUpperCase() + text.slice(1);
  if (operator === ',') return text.slice(0, 1).toLowerCase() + text.slice(1);
  if (operator.startsWith('#')) return text.startsWith(operand) ? text.slice(operand.length) : text;
  if (operator.startsWith('%')) return operand !== '' && text.endsWith(operand) ? text.slice(0, -operand.length) : text;
  if (operator.startsWith('/')) {
    const [from = '', to = ''] = operand.split('/');
    return operator === '//' ? text.replaceAll(from === '' ? '\0' : from, to) : text.replace(from, to);
  }
  return text;
}
