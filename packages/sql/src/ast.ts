/**
 * Reading the parser's JSON tree: a node is an object with one capitalised key, its type. Zero, false and empty fields are absent.
 * Refuses to guess: a shape or a field nobody listed is a Refusal, and the whole text is then unknown.
 */
import type { UnknownReason } from './reading.ts';

export type Fields = Readonly<Record<string, unknown>>;
export interface Node {
  readonly type: string;
  readonly fields: Fields;
}

/** Thrown inside the extractor only; extractSqlFacts turns it into `{ unknown }`. */
export class Refusal extends Error {
  override readonly name = 'Refusal';
  readonly reason: UnknownReason;
  constructor(reason: UnknownReason, what: string) {
    super(what);
    this.reason = reason;
  }
}

const isObject = (value: unknown): value is Fields =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
const isCapital = (code: number): boolean => code >= 65 && code <= 90;

/** The node in a field, or undefined where the field is absent or an empty list item. @throws Refusal for anything else */
export function nodeOf(value: unknown): Node | undefined {
  if (value === undefined || value === null) return undefined;
  if (!isObject(value)) throw new Refusal('construct', 'a node is expected');
  const keys = Object.keys(value);
  const type = keys[0];
  if (type === undefined) return undefined;
  if (keys.length !== 1 || !isCapital(type.charCodeAt(0)))
    throw new Refusal('construct', `not a node: ${keys.join(',')}`);
  return { type, fields: fieldsOf(value[type]) };
}

/** True for an object that is a node rather than a struct with fields of its own. */
export function isNode(value: unknown): boolean {
  if (!isObject(value)) return false;
  const keys = Object.keys(value);
  return keys.length === 1 && isCapital(keys[0]!.charCodeAt(0));
}

/** A struct's fields; an absent struct has none. */
export function fieldsOf(value: unknown): Fields {
  if (value === undefined || value === null) return {};
  if (!isObject(value)) throw new Refusal('construct', 'a struct is expected');
  return value;
}

export const has = (value: unknown): boolean => value !== undefined && value !== null;

export function listOf(value: unknown): readonly unknown[] {
  if (value === undefined || value === null) return [];
  if (!Array.isArray(value)) throw new Refusal('construct', 'a list is expected');
  return value;
}

/** The nodes of a list, without its empty items. */
export function nodesOf(value: unknown): readonly Node[] {
  const out: Node[] = [];
  for (const item of listOf(value)) {
    const node = nodeOf(item);
    if (node !== undefined) out.push(node);
  }
  return out;
}

/** The texts of a list of String nodes; others are left out. */
export function namesOf(value: unknown): readonly string[] {
  const names: string[] = [];
  for (const node of nodesOf(value)) if (node.type === 'String') names.push(stringOf(node.fields.sval));
  return names;
}

export const stringOf = (value: unknown): string => (typeof value === 'string' ? value : '');

/** @throws Refusal when the struct has a field that is not listed: it may carry an effect nobody looked at */
export function allowOnly(type: string, fields: Fields, allowed: ReadonlySet<string>): void {
  for (const key in fields) if (!allowed.has(key)) throw new Refusal('construct', `${type}.${key}`);
}

/** The value of a constant as text (`undefined` for NULL), or `null` when the node is not a constant. */
export function constantOf(node: Node | undefined): string | undefined | null {
  if (node === undefined) return null;
  const { type, fields } = node;
  if (type === 'TypeCast') return constantOf(nodeOf(fields.arg));
  if (type === 'String') return stringOf(fields.sval);
  if (type === 'Integer') return integerText(fields.ival);
  if (type === 'Float') return stringOf(fields.fval);
  if (type === 'Boolean') return fields.boolval === true ? 'true' : 'false';
  if (type !== 'A_Const') return null;
  if (fields.isnull === true) return undefined;
  if (has(fields.ival)) return integerText(fieldsOf(fields.ival).ival);
  if (has(fields.fval)) return stringOf(fieldsOf(fields.fval).fval);
  if (has(fields.boolval)) return fieldsOf(fields.boolval).boolval === true ? 'true' : 'false';
  if (has(fields.bsval)) return stringOf(fieldsOf(fields.bsval).bsval);
  return stringOf(fieldsOf(fields.sval).sval);
}

/** Zero is absent from the tree. */
const integerText = (value: unknown): string => (typeof value === 'number' ? String(value) : '0');

/** `schema.table`, or `table` where the text gives no schema. */
export function relationName(range: Fields): string {
  const schema = stringOf(range.schemaname);
  return schema === '' ? stringOf(range.relname) : `${schema}.${stringOf(range.relname)}`;
}
