/**
 * Reads one statement of any kind into a FactsBuilder: queries, changes, session control, and statements that carry others.
 * Refuses what utility.ts does not list. PostgreSQL documentation, "SQL Commands". Longer than 200 lines: one function per kind.
 */
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
  stringOf,
} from './ast.ts';
import { walkExpressions } from './expression.ts';
import type { FactsBuilder } from './facts-builder.ts';
import { isModifying, walkModifying } from './modify.ts';
import { hasInto, isCatalog, noteSelect, walkInto, walkSelect } from './query.ts';
import { Scope } from './scope.ts';
import { settingMeaning } from './settings.ts';
import { readUtility } from './utility.ts';

const COPY = new Set('relation query attlist is_from is_program filename options whereClause'.split(' '));

/**
 * What a COPY may part and quote its data with: a value that holds such a character is written with an escape before it, so a
 * letter, a digit, `@`, `-` or `.` would cut what detectors look for. Options that are not here change no value.
 */
const COPY_CHARACTERS: Readonly<Record<string, RegExp>> = {
  delimiter: /^[,;|\t]$/,
  quote: /^["']$/,
  escape: /^["'\\]$/,
  encoding: /^utf-?8$/i,
};

/** @throws Refusal */
export function readStatement(node: Node, facts: FactsBuilder): void {
  const { type, fields } = node;
  if (isModifying(node)) {
    walkModifying(node, { facts, scope: new Scope() });
    if (facts.settingsByFunction > 0) facts.unclearSetting();
    return;
  }
  switch (type) {
    case 'SelectStmt':
      return readSelect(fields, facts);
    case 'TransactionStmt':
      return readTransaction(fields, facts);
    case 'VariableSetStmt':
      return readSet(fields, facts);
    case 'VariableShowStmt':
      facts.kind = 'show';
      facts.effect('read');
      facts.setting = stringOf(fields.name).toLowerCase();
      return;
    case 'CopyStmt':
      return readCopy(fields, facts);
    case 'ExplainStmt':
      return readExplain(fields, facts);
    case 'PrepareStmt':
      facts.kind = 'prepare';
      facts.statementName = stringOf(fields.name);
      return readInner(fields.query, facts);
    case 'DeclareCursorStmt':
      facts.kind = 'declare';
      facts.statementName = stringOf(fields.portalname);
      return readInner(fields.query, facts);
    case 'ExecuteStmt':
      // What runs was judged when it was prepared, possibly under another policy or by another route: opaque.
      facts.kind = 'execute';
      facts.statementName = stringOf(fields.name);
      facts.effect('exec');
      facts.opaque('execute');
      walkExpressions(fields.params, { facts, scope: new Scope() }, 'filter');
      return;
    case 'DeallocateStmt':
      facts.kind = 'deallocate';
      facts.statementName = fields.isall === true ? '' : stringOf(fields.name);
      return;
    case 'FetchStmt':
      facts.kind = fields.ismove === true ? 'move' : 'fetch';
      facts.statementName = stringOf(fields.portalname);
      facts.effect('read');
      return;
    case 'ClosePortalStmt':
      facts.kind = 'close';
      facts.statementName = stringOf(fields.portalname);
      return;
    case 'CreateTableAsStmt':
      return readCreateTableAs(fields, facts);
    case 'DoStmt':
      facts.kind = 'do';
      facts.effect('exec');
      facts.opaque('do');
      return;
    case 'CallStmt':
      return readCall(fields, facts);
    case 'LockStmt':
      return readLock(fields, facts);
    case 'DiscardStmt':
      facts.kind = 'discard';
      facts.object = stringOf(fields.target).replace('DISCARD_', '').toLowerCase();
      if (facts.object === 'all') facts.opaque('reset_all');
      return;
    default:
      return readUtility(node, facts);
  }
}

function readSelect(fields: Fields, facts: FactsBuilder): void {
  const into = hasInto(fields);
  facts.kind = into ? 'select_into' : 'select';
  facts.object = into ? 'table' : '';
  facts.effect('read');
  const walk = { facts, scope: new Scope() };
  noteSelect(fields, walk);
  walkSelect(fields, walk, into ? 'source' : 'output');
  if (facts.settingsByFunction > 0 && !isLoneSetConfig(fields)) facts.unclearSetting();
}

/** `select set_config('a', 'b', false)` and no more: it certainly runs, once. */
function isLoneSetConfig(fields: Fields): boolean {
  const clauses = Object.keys(fields).filter((key) => !['targetList', 'limitOption', 'op'].includes(key));
  const call = nodeOf(nodesOf(fields.targetList)[0]?.fields.val);
  return clauses.length === 0 && call?.type === 'FuncCall' && namesOf(call.fields.funcname).at(-1) === 'set_config';
}

const TRANSACTION: Readonly<
  Record<string, readonly [kind: string, does: 'begin' | 'commit' | 'rollback' | 'savepoint']>
> = {
  TRANS_STMT_BEGIN: ['begin', 'begin'],
  TRANS_STMT_START: ['begin', 'begin'],
  TRANS_STMT_COMMIT: ['commit', 'commit'],
  TRANS_STMT_ROLLBACK: ['rollback', 'rollback'],
  TRANS_STMT_SAVEPOINT: ['savepoint', 'savepoint'],
  TRANS_STMT_RELEASE: ['release', 'savepoint'],
  TRANS_STMT_ROLLBACK_TO: ['rollback_to', 'savepoint'],
  TRANS_STMT_PREPARE: ['prepare_transaction', 'commit'],
  TRANS_STMT_COMMIT_PREPARED: ['commit_prepared', 'commit'],
  TRANS_STMT_ROLLBACK_PREPARED: ['rollback_prepared', 'rollback'],
};

function readTransaction(fields: Fields, facts: FactsBuilder): void {
  const meaning = TRANSACTION[stringOf(fields.kind)];
  if (meaning === undefined) throw new Refusal('construct', stringOf(fields.kind));
  [facts.kind, facts.transaction] = meaning;
  if (has(fields.savepoint_name)) facts.statementName = stringOf(fields.savepoint_name);
  if (fields.chain === true) facts.chain = true;
  if (facts.kind.includes('prepare')) {
    // Two-phase commit outlives the session and can be finished by anyone.
    facts.effect('write');
    facts.opaque('two_phase');
    // COMMIT PREPARED runs outside of a transaction and changes none of this session.
    if (facts.kind !== 'prepare_transaction') facts.transaction = undefined;
  }
  transactionModes(fields.options, facts);
}

/** READ WRITE is the first half of a write; the other modes do nothing by themselves. */
function transactionModes(options: unknown, facts: FactsBuilder): void {
  for (const option of nodesOf(options)) {
    const name = stringOf(option.fields.defname);
    if (name !== 'transaction_read_only') continue;
    const value = constantOf(nodeOf(option.fields.arg)) === '0' ? 'off' : 'on';
    facts.effect(...settingMeaning(name, value).effects);
    facts.setting = name;
    facts.settingValue = value;
    facts.settingLocal = true;
  }
}

function readSet(fields: Fields, facts: FactsBuilder): void {
  const form = stringOf(fields.kind);
  facts.text.literalRead = true;
  facts.kind = form.startsWith('VAR_RESET') ? 'reset' : 'set';
  if (fields.is_local === true) facts.settingLocal = true;
  if (form === 'VAR_SET_MULTI') {
    const name = stringOf(fields.name);
    facts.setting =
      name === 'TRANSACTION SNAPSHOT'
        ? 'transaction_snapshot'
        : name === 'TRANSACTION'
          ? 'transaction'
          : 'session_characteristics';
    if (facts.setting === 'transaction_snapshot') facts.effect(...settingMeaning('transaction_snapshot', '').effects);
    else transactionModes(fields.args, facts);
    if (name === 'SESSION CHARACTERISTICS') {
      if (facts.setting === 'transaction_read_only') facts.setting = 'default_transaction_read_only';
      facts.settingLocal = undefined;
    } else facts.settingLocal = true;
    return;
  }
  const name = form === 'VAR_RESET_ALL' ? 'all' : stringOf(fields.name).toLowerCase();
  const values = nodesOf(fields.args).map((arg) => constantOf(arg));
  facts.setting = name;
  if (form === 'VAR_SET_VALUE') {
    facts.settingValue = values.map((value) => value ?? '').join(', ');
    if (values.some((value) => value === null)) throw new Refusal('construct', 'SET value');
  } else if (form === 'VAR_SET_CURRENT') facts.opaque('set_from_current');
  else if (!['VAR_SET_DEFAULT', 'VAR_RESET', 'VAR_RESET_ALL'].includes(form)) throw new Refusal('construct', form);
  const meaning = settingMeaning(name, facts.settingValue);
  // Going back to what the session began with takes no right, but for the roles: whose rights it was is not in the text.
  const back = facts.settingValue === undefined && facts.kind === 'reset' && !/role|authorization/.test(name);
  if (!back || name.endsWith('read_only')) facts.effect(...meaning.effects);
  if (meaning.opaque !== '') facts.opaque(meaning.opaque);
}

/** COPY says nothing of origins, so every column that goes out counts as an expression. */
function readCopy(fields: Fields, facts: FactsBuilder): void {
  allowOnly('CopyStmt', fields, COPY);
  facts.kind = 'copy';
  // An empty file name is no name in the tree, so whether there is one hangs on a literal.
  facts.text.literalRead = true;
  for (const option of nodesOf(fields.options)) {
    const name = stringOf(option.fields.defname);
    const usual = COPY_CHARACTERS[name];
    const given = constantOf(nodeOf(option.fields.arg));
    if (usual !== undefined && !(typeof given === 'string' && usual.test(given)))
      throw new Refusal('construct', `CopyStmt.options.${name}`);
  }
  if (fields.is_program === true) {
    facts.effect('exec', 'admin');
    facts.opaque('copy_program');
  } else if (has(fields.filename)) {
    facts.effect('exec');
    facts.opaque('copy_file');
  }
  if (has(fields.query)) {
    const query = nodeOf(fields.query);
    if (query?.type === 'SelectStmt') {
      facts.effect('read');
      walkSelect(query.fields, { facts, scope: new Scope() }, 'expression');
      if (facts.settingsByFunction > 0) facts.unclearSetting();
      return;
    }
    return readInner(fields.query, facts);
  }
  const range = fieldsOf(fields.relation);
  const [schema, name] = [stringOf(range.schemaname), stringOf(range.relname)];
  const columns = namesOf(fields.attlist);
  const relation = schema === '' ? name : `${schema}.${name}`;
  const refs = (columns.length === 0 ? ['*'] : columns).map((column) => ({ relation, column }));
  const from = fields.is_from === true;
  facts.object = from ? 'from' : 'to';
  facts.relation(schema, name, from ? 'write' : 'read');
  facts.effect(from ? 'write' : 'read');
  if (from && isCatalog(schema, name)) {
    facts.effect('admin');
    facts.opaque('catalog_write');
  }
  facts.use(refs, from ? 'assign' : 'expression');
  walkExpressions(has(fields.whereClause) ? [fields.whereClause] : [], { facts, scope: new Scope() }, 'filter');
}

/** A plan shows no values of columns. Any ANALYZE option counts as on, so that its value need not be read. */
function readExplain(fields: Fields, facts: FactsBuilder): void {
  facts.kind = 'explain';
  const analyze = nodesOf(fields.options).some((option) => stringOf(option.fields.defname).toLowerCase() === 'analyze');
  if (analyze) return readInner(fields.query, facts);
  const query = nodeOf(fields.query);
  if (query === undefined) throw new Refusal('construct', 'ExplainStmt');
  // Planning reads tables' statistics and folds immutable functions; it changes nothing.
  facts.effect('read');
  facts.explain((inner) => readStatement(query, inner));
}

/** A statement that carries another: that one's facts are its own, and rules see it by its own kind too. */
function readInner(query: unknown, facts: FactsBuilder): void {
  const node = nodeOf(query);
  if (node === undefined) throw new Refusal('construct', 'a statement is expected');
  facts.nest((inner) => readStatement(node, inner));
}

function readCreateTableAs(fields: Fields, facts: FactsBuilder): void {
  const matview = stringOf(fields.objtype) === 'OBJECT_MATVIEW';
  facts.kind = matview ? 'create_materialized_view' : 'create_table_as';
  facts.object = matview ? 'materialized_view' : 'table';
  walkInto(fieldsOf(fields.into), facts);
  const query = nodeOf(fields.query);
  if (query?.type !== 'SelectStmt') return readInner(fields.query, facts);
  facts.effect('read');
  const walk = { facts, scope: new Scope() };
  noteSelect(query.fields, walk);
  walkSelect(query.fields, walk, 'source');
  if (facts.settingsByFunction > 0) facts.unclearSetting();
}

function readCall(fields: Fields, facts: FactsBuilder): void {
  facts.kind = 'call';
  facts.effect('exec');
  facts.opaque('call');
  const call = fieldsOf(fields.funccall);
  facts.call(namesOf(call.funcname).join('.'));
  walkExpressions(call.args, { facts, scope: new Scope() }, 'source');
}

/** ACCESS SHARE (mode 1) is what a SELECT takes; the others keep writers out. */
function readLock(fields: Fields, facts: FactsBuilder): void {
  facts.kind = 'lock';
  const access = fields.mode === 1 ? 'read' : 'write';
  facts.effect(access);
  for (const node of nodesOf(fields.relations)) {
    facts.relation(stringOf(node.fields.schemaname), stringOf(node.fields.relname), access);
  }
}
