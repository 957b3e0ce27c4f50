/**
 * Walks SELECT, VALUES and TABLE: what is read, under which names it comes out, and which columns are used for what.
 * Refuses fields that are not listed. Column lineage is by name and errs towards more: see scope.ts.
 * Longer than 200 lines, because the clauses of one statement share its scope and read best together.
 */
import type { ColumnUse } from '@sallyport/model';
import {
  allowOnly,
  constantOf,
  type Fields,
  fieldsOf,
  has,
  type Node,
  namesOf,
  nodeOf,
  nodesOf,
  Refusal,
  relationName,
  stringOf,
} from './ast.ts';
import { callOperator, columnsNamed, type Walk, walkExpression, walkExpressions, walkWindow } from './expression.ts';
import { type ColumnRef, distinctRefs, type FactsBuilder } from './facts-builder.ts';
import { isFilter } from './filter.ts';
import { requireSyntax } from './majors.ts';
import { isModifying, walkModifying } from './modify.ts';
import { type Columns, noColumns, renamed, Scope, tableColumns, united, wholeRow } from './scope.ts';

const fieldSet = (names: string): ReadonlySet<string> => new Set(names.split(/\s+/));
const SELECT = fieldSet(
  `distinctClause intoClause targetList fromClause whereClause groupClause groupDistinct groupByAll havingClause windowClause
   valuesLists sortClause limitOffset limitCount limitOption lockingClause withClause op all larg rarg`,
);
const RANGE_VAR = fieldSet('catalogname schemaname relname inh relpersistence alias location');
const RANGE_SUBSELECT = fieldSet('lateral subquery alias');
const RANGE_FUNCTION = fieldSet('lateral ordinality is_rowsfrom functions alias coldeflist');
const RANGE_SAMPLE = fieldSet('relation method args repeatable location');
const RANGE_TABLE_FUNC = fieldSet('lateral docexpr rowexpr namespaces columns alias location');
const JSON_TABLE = fieldSet('context_item pathspec passing columns on_error alias lateral location');
const JOIN = fieldSet('jointype isNatural larg rarg usingClause join_using_alias quals alias rtindex');
const CTE = fieldSet('ctename aliascolnames ctematerialized ctequery search_clause cycle_clause location cterecursive');

/** Any query inside an expression or another statement. @param use what its plain output columns are used for */
export function walkQuery(node: Node | undefined, walk: Walk, use: ColumnUse): Columns {
  if (node === undefined) throw new Refusal('construct', 'a query is expected');
  if (node.type !== 'SelectStmt') throw new Refusal('construct', node.type);
  return walk.facts.deeper(() => walkSelect(node.fields, walk, use).columns);
}

export interface SelectReading {
  readonly columns: Columns;
  readonly scope: Scope;
}

export function walkSelect(fields: Fields, outer: Walk, use: ColumnUse): SelectReading {
  allowOnly('SelectStmt', fields, SELECT);
  const { facts } = outer;
  const scope = new Scope(outer.scope);
  const walk: Walk = { facts, scope };
  if (has(fields.withClause)) walkWith(fieldsOf(fields.withClause), walk);
  // Row locks need the right to write and fail in a read-only transaction.
  if (has(fields.lockingClause)) facts.effect('write');
  if (has(fields.intoClause)) walkInto(fieldsOf(fields.intoClause), facts);
  const columns = selectColumns(fields, walk, use);
  if (has(fields.limitCount)) walkExpression(nodeOf(fields.limitCount), walk, 'filter');
  if (has(fields.limitOffset)) walkExpression(nodeOf(fields.limitOffset), walk, 'filter');
  return { columns, scope };
}

function selectColumns(fields: Fields, walk: Walk, use: ColumnUse): Columns {
  const op = stringOf(fields.op);
  if (op !== '' && op !== 'SETOP_NONE') {
    // The server names no origin for a column of a set operation, so its plain columns count as expressions.
    const armUse = isPlain(use) ? 'expression' : use;
    const arm = (side: unknown) => walk.facts.deeper(() => walkSelect(fieldsOf(side), walk, armUse).columns);
    const columns = united(arm(fields.larg), arm(fields.rarg));
    if (has(fields.sortClause)) walk.facts.use(wholeRow(columns), 'order');
    return columns;
  }
  if (has(fields.valuesLists)) return valuesColumns(fields, walk, use);
  for (const item of nodesOf(fields.fromClause)) addFromItem(item, walk);
  walkExpression(nodeOf(fields.whereClause), walk, 'filter');
  const columns = walkTargets(fields.targetList, walk, use);
  const byName = { walk, columns };
  walkKeys(fields.groupClause, byName, 'group');
  walkKeys(fields.distinctClause, byName, 'group');
  // A bare DISTINCT groups by every output column: how many rows come out tells which values are equal.
  if (has(fields.distinctClause) && nodesOf(fields.distinctClause).length === 0)
    walk.facts.use(wholeRow(columns), 'group');
  walkKeys(fields.sortClause, byName, 'order');
  walkExpression(nodeOf(fields.havingClause), walk, 'filter');
  for (const window of nodesOf(fields.windowClause)) walkWindow(window.fields, walk, 'expression');
  return columns;
}

const isPlain = (use: ColumnUse): boolean => use === 'output' || use === 'returning';

/** A target list: plain columns keep `use`, anything computed is an expression. Returns what comes out under which name. */
export function walkTargets(list: unknown, walk: Walk, use: ColumnUse): Columns {
  const named = new Map<string, ColumnRef[]>();
  const open: ColumnRef[] = [];
  const tables: string[] = [];
  let ordered: ColumnRef[][] | undefined = [];
  for (const target of nodesOf(list)) {
    const value = nodeOf(target.fields.val);
    if (value === undefined) continue;
    const star = value.type === 'ColumnRef' && nodesOf(value.fields.fields).at(-1)?.type === 'A_Star';
    const name = stringOf(target.fields.name) || columnName(value);
    const plain = value.type === 'ColumnRef';
    // `c.to_json` alone is a call in disguise: columnsNamed reports it by itself.
    const refs = walk.facts.collect(() => {
      if (plain) walk.facts.use(columnsNamed(value.fields, walk, use), plainUse(value, walk, use));
      else walkExpression(value, walk, isPlain(use) ? 'expression' : use);
    });
    if (star) {
      ordered = undefined;
      for (const columns of starOf(value, walk)) {
        walk.facts.work(columns.named.size + columns.open.length + columns.tables.length);
        for (const [key, more] of columns.named) named.set(key, distinctRefs([...(named.get(key) ?? []), ...more]));
        open.push(...columns.open);
        tables.push(...columns.tables);
      }
      continue;
    }
    ordered?.push([...refs]);
    if (name === '') open.push(...refs);
    else named.set(name, distinctRefs([...(named.get(name) ?? []), ...refs]));
  }
  return { named, ordered, open: distinctRefs(open), tables: [...new Set(tables)] };
}

/** A bare `c` that is a FROM item is its whole row in one column, which has no origin. */
function plainUse(value: Node, { scope }: Walk, use: ColumnUse): ColumnUse {
  const names = namesOf(value.fields.fields);
  const star = nodesOf(value.fields.fields).at(-1)?.type === 'A_Star';
  return !star && isPlain(use) && names.length === 1 && scope.item(names) !== undefined ? 'expression' : use;
}

function starOf(value: Node, { scope }: Walk): readonly Columns[] {
  const names = namesOf(value.fields.fields);
  if (names.length === 0) return scope.items.map((item) => item.columns);
  const item = scope.item(names);
  return item === undefined ? [tableColumns(names.slice(-2).join('.'))] : [item.columns];
}

/** The name the server gives an unnamed column where it is easily told; '' otherwise: it then may be any name. */
function columnName(value: Node): string {
  return value.type === 'ColumnRef' ? (namesOf(value.fields.fields).at(-1) ?? '') : '';
}

/** GROUP BY, DISTINCT ON and ORDER BY name inputs, outputs or positions: a constant may be any output column. */
function walkKeys(list: unknown, { walk, columns }: { walk: Walk; columns: Columns }, use: ColumnUse): void {
  for (const key of nodesOf(list)) {
    const node = key.type === 'SortBy' ? nodeOf(key.fields.node) : key;
    if (node === undefined) continue;
    if (key.type === 'SortBy') callOperator(namesOf(key.fields.useOp), walk);
    const constant = constantOf(node);
    if (constant !== null) {
      // A number is a position in the target list.
      walk.facts.text.literalRead = true;
      walk.facts.use(columns.ordered?.[Number(constant) - 1] ?? wholeRow(columns), use);
    } else if (node.type === 'GroupingSet') walk.facts.use(wholeRow(columns), use);
    const name = node.type === 'ColumnRef' ? namesOf(node.fields.fields) : [];
    if (name.length === 1) walk.facts.use(columns.named.get(name[0]!) ?? [], use);
    walkExpression(node, walk, use);
  }
}

function valuesColumns(fields: Fields, walk: Walk, use: ColumnUse): Columns {
  const refs = walk.facts.collect(() => walkExpressions(fields.valuesLists, walk, isPlain(use) ? 'expression' : use));
  return { named: new Map(), ordered: undefined, open: [...refs], tables: [] };
}

/** The CTEs of a WITH, each seen by the later ones; in WITH RECURSIVE by all, so their plain columns count as expressions. */
export function walkWith(fields: Fields, walk: Walk): void {
  allowOnly('WithClause', fields, WITH);
  const recursive = fields.recursive === true;
  const ctes = nodesOf(fields.ctes).map((node) => node.fields);
  const pending = new Map<string, Columns>();
  if (recursive) {
    for (const cte of ctes) {
      const columns = noColumns();
      pending.set(stringOf(cte.ctename), columns);
      walk.scope.ctes.set(stringOf(cte.ctename), columns);
    }
  }
  const made: Columns[] = [];
  const walkAll = (): void => {
    for (const cte of ctes) {
      allowOnly('CommonTableExpr', cte, CTE);
      const query = nodeOf(cte.ctequery);
      if (query === undefined) throw new Refusal('construct', 'CommonTableExpr');
      const columns = renamed(
        isModifying(query)
          ? walk.facts.nest((inner) => walkModifying(query, { facts: inner, scope: walk.scope }))
          : walkQuery(query, walk, recursive ? 'expression' : 'output'),
        namesOf(cte.aliascolnames),
      );
      walk.scope.ctes.set(stringOf(cte.ctename), columns);
      pending.get(stringOf(cte.ctename))?.open.push(...wholeRow(columns));
      made.push(columns);
    }
  };
  if (!recursive) return walkAll();
  // One may have read another that was not walked yet: any column may be whatever any of them reads.
  const refs = walk.facts.collect(walkAll);
  for (const columns of made) columns.open.push(...refs);
}
const WITH = fieldSet('ctes recursive location');

/** Adds a FROM item, and what it reads, to the scope. */
export function addFromItem(node: Node, walk: Walk): void {
  walk.facts.deeper(() => fromItem(node, walk));
}

function fromItem(node: Node, walk: Walk): void {
  const { type, fields } = node;
  const { facts, scope } = walk;
  switch (type) {
    case 'RangeVar':
      addTable(fields, walk, 'read');
      return;
    case 'RangeSubselect': {
      allowOnly(type, fields, RANGE_SUBSELECT);
      // Without LATERAL it sees the levels around this one, and nothing of this FROM.
      const inside = fields.lateral === true ? scope : scope.seeing([]);
      addItem(walkQuery(nodeOf(fields.subquery), { facts, scope: inside }, 'output'), fields, scope);
      return;
    }
    case 'RangeFunction': {
      allowOnly(type, fields, RANGE_FUNCTION);
      // Each is a list of the call and, for ROWS FROM, its column definitions, which are types alone.
      const calls = nodesOf(fields.functions).map((entry) =>
        entry.type === 'List' ? nodesOf(entry.fields.items)[0] : entry,
      );
      const refs = facts.collect(() => {
        for (const call of calls) walkExpression(call, walk, 'expression');
      });
      addItem({ ...noColumns(), ordered: undefined, open: [...refs] }, fields, scope, functionName(fields));
      return;
    }
    case 'RangeTableSample': {
      allowOnly(type, fields, RANGE_SAMPLE);
      const relation = nodeOf(fields.relation);
      if (relation === undefined) throw new Refusal('construct', type);
      fromItem(relation, walk);
      const method = namesOf(fields.method);
      if (method.length !== 1 || !['bernoulli', 'system'].includes(method[0]!)) {
        facts.call(method.join('.'));
        facts.effect('exec');
      }
      walkExpressions(fields.args, walk, 'filter');
      walkExpression(nodeOf(fields.repeatable), walk, 'filter');
      return;
    }
    case 'RangeTableFunc':
    case 'JsonTable': {
      requireSyntax(type, facts.text.major);
      allowOnly(type, fields, type === 'JsonTable' ? JSON_TABLE : RANGE_TABLE_FUNC);
      // Both hold nothing but expressions, beside the alias that names what comes out.
      const parts = { type: 'XmlExpr', fields: { ...fields, alias: undefined } };
      const refs = facts.collect(() => walkExpression(parts, walk, 'expression'));
      addItem({ ...noColumns(), ordered: undefined, open: [...refs] }, fields, scope);
      return;
    }
    case 'JoinExpr':
      joinItem(fields, walk);
      return;
    default:
      throw new Refusal('construct', type);
  }
}

/** A table, view or CTE by name. Anything but a CTE is a relation of the statement. */
export function addTable(fields: Fields, walk: Walk, access: 'read' | 'write'): void {
  allowOnly('RangeVar', fields, RANGE_VAR);
  const name = stringOf(fields.relname);
  const cte = access === 'read' && !has(fields.schemaname) ? walk.scope.cte(name) : undefined;
  if (cte !== undefined) {
    addItem(cte, fields, walk.scope, name);
    return;
  }
  walk.facts.relation(stringOf(fields.schemaname), name, access);
  if (access === 'read') walk.facts.effect('read');
  else if (isCatalog(stringOf(fields.schemaname), name)) {
    // Writing the catalog, or pg_settings, which runs set_config, is no ordinary write.
    walk.facts.effect('admin');
    walk.facts.opaque('catalog_write');
  }
  const relation = relationName(fields);
  const aliased = has(fields.alias) && stringOf(fieldsOf(fields.alias).aliasname) !== '';
  addItem(tableColumns(relation), fields, walk.scope, name, aliased || !has(fields.schemaname) ? '' : relation);
}

export const isCatalog = (schema: string, name: string): boolean =>
  schema === 'pg_catalog' || schema === 'information_schema' || (schema === '' && name.startsWith('pg_'));

/** The alias that covers a FROM item, else its own name. An alias with column names renames by position. */
function addItem(columns: Columns, fields: Fields, scope: Scope, ownName = '', qualified = ''): void {
  const alias = fieldsOf(fields.alias);
  const name = stringOf(alias.aliasname) || ownName;
  scope.items.push({ alias: name, qualified, columns: renamed(columns, namesOf(alias.colnames)) });
}

function functionName(fields: Fields): string {
  const first = nodesOf(fields.functions)[0];
  const call = first?.type === 'List' ? nodesOf(first.fields.items)[0] : first;
  return call?.type === 'FuncCall' ? (namesOf(call.fields.funcname).at(-1) ?? '') : '';
}

function joinItem(fields: Fields, walk: Walk): void {
  allowOnly('JoinExpr', fields, JOIN);
  const { facts, scope } = walk;
  const before = scope.items.length;
  for (const side of [nodeOf(fields.larg), nodeOf(fields.rarg)]) {
    if (side === undefined) throw new Refusal('construct', 'JoinExpr');
    addFromItem(side, walk);
  }
  const joined = scope.items.slice(before);
  if (fields.isNatural === true) for (const item of joined) facts.use(wholeRow(item.columns), 'join');
  for (const name of namesOf(fields.usingClause)) facts.use(scope.unqualified(name), 'join');
  // ON sees the two sides and the levels around, not what stands beside the join.
  walkExpression(nodeOf(fields.quals), { facts, scope: scope.seeing(joined) }, 'join');
  if (!has(fields.alias) && !has(fields.join_using_alias)) return;
  // USING makes one column of two, and an alias list may name either of two that have one name.
  const named = new Map<string, ColumnRef[]>();
  for (const item of joined)
    for (const [name, refs] of item.columns.named) named.set(name, distinctRefs([...(named.get(name) ?? []), ...refs]));
  const columns: Columns = {
    named,
    ordered: undefined,
    open: joined.flatMap((item) => item.columns.open),
    tables: joined.flatMap((item) => item.columns.tables),
  };
  if (has(fields.join_using_alias)) addItem(columns, { alias: fields.join_using_alias }, scope);
  if (!has(fields.alias)) return;
  // Under an alias of the whole, no name of its parts is seen any more.
  scope.items.length = before;
  addItem(columns, fields, scope);
}

/** SELECT INTO and CREATE TABLE AS: the table that is made. */
export function walkInto(fields: Fields, facts: FactsBuilder): void {
  const range = fieldsOf(fields.rel);
  facts.effect('ddl', 'write');
  facts.relation(stringOf(range.schemaname), stringOf(range.relname), 'ddl');
}

/** The INTO of a SELECT, which a set operation keeps in its first arm. */
export const hasInto = (fields: Fields): boolean =>
  has(fields.intoClause) || (has(fields.larg) && hasInto(fieldsOf(fields.larg)));

/** WHERE and LIMIT of the statement itself, for rules. */
export function noteSelect(fields: Fields, walk: Walk): void {
  walk.facts.filtered = isFilter(nodeOf(fields.whereClause), walk.facts.text);
  const limit = nodeOf(fields.limitCount);
  // A cast may make another number of it (`'1'::bit(40)::bigint`), and WITH TIES more rows.
  const ties = stringOf(fields.limitOption) === 'LIMIT_OPTION_WITH_TIES';
  const constant = limit?.type !== 'A_Const' || ties ? null : constantOf(limit);
  if (typeof constant === 'string') {
    walk.facts.text.literalRead = true;
    const count = Number(constant);
    if (Number.isSafeInteger(count) && count >= 0) walk.facts.limit = count;
  }
}
