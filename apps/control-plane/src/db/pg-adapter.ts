/**
 * Prisma's way to PostgreSQL, with two things it leaves open. Statements are prepared once per connection, since parsing and
 * planning them costs the server more than running them. And a transaction sends one at a time: Prisma reads the relations of
 * one query side by side, which the driver takes on one connection for now, with a warning, and will refuse.
 */
import { hash } from 'node:crypto';
import { PrismaPg } from '@prisma/adapter-pg';
import pg from 'pg';

type Adapter = Awaited<ReturnType<PrismaPg['connect']>>;
type Transaction = Awaited<ReturnType<Adapter['startTransaction']>>;

/** Texts that get a name; lists of many lengths would make ever more of them, so the later ones go without. */
const NAMED_MAX = 1_000;
const NAMED_CHARS_MAX = 8_000;

/** How long a connection may stand idle. A fresh one costs a login, and every statement's preparation, on the first request of a rush. */
const IDLE_MS_MAX = 10 * 60_000;

type StatementNames = (query: { readonly sql: string }) => string;

/** Names that Prisma's statements and those past it share, on connections that they share. */
export function statementNames(): StatementNames {
  const names = new Map<string, string>();
  return ({ sql }) => {
    const known = names.get(sql);
    if (known !== undefined) return known;
    // Without a name the driver does as it always did.
    if (names.size >= NAMED_MAX || sql.length > NAMED_CHARS_MAX) return '';
    const name = `s${hash('sha256', sql).slice(0, 30)}`;
    names.set(sql, name);
    return name;
  };
}

/** A plan that was made while a table was small must not read the whole of it for good. */
const PLAN_ONCE =
  "select set_config('plan_cache_mode', 'force_generic_plan', false), set_config('enable_seqscan', 'off', false)";

/**
 * @param url of the database @param connectionsMax in the pool
 * @param plansOnce a statement's first plan on a connection is kept for all values: where planning costs more than it can save
 */
export function openPool(url: string, connectionsMax: number, { plansOnce = false } = {}): pg.Pool {
  const pool = new pg.Pool({
    connectionString: url,
    application_name: 'sallyport',
    max: connectionsMax,
    idleTimeoutMillis: IDLE_MS_MAX,
  });
  // Sent before whatever the connection was opened for; should it fail, statements are planned as ever.
  if (plansOnce) pool.on('connect', (client) => void client.query(PLAN_ONCE).catch(() => undefined));
  // A connection that is lost while nobody uses it is nobody's failure: the next one opens another.
  pool.on('error', () => undefined);
  return pool;
}

export class PgAdapter extends PrismaPg {
  constructor(pool: pg.Pool, names: StatementNames) {
    super(pool, { statementNameGenerator: names });
  }

  override async connect(): Promise<Adapter> {
    const adapter = await super.connect();
    const start = adapter.startTransaction.bind(adapter);
    adapter.startTransaction = async (level) => inTurn(await start(level));
    return adapter;
  }
}

/** The same transaction; what is asked of it while it is busy waits. */
function inTurn(transaction: Transaction): Transaction {
  let last: Promise<unknown> = Promise.resolve();
  const after = <T>(work: () => Promise<T>): Promise<T> => {
    const mine = last.then(work);
    // One that failed is its caller's to hear of.
    last = mine.then(
      () => undefined,
      () => undefined,
    );
    return mine;
  };
  const queryRaw = transaction.queryRaw.bind(transaction);
  const executeRaw = transaction.executeRaw.bind(transaction);
  transaction.queryRaw = (query) => after(() => queryRaw(query));
  transaction.executeRaw = (query) => after(() => executeRaw(query));
  return transaction;
}
