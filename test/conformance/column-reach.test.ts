/**
 * Column lineage against a real server: random queries over a table with a secret column. Wherever the secret shows in a column
 * of the answer that has no origin, our facts must have said that the secret column feeds an expression.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type EmbeddedPostgres, startEmbeddedPostgres } from '@sallyport/embedded-postgres';
import { carriesValue, mayName } from '@sallyport/model';
import { extractSqlFacts, isUnknownSql, loadSqlParser } from '@sallyport/sql';
import pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';

const QUERIES = Number(process.env['REACH_QUERIES'] ?? 1_500);
const SEED = Number(process.env['REACH_SEED'] ?? 20_260_107);
const SECRET = /secret/i;

let dir: string;
let server: EmbeddedPostgres;
let client: pg.Client;
beforeAll(async () => {
  await loadSqlParser();
  dir = mkdtempSync(join(tmpdir(), 'sallyport-reach-'));
  server = await startEmbeddedPostgres({ dir });
  client = new pg.Client({ connectionString: server.url() });
  await client.connect();
  await client.query(`
    create table c (id int, name text, ssn text);
    create table o (id int, cid int, note text);
    insert into c select i, 'n' || i, 'SECRET' || i from generate_series(1, 3) i;
    insert into o select i, i, 'x' || i from generate_series(1, 3) i;
    set statement_timeout = 1000;
  `);
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
  const missed: string[] = [];
  for (let i = 0; i < QUERIES; i++) {
    const sql = make.query();
    const reading = extractSqlFacts(sql);
    if (isUnknownSql(reading)) {
      missed.push(`unknown (${reading.unknown}): ${sql}`);
      continue;
    }
    let result: pg.QueryArrayResult;
    try {
      result = await client.query<unknown[]>({ text: sql, rowMode: 'array' });
    } catch {
      // Ambiguous names and mismatched types are the server's to refuse; enough of them run.
      continue;
    }
    ran++;
    const leaks = result.fields.some(
      (field, at) => field.tableID === 0 && result.rows.some((row: unknown[]) => SECRET.test(JSON.stringify(row[at]))),
    );
    if (!leaks) continue;
    shown++;
    const columns = reading.statements[0]!.columns;
    const told = columns.some((use) => carriesValue(use) && mayName(use, { table: 'c', column: 'ssn' }));
    // USING merges columns without an origin; the protocol counts plain output then.
    const merged = columns.some((use) => use.use === 'join' && mayName(use, { table: 'c', column: 'ssn' }));
    if (!told && !merged) missed.push(sql);
  }
  expect(missed).toEqual([]);
  // The generator would be worth nothing if few of its queries ran or showed the secret.
  expect(ran).toBeGreaterThan(QUERIES / 3);
  expect(shown).toBeGreaterThan(QUERIES / 20);
});

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
      const expression = this.#expression(source, depth, sources);
      const plain = /^[a-z0-9]+(\.[a-z0-9]+)?$/.test(expression) && width === undefined && this.#chance(0.4);
      targets.push(plain ? expression : `${width === undefined ? expression : `(${expression})::text`} as ${name}`);
      columns.push(plain ? expression.split('.').at(-1)! : name);
    }
    const order = width === undefined && this.#chance(0.1) ? ' order by 1' : '';
    return { sql: `select ${targets.join(', ')} from ${from}${order}`, columns, exact };
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
