/**
 * The bus on PostgreSQL's LISTEN/NOTIFY: nothing more to run, and a notification sent inside a transaction arrives only
 * if that transaction commits. One connection of its own, outside any pool, that comes back after a loss.
 * Refuses to notify inside ingest transactions: NOTIFY takes a lock over all databases at commit.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from '@sallyport/core';
import pg from 'pg';
import { Bus, type BusHandler, BusHandlers, type BusMessages, type BusTopic } from './bus.ts';
import { MessageJoiner, splitMessage } from './frames.ts';

export const BUS_CHANNEL = 'sallyport_bus';

/** Runs one raw statement inside the caller's transaction, as Prisma's `$executeRawUnsafe` does. */
export interface StatementRunner {
  $executeRawUnsafe(sql: string, ...values: unknown[]): Promise<number>;
}

/**
 * A short message as the text of its notification on `BUS_CHANNEL`, for a statement that sends it along with what it tells of.
 * @throws Error for one that takes several
 */
export function noticeOf<T extends BusTopic>(topic: T, message: BusMessages[T]): string {
  const [text, ...more] = splitMessage(topic, message);
  if (text === undefined || more.length > 0) throw new Error('the message takes more than one notification');
  return text;
}

/** Sends with the caller's transaction: heard if, and only when, it commits. */
export async function publishWithin<T extends BusTopic>(
  tx: StatementRunner,
  topic: T,
  message: BusMessages[T],
): Promise<void> {
  for (const text of splitMessage(topic, message)) {
    await tx.$executeRawUnsafe('select pg_notify($1::text, $2::text)', BUS_CHANNEL, text);
  }
}

export class PgBus extends Bus {
  readonly #url: string;
  readonly #log: Logger;
  readonly #handlers: BusHandlers;
  readonly #joiner = new MessageJoiner();
  #client: pg.Client | undefined;
  #closed = false;

  constructor(url: string, log: Logger) {
    super();
    this.#url = url;
    this.#log = log;
    this.#handlers = new BusHandlers((cause) => log.error('a bus handler failed', { cause }));
  }

  /** Resolves when listening. @throws when the first connection fails */
  async open(): Promise<void> {
    await this.#connect();
  }

  override async publish<T extends BusTopic>(topic: T, message: BusMessages[T]): Promise<void> {
    const client = this.#client;
    if (client === undefined) {
      // The line is down: this replica's own subscribers still learn of it, the others at their next gap.
      this.#handlers.deliver(topic, message);
      return;
    }
    for (const text of splitMessage(topic, message))
      await client.query('select pg_notify($1::text, $2::text)', [BUS_CHANNEL, text]);
  }

  override subscribe<T extends BusTopic>(topic: T, handler: BusHandler<T>): () => void {
    return this.#handlers.add(topic, handler);
  }

  override onGap(handler: () => void): () => void {
    return this.#handlers.addGap(handler);
  }

  override async close(): Promise<void> {
    this.#closed = true;
    const client = this.#client;
    this.#client = undefined;
    await client?.end();
  }

  async #connect(): Promise<void> {
    const client = new pg.Client({ connectionString: this.#url, application_name: 'sallyport bus', keepAlive: true });
    client.on('notification', (notice) => {
      const whole = this.#joiner.take(notice.payload ?? '');
      if (whole !== undefined) this.#handlers.deliver(whole.topic, whole.message);
    });
    client.on('error', (cause) => this.#log.warn('the bus lost its connection', { cause }));
    client.on('end', () => this.#lost(client));
    await client.connect();
    await client.query(`listen ${BUS_CHANNEL}`);
    this.#client = client;
  }

  #lost(client: pg.Client): void {
    if (this.#closed || this.#client !== client) return;
    this.#client = undefined;
    void this.#reconnect();
  }

  async #reconnect(): Promise<void> {
    for (let wait = 100; !this.#closed; wait = Math.min(wait * 2, 5_000)) {
      await sleep(wait + Math.random() * wait, undefined, { ref: false });
      if (this.#closed) return;
      try {
        await this.#connect();
        this.#handlers.gap();
        return;
      } catch (cause) {
        this.#log.warn('the bus cannot connect', { cause });
      }
    }
  }
}
