/**
 * One thing the client asks for, in the words rules and approvers use. Protocol packages make these; policy judges them.
 * Refuses to know bytes. A statement that is not understood has `understood: false` and is refused whatever the rules say.
 */
import type { Effect } from './effect.ts';
import type { BodyFacts, HttpFacts, KubernetesFacts, McpFacts } from './http-statement.ts';
import type { Protocol } from './protocol.ts';
import type { FileFacts, ShellFacts, SshFacts } from './ssh-statement.ts';
import type { TransactionWork } from './transaction.ts';
import type { CommitHold } from './verdict.ts';

export type RelationAccess = 'read' | 'write' | 'ddl';
export interface SqlRelation {
  /** '' when the text does not say and the search path has not been applied. */
  readonly schema: string;
  readonly name: string;
  readonly access: RelationAccess;
}

/**
 * Where a column is named. `output`: stands alone in the outermost target list (its origin is told by the server);
 * `expression`: inside an expression of a target list; `source`: feeds a write; `assign`: is written.
 */
export type ColumnUse =
  | 'output'
  | 'expression'
  | 'filter'
  | 'join'
  | 'order'
  | 'group'
  | 'source'
  | 'assign'
  | 'returning';
export interface SqlColumnUse {
  /** The qualifier as written, resolved through aliases where it is one of this statement's; '' when unqualified. */
  readonly relation: string;
  /** '*' for a star or a whole-row reference. */
  readonly column: string;
  readonly use: ColumnUse;
}

export interface SqlStatementFacts {
  /** `select`, `insert`, `update`, `delete`, `merge`, `copy`, `create_table`, `drop`, `truncate`, `set`, `begin`, … ; lower snake case. */
  readonly kind: string;
  readonly effects: readonly Effect[];
  /** Has a WHERE that is not a tautology over constants or a column with itself. */
  readonly filtered: boolean;
  /** Overwrites what its text does not name: INSERT … ON CONFLICT DO UPDATE of rows that a query gives, a definition that computes a column's values anew. */
  readonly overwrites?: true;
  /** A constant LIMIT; undefined without one. */
  readonly limit: number | undefined;
  readonly relations: readonly SqlRelation[];
  /** Lower case, schema-qualified where the text says so. */
  readonly functions: readonly string[];
  /** Operators PostgreSQL ships, written between values; undefined without any. Others are among `functions`. */
  readonly operators?: readonly string[];
  /** Constructs that cannot be read: `do`, `execute_text`, `call`, `copy_program`, `set_role`, `file_function`, … */
  readonly opaque: readonly string[];
  readonly columns: readonly SqlColumnUse[];
  /** What a DDL statement touches: `table`, `index`, `function`, `role`, `extension`, … ; '' otherwise. */
  readonly object: string;
  /** Byte range of this statement in the text it came from (UTF-8 offsets). */
  readonly start: number;
  readonly end: number;
  /** For transaction control: what it does to the transaction. */
  readonly transaction: 'begin' | 'commit' | 'rollback' | 'savepoint' | undefined;
  /** For SET/RESET/SHOW and a lone `set_config`: the setting's name, lower case (`all` for RESET ALL); undefined otherwise. */
  readonly setting: string | undefined;
  /** What it is set to, list items joined by `, `; undefined for RESET, SHOW, DEFAULT, or where the text does not say. */
  readonly settingValue?: string;
  /** SET LOCAL, SET TRANSACTION, or `set_config(…, true)`: gone at the end of the transaction. */
  readonly settingLocal?: boolean;
  /** The prepared statement (PREPARE, EXECUTE, DEALLOCATE), cursor (DECLARE, FETCH, CLOSE) or savepoint it names. */
  readonly name?: string;
  /** COMMIT or ROLLBACK AND CHAIN: another transaction begins at once. */
  readonly chain?: boolean;
  /**
   * Statements inside this one: data-modifying CTEs, what EXPLAIN, PREPARE, COPY or CREATE SCHEMA carry. Their effects,
   * relations, functions and columns are in the outer facts too; rules see them as statements of their own.
   */
  readonly nested?: readonly SqlStatementFacts[];
}

export interface SqlFacts {
  readonly statements: readonly SqlStatementFacts[];
  /** The extractor read no literal, so these facts hold for every statement of the same shape. */
  readonly literalFree: boolean;
}

/** A bind value as an approver sees it. `text` is undefined for SQL NULL; binary values that cannot be read are `\x…` hex. */
export interface StatementParameter {
  readonly text: string | undefined;
  /** The server's type OID; 0 when unknown. */
  readonly type: number;
}

/** Fact families by protocol; a rule is asked only of statements that have the families it reads. */
export interface StatementFacts {
  readonly sql?: SqlFacts;
  readonly ssh?: SshFacts;
  readonly shell?: ShellFacts;
  readonly file?: FileFacts;
  readonly http?: HttpFacts;
  readonly body?: BodyFacts;
  readonly k8s?: KubernetesFacts;
  readonly mcp?: McpFacts;
}

/** What two statements share that differ in literals and parameter values alone; only where those cannot change what runs. */
export interface StatementShape {
  /** Hex SHA-256 over protocol, normalised text, kinds of its literals, types of its parameters, facts, database and role. */
  readonly digest: string;
  /** With `?` for each literal. */
  readonly text: string;
  readonly tables: readonly string[];
  /** How a bound on its rows is kept: the session ends at the row beyond it (`cut`), before anything was committed (`undone`). */
  readonly bound: 'cut' | 'undone';
}

export interface Statement {
  readonly protocol: Protocol;
  /** Lower-case hex SHA-256 over protocol, text, parameters with their types and formats: what an approval is bound to. */
  readonly digest: string;
  readonly text: string;
  readonly parameters: readonly StatementParameter[];
  readonly effects: readonly Effect[];
  readonly understood: boolean;
  readonly facts: StatementFacts;
  /** In an open transaction; its writes so far. For approvers and for `holdInTransactionMsMax`. */
  readonly inTransaction: boolean;
  readonly wroteInTransaction: boolean;
  /** Types of the parameters as the client declared them; 0 where the server is to tell. */
  readonly declaredTypes?: readonly number[];
  /** What it changes can still be undone once its row count is known: nothing commits it by itself. */
  readonly undoable?: boolean;
  /**
   * What else its text means something by, for a ticket: the shell that it is typed into, the environment it is given, or the
   * settings it was prepared under, where they are not those of now.
   */
  readonly meaning?: string;
  /** Only to be prepared, without its parameters; its execution is another statement. */
  readonly preparation?: boolean;
  /** How what it changes is committed; absent = `itself`. */
  readonly commit?: CommitWay;
  /** Statements of the open transaction, before this one (the last of its text), that run until its COMMIT. */
  readonly heldBefore?: number;
  /** It commits a transaction in which rules let writes run until now. */
  readonly commits?: HeldTransaction;
}

/**
 * `apart`: by a statement of its own, still to come, that can be held. `itself`: with this statement, or by a COMMIT in the same
 * text. `unseen`: by code that may commit, or whose changes nothing counts. `control`: it changes nothing; it begins or ends.
 */
export type CommitWay = 'apart' | 'itself' | 'unseen' | 'control';

/** A transaction at its COMMIT. */
export interface HeldTransaction {
  readonly holds: readonly CommitHold[];
  /** Of all its statements. */
  readonly effects: readonly Effect[];
  readonly work: TransactionWork;
}
