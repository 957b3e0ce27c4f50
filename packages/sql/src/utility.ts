/**
 * Statements that are neither queries nor changes of rows: what each does, as a table, and the few that need reading.
 * Refuses every node type that is not listed. Their parts are searched for calls, tables and queries wherever they stand.
 * Longer than 200 lines, most of them the table. Effects: changing definitions is `ddl`; what gives code to other statements, where no
 * text shows it, is `exec` too; changing rights, roles, files, libraries or the server is `admin` (too).
 */
import type { Effect } from '@sallyport/model';
import { type Fields, fieldsOf, has, isNode, type Node, namesOf, nodeOf, nodesOf, Refusal, stringOf } from './ast.ts';
import { operatorCall, walkExpression } from './expression.ts';
import type { FactsBuilder } from './facts-builder.ts';
import { functionMeaning } from './functions.ts';
import { callMajor, requireSyntax } from './majors.ts';
import { isModifying, walkModifying } from './modify.ts';
import { isCatalog, walkSelect } from './query.ts';
import { Scope } from './scope.ts';

interface Row {
  readonly kind: string;
  readonly object: string;
  readonly effects: readonly Effect[];
  readonly opaque?: string;
}
const row = (kind: string, object: string, effects: string, opaque?: string): Row => ({
  kind,
  object,
  effects: effects.split(' ').filter((effect) => effect !== '') as Effect[],
  ...(opaque === undefined ? {} : { opaque }),
});

/** `*` as object: told by the statement's own object type. */
const UTILITY: Readonly<Record<string, Row>> = {
  AlterCollationStmt: row('alter', 'collation', 'ddl'),
  AlterDatabaseRefreshCollStmt: row('alter', 'database', 'ddl admin'),
  AlterDatabaseSetStmt: row('alter', 'database', 'ddl admin'),
  AlterDatabaseStmt: row('alter', 'database', 'ddl admin'),
  AlterDefaultPrivilegesStmt: row('alter_default_privileges', 'privilege', 'admin'),
  AlterDomainStmt: row('alter', 'domain', 'ddl'),
  AlterEnumStmt: row('alter', 'type', 'ddl'),
  AlterEventTrigStmt: row('alter', 'event_trigger', 'ddl admin'),
  AlterExtensionContentsStmt: row('alter', 'extension', 'ddl admin'),
  AlterExtensionStmt: row('alter', 'extension', 'ddl admin'),
  AlterFdwStmt: row('alter', 'foreign_data_wrapper', 'ddl admin', 'foreign_data'),
  AlterForeignServerStmt: row('alter', 'foreign_server', 'ddl admin', 'foreign_data'),
  AlterFunctionStmt: row('alter', 'function', 'ddl exec'),
  AlterObjectDependsStmt: row('alter', '*', 'ddl'),
  AlterObjectSchemaStmt: row('alter', '*', 'ddl'),
  AlterOpFamilyStmt: row('alter', 'operator_family', 'ddl exec admin'),
  AlterOperatorStmt: row('alter', 'operator', 'ddl exec'),
  AlterOwnerStmt: row('alter_owner', '*', 'ddl admin'),
  AlterPolicyStmt: row('alter', 'policy', 'ddl admin'),
  AlterPublicationStmt: row('alter', 'publication', 'ddl admin', 'replication'),
  AlterRoleSetStmt: row('alter', 'role', 'admin'),
  AlterRoleStmt: row('alter', 'role', 'admin'),
  AlterSeqStmt: row('alter', 'sequence', 'ddl'),
  AlterStatsStmt: row('alter', 'statistics', 'ddl'),
  AlterSubscriptionStmt: row('alter', 'subscription', 'ddl admin', 'replication'),
  AlterSystemStmt: row('alter_system', 'system', 'admin', 'alter_system'),
  AlterTSConfigurationStmt: row('alter', 'text_search_configuration', 'ddl'),
  AlterTSDictionaryStmt: row('alter', 'text_search_dictionary', 'ddl'),
  AlterTableMoveAllStmt: row('alter', 'tablespace', 'ddl admin'),
  AlterTableSpaceOptionsStmt: row('alter', 'tablespace', 'ddl admin'),
  AlterTableStmt: row('alter', '*', 'ddl'),
  AlterTypeStmt: row('alter', 'type', 'ddl'),
  AlterUserMappingStmt: row('alter', 'user_mapping', 'ddl admin', 'foreign_data'),
  CheckPointStmt: row('checkpoint', 'system', 'admin'),
  ClusterStmt: row('cluster', 'table', 'ddl'),
  CommentStmt: row('comment', '*', 'ddl'),
  CompositeTypeStmt: row('create', 'type', 'ddl'),
  ConstraintsSetStmt: row('set_constraints', '', ''),
  CreateAmStmt: row('create', 'access_method', 'ddl admin'),
  CreateCastStmt: row('create', 'cast', 'ddl exec'),
  CreateConversionStmt: row('create', 'conversion', 'ddl exec'),
  CreateDomainStmt: row('create', 'domain', 'ddl'),
  CreateEnumStmt: row('create', 'type', 'ddl'),
  CreateEventTrigStmt: row('create', 'event_trigger', 'ddl exec admin'),
  CreateExtensionStmt: row('create', 'extension', 'ddl exec admin'),
  CreateFdwStmt: row('create', 'foreign_data_wrapper', 'ddl admin', 'foreign_data'),
  CreateForeignServerStmt: row('create', 'foreign_server', 'ddl admin', 'foreign_data'),
  CreateForeignTableStmt: row('create', 'foreign_table', 'ddl admin', 'foreign_data'),
  CreateFunctionStmt: row('create', 'function', 'ddl exec', 'function_body'),
  CreateOpClassStmt: row('create', 'operator_class', 'ddl exec admin'),
  CreateOpFamilyStmt: row('create', 'operator_family', 'ddl admin'),
  CreatePLangStmt: row('create', 'language', 'ddl exec admin'),
  CreatePolicyStmt: row('create', 'policy', 'ddl admin'),
  CreatePublicationStmt: row('create', 'publication', 'ddl admin', 'replication'),
  CreateRangeStmt: row('create', 'type', 'ddl exec'),
  CreateRoleStmt: row('create', 'role', 'admin'),
  CreateSchemaStmt: row('create', 'schema', 'ddl'),
  CreateSeqStmt: row('create', 'sequence', 'ddl'),
  CreateStatsStmt: row('create', 'statistics', 'ddl'),
  CreateStmt: row('create_table', 'table', 'ddl'),
  CreateSubscriptionStmt: row('create', 'subscription', 'ddl admin', 'replication'),
  CreateTableSpaceStmt: row('create', 'tablespace', 'ddl admin'),
  CreateTransformStmt: row('create', 'transform', 'ddl exec admin'),
  CreateTrigStmt: row('create', 'trigger', 'ddl exec'),
  CreateUserMappingStmt: row('create', 'user_mapping', 'ddl admin', 'foreign_data'),
  CreatedbStmt: row('create', 'database', 'ddl admin'),
  DefineStmt: row('create', '*', 'ddl'),
  DropOwnedStmt: row('drop_owned', 'role', 'ddl admin'),
  DropRoleStmt: row('drop', 'role', 'admin'),
  DropStmt: row('drop', '*', 'ddl'),
  DropSubscriptionStmt: row('drop', 'subscription', 'ddl admin', 'replication'),
  DropTableSpaceStmt: row('drop', 'tablespace', 'ddl admin'),
  DropUserMappingStmt: row('drop', 'user_mapping', 'ddl admin', 'foreign_data'),
  DropdbStmt: row('drop', 'database', 'ddl admin'),
  GrantRoleStmt: row('grant', 'role', 'admin'),
  GrantStmt: row('grant', 'privilege', 'admin'),
  ImportForeignSchemaStmt: row('import_foreign_schema', 'schema', 'ddl admin', 'foreign_data'),
  IndexStmt: row('create', 'index', 'ddl'),
  ListenStmt: row('listen', '', 'exec', 'listen'),
  LoadStmt: row('load', '', 'exec admin', 'load'),
  NotifyStmt: row('notify', '', 'exec', 'notify'),
  ReassignOwnedStmt: row('reassign_owned', 'role', 'admin'),
  RefreshMatViewStmt: row('refresh', 'materialized_view', 'write'),
  ReindexStmt: row('reindex', 'index', 'ddl'),
  RenameStmt: row('alter', '*', 'ddl'),
  RuleStmt: row('create', 'rule', 'ddl exec'),
  SecLabelStmt: row('security_label', '*', 'admin'),
  TruncateStmt: row('truncate', 'table', 'write ddl'),
  UnlistenStmt: row('unlisten', '', ''),
  VacuumStmt: row('vacuum', 'table', 'write'),
  ViewStmt: row('create', 'view', 'ddl'),
};

/** @throws Refusal for a statement nobody listed */
export function readUtility(node: Node, facts: FactsBuilder): void {
  const meaning = UTILITY[node.type];
  if (meaning === undefined || !Object.hasOwn(UTILITY, node.type)) throw new Refusal('construct', node.type);
  const { fields } = node;
  facts.kind = meaning.kind;
  facts.object = meaning.object === '*' ? objectOf(fields) : meaning.object;
  facts.effect(...meaning.effects);
  if (meaning.opaque !== undefined) facts.opaque(meaning.opaque);
  particulars(node, facts);
  search(fields, facts, node.type === 'TruncateStmt' ? 'write' : 'ddl');
}

/** What the table above cannot say. */
function particulars({ type, fields }: Node, facts: FactsBuilder): void {
  switch (type) {
    case 'DropStmt':
      dropped(fields, facts);
      return;
    case 'GrantStmt':
    case 'GrantRoleStmt':
      if (fields.is_grant !== true) facts.kind = 'revoke';
      return;
    case 'CreateFunctionStmt':
    case 'AlterFunctionStmt':
      if (fields.is_procedure === true) facts.object = 'procedure';
      if (securityDefiner(fields)) {
        facts.effect('admin');
        facts.opaque('security_definer');
      }
      return;
    case 'VacuumStmt':
      if (fields.is_vacuumcmd !== true) facts.kind = 'analyze';
      return;
    case 'AlterTableStmt': {
      const changes = nodesOf(fields.cmds).map((command) => stringOf(command.fields.subtype));
      if (changes.some((change) => CHANGES_RIGHTS.test(change))) {
        facts.effect('admin');
        facts.opaque('rights_change');
      }
      if (changes.some((change) => REWRITES.has(change))) {
        overwrites(facts);
        named(fieldsOf(fields.relation), facts, 'write');
      }
      if (changes.includes('AT_ChangeOwner')) facts.kind = 'alter_owner';
      // Its data goes as surely as by DROP TABLE, so a rule about drops sees it.
      if (changes.includes('AT_DropColumn')) [facts.kind, facts.object] = ['drop', 'column'];
      return;
    }
    case 'AlterEnumStmt':
      // RENAME VALUE: each row that held the one says the other.
      if (has(fields.oldVal)) overwrites(facts);
      return;
    case 'DefineStmt':
      if (facts.object === 'operator' || facts.object === 'aggregate') facts.effect('exec');
      return;
    case 'CreateStmt':
      if (stringOf(fieldsOf(fields.relation).relpersistence) === 't') facts.object = 'temporary_table';
      return;
    case 'CreateFdwStmt':
    case 'CreateTrigStmt':
    case 'CreatePLangStmt':
    case 'CreateEventTrigStmt':
      for (const key of ['funcname', 'plhandler']) if (has(fields[key])) facts.call(namesOf(fields[key]).join('.'));
      return;
    default:
  }
}

/** Owner, triggers and rules on or off, row-level security: who may do or see what. */
const CHANGES_RIGHTS =
  /^AT_(ChangeOwner|(Enable|Disable|Force|NoForce)(RowSecurity|Trig|Rule|.*Always.*|.*Replica.*).*|NoForceRowSecurity|ForceRowSecurity)/;

/** They compute each value of a column anew: by USING or a cast, which may cut it short, or by the new expression. */
const REWRITES: ReadonlySet<string> = new Set(['AT_AlterColumnType', 'AT_SetExpression']);

function overwrites(facts: FactsBuilder): void {
  facts.effect('write');
  facts.overwrites = true;
}

function securityDefiner(fields: Fields): boolean {
  return nodesOf(fields.options ?? fields.actions).some((option) => {
    if (option.type !== 'DefElem' || stringOf(option.fields.defname) !== 'security') return false;
    const value = nodeOf(option.fields.arg);
    return value?.type === 'Boolean' && value.fields.boolval === true;
  });
}

/** OBJECT_FOREIGN_TABLE → foreign_table. */
function objectOf(fields: Fields): string {
  const type = [fields.removeType, fields.renameType, fields.objectType, fields.objtype, fields.kind]
    .map(stringOf)
    .find((name) => name.startsWith('OBJECT_'));
  const name = (type ?? '').slice('OBJECT_'.length).toLowerCase();
  return name === 'matview' ? 'materialized_view' : name;
}

/** DROP names its objects as lists of names. */
function dropped(fields: Fields, facts: FactsBuilder): void {
  for (const entry of nodesOf(fields.objects)) {
    const names =
      entry.type === 'List'
        ? namesOf(entry.fields.items)
        : entry.type === 'String'
          ? [stringOf(entry.fields.sval)]
          : [];
    const name = names.at(-1);
    if (name !== undefined) facts.relation(names.length > 1 ? names.slice(0, -1).join('.') : '', name, 'ddl');
  }
}

/** Everything in the statement, wherever it stands: calls, tables, queries, statements. Column names define, they do not read. */
function search(value: unknown, facts: FactsBuilder, access: 'write' | 'ddl'): void {
  if (typeof value !== 'object' || value === null) return;
  if (Array.isArray(value)) {
    for (const item of value) search(item, facts, access);
    return;
  }
  if (isNode(value)) {
    found(nodeOf(value)!, facts, access);
    return;
  }
  const fields = value as Fields;
  if (typeof fields.relname === 'string') named(fields, facts, access);
  facts.deeper(() => {
    for (const key in fields) search(fields[key], facts, access);
  });
}

function found(node: Node, facts: FactsBuilder, access: 'write' | 'ddl'): void {
  const { type, fields } = node;
  requireSyntax(type, facts.text.major);
  if (type === 'SelectStmt') {
    // The query of a view, a rule or a policy: what it reads will be shown under other names.
    walkSelect(fields, { facts, scope: new Scope() }, 'source');
    return;
  }
  if (isModifying(node)) {
    facts.nest((inner) => walkModifying(node, { facts: inner, scope: new Scope() }));
    return;
  }
  if (Object.hasOwn(UTILITY, type)) {
    facts.nest((inner) => readUtility(node, inner));
    return;
  }
  if (type === 'FuncCall') {
    const names = namesOf(fields.funcname);
    const name = names.at(-1) ?? '';
    const meaning = functionMeaning(names.slice(0, -1).join('.'), name, callMajor(name, fields, facts.text.major));
    facts.call(names.join('.'));
    // A default or a check runs later, in other people's statements; what it may do is an effect of this one.
    facts.effect(...meaning.effects.filter((effect) => effect !== 'write'));
    if (meaning.opaque !== '') facts.opaque(meaning.opaque);
    if (name === 'set_config') facts.unclearSetting();
  }
  // So does an operator in one.
  if (type === 'A_Expr') operatorCall(fields, facts);
  if (type === 'SubLink') {
    walkExpression(node, { facts, scope: new Scope() }, 'source');
    return;
  }
  search(fields, facts, access);
}

function named(fields: Fields, facts: FactsBuilder, access: 'write' | 'ddl'): void {
  const schema = stringOf(fields.schemaname);
  const name = stringOf(fields.relname);
  facts.relation(schema, name, access);
  if (isCatalog(schema, name)) facts.effect('admin');
  if (has(fields.catalogname)) facts.opaque('other_database');
}
