/**
 * SCIM PATCH (RFC 7644 §3.5.2) on a document: operations in any case, with and without paths, as Okta and Entra ID send
 * them. All of them or none. Refuses paths that are not in the table of attributes, and to change what is read-only. Pure.
 */
import { LIMITS } from '@sallyport/core';
import { type Attribute, attributeNamed, OWN, type ResourceSchema } from './attributes.ts';
import { type Document, type Draft, isRecord, readValue, requireWhole, tidy } from './document.ts';
import { type Filter, fits, type PatchPath, parsePath } from './filter.ts';
import { ScimError } from './scim-error.ts';

type Verb = 'add' | 'remove' | 'replace';
interface Operation {
  readonly verb: Verb;
  readonly path: string | undefined;
  readonly value: unknown;
}

/** What a path means here; undefined = an attribute of the RFC that is not kept. */
interface Target {
  /** Key of the extension's object, or undefined for the resource's own attributes. */
  readonly extension?: string;
  readonly attribute: Attribute;
  readonly sub?: Attribute;
  readonly filter?: Filter;
}

/** @throws ScimError `invalidSyntax` */
export function readOperations(body: unknown): readonly Operation[] {
  const list = isRecord(body) ? Object.entries(body).find(([name]) => name.toLowerCase() === 'operations')?.[1] : null;
  if (!Array.isArray(list) || list.length === 0)
    throw new ScimError('invalidSyntax', 'Operations is expected: a list that is not empty.');
  if (list.length > LIMITS.scimPatchOperationsMax)
    throw new ScimError('tooMany', `There are more than ${LIMITS.scimPatchOperationsMax} operations.`);
  return list.map((one: unknown) => {
    const op = isRecord(one) ? one['op'] : undefined;
    const verb = typeof op === 'string' ? op.toLowerCase() : '';
    if (!isRecord(one) || (verb !== 'add' && verb !== 'remove' && verb !== 'replace'))
      throw new ScimError('invalidSyntax', 'op is add, remove or replace.');
    const path = one['path'];
    if (path !== undefined && path !== null && typeof path !== 'string')
      throw new ScimError('invalidPath', 'path is a text.');
    return { verb, path: path === '' ? undefined : (path ?? undefined), value: one['value'] };
  });
}

/** @returns the document after all operations @throws ScimError, and then nothing has changed */
export function applyPatch(schema: ResourceSchema, document: Document, operations: readonly Operation[]): Document {
  const draft = structuredClone(document) as Draft;
  for (const { verb, path, value } of operations) {
    if (path !== undefined) applyAt(draft, verb, targetOf(schema, path), value);
    else if (verb === 'remove') throw new ScimError('noTarget', 'remove needs a path.');
    else for (const [at, one] of pairsOf(schema, value)) applyAt(draft, verb, targetOf(schema, at, true), one);
  }
  return requireWhole(schema, draft);
}

/** A value without a path: each of its attributes is one. Names may be dotted, or begin with a schema (Entra ID). */
function pairsOf(schema: ResourceSchema, value: unknown): readonly (readonly [string, unknown])[] {
  if (!isRecord(value)) throw new ScimError('invalidValue', 'Without a path the value is an object of attributes.');
  return Object.entries(value).flatMap(([name, one]): (readonly [string, unknown])[] => {
    if (OWN.has(name)) return [];
    const isExtension = name.toLowerCase() === schema.extension?.id.toLowerCase();
    if (!isExtension) return [[name, one]];
    if (!isRecord(one)) throw new ScimError('invalidValue', 'An extension is an object.');
    return Object.entries(one).map(([inner, given]) => [`${schema.extension?.id}:${inner}`, given] as const);
  });
}

/** @param lenient unknown attributes are left out, as in a body of PUT */
function targetOf(schema: ResourceSchema, text: string, lenient = false): Target | undefined {
  const path: PatchPath = parsePath(text);
  const isExtension = path.schema !== undefined && path.schema === schema.extension?.id.toLowerCase();
  if (path.schema !== undefined && !isExtension && path.schema !== schema.id.toLowerCase()) {
    if (lenient) return undefined;
    throw new ScimError('invalidPath', 'The path names a schema that is not kept here.');
  }
  const attributes = isExtension ? schema.extension?.attributes : schema.attributes;
  const attribute = attributeNamed(attributes, path.attribute);
  if (attribute === undefined) {
    if (lenient || schema.unkept.has(path.attribute)) return undefined;
    if (OWN.has(path.attribute)) throw new ScimError('mutability', 'The path names what nobody may change.');
    throw new ScimError('invalidPath', 'The path names an attribute that is not known.');
  }
  const sub = path.sub === undefined ? undefined : attributeNamed(attribute.sub, path.sub);
  if (path.sub !== undefined && sub === undefined) {
    if (attribute.type === 'complex' && (lenient || path.sub.startsWith('$'))) return undefined;
    throw new ScimError('invalidPath', 'The path names an attribute that is not known.');
  }
  if (path.filter !== undefined && attribute.isMany !== true)
    throw new ScimError('invalidPath', 'A filter stands behind a list alone.');
  return {
    ...(isExtension ? { extension: schema.extension!.id } : {}),
    attribute,
    ...(sub === undefined ? {} : { sub }),
    ...(path.filter === undefined ? {} : { filter: path.filter }),
  };
}

function applyAt(draft: Draft, verb: Verb, target: Target | undefined, value: unknown): void {
  if (target === undefined) return;
  const { attribute, extension } = target;
  if (attribute.isReadOnly === true || target.sub?.isReadOnly === true)
    throw new ScimError('mutability', `${attribute.name} is not changed here.`);
  const holder: Draft = extension === undefined ? draft : { ...(draft[extension] as Draft | undefined) };
  const after =
    attribute.isMany === true
      ? changedList(target, verb, (holder[attribute.name] ?? []) as readonly Document[], value)
      : changedOne(target, verb, holder[attribute.name], value);
  const isEmpty = after === undefined || (Array.isArray(after) && after.length === 0);
  if (isEmpty) delete holder[attribute.name];
  else holder[attribute.name] = after;
  if (extension === undefined) return;
  if (Object.keys(holder).length === 0) delete draft[extension];
  else draft[extension] = holder;
}

/** `object` with one of its attributes set, or taken away. */
function withSub(object: Document | undefined, sub: Attribute, value: unknown): Document | undefined {
  const { [sub.name]: _, ...rest } = object ?? {};
  const changed = value === undefined ? rest : { ...rest, [sub.name]: value };
  return Object.keys(changed).length === 0 ? undefined : changed;
}

function changedOne({ attribute, sub }: Target, verb: Verb, before: unknown, value: unknown): unknown {
  if (sub !== undefined)
    return withSub(before as Document | undefined, sub, verb === 'remove' ? undefined : readValue(sub, value));
  if (verb === 'remove') return undefined;
  const read = readValue(attribute, value);
  // Sub-attributes that are not named stay as they are, in replace as in add (§3.5.2.3).
  return isRecord(before) && isRecord(read) ? { ...before, ...read } : read;
}

function changedList(target: Target, verb: Verb, before: readonly Document[], value: unknown): readonly Document[] {
  const { attribute, sub, filter } = target;
  const isMeant = (one: Document): boolean => filter === undefined || fits(filter, one);
  if (sub !== undefined) {
    const read = verb === 'remove' ? undefined : readValue(sub, value);
    const changed = before.map((one) => (isMeant(one) ? withSub(one, sub, read) : one));
    const after = changed.filter((one): one is Document => one !== undefined);
    // Entra ID sets `emails[type eq "work"].value` of somebody who has no such address, and expects to have made one.
    const made = verb === 'remove' || before.some(isMeant) ? undefined : withSub(namedBy(attribute, filter), sub, read);
    return tidy(made === undefined ? after : [...after, made]);
  }
  if (verb === 'remove') {
    // Entra ID names the members to remove in the value.
    const given = value === undefined || value === null ? undefined : (readValue(attribute, value) ?? []);
    if (given === undefined) return before.filter((one) => !isMeant(one));
    const gone = new Set((given as readonly Document[]).map((one) => String(one['value']).toLowerCase()));
    return before.filter((one) => !(isMeant(one) && gone.has(String(one['value']).toLowerCase())));
  }
  if (filter !== undefined) {
    const read = ((readValue(attribute, value) ?? []) as readonly Document[])[0] ?? {};
    if (!before.some(isMeant)) return tidy([...before, { ...namedBy(attribute, filter), ...read }]);
    return tidy(before.map((one) => (isMeant(one) ? { ...one, ...read } : one)));
  }
  const read = (readValue(attribute, value) ?? []) as readonly Document[];
  return tidy(verb === 'add' ? [...before, ...read] : read);
}

/** What a filter like `type eq "work" and primary eq true` says of a value that is to be made. @throws ScimError `noTarget` */
function namedBy(attribute: Attribute, filter: Filter | undefined): Document {
  if (filter === undefined) return {};
  if (filter.kind === 'and')
    return Object.assign({}, ...filter.terms.map((term) => namedBy(attribute, term))) as Document;
  const sub =
    filter.kind === 'compare' && filter.operator === 'eq'
      ? attributeNamed(attribute.sub, filter.path.attribute)
      : undefined;
  if (filter.kind !== 'compare' || sub === undefined || filter.path.sub !== undefined)
    throw new ScimError('noTarget', 'No value fits the path’s filter.');
  return { [sub.name]: readValue(sub, filter.value) };
}
