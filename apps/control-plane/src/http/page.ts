/**
 * Lists: `?limit=&cursor=&sort=` → `{items, nextCursor}`, by key set and not by offset, so that a list stays right
 * while rows come and go. Refuses a cursor made for another sort. Sort fields are named by each list.
 */
import { LIMITS } from '@sallyport/core';
import { z } from 'zod';
import { InvalidRequest } from './invalid-request.ts';

const PAGE_DEFAULT = 50;

/** Query of a list. `sorts` are field names; a leading `-` turns the order round. */
export const pageQuery = <const S extends string>(sorts: readonly [S, ...S[]], fallback: S | `-${S}`) =>
  z.strictObject({
    limit: z.coerce.number().int().min(1).max(LIMITS.pageSizeMax).default(PAGE_DEFAULT).describe('Items in one page.'),
    cursor: z.string().max(500).optional().describe('`nextCursor` of the page before.'),
    sort: z
      .enum([...sorts, ...sorts.map((sort) => `-${sort}` as const)] as [S, ...(S | `-${S}`)[]])
      .default(fallback as never)
      .describe('Field to sort by; a leading - turns the order round.'),
  });

export interface PageRequest {
  readonly limit: number;
  readonly cursor?: string | undefined;
  readonly sort: string;
}

export interface Page<T> {
  readonly items: readonly T[];
  /** Null on the last page. */
  readonly nextCursor: string | null;
}

export const pageOf = <T extends z.ZodType>(item: T) =>
  z.object({ items: z.array(item), nextCursor: z.string().nullable() });

interface Plan {
  readonly field: string;
  readonly descending: boolean;
}
const planOf = (sort: string): Plan =>
  sort.startsWith('-') ? { field: sort.slice(1), descending: true } : { field: sort, descending: false };

function readCursor(cursor: string, sort: string): readonly [unknown, string] {
  try {
    const [madeFor, kind, value, id] = JSON.parse(Buffer.from(cursor, 'base64url').toString()) as unknown[];
    if (
      madeFor !== sort ||
      typeof id !== 'string' ||
      (kind !== 'd' && kind !== 's') ||
      typeof value !== 'string' ||
      `${value}${id}`.includes('\0')
    )
      throw new Error('shape');
    const key = kind === 'd' ? new Date(value) : value;
    if (key instanceof Date && Number.isNaN(key.getTime())) throw new Error('date');
    return [key, id];
  } catch (cause) {
    throw new InvalidRequest([{ field: 'cursor', message: 'not a cursor of this list and sort' }], 'request.invalid', {
      cause,
    });
  }
}

/**
 * Arguments for a Prisma `findMany`; combine `where` with the list's filters by AND.
 * @throws InvalidRequest for a cursor that is not of this list
 */
export function pageArgs(page: PageRequest): {
  take: number;
  orderBy: Record<string, 'asc' | 'desc'>[];
  where: Record<string, unknown>;
} {
  const { field, descending } = planOf(page.sort);
  const order = descending ? 'desc' : 'asc';
  const orderBy = field === 'id' ? [{ id: order } as const] : [{ [field]: order } as const, { id: order } as const];
  let where: Record<string, unknown> = {};
  if (page.cursor !== undefined) {
    const [value, id] = readCursor(page.cursor, page.sort);
    const beyond = descending ? 'lt' : 'gt';
    where =
      field === 'id'
        ? { id: { [beyond]: id } }
        : { OR: [{ [field]: { [beyond]: value } }, { [field]: value, id: { [beyond]: id } }] };
  }
  return { take: page.limit + 1, orderBy, where };
}

/** Cuts the one row too many that `pageArgs` asked for, and makes the next cursor from the last one kept. */
export function toPage<R extends { readonly id: string }, T>(
  rows: readonly R[],
  page: PageRequest,
  show: (row: R) => T,
): Page<T> {
  const kept = rows.slice(0, page.limit);
  const last = kept.at(-1);
  let nextCursor: string | null = null;
  if (rows.length > page.limit && last !== undefined) {
    const value = (last as Record<string, unknown>)[planOf(page.sort).field];
    const key = value instanceof Date ? ['d', value.toISOString()] : ['s', String(value)];
    nextCursor = Buffer.from(JSON.stringify([page.sort, ...key, last.id])).toString('base64url');
  }
  return { items: kept.map(show), nextCursor };
}
