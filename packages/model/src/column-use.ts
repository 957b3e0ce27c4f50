/**
 * Whether a statement's mention of a column may be a given column of the database: by name, since the text alone does
 * not say which table an unqualified name or a view's column belongs to. Errs towards yes.
 * Refuses to know the catalog; protocol packages resolve origins where a server tells them.
 */
import type { ColumnUse, SqlColumnUse } from './statement.ts';

/** Uses that show the column itself, with the origin told by the server, or that only write to it. */
const PLAIN: ReadonlySet<ColumnUse> = new Set<ColumnUse>(['output', 'returning', 'assign']);

/** Uses whose value can come out in a column of the answer that has no origin, or be stored elsewhere. */
const CARRIES: ReadonlySet<ColumnUse> = new Set<ColumnUse>(['expression', 'source']);

/**
 * True when `use` may name `column`. A named column matches whatever its relation says, since a view may stand between;
 * a star or whole row matches by table, or when the text does not say which relation it is.
 */
export function mayName(use: SqlColumnUse, column: { readonly table: string; readonly column: string }): boolean {
  if (use.column !== '*') return use.column === column.column;
  if (use.relation === '') return true;
  // A name may have a dot in it, and a schema's name before it.
  return use.relation === column.table || use.relation.endsWith(`.${column.table}`);
}

/** True for a use other than as plain output: in WHERE, JOIN, ORDER BY, an expression, the source of a write, … */
export const isHiddenUse = (use: SqlColumnUse): boolean => !PLAIN.has(use.use);

/** True for a use whose value can reach an answer's column without an origin (`expression`) or another table (`source`). */
export const carriesValue = (use: SqlColumnUse): boolean => CARRIES.has(use.use);
