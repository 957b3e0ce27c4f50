/**
 * The bus on Redis pub/sub, for many replicas: live frames and answers go through Redis, while what must be heard only
 * if a transaction commits still comes from PostgreSQL (`publishWithin`), so this wraps a PgBus.
 * Refuses to store anything in Redis.
 */
import type { Logger } from '@sallyport/core';
import { Redis } from 'ioredis';
import { Bus, type BusHandler, BusHandlers, type BusMessages, type BusTopic } from './bus.ts';

const CHANNEL = 'sallyport:bus';

export class RedisBus extends Bus {
  readonly #inner: Bus;
  readonly #sender: Redis;
  readonly #listener: Redis;
  readonly #handlers: BusHandlers;

  /** @param inner the PostgreSQL bus; closed together with this one */
  constructor(url: string, inner: Bus, log: Logger) {
    super();
    this.#inner = inner;
    this.#handlers = new BusHandlers((cause) => log.error('a bus handler failed', { cause }));
    const options = { lazyConnect: true, maxRetriesPerRequest: 2, enableOfflineQueue: true } as const;
    this.#sender = new Redis(url, options);
    this.#listener = new Redis(url, { ...options, maxRetriesPerRequest: null });
    for (const redis of [this.#sender, this.#listener]) {
      redis.on('error', (cause: unknown) => log.warn('redis is not reachable', { cause }));
    }
    let first = true;
    this.#listener.on('ready', () => {
      if (!first) this.#handlers.gap();
      first = false;
    });
    this.#listener.on('message', (_channel: string, text: string) => {
      const { t, m } = JSON.parse(text) as { t: string; m: unknown };
      this.#handlers.deliver(t, m);
    });
  }

  /** Resolves when subscribed. @throws when Redis cannot be reached at start */
  async open(): Promise<void> {
    await Promise.all([this.#sender.connect(), this.#listener.connect()]);
    await this.#listener.subscribe(CHANNEL);
  }

  override async publish<T extends BusTopic>(topic: T, message: BusMessages[T]): Promise<void> {
    await this.#sender.publish(CHANNEL, JSON.stringify({ t: topic, m: message }));
  }

  override subscribe<T extends BusTopic>(topic: T, handler: BusHandler<T>): () => void {
    const ends = [this.#handlers.add(topic, handler), this.#inner.subscribe(topic, handler)];
    return () => {
      for (const end of ends) end();
    };
  }

  override onGap(handler: () => void): () => void {
    const ends = [this.#handlers.addGap(handler), this.#inner.onGap(handler)];
    return () => {
      for (const end of ends) end();
    };
  }

  override async close(): Promise<void> {
    this.#sender.disconnect();
    this.#listener.disconnect();
    await this.#inner.close();
  }
}
