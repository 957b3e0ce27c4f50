/**
 * Collects the facts of one statement while its tree is walked. A builder for a statement inside another passes everything on
 * to the outer one, so that the outer facts are complete by themselves.
 * Refuses to know trees.
 */
import {
  type ColumnUse,
  EFFECTS,
  type Effect,
  type RelationAccess,
  type SqlColumnUse,
  type SqlRelation,
  type SqlStatementFacts,
} from '@sallyport/model';
import { Refusal } from './ast.ts';

/** A column of a relation as the text names it; `*` for the whole row. */
export interface ColumnRef {
  readonly relation: string;
  readonly column: string;
}

/** Nesting beyond this is refused rather than risked. */
const DEPTH_MAX = 1_000;
/** Column references followed through subqueries and stars, in one text: a few lines of SQL can multiply them without end. */
const WORK_MAX = 50_000;
/** Distinct column uses, relations or functions of one statement. */
const ENTRIES_MAX = 20_000;

/** What all statements of one text share. */
export interface TextState {
  /** Of the server that is to run it. */
  readonly major: number;
  /** A fact was taken from a literal, so the facts hold for this text alone. */
  literalRead: boolean;
  depth: number;
  work: number;
}

export class FactsBuilder {
  kind = '';
  object = '';
  filtered = false;
  overwrites = false;
  limit: number | undefined;
  transaction: SqlStatementFacts['transaction'];
  setting: string | undefined;
  settingValue: string | undefined;
  settingLocal: boolean | undefined;
  statementName: string | undefined;
  chain = false;
  /** Calls of set_config, by setting; more than one cannot be mirrored and is opaque. */
  settingsByFunction = 0;
  readonly text: TextState;
  readonly #outer: FactsBuilder | undefined;
  readonly #effects = new Set<Effect>();
  readonly #relations = new Map<string, SqlRelation>();
  readonly #functions = new Set<string>();
  readonly #operators = new Set<string>();
  readonly #opaque = new Set<string>();
  readonly #columns = new Map<string, SqlColumnUse>();
  readonly #nested: SqlStatementFacts[] = [];
  readonly #sinks: ColumnRef[][] = [];

  constructor(text: TextState, outer?: FactsBuilder) {
    this.text = text;
    this.#outer = outer;
  }

  effect(...effects: readonly Effect[]): void {
    for (const effect of effects) this.#effects.add(effect);
    this.#outer?.effect(...effects);
  }

  relation(schema: string, name: string, access: RelationAccess): void {
    bounded(this.#relations);
    this.#relations.set(`${access} ${schema} ${name}`, { schema, name, access });
    this.#outer?.relation(schema, name, access);
  }

  call(name: string): void {
    bounded(this.#functions);
    this.#functions.add(name);
    this.#outer?.call(name);
  }

  operator(name: string): void {
    this.#operators.add(name);
    this.#outer?.operator(name);
  }

  opaque(what: string): void {
    this.#opaque.add(what);
    this.#outer?.opaque(what);
  }

  use(refs: readonly ColumnRef[], use: ColumnUse): void {
    this.work(refs.length);
    for (const ref of refs) {
      bounded(this.#columns);
      this.#columns.set(`${use} ${ref.relation}\0${ref.column}`, { relation: ref.relation, column: ref.column, use });
      for (const sink of this.#sinks) sink.push(ref);
    }
    this.#outer?.use(refs, use);
  }

  /** Counts references that were followed. @throws Refusal `too_large` */
  work(references: number): void {
    this.text.work += references;
    if (this.text.work > WORK_MAX) throw new Refusal('too_large', 'too many references to follow');
  }

  /** The columns used while `walk` runs, whatever for, each once. */
  collect(walk: () => void): readonly ColumnRef[] {
    const sink: ColumnRef[] = [];
    this.#sinks.push(sink);
    walk();
    this.#sinks.pop();
    return distinctRefs(sink);
  }

  /** Runs `walk` one level deeper. @throws Refusal `too_deep` */
  deeper<T>(walk: () => T): T {
    if (++this.text.depth > DEPTH_MAX) throw new Refusal('too_deep', 'nested too deep');
    const result = walk();
    this.text.depth--;
    return result;
  }

  /** A statement inside this one: what `walk` finds is in both. */
  nest<T>(walk: (inner: FactsBuilder) => T): T {
    const inner = new FactsBuilder(this.text, this);
    const result = walk(inner);
    if (inner.settingsByFunction > 0) this.unclearSetting();
    this.#nested.push(inner.finish(0, 0));
    return result;
  }

  /** What is planned and not run: it names tables, columns and functions, and planning may run functions; nothing else happens. */
  explain(walk: (inner: FactsBuilder) => void): void {
    const inner = new FactsBuilder(this.text);
    walk(inner);
    const facts = inner.finish(0, 0);
    for (const relation of facts.relations) this.relation(relation.schema, relation.name, 'read');
    for (const name of facts.functions) this.call(name);
    for (const name of facts.operators ?? []) this.operator(name);
    for (const what of facts.opaque) this.opaque(what);
    if (facts.effects.includes('exec')) this.effect('exec');
    this.use(facts.columns, 'filter');
  }

  /** Settings change in a way that cannot be mirrored: more than one, or only for some rows. */
  unclearSetting(): void {
    this.settingsByFunction = 2;
    this.setting = undefined;
    this.settingValue = undefined;
    this.settingLocal = undefined;
    this.effect('admin');
    this.opaque('set_config');
  }

  finish(start: number, end: number): SqlStatementFacts {
    return {
      kind: this.kind,
      effects: EFFECTS.filter((effect) => this.#effects.has(effect)),
      filtered: this.filtered,
      ...(this.overwrites ? { overwrites: true } : {}),
      limit: this.limit,
      relations: [...this.#relations.values()],
      functions: [...this.#functions],
      ...(this.#operators.size === 0 ? {} : { operators: [...this.#operators] }),
      opaque: [...this.#opaque],
      columns: [...this.#columns.values()],
      object: this.object,
      start,
      end,
      transaction: this.transaction,
      setting: this.setting,
      ...(this.settingValue === undefined ? {} : { settingValue: this.settingValue }),
      ...(this.settingLocal === undefined ? {} : { settingLocal: this.settingLocal }),
      ...(this.statementName === undefined ? {} : { name: this.statementName }),
      ...(this.chain ? { chain: true } : {}),
      ...(this.#nested.length === 0 ? {} : { nested: this.#nested }),
    };
  }
}

/** Each reference once: joins of a CTE with itself would double them at every level. */
export function distinctRefs(refs: readonly ColumnRef[]): ColumnRef[] {
  if (refs.length < 2) return [...refs];
  const seen = new Map<string, ColumnRef>();
  for (const ref of refs) seen.set(`${ref.relation}\0${ref.column}`, ref);
  return [...seen.values()];
}

function bounded(entries: { readonly size: number }): void {
  if (entries.size >= ENTRIES_MAX) throw new Refusal('too_large', 'too many names in one statement');
}
