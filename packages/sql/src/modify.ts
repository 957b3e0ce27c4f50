/**
 * Walks INSERT, UPDATE, DELETE and MERGE: what is written, from what, and what RETURNING shows.
 * Refuses fields that are not listed. They also stand inside WITH, EXPLAIN, PREPARE and COPY.
 */
import { allowOnly, type Fields, fieldsOf, has, type Node, nodeOf, nodesOf, Refusal, stringOf } from './ast.ts';
import { type Walk, walkExpression, walkExpressions } from './expression.ts';
import { isFilter } from './filter.ts';
import { addFromItem, addTable, walkQuery, walkTargets, walkWith } from './query.ts';
import { type Columns, noColumns, Scope } from './scope.ts';

const fieldSet = (names: string): ReadonlySet<string> => new Set(names.split(/\s+/));
const INSERT = fieldSet('relation cols selectStmt onConflictClause returningClause returningList withClause override');
const UPDATE = fieldSet('relation targetList whereClause fromClause returningClause returningList withClause');
const DELETE = fieldSet('relation usingClause whereClause returningClause returningList withClause');
const MERGE = fieldSet(
  'relation sourceRelation joinCondition mergeWhenClauses returningClause returningList withClause',
);
const WHEN = fieldSet('matchKind commandType override condition targetList values');
const CONFLICT = fieldSet('action infer targetList whereClause location');
const INFER = fieldSet('indexElems whereClause conname location');
const KINDS: Readonly<Record<string, string>> = {
  InsertStmt: 'insert',
  UpdateStmt: 'update',
  DeleteStmt: 'delete',
  MergeStmt: 'merge',
};

export const isModifying = (node: Node): boolean => Object.hasOwn(KINDS, node.type);

/** Returns what RETURNING gives. `walk.scope` is the scope around the statement. */
export function walkModifying(node: Node, outer: Walk): Columns {
  const { facts } = outer;
  facts.kind = KINDS[node.type] ?? '';
  facts.effect('write');
  return facts.deeper(() => {
    const walk: Walk = { facts, scope: new Scope(outer.scope) };
    if (has(node.fields.withClause)) walkWith(fieldsOf(node.fields.withClause), walk);
    switch (node.type) {
      case 'InsertStmt':
        return insert(node.fields, walk);
      case 'UpdateStmt':
        return update(node.fields, walk);
      case 'DeleteStmt':
        return remove(node.fields, walk);
      case 'MergeStmt':
        return merge(node.fields, walk);
      default:
        throw new Refusal('construct', node.type);
    }
  });
}

function insert(fields: Fields, walk: Walk): Columns {
  allowOnly('InsertStmt', fields, INSERT);
  // The source sees the WITH of this statement, but not its target.
  if (has(fields.selectStmt)) walkQuery(nodeOf(fields.selectStmt), walk, 'source');
  const target = addTarget(fields, walk);
  assign(fields.cols, walk, target);
  if (!has(fields.cols)) walk.facts.use([{ relation: target, column: '*' }], 'assign');
  if (has(fields.onConflictClause)) {
    conflict(fieldsOf(fields.onConflictClause), walk, target);
    // Rows that stand in the text are named there; DEFAULT VALUES is one.
    const isListed = !has(fields.selectStmt) || has(nodeOf(fields.selectStmt)?.fields.valuesLists);
    walk.facts.overwrites = !isListed && fieldsOf(fields.onConflictClause).action === 'ONCONFLICT_UPDATE';
  }
  return returning(fields, walk);
}

function conflict(fields: Fields, walk: Walk, target: string): void {
  allowOnly('OnConflictClause', fields, CONFLICT);
  // `excluded` is the row that was to be inserted: the target's columns by another name.
  alias(walk, 'excluded', target);
  const infer = fieldsOf(fields.infer);
  allowOnly('InferClause', infer, INFER);
  for (const element of nodesOf(infer.indexElems)) walkExpression(nodeOf(element.fields.expr), walk, 'filter');
  walkExpression(nodeOf(infer.whereClause), walk, 'filter');
  assign(fields.targetList, walk, target);
  walkExpression(nodeOf(fields.whereClause), walk, 'filter');
}

function update(fields: Fields, walk: Walk): Columns {
  allowOnly('UpdateStmt', fields, UPDATE);
  const target = addTarget(fields, walk);
  for (const item of nodesOf(fields.fromClause)) addFromItem(item, walk);
  assign(fields.targetList, walk, target);
  where(fields, walk);
  return returning(fields, walk);
}

function remove(fields: Fields, walk: Walk): Columns {
  allowOnly('DeleteStmt', fields, DELETE);
  addTarget(fields, walk);
  for (const item of nodesOf(fields.usingClause)) addFromItem(item, walk);
  where(fields, walk);
  return returning(fields, walk);
}

/** A merge never counts as filtered: which rows it reaches hangs on its source. */
function merge(fields: Fields, walk: Walk): Columns {
  allowOnly('MergeStmt', fields, MERGE);
  const target = addTarget(fields, walk);
  const source = nodeOf(fields.sourceRelation);
  if (source === undefined) throw new Refusal('construct', 'MergeStmt');
  addFromItem(source, walk);
  walkExpression(nodeOf(fields.joinCondition), walk, 'join');
  for (const when of nodesOf(fields.mergeWhenClauses)) {
    if (when.type !== 'MergeWhenClause') throw new Refusal('construct', when.type);
    allowOnly(when.type, when.fields, WHEN);
    walkExpression(nodeOf(when.fields.condition), walk, 'filter');
    assign(when.fields.targetList, walk, target);
    walkExpressions(when.fields.values, walk, 'source');
  }
  return returning(fields, walk);
}

function addTarget(fields: Fields, walk: Walk): string {
  const range = fieldsOf(fields.relation);
  addTable(range, walk, 'write');
  return walk.scope.items.at(-1)?.columns.tables[0] ?? stringOf(range.relname);
}

function alias(walk: Walk, name: string, target: string): void {
  walk.scope.items.push({
    alias: name,
    qualified: '',
    columns: { named: new Map(), ordered: undefined, open: [], tables: [target] },
  });
}

/** SET lists and column lists: the names are written, their values and subscripts feed them. */
function assign(list: unknown, walk: Walk, target: string): void {
  for (const item of nodesOf(list)) {
    walk.facts.use([{ relation: target, column: stringOf(item.fields.name) }], 'assign');
    walkExpressions(item.fields.indirection, walk, 'source');
    walkExpression(nodeOf(item.fields.val), walk, 'source');
  }
}

function where(fields: Fields, walk: Walk): void {
  const condition = nodeOf(fields.whereClause);
  walk.facts.filtered = isFilter(condition, walk.facts.text);
  walkExpression(condition, walk, 'filter');
}

function returning(fields: Fields, walk: Walk): Columns {
  const clause = fieldsOf(fields.returningClause);
  const list = fields.returningList ?? clause.exprs;
  if (!has(list)) return noColumns();
  walk.facts.effect('read');
  const target = walk.scope.items.find((item) => item.columns.tables.length === 1)?.columns.tables[0] ?? '';
  // PostgreSQL 18: old and new are the target's row before and after, under these or other names.
  for (const name of ['old', 'new']) if (walk.scope.item([name]) === undefined) alias(walk, name, target);
  for (const option of nodesOf(clause.options)) alias(walk, stringOf(option.fields.value), target);
  return walkTargets(list, walk, 'returning');
}
