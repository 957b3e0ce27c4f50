/**
 * Column lineage against a real server: random queries over a table with a secret column. Wherever the secret shows in a column
 * of the answer that has no origin, our facts must have said that the secret column feeds an expression. And wherever other
 * secrets make for another answer beyond the secret column itself, they must have said that it is used in some hidden way.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type EmbeddedPostgres, startEmbeddedPostgres } from '@sallyport/embedded-postgres';
import { carriesValue, isHiddenUse, mayName } from '@sallyport/model';
import { extractSqlFacts, isUnknownSql, loadSqlParser } from '@sallyport/sql';
import pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';

const QUERIES = Number(process.env['REACH_QUERIES'] ?? 1_500);
const SEED = Number(process.env['REACH_SEED'] ?? 20_260_107);
const SECRET = /secret/i;

let dir: string;
let server: EmbeddedPostgres;
let client: pg.Client;
/** Of the two tables with the secret column, their third. */
let oids: ReadonlySet<number>;
beforeAll(async () => {
  await loadSqlParser();
  dir = mkdtempSync(join(tmpdir(), 'sallyport-reach-'));
  server = await startEmbeddedPostgres({ dir });
  client = new pg.Client({ connectionString: server.url() });
  await client.connect();
  await client.query(`
    create schema one;
    create schema other;
    set statement_timeout = 1000;
  `);
  for (const [schema, secret] of [
    ['one', "'SECRET' || i"],
    ['other', "'secret' || (9 - i)"],
  ]) {
    await client.query(`
      create table ${schema}.c (id int, name text, ssn text);
      create table ${schema}.o (id int, cid int, note text);
      insert into ${schema}.c select i, 'n' || i, ${secret} from generate_series(1, 3) i;
      insert into ${schema}.o select i, i, 'x' || i from generate_series(1, 3) i;
    `);
  }
  const { rows } = await client.query<{ oid: number }>("select oid from pg_class where relname = 'c'");
  oids = new Set(rows.map((row) => row.oid));
}, 60_000);
afterAll(async () => {
  await client?.end();
  await server?.stop();
  if (dir !== undefined) rmSync(dir, { recursive: true, force: true });
});

test(`the secret never shows in a column without origin unless the facts say so (${QUERIES} queries, seed ${SEED})`, async () => {
  const make = new QueryMaker(SEED);
  let ran = 0;
  let shown = 0;
  let differed = 0;
  const missed: string[] = [];
  for (let i = 0; i < QUERIES; i++) {
    const sql = make.query();
    const reading = extractSqlFacts(sql);
    if (isUnknownSql(reading)) {
      missed.push(`unknown (${reading.unknown}): ${sql}`);
      continue;
    }
    let answers: readonly Answer[];
    try {
      answers = [await ask('one', sql), await ask('other', sql)];
    } catch {
      // Ambiguous names and mismatched types are the server's to refuse; enough of them run.
      continue;
    }
    ran++;
    const uses = reading.statements[0]!.columns.filter((use) => mayName(use, SECRET_COLUMN));
    if (answers[0]!.rest !== answers[1]!.rest) {
      differed++;
      if (!uses.some(isHiddenUse)) missed.push(`hidden: ${sql}`);
    }
    if (answers[0]!.leaks) {
      shown++;
      // USING merges columns without an origin; the protocol counts plain output then.
      if (!uses.some((use) => carriesValue(use) || use.use === 'join')) missed.push(`shown: ${sql}`);
    }
  }
  expect(missed).toEqual([]);
  // The generator would be worth nothing if few of its queries ran or showed the secret.
  expect(ran).toBeGreaterThan(QUERIES / 3);
  expect(shown).toBeGreaterThan(QUERIES / 20);
  expect(differed).toBeGreaterThan(shown);
});

const SECRET_COLUMN = { table: 'c', column: 'ssn' };

interface Answer {
  /** The secret shows in a column without an origin. */
  readonly leaks: boolean;
  /** The answer without the columns whose origin is the secret one, rows in order. */
  readonly rest: string;
}

async function ask(schema: string, sql: string): Promise<Answer> {
  await client.query(`set search_path = ${schema}`);
  const { fields, rows } = await client.query<unknown[]>({ text: sql, rowMode: 'array' });
  const plain = (at: number): boolean => oids.has(fields[at]!.tableID) && fields[at]!.columnID === 3;
  const rest = rows.map((row) => JSON.stringify(row.filter((_, at) => !plain(at))));
  const leaks = fields.some(
    (field, at) => field.tableID === 0 && rows.some((row) => SECRET.test(JSON.stringify(row[at]))),
  );
  return { leaks, rest: rest.join('\n') };
}

interface Source {
  readonly sql: string;
  readonly alias: string;
  readonly columns: readonly string[];
}

/** Makes SELECTs that rename, nest, join, unite and aggregate, from a seed (mulberry32). */
class QueryMaker {
  #state: number;
  #names = 0;
  constructor(seed: number) {
    this.#state = seed;
  }

  query(): string {
    this.#names = 0;
    if (this.#chance(0.3)) {
      const ctes = Array.from({ length: 1 + this.#below(2) }, () => ({
        name: this.#name('w'),
        body: this.#select(1, []),
      }));
      const sources = ctes.map(({ name, body }) => ({ name, columns: body.columns }));
      const recursive = this.#chance(0.2) ? 'recursive ' : '';
      const list = ctes.map(({ name, body }) => {
        const renamed = this.#chance(0.3) && body.exact;
        const columns = body.columns.map((column) => (renamed ? this.#name('k') : column));
        sources.find((source) => source.name === name)!.columns = columns;
        return `${name}${renamed ? ` (${columns.join(', ')})` : ''} as (${body.sql})`;
      });
      return `with ${recursive}${list.join(', ')} ${this.#select(2, sources).sql}`;
    }
    return this.#select(2, []).sql;
  }

  #select(
    depth: number,
    ctes: readonly { name: string; columns: readonly string[] }[],
  ): { sql: string; columns: string[]; exact: boolean } {
    if (depth > 0 && this.#chance(0.12)) {
      const width = 1 + this.#below(2);
      const arms = [0, 1].map(() => this.#plain(depth - 1, ctes, width));
      return {
        sql: `${arms[0]!.sql} ${this.#pick(['union', 'union all', 'except', 'intersect'])} ${arms[1]!.sql}`,
        columns: arms[0]!.columns,
        exact: true,
      };
    }
    return this.#plain(depth, ctes, undefined);
  }

  #plain(
    depth: number,
    ctes: readonly { name: string; columns: readonly string[] }[],
    width: number | undefined,
  ): { sql: string; columns: string[]; exact: boolean } {
    const sources = [this.#source(depth, ctes, [])];
    let from = sources[0]!.sql;
    if (this.#chance(0.4)) {
      const next = this.#source(depth, ctes, sources);
      const shared = sources[0]!.columns.find((column) => next.columns.includes(column));
      sources.push(next);
      const how = this.#below(4);
      if (how === 0 && shared !== undefined) from += ` join ${next.sql} using (${shared})`;
      else if (how === 1) from += ` left join ${next.sql} on true`;
      else if (how === 2 && shared !== undefined) from += ` natural join ${next.sql}`;
      else from += `, ${next.sql}`;
    }
    const columns: string[] = [];
    const targets: string[] = [];
    let exact = true;
    const count = width ?? 1 + this.#below(3);
    for (let i = 0; i < count; i++) {
      const source = this.#pick(sources);
      if (width === undefined && this.#chance(0.15)) {
        targets.push(this.#chance(0.5) ? '*' : `${source.alias}.*`);
        columns.push(...(targets.at(-1) === '*' ? sources.flatMap((each) => each.columns) : source.columns));
        exact = false;
        continue;
      }
      const name = this.#name('v');
      // Arms of a set operation need one type; without the cast some fail, and some unite plain columns.
      const uncast = this.#chance(0.5);
      const expression = this.#expression(source, depth, sources);
      const plain = /^[a-z0-9]+(\.[a-z0-9]+)?$/.test(expression) && width === undefined && this.#chance(0.4);
      targets.push(
        plain ? expression : `${width === undefined || uncast ? expression : `(${expression})::text`} as ${name}`,
      );
      columns.push(plain ? expression.split('.').at(-1)! : name);
    }
    return {
      sql: `select ${targets.join(', ')} from ${from}${this.#clauses(sources, width, columns)}`,
      columns,
      exact,
    };
  }

  #clauses(sources: readonly Source[], width: number | undefined, columns: readonly string[]): string {
    const source = this.#pick(sources);
    const column = `${source.alias}.${this.#pick(source.columns)}`;
    const where = this.#chance(0.2)
      ? ` where ${this.#pick([
          `${column}::text like '%1%'`,
          `${this.#pick(source.columns)}::text > 'SECRET2'`,
          `exists (select 1 from c as e where e.ssn = ${column}::text)`,
          `${column}::text in (select 'SECRET2' union select 'n1')`,
          `${source.alias}::text like '%SECRET1%'`,
        ])}`
      : '';
    if (width !== undefined || !this.#chance(0.25)) return where;
    return `${where} order by ${this.#pick(['1', column, `upper(${column}::text)`, columns[0] ?? '1', `${source.alias}`])} desc`;
  }

  #source(
    depth: number,
    ctes: readonly { name: string; columns: readonly string[] }[],
    before: readonly Source[],
  ): Source {
    const alias = this.#name('t');
    const cte = ctes.length > 0 && this.#chance(0.6) ? this.#pick(ctes) : undefined;
    if (cte !== undefined) return { sql: `${cte.name} as ${alias}`, alias, columns: cte.columns };
    if (depth > 0 && this.#chance(0.45)) {
      const inner = this.#select(depth - 1, ctes);
      const renamed = inner.exact && this.#chance(0.4);
      const columns = inner.columns.map((column) => (renamed ? this.#name('k') : column));
      return {
        sql: `${this.#chance(0.3) ? 'lateral ' : ''}(${inner.sql}) as ${alias}${renamed ? ` (${columns.join(', ')})` : ''}`,
        alias,
        columns,
      };
    }
    const outer = before[0];
    if (outer !== undefined && this.#chance(0.2)) {
      const value = `${outer.alias}.${this.#pick(outer.columns)}`;
      const call = this.#pick([
        `unnest(array[${value}::text])`,
        `json_each_text(to_json(${outer.alias}))`,
        `string_to_table(${value}::text, 'Q')`,
      ]);
      const columns = call.startsWith('json') ? ['key', 'value'] : [alias];
      return { sql: `lateral ${call} as ${alias}`, alias, columns };
    }
    if (this.#chance(0.35)) {
      const renamed = this.#chance(0.3);
      return renamed
        ? { sql: `o as ${alias} (id, p, q)`, alias, columns: ['id', 'p', 'q'] }
        : { sql: `o as ${alias}`, alias, columns: ['id', 'cid', 'note'] };
    }
    const names = this.#pick([
      ['id', 'name', 'ssn'],
      ['id', 'name', 'ssn'],
      ['a', 'b', 'd'],
      ['id', 'ssn', 'name'],
    ]);
    const same = names[1] === 'name';
    return { sql: same ? `c as ${alias}` : `c as ${alias} (${names.join(', ')})`, alias, columns: names };
  }

  #expression(source: Source, depth: number, sources: readonly Source[]): string {
    const column = this.#chance(0.5) ? this.#pick(source.columns) : `${source.alias}.${this.#pick(source.columns)}`;
    const { alias } = source;
    switch (this.#below(depth > 0 ? 16 : 14)) {
      case 0:
        return `upper(${column}::text)`;
      case 1:
        return `coalesce(${column}::text, 'z')`;
      case 2:
        return `case when true then ${column}::text end`;
      case 3:
        return `to_json(${alias})::text`;
      case 4:
        return `${alias}::text`;
      case 5:
        return `row(${column}, 1)::text`;
      case 6:
        return `(${alias}).${this.#pick(source.columns)}`;
      case 7:
        return `array[${column}::text]::text`;
      case 8:
        return `json_build_object('a', ${column})::text`;
      case 9:
        return `${alias}.to_json::text`;
      case 10:
        return alias;
      case 14:
        return `(select max(${this.#pick(sources).columns[0]}::text) from c)`;
      case 15: {
        const inner = this.#plain(depth - 1, [], 1);
        return this.#chance(0.5) ? `(${inner.sql} limit 1)` : `array(${inner.sql})::text`;
      }
      default:
        return column;
    }
  }

  #name(prefix: string): string {
    return `${prefix}${++this.#names}`;
  }
  #below(limit: number): number {
    return Math.floor(this.#random() * limit);
  }
  #chance(of: number): boolean {
    return this.#random() < of;
  }
  #pick<T>(from: readonly T[]): T {
    return from[this.#below(from.length)]!;
  }
  #random(): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let t = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  }
}
