/**
 * Walks one expression: the functions it calls, the columns it names and what for, the subqueries inside it.
 * Refuses node types that are not listed here: a construct of a later grammar is unknown until someone has read it.
 * PostgreSQL documentation, "Value Expressions"; node types as in its parsenodes.h and primnodes.h.
 */
import type { ColumnUse } from '@sallyport/model';
import {
  allowOnly,
  constantOf,
  type Fields,
  fieldsOf,
  has,
  isNode,
  type Node,
  namesOf,
  nodeOf,
  nodesOf,
  Refusal,
  stringOf,
} from './ast.ts';
import type { ColumnRef, FactsBuilder } from './facts-builder.ts';
import { functionMeaning, WHOLE_ROW_FUNCTIONS } from './functions.ts';
import { HARMLESS_OPERATORS } from './harmless-functions.ts';
import { callMajor, requireSyntax } from './majors.ts';
import { walkQuery } from './query.ts';
import { columnOf, type Scope, wholeRow } from './scope.ts';
import { settingMeaning } from './settings.ts';

/** Nodes that do nothing by themselves: their parts are walked with the same use. Structs inside them are anonymous parts. */
const COMPUTING: ReadonlySet<string> = new Set(
  `A_Expr BoolExpr CaseExpr CaseWhen CoalesceExpr MinMaxExpr TypeCast CollateClause A_ArrayExpr A_Indirection A_Indices
   RowExpr List NamedArgExpr MultiAssignRef GroupingFunc GroupingSet XmlExpr XmlSerialize ResTarget SortBy WindowDef
   JsonFuncExpr JsonObjectConstructor JsonArrayConstructor JsonObjectAgg JsonArrayAgg JsonAggConstructor JsonValueExpr
   JsonKeyValue JsonOutput JsonReturning JsonFormat JsonArgument JsonBehavior JsonIsPredicate JsonParseExpr JsonScalarExpr
   JsonSerializeExpr JsonTableColumn JsonTablePathSpec RangeTableFuncCol IndexElem BooleanTest`.split(/\s+/),
);
/** Nodes without parts that matter. */
const INERT: ReadonlySet<string> = new Set(
  `A_Const ParamRef String Integer Float Boolean BitString SQLValueFunction SetToDefault CurrentOfExpr TypeName A_Star
   MergeSupportFunc`.split(/\s+/),
);
/** Structs that name what runs or is read are never anonymous parts of a computing node. */
const SPEAKING = ['relname', 'funcname', 'targetList', 'ctes', 'stmtType'] as const;

const FUNC_CALL = new Set(
  `funcname args agg_order agg_filter over agg_within_group agg_star agg_distinct func_variadic funcformat location`.split(
    ' ',
  ),
);
const SUB_LINK = new Set('subLinkType subLinkId testexpr operName subselect location'.split(' '));

export interface Walk {
  readonly facts: FactsBuilder;
  readonly scope: Scope;
}

/** @param use what the columns in it are used for. @throws Refusal */
export function walkExpression(node: Node | undefined, walk: Walk, use: ColumnUse): void {
  if (node === undefined) return;
  walk.facts.deeper(() => walkNode(node, walk, use));
}

export function walkExpressions(list: unknown, walk: Walk, use: ColumnUse): void {
  for (const node of nodesOf(list)) walkExpression(node, walk, use);
}

function walkNode(node: Node, walk: Walk, use: ColumnUse): void {
  const { type, fields } = node;
  requireSyntax(type, walk.facts.text.major);
  if (INERT.has(type)) return;
  switch (type) {
    case 'ColumnRef':
      walk.facts.use(columnsNamed(fields, walk, use), use);
      return;
    case 'FuncCall':
      walkCall(fields, walk, use);
      return;
    case 'SubLink':
      walkSubLink(fields, walk, use);
      return;
    case 'NullTest':
      // Whether a value is there says nothing of the value: a declassifier.
      walkExpression(nodeOf(fields.arg), walk, use === 'expression' ? 'filter' : use);
      return;
    case 'JsonArrayQueryConstructor':
      walkQuery(nodeOf(fields.query), { facts: walk.facts, scope: walk.scope }, use);
      return;
    case 'A_Expr':
      operatorCall(fields, walk.facts);
      break;
    case 'A_Indirection':
      // `(row).field` is a column of whatever the row is of, or a function of it.
      for (const column of namesOf(fields.indirection)) walk.facts.use([{ relation: '', column }], use);
      break;
    case 'SortBy':
      callOperator(namesOf(fields.useOp), walk);
      break;
    default:
      break;
  }
  if (!COMPUTING.has(type)) throw new Refusal('construct', type);
  walkParts(fields, walk, use);
}

function walkParts(fields: Fields, walk: Walk, use: ColumnUse): void {
  for (const key in fields) {
    const value = fields[key];
    if (typeof value !== 'object' || value === null) continue;
    for (const part of Array.isArray(value) ? value : [value]) {
      if (typeof part !== 'object' || part === null) continue;
      if (isNode(part)) walkExpression(nodeOf(part), walk, use);
      else if (key !== 'typeName' && key !== 'returning') {
        for (const name of SPEAKING) if (name in part) throw new Refusal('construct', key);
        walk.facts.deeper(() => walkParts(part as Fields, walk, use));
      }
    }
  }
}

/** An operator is a function under another name: one that PostgreSQL does not ship runs somebody's code. */
export function callOperator(names: readonly string[], { facts }: Pick<Walk, 'facts'>): void {
  if (names.length === 0 || (names.length === 1 && HARMLESS_OPERATORS.has(names[0]!)) || names[0] === 'pg_catalog')
    return;
  facts.call(names.join('.'));
  facts.effect('exec');
}

/** Kinds of A_Expr that have an operator as written; the others are syntax of their own over known ones. */
const WRITTEN_OPERATORS = new Set(['AEXPR_OP', 'AEXPR_OP_ANY', 'AEXPR_OP_ALL']);

export function operatorCall(fields: Fields, facts: FactsBuilder): void {
  const names = namesOf(fields.name);
  const kind = stringOf(fields.kind);
  if (names.length > 1 || WRITTEN_OPERATORS.has(kind)) callOperator(names, { facts });
  // Of the other kinds each answers yes or no.
  if (names.length === 1 && kind === 'AEXPR_OP' && HARMLESS_OPERATORS.has(names[0]!)) facts.operator(names[0]!);
}

/** The columns a reference may mean; `c.to_json` and a bare `c` mean the whole row of c. */
export function columnsNamed(fields: Fields, { facts, scope }: Walk, use: ColumnUse): readonly ColumnRef[] {
  const parts = nodesOf(fields.fields);
  const names = namesOf(fields.fields);
  if (parts.at(-1)?.type === 'A_Star') {
    if (names.length === 0) return scope.items.flatMap((item) => wholeRow(item.columns));
    const item = scope.item(names);
    return item === undefined ? [{ relation: names.slice(-2).join('.'), column: '*' }] : wholeRow(item.columns);
  }
  const name = names.at(-1) ?? '';
  if (names.length === 1) {
    const item = scope.item(names);
    const refs = scope.unqualified(name);
    return item === undefined ? refs : [...refs, ...wholeRow(item.columns)];
  }
  const item = scope.item(names.slice(0, -1));
  const refs =
    item === undefined ? [{ relation: names.slice(-3, -1).join('.'), column: name }] : columnOf(item.columns, name);
  if (WHOLE_ROW_FUNCTIONS.has(name)) {
    // `public.c.to_json` may stand over a bare `from c`, which no text tells apart from another c.
    const row =
      item === undefined ? [{ relation: names.slice(-3, -1).join('.'), column: '*' }] : wholeRow(item.columns);
    facts.use(row, use === 'output' || use === 'returning' ? 'expression' : use);
  }
  // `a.b.c` is a column of schema a's table b, or a field of a composite column: `a.b` is then what is read.
  if (names.length === 3 && scope.item(names.slice(0, 1)) !== undefined) {
    return [...refs, ...columnOf(scope.item(names.slice(0, 1))!.columns, names[1]!)];
  }
  return refs;
}

function walkCall(fields: Fields, walk: Walk, use: ColumnUse): void {
  allowOnly('FuncCall', fields, FUNC_CALL);
  const names = namesOf(fields.funcname);
  const name = names.at(-1) ?? '';
  const schema = names.length > 1 ? names.slice(0, -1).join('.') : '';
  const { facts } = walk;
  facts.call(schema === '' ? name : `${schema}.${name}`);
  const meaning = functionMeaning(schema, name, callMajor(name, fields, facts.text.major));
  facts.effect(...meaning.effects);
  if (meaning.opaque !== '') facts.opaque(meaning.opaque);
  const builtIn = schema === '' || schema === 'pg_catalog';
  if (builtIn && name === 'set_config') configCall(fields, facts);
  // How many there are says nothing of the values: a declassifier.
  walkExpressions(fields.args, walk, builtIn && name === 'count' && use === 'expression' ? 'filter' : use);
  // WITHIN GROUP (ORDER BY x) hands x itself to the aggregate.
  walkExpressions(fields.agg_order, walk, fields.agg_within_group === true ? use : inner(use, 'order'));
  walkExpression(nodeOf(fields.agg_filter), walk, inner(use, 'filter'));
  if (has(fields.over)) walkWindow(fieldsOf(fields.over), walk, use);
}

/** Inside something that shows no value already (`filter`, `source`, …) the outer use is kept: it says more. */
const inner = (use: ColumnUse, own: ColumnUse): ColumnUse => (use === 'expression' || use === 'output' ? own : use);

export function walkWindow(fields: Fields, walk: Walk, use: ColumnUse): void {
  walkExpressions(fields.partitionClause, walk, inner(use, 'group'));
  walkExpressions(fields.orderClause, walk, inner(use, 'order'));
  walkExpression(nodeOf(fields.startOffset), walk, inner(use, 'filter'));
  walkExpression(nodeOf(fields.endOffset), walk, inner(use, 'filter'));
}

const TEXTS: ReadonlySet<string> = new Set(['text', 'varchar', 'bool', 'boolean']);

/** A constant that no cast makes another one of; null for anything else. `'99'::oid::regnamespace::text` is a name nobody reads. */
function asWritten(node: Node): string | undefined | null {
  if (node.type !== 'TypeCast') return constantOf(node);
  const type = fieldsOf(node.fields.typeName);
  const plain = TEXTS.has(namesOf(type.names).at(-1) ?? '') && !has(type.typmods) && !has(type.arrayBounds);
  return plain && nodeOf(node.fields.arg)?.type === 'A_Const' ? constantOf(node) : null;
}

function configCall(fields: Fields, facts: FactsBuilder): void {
  facts.text.literalRead = true;
  const [name, value, local] = nodesOf(fields.args).map(asWritten);
  facts.settingsByFunction++;
  if (typeof name !== 'string' || typeof value !== 'string' || local === null || facts.settingsByFunction > 1) {
    facts.unclearSetting();
    return;
  }
  const setting = name.toLowerCase();
  const meaning = settingMeaning(setting, value);
  facts.effect(...meaning.effects);
  if (meaning.opaque !== '') facts.opaque(meaning.opaque);
  facts.setting = setting;
  facts.settingValue = value;
  facts.settingLocal = local === 'true' || local === 't' || local === 'on' || local === '1' || local === 'yes';
}

function walkSubLink(fields: Fields, walk: Walk, use: ColumnUse): void {
  allowOnly('SubLink', fields, SUB_LINK);
  callOperator(namesOf(fields.operName), walk);
  walkExpression(nodeOf(fields.testexpr), walk, use);
  const exists = stringOf(fields.subLinkType) === 'EXISTS_SUBLINK';
  walkQuery(nodeOf(fields.subselect), walk, exists && use === 'expression' ? 'filter' : use);
}
