/**
 * `\d` and its like: what there is to ask about. Plain column reads of pg_catalog, so that they pass where masks apply.
 * Refuses psql's whole grammar; `\?` lists what there is.
 */
import type { SqlConnection, StatementResult } from './connection.ts';
import type { ResultTable } from './result-table.ts';

const KINDS: Readonly<Record<string, string>> = {
  r: 'table',
  p: 'table',
  v: 'view',
  m: 'materialized view',
  f: 'foreign table',
  S: 'sequence',
};

const TABLES = `select n.nspname, c.relname, c.relkind
from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where c.relkind in ('r', 'p', 'v', 'm', 'f') and n.nspname not in ('pg_catalog', 'information_schema', 'pg_toast')
order by n.nspname, c.relname`;

const columnsOf = (
  table: string,
  schema: string | undefined,
): string => `select n.nspname, c.relname, a.attname, t.typname, a.attnotnull
from pg_catalog.pg_attribute a
join pg_catalog.pg_class c on c.oid = a.attrelid
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
join pg_catalog.pg_type t on t.oid = a.atttypid
where c.relname = ${quote(table)}${schema === undefined ? ` and n.nspname not in ('pg_toast')` : ` and n.nspname = ${quote(schema)}`}
and c.relkind in ('r', 'p', 'v', 'm', 'f') and a.attnum > 0 and not a.attisdropped
order by n.nspname, a.attnum`;

/** Without backslashes a literal reads the same under every setting. */
function quote(text: string): string {
  if (/[\\\0]/.test(text)) throw new RangeError('a name with a backslash is not looked up');
  return `'${text.replaceAll("'", "''")}'`;
}

const one = (results: readonly StatementResult[]): StatementResult['rows'] => results[0]?.rows ?? [];

/** Tables and views outside of the system's schemas. */
export async function listTables(connection: SqlConnection): Promise<ResultTable> {
  const rows = one(await connection.run(TABLES));
  return {
    columns: ['schema', 'name', 'kind'],
    rows: rows.map(([schema = null, name = null, kind]) => [schema, name, KINDS[kind ?? ''] ?? kind ?? null]),
  };
}

/** Columns of a table. @param name as `payments` or `public.payments` */
export async function describeTable(connection: SqlConnection, name: string): Promise<ResultTable> {
  const parts = name.replaceAll('"', '').split('.');
  const rows = one(await connection.run(columnsOf(parts.at(-1)!, parts.length > 1 ? parts[0] : undefined)));
  return {
    columns: ['table', 'column', 'type', 'null'],
    rows: rows.map(([schema, table, column = null, type = null, notNull]) => [
      `${schema}.${table}`,
      column,
      type,
      notNull === 't' ? 'no' : 'yes',
    ]),
  };
}
