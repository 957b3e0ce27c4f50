/**
 * A resource as SCIM's JSON, made regular: known attributes alone, spelt as the table spells them, of the right type.
 * Identity providers send booleans as text, one value where a list is meant, and case as they please: that is forgiven.
 * Refuses what would change its meaning by being guessed. Pure.
 */
import { LIMITS } from '@sallyport/core';
import { type Attribute, attributeNamed, OWN, type ResourceSchema } from './attributes.ts';
import { ScimError } from './scim-error.ts';

export type Document = Readonly<Record<string, unknown>>;
export type Draft = Record<string, unknown>;

export const isRecord = (value: unknown): value is Document =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
/** What clients send to say that there is nothing. */
const isNothing = (value: unknown): boolean => value === null || value === undefined || value === '';

/** One value of an attribute, made regular; undefined = nothing. @throws ScimError `invalidValue` */
function readOne(attribute: Attribute, value: unknown): unknown {
  if (isNothing(value)) return undefined;
  switch (attribute.type) {
    case 'boolean': {
      const word = typeof value === 'string' ? value.toLowerCase() : value;
      if (word === true || word === 'true') return true;
      if (word === false || word === 'false') return false;
      throw new ScimError('invalidValue', `${attribute.name} is true or false.`);
    }
    case 'string': {
      if (typeof value !== 'string' && typeof value !== 'number')
        throw new ScimError('invalidValue', `${attribute.name} is a text.`);
      const text = String(value);
      if (text.length > LIMITS.scimTextCharsMax)
        throw new ScimError('invalidValue', `${attribute.name} is longer than ${LIMITS.scimTextCharsMax} characters.`);
      return text;
    }
    case 'complex':
      return readComplex(attribute, value);
    default:
      return attribute.type satisfies never;
  }
}

function readComplex(attribute: Attribute, value: unknown): Document | undefined {
  // Entra ID sends a manager as a bare id, or in a list of one.
  const whole = Array.isArray(value) && attribute.isMany !== true && value.length === 1 ? (value[0] as unknown) : value;
  if (typeof whole === 'string' && attributeNamed(attribute.sub, 'value') !== undefined) return { value: whole };
  if (!isRecord(whole)) throw new ScimError('invalidValue', `${attribute.name} is an object.`);
  const read: Draft = {};
  for (const [name, given] of Object.entries(whole)) {
    const sub = attributeNamed(attribute.sub, name);
    const one = sub === undefined ? undefined : readOne(sub, given);
    if (sub !== undefined && one !== undefined) read[sub.name] = one;
  }
  return Object.keys(read).length === 0 ? undefined : read;
}

/** What tells two values of a list apart. */
const keyOf = (value: Document): string => JSON.stringify([value['value'] ?? '', value['type'] ?? '']).toLowerCase();

/** Each value once, the later one wins; at most one of them is primary, the last that says so. */
export function tidy(values: readonly Document[]): readonly Document[] {
  const byKey = new Map<string, Document>();
  for (const value of values) byKey.set(keyOf(value), value);
  if (byKey.size > LIMITS.scimValuesMax)
    throw new ScimError('tooMany', `A list has more than ${LIMITS.scimValuesMax} values.`);
  const list = [...byKey.values()];
  const primary = list.findLastIndex((value) => value['primary'] === true);
  return list.map((value, at) => (value['primary'] === true && at !== primary ? { ...value, primary: false } : value));
}

/** The value of an attribute, made regular; undefined = nothing. @throws ScimError `invalidValue` */
export function readValue(attribute: Attribute, value: unknown): unknown {
  if (attribute.isMany !== true) return readOne(attribute, value);
  if (isNothing(value)) return undefined;
  const list = Array.isArray(value) ? (value as unknown[]) : [value];
  if (list.length > LIMITS.scimValuesMax)
    throw new ScimError('tooMany', `${attribute.name} has more than ${LIMITS.scimValuesMax} values.`);
  const read = list.map((one) => readOne(attribute, one)).filter((one): one is Document => one !== undefined);
  return read.length === 0 ? undefined : tidy(read);
}

/** A body of POST or PUT. Unknown attributes are left out, read-only ones too. @throws ScimError */
export function readDocument(schema: ResourceSchema, body: unknown): Document {
  if (!isRecord(body)) throw new ScimError('invalidSyntax', 'An object is expected.');
  const read: Draft = {};
  for (const [name, value] of Object.entries(body)) {
    if (OWN.has(name)) continue;
    if (schema.extension !== undefined && name.toLowerCase() === schema.extension.id.toLowerCase()) {
      const extension = readAttributes(schema.extension.attributes, value);
      if (Object.keys(extension).length > 0) read[schema.extension.id] = extension;
      continue;
    }
    const attribute = attributeNamed(schema.attributes, name);
    if (attribute === undefined || attribute.isReadOnly === true) continue;
    const one = readValue(attribute, value);
    if (one !== undefined) read[attribute.name] = one;
  }
  return requireWhole(schema, read);
}

function readAttributes(attributes: readonly Attribute[], value: unknown): Document {
  if (!isRecord(value)) throw new ScimError('invalidValue', 'An extension is an object.');
  const read: Draft = {};
  for (const [name, given] of Object.entries(value)) {
    const attribute = attributeNamed(attributes, name);
    const one = attribute === undefined ? undefined : readValue(attribute, given);
    if (attribute !== undefined && one !== undefined) read[attribute.name] = one;
  }
  return read;
}

/** @throws ScimError `invalidValue` when something that is needed is missing */
export function requireWhole(schema: ResourceSchema, document: Document): Document {
  for (const { name, isRequired } of schema.attributes)
    if (isRequired === true && (typeof document[name] !== 'string' || document[name].trim() === ''))
      throw new ScimError('invalidValue', `${name} is needed.`);
  return document;
}
