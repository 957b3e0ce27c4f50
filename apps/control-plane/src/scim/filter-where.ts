/**
 * A filter's tree → conditions for Prisma, whose values travel as parameters. Only what is in the table of columns can be
 * asked for. Refuses everything else by `invalidFilter`: an answer that ignored part of a filter would be a wrong one.
 */
import { parseUuid } from '@sallyport/core';
import type { Prisma } from '../generated/prisma/client.ts';
import type { AttributePath, Filter, Operator, Value } from './filter.ts';
import { ScimError } from './scim-error.ts';

/** A column that a filter may name. `folded` holds lower case, so that case does not matter and an index serves. */
interface Column {
  readonly column: string;
  readonly type: 'folded' | 'exact' | 'id' | 'boolean' | 'instant';
  readonly isNullable?: boolean;
}
type Where = Readonly<Record<string, unknown>>;
/** A list that a filter may look into: one value of it, by what the filter says. */
type List = (filter: Filter) => Where;

export interface Columns {
  readonly schema: string;
  readonly columns: Readonly<Record<string, Column>>;
  readonly lists: Readonly<Record<string, List>>;
}

const refuse = (sentence: string): never => {
  throw new ScimError('invalidFilter', sentence);
};
const NOBODY = '00000000-0000-0000-0000-000000000000';
/** @returns it in lower case, or undefined for what is no UUID, which PostgreSQL would not compare with one */
export const uuidIn = (text: string): string | undefined =>
  parseUuid(text) === undefined ? undefined : text.toLowerCase();
const TIMES: Readonly<Record<string, Column>> = {
  'meta.created': { column: 'createdAt', type: 'instant' },
  'meta.lastmodified': { column: 'updatedAt', type: 'instant' },
};

/** What a list's filter must say of one value: attributes that are equal to texts, and nothing else. */
function equalities(filter: Filter): ReadonlyMap<string, string> {
  if (filter.kind === 'and') return new Map(filter.terms.flatMap((term) => [...equalities(term)]));
  if (filter.kind !== 'compare' || filter.operator !== 'eq' || typeof filter.value !== 'string' || filter.path.sub)
    return refuse('Values of a list are found by eq alone.');
  return new Map([[filter.path.attribute, filter.value]]);
}

export const USER_COLUMNS: Columns = {
  schema: 'urn:ietf:params:scim:schemas:core:2.0:user',
  columns: {
    id: { column: 'principalId', type: 'id' },
    externalid: { column: 'externalId', type: 'exact', isNullable: true },
    username: { column: 'userNameFolded', type: 'folded' },
    displayname: { column: 'displayNameFolded', type: 'folded', isNullable: true },
    'name.givenname': { column: 'givenNameFolded', type: 'folded', isNullable: true },
    'name.familyname': { column: 'familyNameFolded', type: 'folded', isNullable: true },
    active: { column: 'active', type: 'boolean' },
    ...TIMES,
  },
  lists: {
    emails: (filter) => {
      const wanted = equalities(filter);
      const value = wanted.get('value') ?? refuse('An address is found by its value.');
      if ([...wanted.keys()].some((name) => name !== 'value' && name !== 'type'))
        refuse('An address is found by value and type.');
      return { emailKeys: { has: `${wanted.get('type') ?? ''}:${value}`.toLowerCase() } };
    },
  },
};

export const GROUP_COLUMNS: Columns = {
  schema: 'urn:ietf:params:scim:schemas:core:2.0:group',
  columns: {
    id: { column: 'id', type: 'id' },
    externalid: { column: 'externalId', type: 'exact', isNullable: true },
    displayname: { column: 'displayNameFolded', type: 'folded' },
    ...TIMES,
  },
  lists: {
    members: (filter) => {
      const wanted = equalities(filter);
      const value = wanted.get('value') ?? refuse('A member is found by its value.');
      return { members: { some: { principalId: uuidIn(value) ?? NOBODY } } };
    },
  },
};

/** @returns a Prisma `where` @throws ScimError `invalidFilter` */
export function whereOf(filter: Filter, table: Columns): Where {
  switch (filter.kind) {
    case 'and':
      return { AND: filter.terms.map((term) => whereOf(term, table)) };
    case 'or':
      return { OR: filter.terms.map((term) => whereOf(term, table)) };
    case 'not':
      return { NOT: whereOf(filter.term, table) };
    case 'some':
      return listOf(filter.path, table)(filter.filter);
    case 'present': {
      const column = columnOf(filter.path, table);
      return column.isNullable === true ? { [column.column]: { not: null } } : {};
    }
    case 'compare': {
      const { path, operator, value } = filter;
      if (Object.hasOwn(table.lists, path.attribute)) {
        // `emails eq "x"` and `emails.value eq "x"` both mean the value.
        const attribute = path.sub ?? 'value';
        return listOf(path, table)({ kind: 'compare', path: { attribute }, operator, value });
      }
      return comparison(columnOf(path, table), operator, value);
    }
    default:
      return filter satisfies never;
  }
}

/** The column to sort by, or undefined for what has none. */
export function sortColumn(path: AttributePath, table: Columns): string | undefined {
  const name = path.sub === undefined ? path.attribute : `${path.attribute}.${path.sub}`;
  return Object.hasOwn(table.columns, name) ? table.columns[name]?.column : undefined;
}

function listOf({ schema, attribute }: AttributePath, table: Columns): List {
  if (schema !== undefined && schema !== table.schema) refuse('It names a schema that cannot be searched.');
  const list = Object.hasOwn(table.lists, attribute) ? table.lists[attribute] : undefined;
  return list ?? refuse('It names a list that cannot be searched.');
}

function columnOf(path: AttributePath, table: Columns): Column {
  const name = path.sub === undefined ? path.attribute : `${path.attribute}.${path.sub}`;
  const known = path.schema === undefined || path.schema === table.schema;
  const column = known && Object.hasOwn(table.columns, name) ? table.columns[name] : undefined;
  return column ?? refuse('It names an attribute that cannot be searched.');
}

/** LIKE has signs of its own; a filter has none. */
const literal = (text: string): string => text.replace(/[\\%_]/g, '\\$&');

function comparison(column: Column, operator: Operator, value: Value): Where {
  // NOT of a comparison with NULL would be neither true nor false: a missing value is said to be missing.
  const there = (condition: unknown): Where =>
    column.isNullable === true
      ? { AND: [{ [column.column]: { not: null } }, { [column.column]: condition }] }
      : { [column.column]: condition };
  if (value === null) {
    if (operator !== 'eq' && operator !== 'ne') refuse('null is compared by eq and ne alone.');
    const absent: Where = column.isNullable === true ? { [column.column]: null } : { createdAt: { in: [] } };
    return operator === 'eq' ? absent : { NOT: absent };
  }
  if (operator === 'ne') return { NOT: comparison(column, 'eq', value) };
  switch (column.type) {
    case 'boolean': {
      const word = String(value).toLowerCase();
      if (operator !== 'eq' || (word !== 'true' && word !== 'false'))
        return refuse('It compares a boolean with something else.');
      return there(word === 'true');
    }
    case 'id': {
      if (operator !== 'eq' || typeof value !== 'string') return refuse('Ids are compared by eq and ne alone.');
      return there(uuidIn(value) ?? NOBODY);
    }
    case 'instant': {
      const at =
        typeof value === 'string' && /^\d{4}-\d\d-\d\dT[\d:.]+(?:Z|[+-]\d\d:\d\d)$/.test(value)
          ? new Date(value)
          : undefined;
      if (at === undefined || Number.isNaN(at.getTime())) return refuse('It compares a time with something else.');
      return there(ordered(operator, at) ?? refuse('Times are compared by eq, ne, gt, ge, lt and le.'));
    }
    case 'folded':
    case 'exact': {
      if (typeof value !== 'string') return refuse('It compares a text with something else.');
      const text = column.type === 'folded' ? value.toLowerCase() : value;
      return there(ordered(operator, text) ?? like(operator, literal(text)));
    }
    default:
      return column.type satisfies never;
  }
}

const ORDER = { eq: 'equals', gt: 'gt', ge: 'gte', lt: 'lt', le: 'lte' } as const;
const ordered = (operator: Operator, value: string | Date): Where | undefined =>
  operator in ORDER ? { [ORDER[operator as keyof typeof ORDER]]: value } : undefined;

const LIKE = { co: 'contains', sw: 'startsWith', ew: 'endsWith' } as const;
const like = (operator: Operator, pattern: string): Prisma.StringFilter => ({
  [LIKE[operator as keyof typeof LIKE]]: pattern,
});
