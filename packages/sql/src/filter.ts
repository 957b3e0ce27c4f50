/**
 * Whether a WHERE chooses rows: it names a column outside of a tautology over constants or of a column with itself.
 * Refuses to prove more (`id > 0`, `coalesce(id, 1) is not null` pass as filters); what names no column is none.
 */
import { constantOf, type Fields, isNode, type Node, namesOf, nodeOf, nodesOf, stringOf } from './ast.ts';
import type { TextState } from './facts-builder.ts';

/** @param text told when the answer hung on a literal */
export function isFilter(node: Node | undefined, text: TextState): boolean {
  return node !== undefined && filters(node, false, text);
}

function filters(node: Node, negated: boolean, text: TextState): boolean {
  const { type, fields } = node;
  if (type === 'BoolExpr') {
    const args = nodesOf(fields.args);
    const op = stringOf(fields.boolop);
    if (op === 'NOT_EXPR') return args[0] !== undefined && filters(args[0], !negated, text);
    // De Morgan: a negated AND is an OR of negations.
    if ((op === 'AND_EXPR') !== negated) return args.some((arg) => filters(arg, negated, text));
    return args.every((arg) => filters(arg, negated, text)) && !covers(args, text);
  }
  if (type === 'BooleanTest') {
    const arg = nodeOf(fields.arg);
    return arg !== undefined && filters(arg, negated, text);
  }
  if (type === 'CurrentOfExpr') return true;
  if (type === 'SubLink' && stringOf(fields.subLinkType) === 'EXISTS_SUBLINK') {
    const select = nodeOf(fields.subselect);
    return select?.type === 'SelectStmt' && isFilter(nodeOf(select.fields.whereClause), text);
  }
  if (type === 'A_Expr' && isTautology(fields, text)) return false;
  return namesColumn(node);
}

/** `x = x`, `x between x and x`, `x in (x)`, `x like '%'`: true (or NULL) whatever the row says. */
function isTautology(fields: Fields, text: TextState): boolean {
  const left = nodeOf(fields.lexpr);
  if (left === undefined) return false;
  const right = fields.rexpr;
  if (isNode(right)) {
    const node = nodeOf(right)!;
    if (node.type === 'List') return nodesOf(node.fields.items).some((item) => same(left, item, text));
    return same(left, node, text) || matchesAll(fields, node, text);
  }
  return nodesOf(right).some((item) => same(left, item, text));
}

function matchesAll(fields: Fields, pattern: Node, text: TextState): boolean {
  const kind = stringOf(fields.kind);
  const operator = namesOf(fields.name).at(-1) ?? '';
  const like = kind === 'AEXPR_LIKE' || kind === 'AEXPR_ILIKE';
  const regex = operator === '~' || operator === '~*';
  if (!like && !regex && kind !== 'AEXPR_SIMILAR') return false;
  const constant = constantOf(pattern.type === 'FuncCall' ? nodesOf(pattern.fields.args)[0] : pattern);
  if (typeof constant !== 'string') return false;
  text.literalRead = true;
  return regex ? /^\^?(\.[*+]?)*\$?$/.test(constant) : /^[%_]*%[%_]*$/.test(constant);
}

const NEGATOR: Readonly<Record<string, string>> = {
  '=': '<>',
  '<>': '=',
  '<': '>=',
  '>=': '<',
  '>': '<=',
  '<=': '>',
  IS_NULL: 'IS_NOT_NULL',
  IS_NOT_NULL: 'IS_NULL',
};

/**
 * True when two arms of an OR leave nothing out: `x is null or x is not null`, `x = 1 or x <> 1`, `b or not b`. By comparing
 * keys, since an OR may have thousands of arms.
 */
function covers(arms: readonly Node[], text: TextState): boolean {
  const whole = new Set<string>();
  const tests = new Set<string>();
  const lefts = new Set<string>();
  for (const { type, fields } of arms) {
    whole.add(keyOf({ [type]: fields }));
    const operator = operatorOf(type, fields);
    if (operator === '') continue;
    const left = keyOf(fields.lexpr ?? fields.arg);
    tests.add(`${operator} ${left} ${keyOf(fields.rexpr)}`);
    lefts.add(`${operator} ${left}`);
  }
  return arms.some(({ type, fields }) => {
    if (type === 'BoolExpr' && stringOf(fields.boolop) === 'NOT_EXPR') {
      text.literalRead = true;
      return whole.has(keyOf(Array.isArray(fields.args) ? fields.args[0] : undefined));
    }
    const opposite = NEGATOR[operatorOf(type, fields)];
    if (opposite === undefined) return false;
    const left = keyOf(fields.lexpr ?? fields.arg);
    if (!lefts.has(`${opposite} ${left}`)) return false;
    if (type === 'A_Expr') text.literalRead = true;
    return tests.has(`${opposite} ${left} ${keyOf(fields.rexpr)}`);
  });
}

function operatorOf(type: string, fields: Fields): string {
  if (type === 'NullTest') return stringOf(fields.nulltesttype);
  return type === 'A_Expr' && isNode(fields.rexpr) ? (namesOf(fields.name).at(-1) ?? '') : '';
}

/** The same text for the same expression, wherever it stands; a column is the same with and without its table's name. */
const keyOf = (value: unknown): string =>
  JSON.stringify(value, (name, part: unknown) => {
    if (name === 'location') return undefined;
    if (name === 'ColumnRef') return namesOf((part as Fields).fields).at(-1);
    return part;
  }) ?? '';

/** The same expression, wherever in the text it stands. A column is the same with and without its table's name. */
function same(a: Node | undefined, b: Node | undefined, text: TextState): boolean {
  if (a === undefined || b === undefined || a.type !== b.type) return false;
  if (a.type === 'ColumnRef') {
    const [x, y] = [namesOf(a.fields.fields), namesOf(b.fields.fields)];
    if (x.at(-1) !== y.at(-1)) return false;
    return x.length === y.length ? x.join('.') === y.join('.') : x.length === 1 || y.length === 1;
  }
  if (a.type === 'A_Const') text.literalRead = true;
  return sameValue(a.fields, b.fields, text);
}

function sameValue(a: unknown, b: unknown, text: TextState): boolean {
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return a === b;
  if (isNode(a) && isNode(b)) return same(nodeOf(a), nodeOf(b), text);
  if (Array.isArray(a) || Array.isArray(b)) {
    return (
      Array.isArray(a) &&
      Array.isArray(b) &&
      a.length === b.length &&
      a.every((item, at) => sameValue(item, b[at], text))
    );
  }
  const [x, y] = [a as Fields, b as Fields];
  const keys = new Set([...Object.keys(x), ...Object.keys(y)]);
  keys.delete('location');
  for (const key of keys) if (!sameValue(x[key], y[key], text)) return false;
  return true;
}

/** A column of the statement's own tables is named; those of a subquery inside choose nothing here. */
function namesColumn(node: Node): boolean {
  if (node.type === 'ColumnRef') return true;
  if (node.type === 'SubLink') {
    const test = nodeOf(node.fields.testexpr);
    return test !== undefined && namesColumn(test);
  }
  return Object.values(node.fields).some(namesColumnIn);
}

function namesColumnIn(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false;
  if (Array.isArray(value)) return value.some(namesColumnIn);
  if (isNode(value)) return namesColumn(nodeOf(value)!);
  return Object.values(value).some(namesColumnIn);
}
