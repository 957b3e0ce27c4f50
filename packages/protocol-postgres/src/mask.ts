/**
 * What may come back while masks apply: vouches for a statement before it runs, plans its rows, hides texts of errors.
 * What cannot be traced is refused, with a reason (`mask.unvouched`): nothing is passed in the hope that it is harmless.
 * docs/adr/0007-postgres-protocol.md lists the forms. Rows themselves are rebuilt by packages/mask.
 */
import { GatewayError } from '@sallyport/core';
import { createRowMasker, type MaskKey, maskDetected, type RowMasker } from '@sallyport/mask';
import { carriesValue, type MaskSet, mayName, type SqlColumnUse, type SqlStatementFacts } from '@sallyport/model';
import { columnKey, type Reach, TEXT_CATALOGS, VALUE_CATALOGS } from './catalog.ts';
import type { FieldDescription, Fields } from './messages.ts';
import type { Guard } from './mirror.ts';

/** The functions behind them. */
const TEXT_FUNCTIONS = /^(pg_catalog\.)?pg_stat_get_(activity|backend_activity)$/;
/** `exec` only because they reach out of the data; they return nothing. */
const SILENT: ReadonlySet<string> = new Set(['listen', 'notify', 'unlisten', 'set', 'reset']);

/** Functions that keep a value where a later statement finds it: a sequence, pg_locks, the seed of random(). */
const KEEPING = /^(pg_catalog\.)?(setval|setseed|pg_(try_)?advisory_(xact_)?lock(_shared)?)$/;

export const hasMasks = (masks: MaskSet): boolean => masks.columns.length > 0 || masks.detect.length > 0;

/** True when column masks could matter to it at all: it names a relation, a column or a function, or runs code. */
export const needsReach = (statements: readonly SqlStatementFacts[]): boolean =>
  statements.some(
    (facts) =>
      facts.relations.length > 0 ||
      facts.columns.length > 0 ||
      facts.functions.length > 0 ||
      facts.effects.includes('exec') ||
      altersSchema(facts),
  );

/** Masks name their columns by schema: one that is renamed would leave them without a meaning. */
const altersSchema = (facts: SqlStatementFacts): boolean => facts.kind.startsWith('alter') && facts.object === 'schema';

/** True when the statement names a table with masked columns, or a view that may show one. */
export const touches = (facts: SqlStatementFacts, reach: Reach): boolean =>
  facts.relations.some((relation) => reach.relations.has(relation.name));

/**
 * Goes over tables that it does not name, and computes of their rows what can fail on them: expressions of statistics and
 * indexes, checks of a domain. REINDEX may name the index alone.
 */
export const quotesUnnamed = (facts: SqlStatementFacts): boolean =>
  facts.kind === 'alter'
    ? facts.object === 'domain' || facts.object === 'type'
    : facts.kind === 'reindex' || (facts.relations.length === 0 && /^(analyze|vacuum|cluster)$/.test(facts.kind));

/** True when the server's words about it may quote a masked value. */
export const quotes = (facts: SqlStatementFacts, reach: Reach): boolean =>
  touches(facts, reach) || facts.relations.some((relation) => reach.readers.has(relation.name)) || quotesUnnamed(facts);

/** Why the statement cannot run while column masks apply, whatever it returns; undefined when nothing speaks against it. */
export function unvouchedForm(facts: SqlStatementFacts, reach: Reach): string | undefined {
  if (facts.relations.some((relation) => VALUE_CATALOGS.has(relation.name) || relation.schema === 'pg_toast')) {
    return 'The server’s statistics hold values of masked columns.';
  }
  if (
    facts.functions.some((name) => TEXT_FUNCTIONS.test(name)) ||
    (facts.relations.some((relation) => TEXT_CATALOGS.has(relation.name)) &&
      facts.columns.some((use) => use.column === 'query' || use.column === '*'))
  ) {
    return 'The texts of others’ statements can hold values of masked columns.';
  }
  if (facts.effects.includes('exec') && !SILENT.has(facts.kind)) {
    return 'It runs or makes code that could show masked values, which cannot be traced.';
  }
  if (
    facts.columns.some((use) => reach.rowFunctions.has(use.column)) ||
    facts.functions.some((name) => reach.overloads.has(name)) ||
    facts.operators?.some((name) => reach.overloads.has(name)) === true
  ) {
    return 'It may run a function of the database’s own, whose answer cannot be traced.';
  }
  if (altersSchema(facts)) return 'A schema cannot be changed while masks of its columns may apply.';
  if (!touches(facts, reach)) return undefined;
  if (facts.kind === 'copy' && facts.object !== 'from')
    return 'COPY out of a relation with masked columns is not possible.';
  if (altersRelation(facts) || (facts.kind === 'create' && /^(rule|publication)$/.test(facts.object))) {
    return 'A relation with masked columns cannot be changed while its masks apply.';
  }
  const opaqueSource = facts.relations.some((relation) => reach.taintedNames.has(relation.name));
  if (
    facts.functions.some((name) => KEEPING.test(name)) &&
    (opaqueSource || facts.columns.some((use) => namesMasked(use, reach)))
  ) {
    return 'A function that keeps a value cannot stand beside a masked column.';
  }
  if (facts.columns.some((use) => use.use === 'source' && (opaqueSource || namesMasked(use, reach)))) {
    return 'A masked column cannot be the source of a write or of a definition.';
  }
  for (const inner of facts.nested ?? []) {
    const reason = unvouchedForm(inner, reach);
    if (reason !== undefined) return reason;
  }
  return undefined;
}

/** ALTER TABLE that drops a column, beside whatever else, is a `drop` of a column. */
const altersRelation = ({ kind, object }: SqlStatementFacts): boolean =>
  kind.startsWith('alter') || (kind === 'drop' && object === 'column');

/** COPY in binary has rows that nothing can look into, and facts do not tell formats: the word alone is enough to refuse. */
export const unvouchedCopy = (
  statements: readonly SqlStatementFacts[],
  text: string,
  masks: MaskSet,
): string | undefined =>
  hasMasks(masks) &&
  statements.some((facts) => facts.kind === 'copy' && facts.object !== 'from') &&
  /binary/i.test(text)
    ? 'COPY in binary cannot be looked into while masks apply.'
    : undefined;

const namesMasked = (use: SqlColumnUse, reach: Reach): boolean => reach.columns.some((column) => mayName(use, column));

/** Columns whose value could be a whole row: a record, or a type of the database's own. */
const mayBeRow = (typeOid: number): boolean => typeOid === 2249 || typeOid === 2287 || typeOid >= 16_384;

/** Why an answer of these columns cannot be traced; undefined when every column is masked, plain, or shown to be harmless. */
export function unvouchedColumns(
  facts: SqlStatementFacts,
  columns: readonly FieldDescription[],
  reach: Reach,
): string | undefined {
  if (columns.some((column) => column.tableOid !== 0 && isTainted(column, reach))) {
    return 'A view over masked columns cannot be shown; ask for the table itself.';
  }
  // A whole row comes with its table's OID and attribute 0.
  const originless = columns.filter((column) => column.tableOid === 0 || column.attribute === 0);
  // A plan shows no values of columns.
  if (originless.length === 0 || facts.kind === 'explain' || !touches(facts, reach)) return undefined;
  const throughView = facts.relations.some((relation) => reach.taintedNames.has(relation.name));
  const named = facts.columns.filter((use) => throughView || namesMasked(use, reach));
  // A whole row stands in the target list under its table's name, which is no masked column's.
  if (originless.some((column) => mayBeRow(column.typeOid))) return 'A whole row with masked columns cannot be shown.';
  // USING merges two columns into one without an origin.
  const outputCounts = named.some((use) => use.use === 'join');
  const carries = named.some(
    (use) => carriesValue(use) || (outputCounts && (use.use === 'output' || use.use === 'returning')),
  );
  return carries ? 'An expression over a masked column cannot be shown; ask for the column itself.' : undefined;
}

const isTainted = (column: FieldDescription, reach: Reach): boolean =>
  reach.tainted.has(column.tableOid) && !reach.methods.has(columnKey(column.tableOid, column.attribute));

/** True when two descriptions promise the same origins. */
export const sameOrigins = (one: readonly FieldDescription[], other: readonly FieldDescription[]): boolean =>
  one.length === other.length &&
  one.every((column, i) => column.tableOid === other[i]!.tableOid && column.attribute === other[i]!.attribute);

/**
 * The row masker of one answer.
 * @throws GatewayError `mask.unvouched` when the answer has columns that were not vouched for
 */
export function planRows(columns: readonly FieldDescription[], guard: Guard): RowMasker {
  const { reach, masks } = guard;
  if (guard.touches && reach === undefined) throw new GatewayError('mask.unvouched', { why: 'rows where none can be' });
  // Nothing was looked up, since nothing names a relation: then no column can be of one.
  if (reach === undefined && masks.columns.length > 0 && columns.some((column) => column.tableOid !== 0))
    throw new GatewayError('mask.unvouched', { why: 'a column of a relation nobody named' });
  if (reach !== undefined && columns.some((column) => isTainted(column, reach)))
    throw new GatewayError('mask.unvouched', { why: 'view' });
  return createRowMasker({
    columns: columns.map(({ tableOid, attribute, typeOid, format }) => {
      const method = tableOid === 0 ? undefined : reach?.methods.get(columnKey(tableOid, attribute));
      return method === undefined ? { typeOid, format } : { typeOid, format, method };
    }),
    detect: masks.detect,
    ...(guard.key === undefined ? {} : { key: guard.key }),
  });
}

/** Field codes that never hold a value of a row: severity, code, positions, names of objects, place in the server's source. */
const NAMING: ReadonlySet<string> = new Set('SVCPpLRFstcdn');
/** Classes whose messages quote values even before a row is read: bad data, raised exceptions, internal errors. */
const QUOTES = /^(22|P0|XX|2F|38|39|HV)/;
/**
 * Once rows are read almost any message may quote one: `name::regclass` says "relation … does not exist". These speak of
 * the session, the transaction, constraints, rights and names out of the statement's text.
 */
const QUOTES_NOTHING = /^(08|23|25|26|34|40|44|53|57|42501|55P03)/;
/** Where a procedural language raises what the database's own code says: in any words, under any code (pl_exec.c, plpy_elog.c). */
const RAISED = /^pl(?!an)/;
export const quotesNothing = (fields: Fields): boolean =>
  QUOTES_NOTHING.test(fields.get('C') ?? '') && !RAISED.test(fields.get('F') ?? '');

/** Raised where no statement of the client's led by itself: behind a cascade, or a statement of the code's own (a context of several lines). */
export const raisedWithin = (fields: Fields): boolean =>
  RAISED.test(fields.get('F') ?? '') && fields.get('W')?.includes('\n') === true;

/** `clear`: nothing masked is near · `named`: the statement names masked columns, no row was read · `read`: rows were. */
export type Nearness = 'clear' | 'named' | 'read';

const messageQuotes = (fields: Fields, near: Nearness): boolean =>
  fields.get('V') !== 'ERROR' || (near === 'read' ? !quotesNothing(fields) : QUOTES.test(fields.get('C') ?? ''));

/**
 * A constraint's error may quote a row of a table that the statement never named: a cascade, a deferred key at COMMIT.
 * @param reach undefined when it is not known which tables have masked columns
 */
export function quotesAnotherRow(fields: Fields, reach: Reach | undefined): boolean {
  const detail = fields.get('D');
  if (detail === undefined || !/^(23|44)/.test(fields.get('C') ?? '')) return false;
  const table = fields.get('t');
  if (reach === undefined || table === undefined || reach.relations.has(table)) return true;
  // "Key (email)=(…) is still referenced": the table that is told is the one that refers.
  return reach.columns.some(({ column }) => detail.includes(column));
}

/**
 * An error or notice as the client may see it. Detectors look at every text; where masked columns are near all that could
 * quote a row is left out ("Failing row contains (…)", "invalid input syntax …: \"…\"").
 */
export function hideFields(fields: Fields, hide: (text: string) => string, near: Nearness): Fields {
  const out = new Map<string, string>();
  for (const [code, value] of fields) {
    if (NAMING.has(code)) out.set(code, value);
    else if (near === 'clear') out.set(code, hide(value));
    else if (code === 'M') {
      out.set(
        code,
        messageQuotes(fields, near)
          ? 'Sallyport: the message is hidden, since it may quote a masked value.'
          : hide(value),
      );
    }
  }
  return out;
}

/** One CopyData of text or CSV format, its detected values hidden. */
export function hideCopyLine(line: Buffer, masks: MaskSet, key: MaskKey | undefined): Buffer | undefined {
  const text = line.toString('utf8');
  const masked = maskDetected(text, masks.detect, key);
  return masked.hits === 0 ? undefined : Buffer.from(masked.text);
}
