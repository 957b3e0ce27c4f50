/**
 * Which columns of this database a session's masks mean, as the server itself knows them: by (table OID, attribute),
 * through partitions, parents and generated columns, and the views that may show one.
 * Looked up on the session's own connection, so that its transaction, its temporary tables and its search path count.
 * Refuses to be fresh for ever: stale after REACH_AGE_MS, after DDL, and when a relation is named that was not there.
 */
import { GatewayError } from '@sallyport/core';
import {
  type ColumnMask,
  type MaskMethod,
  type MaskSet,
  mayName,
  type SqlColumnUse,
  type SqlStatementFacts,
} from '@sallyport/model';
import { isUnknownSql, type SqlReading } from '@sallyport/sql';

/** Milliseconds that another session's DDL may go unnoticed. */
const REACH_AGE_MS = 10_000;
const ROWS_MAX = 100_000;
const NAMES_MAX = 10_000;

/** Catalogs that keep values of columns: most common ones, bounds, whole files. */
export const VALUE_CATALOGS: ReadonlySet<string> = new Set([
  'pg_statistic',
  'pg_stats',
  'pg_stats_ext',
  'pg_stats_ext_exprs',
  'pg_statistic_ext_data',
  'pg_largeobject',
]);
/** Catalogs that show what others ask, with the values in it. */
export const TEXT_CATALOGS: ReadonlySet<string> = new Set(['pg_stat_activity', 'pg_stat_statements']);
/** Built-in functions that show what no dependency tells of: what a text asks for, files, large objects, others’ statements. */
const TELLING_FUNCTIONS = `query_to_xml query_to_xml_and_xmlschema cursor_to_xml table_to_xml table_to_xml_and_xmlschema
  schema_to_xml schema_to_xml_and_xmlschema database_to_xml database_to_xml_and_xmlschema ts_stat ts_rewrite lo_get loread
  pg_read_file pg_read_binary_file pg_logical_slot_get_changes pg_logical_slot_peek_changes
  pg_logical_slot_get_binary_changes pg_logical_slot_peek_binary_changes pg_stat_get_activity
  pg_stat_get_backend_activity`.split(/\s+/);

/** What the masks reach at one moment. */
export interface Reach {
  readonly methods: ReadonlyMap<number, MaskMethod>;
  /** Views that may show a masked value under another name. */
  readonly tainted: ReadonlySet<number>;
  /** Names of tables with masked columns, their partitions, and tainted views. */
  readonly relations: ReadonlySet<string>;
  readonly taintedNames: ReadonlySet<string>;
  /** Names of all views that read such a table, whatever they show, and of its kin: what is done by them can fail on its values. */
  readonly readers: ReadonlySet<string>;
  readonly columns: readonly { readonly table: string; readonly column: string }[];
  /** Functions of the database's own that take a row: `c.f` calls them like a column. */
  readonly rowFunctions: ReadonlySet<string>;
  /** Names of built-in functions and operators under which the database has some of its own, for other arguments. */
  readonly overloads: ReadonlySet<string>;
  readonly serial: number;
}

/** One number for a column: attributes number at most 1,600. */
export const columnKey = (tableOid: number, attribute: number): number => tableOid * 2048 + attribute;

const PG = 'pg_catalog.';
/**
 * Rows: `c` relation, attribute, position of the mask, names of both · `v` view, relation it reads, its name, its text ·
 * `p` table without a masked column whose rows are in a family with some that have one · `w` view that runs code of the database's
 * own, or shows statistics, others' texts or what a table keeps apart (TOAST) · `f` functions and `g` functions and
 * operators, as in Reach. What PostgreSQL's own catalogs begin with is in no pg_depend, so views straight over pg_largeobject (2613),
 * pg_statistic (2619), pg_statistic_ext_data (3429), what these keep apart (2840, 3430) and TELLING_FUNCTIONS are told by their rules: of those that are named ($4),
 * and what these read, since a rule of a hundred columns is a hundred kilobytes to look through. An aggregate is internal and
 * immutable whatever it is made of. Of operators, those that answer yes or no show no value.
 * Every name is qualified; operators are pg_catalog's, since no search_path may name that schema elsewhere.
 */
export const LOOKUP = `with recursive
wanted as (select * from rows from (${PG}unnest($1::${PG}text[]), ${PG}unnest($2::${PG}text[]), ${PG}unnest($3::${PG}text[]))
  with ordinality as w(s, t, c, i)),
base as (
  select k.oid as rel, w.c as col, w.i as i from wanted w
  join ${PG}pg_namespace n on n.nspname::${PG}text = w.s
  join ${PG}pg_class k on k.relnamespace = n.oid and k.relname::${PG}text = w.t),
family(rel, col, i) as (
  select rel, col, i from base
  union
  select x.rel, f.col, f.i from family f cross join lateral (
    select h.inhrelid as rel from ${PG}pg_inherits h where h.inhparent = f.rel
    union all select h.inhparent from ${PG}pg_inherits h where h.inhrelid = f.rel) x),
named as (
  select f.rel, a.attnum, f.i, a.attname from family f
  join ${PG}pg_attribute a on a.attrelid = f.rel and a.attname::${PG}text = f.col and a.attnum > 0 and not a.attisdropped),
masked as (
  select rel, attnum, i, attname from named
  union
  select n.rel, g.attnum, n.i, g.attname from named n
  join ${PG}pg_depend d on d.refclassid = '${PG}pg_class'::${PG}regclass and d.refobjid = n.rel and d.refobjsubid = n.attnum
  left join ${PG}pg_attrdef e on d.classid = '${PG}pg_attrdef'::${PG}regclass and e.oid = d.objid
  join ${PG}pg_attribute g on g.attrelid = n.rel and g.attgenerated <> '' and g.attnum > 0
   and g.attnum = case when d.classid = '${PG}pg_class'::${PG}regclass and d.objid = n.rel then d.objsubid else e.adnum end),
own as (
  select p.oid, p.proname, p.proargtypes, p.pronargs - p.pronargdefaults as needs,
    p.prolang in (12, 13) and p.provolatile = 'i' and not exists (
      select 1 from ${PG}pg_aggregate a
      join ${PG}pg_depend e on e.classid = '${PG}pg_proc'::${PG}regclass and e.objid = p.oid
       and e.refclassid = '${PG}pg_proc'::${PG}regclass
      join ${PG}pg_proc q on q.oid = e.refobjid and not (q.prolang in (12, 13) and q.provolatile = 'i')
      where a.aggfnoid::${PG}oid = p.oid) as computes,
    exists (select 1 from ${PG}pg_depend e where e.classid = '${PG}pg_proc'::${PG}regclass and e.objid = p.oid and e.deptype = 'e') as extension
  from ${PG}pg_proc p join ${PG}pg_namespace n on n.oid = p.pronamespace
  where n.nspname not in ('pg_catalog', 'information_schema')),
named_views(view) as (
  select k.oid from ${PG}pg_class k where k.relkind in ('v', 'm') and k.oid >= 16384 and k.relname::${PG}text = any ($4::${PG}text[])
  union
  select k.oid from named_views x join ${PG}pg_rewrite r on r.ev_class = x.view
  join ${PG}pg_depend d on d.classid = '${PG}pg_rewrite'::${PG}regclass and d.objid = r.oid and d.refclassid = '${PG}pg_class'::${PG}regclass
  join ${PG}pg_class k on k.oid = d.refobjid and k.relkind in ('v', 'm') and k.oid >= 16384),
running(view) as (
  select r.ev_class from ${PG}pg_depend d
  join ${PG}pg_rewrite r on d.classid = '${PG}pg_rewrite'::${PG}regclass and r.oid = d.objid
  left join ${PG}pg_operator o on d.refclassid = '${PG}pg_operator'::${PG}regclass and o.oid = d.refobjid
  join own p on p.oid = case when d.refclassid = '${PG}pg_proc'::${PG}regclass then d.refobjid else o.oprcode::${PG}oid end
  where not p.computes
  union
  select v.oid from ${PG}pg_class k join ${PG}pg_namespace n on n.oid = k.relnamespace
  join ${PG}pg_depend d on d.refclassid = '${PG}pg_class'::${PG}regclass and d.refobjid = k.oid
  join ${PG}pg_rewrite r on d.classid = '${PG}pg_rewrite'::${PG}regclass and r.oid = d.objid
  join ${PG}pg_class v on v.oid = r.ev_class and v.oid <> k.oid
  where k.relname = any ('{${[...VALUE_CATALOGS, ...TEXT_CATALOGS].join(',')}}'::${PG}name[])
    and (n.nspname = 'pg_catalog' or k.relname = 'pg_stat_statements')
    and v.relnamespace not in (select m.oid from ${PG}pg_namespace m where m.nspname in ('pg_catalog', 'information_schema'))
    and (k.relname <> all ('{${[...TEXT_CATALOGS].join(',')}}'::${PG}name[])
      or d.refobjsubid = (select a.attnum from ${PG}pg_attribute a where a.attrelid = k.oid and a.attname = 'query')
      or ${PG}pg_get_viewdef(v.oid) ~ '[\\w"]\\.\\*')
  union
  select x.view from named_views x
  where (select ${PG}bool_or(r.ev_action::${PG}text ~ (select ':relid (2613|2619|2840|3429|3430) |:funcid ('
      || ${PG}string_agg(p.oid::${PG}text, '|') || ') ' from ${PG}pg_proc p
      where p.pronamespace = 'pg_catalog'::${PG}regnamespace
        and p.proname = any ('{${TELLING_FUNCTIONS.join(',')}}'::${PG}name[])))
    from ${PG}pg_rewrite r where r.ev_class = x.view)
  or exists (select 1 from ${PG}pg_rewrite r
    join ${PG}pg_depend d on d.classid = '${PG}pg_rewrite'::${PG}regclass and d.objid = r.oid and d.refclassid = '${PG}pg_class'::${PG}regclass
    join ${PG}pg_class t on t.oid = d.refobjid and t.relkind = 't' where r.ev_class = x.view)),
readers(view, rel) as (
  select r.ev_class, d.refobjid from ${PG}pg_depend d
  join ${PG}pg_rewrite r on d.classid = '${PG}pg_rewrite'::${PG}regclass and r.oid = d.objid
  where d.refclassid = '${PG}pg_class'::${PG}regclass and r.ev_class <> d.refobjid
    and d.refobjid in (select rel from masked union all select view from running)
  union
  select r.ev_class, d.refobjid from readers v
  join ${PG}pg_depend d on d.refclassid = '${PG}pg_class'::${PG}regclass and d.refobjid = v.view
  join ${PG}pg_rewrite r on d.classid = '${PG}pg_rewrite'::${PG}regclass and r.oid = d.objid
  where r.ev_class <> d.refobjid)
select 'c', m.rel::${PG}int8, m.attnum::${PG}int8, m.i, k.relname::${PG}text, m.attname::${PG}text
from masked m join ${PG}pg_class k on k.oid = m.rel
union all
select 'p', k.oid::${PG}int8, 0, 0, k.relname::${PG}text, '' from ${PG}pg_class k
where k.oid in (select f.rel from family f) and k.oid not in (select m.rel from masked m)
union all
select 'v', k.oid::${PG}int8, v.rel::${PG}int8, 0, k.relname::${PG}text,
  case when k.relkind in ('v', 'm') then ${PG}pg_get_viewdef(k.oid) else '' end
from readers v join ${PG}pg_class k on k.oid = v.view
union all
select 'w', k.oid::${PG}int8, 0, 0, k.relname::${PG}text, '' from running w join ${PG}pg_class k on k.oid = w.view
where k.relkind in ('v', 'm')
union all
select 'f', p.oid::${PG}int8, 0, 0, p.proname::${PG}text, '' from own p join ${PG}pg_type t on t.oid = p.proargtypes[0]
where p.needs <= 1 and t.typtype in ('c', 'd', 'p')
union all
select 'g', p.oid::${PG}int8, 0, 0, p.proname::${PG}text, '' from own p where not p.extension
and exists (select 1 from ${PG}pg_proc b where b.proname = p.proname and b.pronamespace = 'pg_catalog'::${PG}regnamespace)
union all
select 'g', o.oid::${PG}int8, 0, 0, o.oprname::${PG}text, '' from ${PG}pg_operator o join own p on p.oid = o.oprcode::${PG}oid
where not p.extension and not p.computes and o.oprresult <> '${PG}bool'::${PG}regtype
and exists (select 1 from ${PG}pg_operator b where b.oprname = o.oprname and b.oprnamespace = 'pg_catalog'::${PG}regnamespace)`;

/** A PostgreSQL array of texts, as a literal. */
const arrayOf = (texts: readonly string[]): string =>
  `{${texts.map((text) => `"${text.replaceAll('\\', '\\\\').replaceAll('"', '\\"')}"`).join(',')}}`;

/** @param names of relations that it shall tell of */
export const lookupValues = (masks: readonly ColumnMask[], names: ReadonlySet<string>): readonly string[] => [
  arrayOf(masks.map((mask) => mask.schema)),
  arrayOf(masks.map((mask) => mask.table)),
  arrayOf(masks.map((mask) => mask.column)),
  arrayOf([...names]),
];

interface View {
  readonly oid: number;
  readonly name: string;
  readonly text: string;
  readonly reads: Set<number>;
}

/** Turns the rows of LOOKUP into a Reach. */
export class ReachBuilder {
  readonly #masks: readonly ColumnMask[];
  readonly #readText: (text: string) => SqlReading;
  readonly #methods = new Map<number, MaskMethod>();
  readonly #tables = new Map<number, string>();
  readonly #columns = new Map<string, { readonly table: string; readonly column: string }>();
  readonly #views = new Map<number, View>();
  /** Views that run code nobody can trace, or stand over a catalog that may not be read. */
  readonly #running = new Set<number>();
  readonly #rowFunctions = new Set<string>();
  readonly #overloads = new Set<string>();
  readonly #kin = new Set<string>();
  #rows = 0;

  constructor(masks: readonly ColumnMask[], readText: (text: string) => SqlReading) {
    this.#masks = masks;
    this.#readText = readText;
  }

  /** @throws GatewayError `mask.unvouched` when the answer is not what was asked */
  row(cells: readonly (string | undefined)[]): void {
    const [kind, first, second, position, name, text] = cells;
    if (
      ++this.#rows > ROWS_MAX ||
      first === undefined ||
      second === undefined ||
      name === undefined ||
      text === undefined
    ) {
      throw new GatewayError('mask.unvouched', { rows: this.#rows });
    }
    const oid = Number(first);
    if (kind === 'c') {
      const mask = this.#masks[Number(position) - 1];
      if (mask === undefined) throw new GatewayError('mask.unvouched', { position: Number(position) });
      const key = columnKey(oid, Number(second));
      this.#methods.set(key, stricter(this.#methods.get(key), mask.with));
      this.#tables.set(oid, name);
      this.#columns.set(`${name}\0${text}`, { table: name, column: text });
      return;
    }
    if (kind === 'f' || kind === 'g') {
      (kind === 'f' ? this.#rowFunctions : this.#overloads).add(name);
      return;
    }
    if (kind === 'p') {
      this.#kin.add(name);
      return;
    }
    const view = this.#views.get(oid) ?? { oid, name, text, reads: new Set<number>() };
    if (kind === 'w') this.#running.add(oid);
    else view.reads.add(Number(second));
    this.#views.set(oid, view);
  }

  build(serial: number): Reach {
    const columns = [...this.#columns.values()];
    const tainted = new Set<number>(this.#running);
    for (const view of this.#views.values()) {
      if ([...view.reads].some((oid) => this.#tables.has(oid)) && this.#shows(view, columns)) tainted.add(view.oid);
    }
    for (let grew = true; grew; ) {
      grew = false;
      for (const view of this.#views.values()) {
        if (tainted.has(view.oid) || ![...view.reads].some((oid) => tainted.has(oid))) continue;
        tainted.add(view.oid);
        grew = true;
      }
    }
    const taintedNames = new Set([...tainted].map((oid) => this.#views.get(oid)!.name));
    return {
      methods: this.#methods,
      tainted,
      taintedNames,
      readers: new Set([...this.#kin, ...[...this.#views.values()].map((view) => view.name)]),
      relations: new Set([...this.#tables.values(), ...taintedNames]),
      columns,
      rowFunctions: this.#rowFunctions,
      overloads: this.#overloads,
      serial,
    };
  }

  /** The server prints a view with every column qualified and stars spelt out, so a column it does not name it does not show. */
  #shows(view: View, columns: Reach['columns']): boolean {
    const reading = view.text === '' ? undefined : this.#readText(view.text);
    if (reading === undefined || isUnknownSql(reading)) return true;
    return reading.statements.some((statement) =>
      statement.columns.some((use) => SHOWS.has(use.use) && columns.some((column) => mayName(use, column))),
    );
  }
}

const SHOWS: ReadonlySet<SqlColumnUse['use']> = new Set(['output', 'expression', 'source', 'returning', 'join']);

const STRICTNESS: Readonly<Record<MaskMethod, number>> = { partial: 0, hash: 1, redact: 2, null: 3 };
const stricter = (one: MaskMethod | undefined, other: MaskMethod): MaskMethod =>
  one !== undefined && STRICTNESS[one] >= STRICTNESS[other] ? one : other;

/** A session's view of what its column masks reach. */
export class Catalog {
  reach: Reach | undefined;
  #masks: MaskSet['columns'] = [];
  #takenAt = 0;
  #serial = 0;
  /** Names of relations that the reach tells of. */
  #named: ReadonlySet<string> = new Set();

  /** True when the reach must be looked up before this statement can be judged for masks. */
  isStale(masks: MaskSet, statements: readonly SqlStatementFacts[], nowMs: number): boolean {
    if (this.reach === undefined || this.#isOld(masks, nowMs)) return true;
    for (const { relations } of statements) for (const { name } of relations) if (!this.#named.has(name)) return true;
    return false;
  }

  /** What a look-up has to tell of: what these statements name, and what was told of before. */
  names(masks: MaskSet, statements: readonly SqlStatementFacts[], nowMs: number): ReadonlySet<string> {
    const isKept = !this.#isOld(masks, nowMs) && this.#named.size <= NAMES_MAX;
    const names = new Set(isKept ? this.#named : []);
    for (const { relations } of statements) for (const { name } of relations) names.add(name);
    return names;
  }

  /** @param names what the look-up was asked to tell of */
  taken(masks: MaskSet, builder: ReachBuilder, names: ReadonlySet<string>, nowMs: number): void {
    this.#masks = masks.columns;
    this.#takenAt = nowMs;
    this.reach = builder.build(++this.#serial);
    this.#named = names;
  }

  /** DDL went through this session, or a transaction with DDL ended. */
  invalidate(): void {
    this.reach = undefined;
    this.#named = new Set();
  }

  #isOld(masks: MaskSet, nowMs: number): boolean {
    return this.#masks !== masks.columns || nowMs - this.#takenAt > REACH_AGE_MS;
  }
}
