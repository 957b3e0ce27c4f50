/**
 * The one way to the control plane's PostgreSQL: a Prisma client, transactions, and work to do once one has committed.
 * Refuses to know any table; repositories of the features do.
 */
import { Injectable, type OnModuleDestroy, type OnModuleInit } from '@nestjs/common';
import { Secret } from '@sallyport/core';
import { watch } from '../acts/changes.ts';
import { requireSecondAdmin } from '../dual-control/second-admin.ts';
import { type Prisma, PrismaClient } from '../generated/prisma/client.ts';
import { ambient } from './ambient.ts';
import { openPool, PgAdapter, statementNames } from './pg-adapter.ts';
import { watchedClient } from './watched-client.ts';

/** A transaction's client; also fits the plain client for reads. */
export type Tx = Prisma.TransactionClient;

/** Connection string of the database in use, after an embedded one was started. */
export class DatabaseUrl {
  readonly url: Secret<string>;
  constructor(url: Secret<string>) {
    this.url = url;
  }
}

const CONNECTIONS_MAX = 20;
/**
 * For what is asked past Prisma, some hundred times a second: few, so that each soon knows every statement, and a rush waits
 * for them instead of drawing in others that know none.
 */
const QUICK_CONNECTIONS = 4;

type AfterCommit = () => void | Promise<void>;

@Injectable()
export class Database implements OnModuleInit, OnModuleDestroy {
  readonly #pool: ReturnType<typeof openPool>;
  readonly #quick: ReturnType<typeof openPool>;
  readonly #names = statementNames();
  readonly #client: PrismaClient;
  readonly #waiting = new WeakMap<object, AfterCommit[]>();

  constructor(database: DatabaseUrl) {
    this.#pool = openPool(database.url.reveal(), CONNECTIONS_MAX);
    this.#quick = openPool(database.url.reveal(), QUICK_CONNECTIONS, { plansOnce: true });
    // Its other ways of telling an error look for who asked, in a stack for every question.
    this.#client = new PrismaClient({ adapter: new PgAdapter(this.#pool, this.#names), errorFormat: 'minimal' });
  }

  /** For reads outside a transaction. While an agreed change is carried out all of it belongs to that change's own. */
  get client(): PrismaClient {
    return (ambient.getStore()?.agreed?.tx as PrismaClient | undefined) ?? this.#client;
  }

  /**
   * One statement by itself, past Prisma, whose own work on it costs more CPU than the statement: for what every sign-in and
   * every token exchange waits for. It is planned once a connection, whatever its values. Values come as the driver reads
   * them; nothing watched may change in it.
   * @param on `shared`: the connections that Prisma has too, for what comes as often and nobody waits for
   * @throws the driver’s error, whose `code` is the SQLSTATE; ADR 0040
   */
  async run<Row extends object>(
    statement: Prisma.Sql,
    on: 'quick' | 'shared' = 'quick',
  ): Promise<{ readonly rows: Row[]; readonly count: number }> {
    const tx = ambient.getStore()?.agreed?.tx;
    if (tx !== undefined) {
      const rows = await tx.$queryRaw<Row[]>(statement);
      return { rows, count: rows.length };
    }
    const { text, values } = statement;
    const name = this.#names({ sql: text });
    const pool = on === 'quick' ? this.#quick : this.#pool;
    const { rows, rowCount } = await pool.query<Row>({ name, text, values: [...values] });
    return { rows, count: rowCount ?? 0 };
  }

  /**
   * Runs `work` in one transaction; then, only if it committed, what `afterCommit` was given.
   * @throws SecondAdminNeeded when it changed what is under dual control
   * @throws GatewayError `internal` when it changed a watched table (acts/watched.ts) and wrote no act
   */
  async transaction<T>(work: (tx: Tx) => Promise<T>): Promise<T> {
    const agreed = ambient.getStore()?.agreed;
    if (agreed !== undefined) return await work(agreed.tx);
    const after: AfterCommit[] = [];
    const result = await this.#client.$transaction(
      async (plain) => {
        const tx = watchedClient(plain);
        const changes = watch(tx);
        this.#waiting.set(tx, after);
        const done = await work(tx);
        await changes.finish(tx);
        await requireSecondAdmin(tx, changes);
        return done;
      },
      { maxWait: 10_000, timeout: 30_000 },
    );
    for (const task of after) await task();
    return result;
  }

  /** Called inside `transaction`: `task` runs once it has committed, never when it rolled back. Not durable: wake-ups only. */
  afterCommit(tx: Tx, task: AfterCommit): void {
    this.#waiting.get(tx)?.push(task);
  }

  /** Logins cost more than statements: who comes first does not wait for them. */
  async onModuleInit(): Promise<void> {
    const open = Array.from({ length: QUICK_CONNECTIONS }, async () => await this.#quick.connect());
    for (const opened of await Promise.allSettled(open)) if (opened.status === 'fulfilled') opened.value.release();
  }

  async onModuleDestroy(): Promise<void> {
    await this.#client.$disconnect();
    await this.#pool.end();
    await this.#quick.end();
  }
}
