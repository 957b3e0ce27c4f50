/**
 * Which columns a name may stand for: aliases, subqueries and CTEs of a SELECT, from the inside out. A name that could be
 * several columns stands for all of them; one from a table keeps the table's name.
 * Refuses to know the catalog: whether a table has a column is the server's to say.
 */
import { type ColumnRef, distinctRefs } from './facts-builder.ts';

/** The columns a FROM item offers. A table offers any name; a subquery the ones it lists. */
export interface Columns {
  /** Output name to what feeds it. */
  readonly named: Map<string, ColumnRef[]>;
  /** In order, where no star hides the count. */
  readonly ordered: ColumnRef[][] | undefined;
  /** What may feed any name (unnamed expressions, arguments of set-returning functions). */
  readonly open: ColumnRef[];
  /** Tables whose columns come through under their own names. */
  readonly tables: string[];
}

export interface ScopeItem {
  /** The name it is qualified by; '' when it has none. */
  readonly alias: string;
  /** `schema.table` when it is a table named with its schema. */
  readonly qualified: string;
  readonly columns: Columns;
}

export class Scope {
  readonly items: ScopeItem[];
  readonly ctes: Map<string, Columns>;
  readonly parent: Scope | undefined;
  constructor(parent?: Scope, ctes = new Map<string, Columns>(), items: ScopeItem[] = []) {
    this.parent = parent;
    this.ctes = ctes;
    this.items = items;
  }

  /** This level with these items alone: what else stands in its FROM is not seen from there. */
  seeing(items: readonly ScopeItem[]): Scope {
    return new Scope(this.parent, this.ctes, [...items]);
  }

  cte(name: string): Columns | undefined {
    return this.ctes.get(name) ?? this.parent?.cte(name);
  }

  /** The item a qualifier means; the innermost wins. */
  item(qualifier: readonly string[]): ScopeItem | undefined {
    const name = qualifier.at(-1) ?? '';
    const qualified = qualifier.length > 1 ? qualifier.slice(-2).join('.') : undefined;
    for (const item of this.items) {
      if (qualified === undefined ? item.alias === name : item.qualified === qualified) return item;
    }
    return this.parent?.item(qualifier);
  }

  /** What an unqualified name may stand for, in every level: correlation reaches outwards. */
  unqualified(name: string): ColumnRef[] {
    const refs: ColumnRef[] = [];
    const tables: string[] = [];
    this.#candidates(name, refs, tables);
    if (tables.length > 0 || refs.length === 0) refs.push(tableRef(tables, name));
    return refs;
  }

  #candidates(name: string, refs: ColumnRef[], tables: string[]): void {
    let certain = false;
    for (const { columns } of this.items) {
      refs.push(...(columns.named.get(name) ?? []), ...columns.open);
      tables.push(...columns.tables);
      // A subquery that names it settles the level; tables beside it stay candidates because of JOIN … USING.
      if (columns.named.has(name)) certain = true;
    }
    if (!certain && this.parent !== undefined) this.parent.#candidates(name, refs, tables);
  }
}

const tableRef = (tables: readonly string[], column: string): ColumnRef => ({
  relation: tables.length > 0 && tables.every((table) => table === tables[0]) ? tables[0]! : '',
  column,
});

/** What `item.name` may stand for. */
export function columnOf(columns: Columns, name: string): ColumnRef[] {
  const refs = [...(columns.named.get(name) ?? []), ...columns.open];
  for (const table of columns.tables) refs.push({ relation: table, column: name });
  return refs;
}

/** Every column, as a star or a whole-row reference uses them. */
export function wholeRow(columns: Columns): ColumnRef[] {
  const refs = [...columns.named.values()].flat();
  refs.push(...columns.open);
  for (const table of columns.tables) refs.push({ relation: table, column: '*' });
  return distinctRefs(refs);
}

export const tableColumns = (relation: string): Columns => ({
  named: new Map(),
  ordered: undefined,
  open: [],
  tables: [relation],
});

export const noColumns = (): Columns => ({ named: new Map(), ordered: [], open: [], tables: [] });

/** A FROM item's or CTE's column aliases: by position where the positions are known, else each may be any column. */
export function renamed(columns: Columns, names: readonly string[]): Columns {
  if (names.length === 0) return columns;
  const whole = wholeRow(columns);
  const named = new Map<string, ColumnRef[]>();
  names.forEach((name, at) => {
    const refs = columns.ordered === undefined ? whole : (columns.ordered[at] ?? []);
    named.set(name, [...(named.get(name) ?? []), ...refs]);
  });
  // Columns beyond the aliases keep their names; which those are is not kept. A name that is gone must not hide an outer one.
  const all = columns.ordered !== undefined && names.length >= columns.ordered.length;
  const open = all ? columns.open : distinctRefs([...columns.open, ...[...columns.named.values()].flat()]);
  return { named, ordered: columns.ordered, open, tables: columns.tables };
}

/** The columns of a set operation: by position where both sides know theirs, else anything of either. */
export function united(left: Columns, right: Columns): Columns {
  if (left.ordered === undefined || right.ordered === undefined) {
    const open = [...wholeRow(left), ...wholeRow(right)];
    return { named: new Map(left.named), ordered: undefined, open, tables: left.tables };
  }
  const ordered = left.ordered.map((refs, at) => distinctRefs([...refs, ...(right.ordered?.[at] ?? [])]));
  const named = new Map<string, ColumnRef[]>();
  const names = [...left.named.keys()];
  // Names repeat or are missing rarely; then the position is not the name's index and everything is reachable.
  const exact = names.length === ordered.length;
  names.forEach((name, at) => {
    named.set(name, exact ? ordered[at]! : ordered.flat());
  });
  return { named, ordered, open: [...left.open, ...right.open, ...(exact ? [] : ordered.flat())], tables: [] };
}
