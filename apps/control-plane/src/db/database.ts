/**
 * The one way to the control plane's PostgreSQL: a Prisma client, transactions, and work to do once one has committed.
 * Refuses to know any table; repositories of the features do.
 */
import { Injectable, type OnModuleDestroy } from '@nestjs/common';
import { Secret } from '@sallyport/core';
import { watch } from '../acts/changes.ts';
import { requireSecondAdmin } from '../dual-control/second-admin.ts';
import { type Prisma, PrismaClient } from '../generated/prisma/client.ts';
import { ambient } from './ambient.ts';
import { PgAdapter } from './pg-adapter.ts';
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

type AfterCommit = () => void | Promise<void>;

@Injectable()
export class Database implements OnModuleDestroy {
  readonly #client: PrismaClient;
  readonly #waiting = new WeakMap<object, AfterCommit[]>();

  constructor(database: DatabaseUrl) {
    this.#client = new PrismaClient({ adapter: new PgAdapter(database.url.reveal(), CONNECTIONS_MAX) });
  }

  /** For reads outside a transaction. While an agreed change is carried out all of it belongs to that change's own. */
  get client(): PrismaClient {
    return (ambient.getStore()?.agreed?.tx as PrismaClient | undefined) ?? this.#client;
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

  async onModuleDestroy(): Promise<void> {
    await this.#client.$disconnect();
  }
}
