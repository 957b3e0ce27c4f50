/**
 * A transaction's client that tells its change log of every write to a watched table: rows are read before and after.
 * Refuses to know what is watched, and to look into raw SQL and nested writes.
 */
import { noteChange } from '../acts/changes.ts';
import { WATCHED } from '../acts/watched.ts';
import type { Tx } from './database.ts';

type Row = Readonly<Record<string, unknown>>;
interface Args {
  readonly where?: Row;
  readonly data?: unknown;
}
type Method = (args: Args) => Promise<unknown>;
type Delegate = Readonly<Record<string, Method>>;

/** Rows that one write is told of; more than an act shows. */
const ROWS_MAX = 60;

export function watchedClient(tx: Tx): Tx {
  const delegates = new Map<string, unknown>();
  const client: Tx = new Proxy(tx, {
    get: (target, key) => {
      const value: unknown = Reflect.get(target, key, target);
      if (typeof key !== 'string' || WATCHED[key] === undefined)
        return typeof value === 'function' ? (value as () => unknown).bind(target) : value;
      let delegate = delegates.get(key);
      if (delegate === undefined) {
        delegate = watchedDelegate(() => client, key, value as Delegate);
        delegates.set(key, delegate);
      }
      return delegate;
    },
  });
  return client;
}

function watchedDelegate(client: () => Tx, table: string, plain: Delegate): unknown {
  const note = (before: Row | null, after: Row | null): void => noteChange(client(), table, before, after);
  const many = async (args: Args): Promise<readonly Row[]> =>
    (await plain['findMany']!({ where: args.where ?? {}, take: ROWS_MAX } as Args)) as readonly Row[];
  const one = async (where: Row | undefined): Promise<Row | null> =>
    (await plain['findUnique']!({ where: where ?? {} })) as Row | null;
  /** Rows as they are now. Those without an id are made and deleted, never changed. */
  const again = async (rows: readonly Row[]): Promise<ReadonlyMap<unknown, Row>> => {
    const ids = rows.flatMap((row) => (row['id'] === undefined ? [] : [row['id']]));
    if (ids.length === 0) return new Map();
    return new Map((await many({ where: { id: { in: ids } } })).map((row) => [row['id'], row]));
  };
  const changing =
    (method: Method): Method =>
    async (args) => {
      const before = await many(args);
      const result = await method(args);
      const after = await again(before);
      for (const row of before) note(row, after.get(row['id']) ?? null);
      return result;
    };
  const made = (data: unknown, result: unknown): void =>
    note(null, { ...(data as Row), ...(typeof result === 'object' ? (result as Row) : {}) });

  const watched: Record<string, Method> = {
    create: async (args) => {
      const result = await plain['create']!(args);
      made(args.data, result);
      return result;
    },
    createMany: async (args) => {
      const result = (await plain['createMany']!(args)) as { readonly count: number };
      if (result.count > 0) for (const data of [args.data].flat()) made(data, {});
      return result;
    },
    createManyAndReturn: async (args) => {
      const rows = (await plain['createManyAndReturn']!(args)) as readonly Row[];
      for (const row of rows) made({}, row);
      return rows;
    },
    update: async (args) => {
      const before = await one(args.where);
      const result = await plain['update']!(args);
      if (before !== null) note(before, (await again([before])).get(before['id']) ?? null);
      return result;
    },
    upsert: async (args) => {
      const before = await one(args.where);
      const result = await plain['upsert']!(args);
      note(before, result as Row);
      return result;
    },
    updateMany: changing((args) => plain['updateMany']!(args)),
    updateManyAndReturn: changing((args) => plain['updateManyAndReturn']!(args)),
    delete: async (args) => {
      const before = await one(args.where);
      const result = await plain['delete']!(args);
      note(before, null);
      return result;
    },
    deleteMany: changing((args) => plain['deleteMany']!(args)),
  };
  return new Proxy(plain, {
    get: (target, key) => {
      if (typeof key === 'string' && Object.hasOwn(watched, key)) return watched[key];
      const value: unknown = Reflect.get(target, key, target);
      return typeof value === 'function' ? (value as () => unknown).bind(target) : value;
    },
  });
}
