/**
 * Lists as SCIM has them (RFC 7644 §3.4.2): filter, sort, startIndex and count; and which attributes an answer carries
 * (§3.9). Refuses to know tables beyond their columns' names.
 */
import { LIMITS } from '@sallyport/core';
import { z } from 'zod';
import { isRecord } from './document.ts';
import { parseFilter, parsePath } from './filter.ts';
import { type Columns, sortColumn, whereOf } from './filter-where.ts';
import type { Window } from './scim.repository.ts';
import { ScimError } from './scim-error.ts';

const COUNT_DEFAULT = 100;
const LIST = 'urn:ietf:params:scim:api:messages:2.0:ListResponse';

const Names = z.union([z.string().max(4_000), z.array(z.string().max(200)).max(100)]).optional();
/** Of a query string, and of `.search` alike. */
export const ListQuery = z.object({
  filter: z.string().optional(),
  startIndex: z.coerce.number().int().optional(),
  count: z.coerce.number().int().optional(),
  sortBy: z.string().max(200).optional(),
  sortOrder: z.enum(['ascending', 'descending']).optional(),
  attributes: Names,
  excludedAttributes: Names,
});
export type ListQuery = z.infer<typeof ListQuery>;

/** @throws ScimError for a filter or a sort that is not understood */
export function windowOf(query: ListQuery, table: Columns): Window & { readonly startIndex: number } {
  // What is too small means the smallest (§3.4.2.4).
  const startIndex = Math.max(1, query.startIndex ?? 1);
  const take = Math.min(Math.max(0, query.count ?? COUNT_DEFAULT), LIMITS.pageSizeMax);
  const by = query.sortBy === undefined ? undefined : sortColumn(parsePath(query.sortBy), table);
  if (query.sortBy !== undefined && by === undefined)
    throw new ScimError('invalidPath', 'sortBy names an attribute that cannot be sorted by.');
  return {
    where: query.filter === undefined || query.filter === '' ? {} : whereOf(parseFilter(query.filter), table),
    orderBy: [{ [by ?? 'createdAt']: query.sortOrder === 'descending' ? 'desc' : 'asc' }],
    skip: startIndex - 1,
    take,
    startIndex,
  };
}

export const listOf = (resources: readonly object[], total: number, startIndex: number): object => ({
  schemas: [LIST],
  totalResults: total,
  startIndex,
  itemsPerPage: resources.length,
  Resources: resources,
});

type Chosen = Pick<ListQuery, 'attributes' | 'excludedAttributes'>;
const namesOf = (given: ListQuery['attributes']): ReadonlySet<string> | undefined => {
  const list = typeof given === 'string' ? given.split(',') : given;
  const names = list?.map((name) => name.trim().toLowerCase()).filter((name) => name !== '');
  return names === undefined || names.length === 0 ? undefined : new Set(names);
};
const ALWAYS = new Set(['schemas', 'id']);

/** Whether an answer carries the attribute: to spare reading what nobody asked for. */
export function isAsked(chosen: Chosen, name: string): boolean {
  const wanted = namesOf(chosen.attributes);
  if (wanted !== undefined) return [...wanted].some((one) => headOf(one) === name.toLowerCase());
  return namesOf(chosen.excludedAttributes)?.has(name.toLowerCase()) !== true;
}

/** First part of a path: `name` of `name.givenName`; a schema's URN stays whole. */
const headOf = (path: string): string => {
  if (!path.startsWith('urn:')) return path.split('.')[0]!;
  const core = /^urn:ietf:params:scim:schemas:core:2\.0:(?:user|group):(.+)$/.exec(path)?.[1];
  return core === undefined ? path.replace(/^(urn:.*:2\.0:user)(?::.*)?$/, '$1') : core.split('.')[0]!;
};

/** Leaves out what was not asked for; `id` and `schemas` always stay. Whole attributes only. */
export function choose(resource: object, chosen: Chosen): object {
  if (!isRecord(resource)) return resource;
  const shown = Object.entries(resource).filter(([name]) => ALWAYS.has(name) || isAsked(chosen, name));
  return Object.fromEntries(shown);
}
