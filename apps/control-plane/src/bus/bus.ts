/**
 * How replicas of the control plane tell each other that something happened: small messages, ids rather than content.
 * Refuses to be a queue: a message that nobody heard is gone, so each topic's truth is in the database and `onGap` says
 * when to read it again.
 */

/** What may be said. Values are plain JSON. */
export interface BusMessages {
  /** The project's bundle revision grew; `later` = by what may be gathered with more of its kind. */
  readonly bundle: { readonly projectId: string; readonly later?: true };
  /** An approval request of this agent was answered. */
  readonly approval: { readonly agentId: string; readonly requestId: string };
  /** A live session has to end, with the error code its client is told. */
  readonly end: { readonly agentId: string; readonly sessionId: string; readonly code: string };
  /** An agent's record was revoked: its links are cut. */
  readonly agent: { readonly agentId: string };
  /** Another master key seals. */
  readonly masterKey: { readonly keyId: string };
  /** A lease has to end. */
  readonly lease: { readonly agentId: string; readonly leaseId: string };
  /** Somebody started or stopped to watch a session. */
  readonly watch: { readonly agentId: string; readonly sessionId: string; readonly on: boolean };
  /** A session's keys were destroyed: who holds one in memory drops it. */
  readonly erased: { readonly sessionId: string };
  /** A live frame of a watched session, base64. */
  readonly frame: { readonly sessionId: string; readonly agentId: string; readonly frame: string };
}
export type BusTopic = keyof BusMessages;
export type BusHandler<T extends BusTopic> = (message: BusMessages[T]) => void;

/** An abstract class, so that it is its own injection token. */
export abstract class Bus {
  /** Tells every replica, this one too. Resolves when the message has left; delivery is not acknowledged. */
  abstract publish<T extends BusTopic>(topic: T, message: BusMessages[T]): Promise<void>;
  /** @returns a function that ends the subscription */
  abstract subscribe<T extends BusTopic>(topic: T, handler: BusHandler<T>): () => void;
  /** Called when messages may have been missed (the line was down): read the truth again. */
  abstract onGap(handler: () => void): () => void;
  abstract close(): Promise<void>;
}

/** Subscriptions by topic; shared by every implementation. A handler that throws is reported, never passed on. */
export class BusHandlers {
  readonly #byTopic = new Map<BusTopic, Set<(message: never) => void>>();
  readonly #gaps = new Set<() => void>();
  readonly #failed: (cause: unknown) => void;
  constructor(failed: (cause: unknown) => void) {
    this.#failed = failed;
  }
  add<T extends BusTopic>(topic: T, handler: BusHandler<T>): () => void {
    const handlers = this.#byTopic.get(topic) ?? new Set();
    this.#byTopic.set(topic, handlers);
    handlers.add(handler);
    return () => handlers.delete(handler);
  }
  addGap(handler: () => void): () => void {
    this.#gaps.add(handler);
    return () => this.#gaps.delete(handler);
  }
  deliver(topic: string, message: unknown): void {
    for (const handler of this.#byTopic.get(topic as BusTopic) ?? []) this.#call(() => handler(message as never));
  }
  gap(): void {
    for (const handler of this.#gaps) this.#call(handler);
  }
  #call(handler: () => void): void {
    try {
      handler();
    } catch (cause) {
      this.#failed(cause);
    }
  }
}
