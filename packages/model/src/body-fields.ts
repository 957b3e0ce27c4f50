/**
 * A document as the flat list of its values that rules read, one path each. The same for a JSON body, a Kubernetes object and
 * the arguments of a tool, so that a rule learns one way of writing a path.
 * Refuses what is deeper or longer than LIMITS.bodyDepthMax and LIMITS.bodyFieldsMax: half a document is a wrong answer.
 */
import { LIMITS } from '@sallyport/core';
import type { BodyField } from './http-statement.ts';

/** A plain word stands as it is in a path. */
const WORD = /^[A-Za-z_$][A-Za-z0-9_$-]*$/;
const DECIMAL = /^\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*$/;

/** A key as it stands in a path, without the dot before it. */
export const pathKey = (key: string): string => (WORD.test(key) ? key : JSON.stringify(key));

/** What `number` is of a value: a server may read a text as a number, so a rule does. */
export const fieldNumber = (text: string): number => {
  if (text.length > 64 || !DECIMAL.test(text)) return 0;
  const number = Number(text);
  return Number.isFinite(number) ? number : 0;
};

/** @param value as JSON.parse gives it @returns undefined when it is deeper or has more values than may be read */
export function fieldsOf(value: unknown): readonly BodyField[] | undefined {
  const fields: BodyField[] = [];
  return collect(value, '', 0, fields) ? fields : undefined;
}

function collect(value: unknown, path: string, depth: number, into: BodyField[]): boolean {
  if (depth > LIMITS.bodyDepthMax || into.length >= LIMITS.bodyFieldsMax) return false;
  if (typeof value === 'object' && value !== null) {
    const entries: readonly (readonly [string, unknown])[] = Array.isArray(value)
      ? value.map((each, at) => [`${path}[${at}]`, each] as const)
      : Object.entries(value).map(([key, each]) => [path === '' ? pathKey(key) : `${path}.${pathKey(key)}`, each]);
    if (entries.length === 0)
      into.push({ path, value: '', number: 0, kind: Array.isArray(value) ? 'array' : 'object' });
    return entries.every(([at, each]) => collect(each, at, depth + 1, into));
  }
  into.push(leaf(value, path));
  return true;
}

function leaf(value: unknown, path: string): BodyField {
  switch (typeof value) {
    case 'string':
      return { path, value, number: fieldNumber(value), kind: 'string' };
    case 'number':
    case 'bigint':
      return { path, value: String(value), number: Number(value), kind: 'number' };
    case 'boolean':
      return { path, value: String(value), number: 0, kind: 'bool' };
    default:
      return { path, value: '', number: 0, kind: 'null' };
  }
}
