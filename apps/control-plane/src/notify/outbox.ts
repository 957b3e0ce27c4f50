/**
 * Messages to the outside: written in the transaction of what they tell of, sent later by whichever replica takes them
 * (`for update skip locked`), again and again with growing pauses until delivered or given up.
 * Refuses to send from inside a transaction, and to know how each kind is sent (channels.ts).
 */
import { Injectable, type OnApplicationBootstrap, type OnModuleDestroy } from '@nestjs/common';
import { Counter } from 'prom-client';
import { Database, type Tx } from '../db/database.ts';
import type { OutboxMessage, Prisma, Webhook } from '../generated/prisma/client.ts';
import { Metrics } from '../http/metrics.ts';
import { Log } from '../http/problem.filter.ts';
import { SystemClock } from '../time.ts';
import { Channels } from './channels.ts';

const POLL_MS = 500;
const BATCH = 20;
/** Longer than a send: a replica that dies in the middle of one lets go by itself, and the message is sent again. */
const LEASE_MS = 20_000;
/** What was delivered or given up is shown this long. */
const KEPT_MS = 14 * 86_400_000;
const CLEAN_EVERY_MS = 60 * 60_000;
/** Pauses before the 2nd, 3rd, … attempt; after the last the message is given up. About a day in all. */
const PAUSES_MS: readonly number[] = [
  1_000, 5_000, 30_000, 120_000, 600_000, 1_800_000, 7_200_000, 21_600_000, 43_200_000,
];

/** What a webhook can subscribe to; `*` is all of them. */
export const OUTBOX_EVENTS = [
  'approval.escalated',
  'approval.delegated',
  'approval.commented',
  'approval.requested',
  'approval.answered',
  'access.requested',
  'access.answered',
  'change.proposed',
  'change.answered',
  'session.killed',
  'review.started',
  'review.lapsed',
  'drift.found',
  'account.break_glass',
  'trail.alarm',
  'trail.head',
  'credential.refused',
  'credential.rotation_failed',
  'test',
] as const;
export type OutboxEvent = (typeof OUTBOX_EVENTS)[number];
/** What no webhook subscribes to: words to one Slack user about an answer of theirs. */
export type InnerEvent = 'slack.note';

/** Who of these can be reached by e-mail, or is tied to a user of a Slack app. */
async function personalMessages(
  tx: Tx,
  projectId: string,
  webhooks: readonly { readonly id: string; readonly format: string }[],
  persons: readonly string[],
): Promise<{ webhookId: string; recipientId: string }[]> {
  if (persons.length === 0) return [];
  const mail = webhooks.filter((webhook) => webhook.format === 'email');
  const slack = webhooks.filter((webhook) => webhook.format === 'slack_app');
  const withAddress =
    mail.length === 0
      ? []
      : await tx.principal.findMany({
          where: { projectId, id: { in: [...persons] }, disabledAt: null, email: { not: null } },
          select: { id: true },
        });
  const links =
    slack.length === 0
      ? []
      : await tx.slackLink.findMany({
          where: { projectId, webhookId: { in: slack.map((one) => one.id) }, principalId: { in: [...persons] } },
          distinct: ['webhookId', 'principalId'],
        });
  return [
    ...mail.flatMap((webhook) => withAddress.map(({ id }) => ({ webhookId: webhook.id, recipientId: id }))),
    ...links.map((link) => ({ webhookId: link.webhookId, recipientId: link.principalId })),
  ];
}

@Injectable()
export class Outbox implements OnApplicationBootstrap, OnModuleDestroy {
  #timer: NodeJS.Timeout | undefined;
  #working: Promise<void> | undefined;
  /** Messages under way, by webhook: a receiver that hangs delays its own alone. */
  readonly #sending = new Map<string, Promise<void>>();
  #cleanedAtMs = 0;
  readonly #sent: Counter<'outcome'>;
  constructor(
    private readonly database: Database,
    private readonly channels: Channels,
    private readonly clock: SystemClock,
    private readonly log: Log,
    metrics: Metrics,
  ) {
    this.#sent = new Counter({
      name: 'sallyport_webhooks_total',
      help: 'Webhook deliveries by outcome.',
      labelNames: ['outcome'],
      registers: [metrics.registry],
    });
  }

  /**
   * One message to each webhook that wants this event, and one to each of `persons` by those that can reach a person.
   * @param tx the transaction of the change @param persons principal ids
   */
  async add(
    tx: Tx,
    projectId: string,
    event: OutboxEvent,
    body: Prisma.InputJsonObject,
    persons: readonly string[] = [],
  ): Promise<void> {
    const webhooks = await tx.webhook.findMany({
      where: { projectId, disabledAt: null, events: { hasSome: [event, '*'] } },
      select: { id: true, format: true },
    });
    await this.addTo(
      tx,
      projectId,
      webhooks.map((webhook) => webhook.id),
      event,
      body,
    );
    const data = await personalMessages(tx, projectId, webhooks, [...new Set(persons)]);
    if (data.length > 0)
      await tx.outboxMessage.createMany({ data: data.map((to) => ({ ...to, projectId, event, body })) });
    this.database.afterCommit(tx, () => this.wake());
  }

  /** The same, to named webhooks. */
  async addTo(
    tx: Tx,
    projectId: string,
    webhookIds: readonly string[],
    event: OutboxEvent | InnerEvent,
    body: Prisma.InputJsonObject,
  ): Promise<void> {
    if (webhookIds.length === 0) return;
    await tx.outboxMessage.createMany({ data: webhookIds.map((webhookId) => ({ projectId, webhookId, event, body })) });
  }

  onApplicationBootstrap(): void {
    this.#timer = setInterval(() => this.wake(), POLL_MS);
    this.#timer.unref();
  }

  async onModuleDestroy(): Promise<void> {
    clearInterval(this.#timer);
    this.#timer = undefined;
    await this.#working;
    await Promise.all(this.#sending.values());
  }

  /** Sends what is due, unless it is doing so already. */
  wake(): void {
    if (this.#timer === undefined || this.#working !== undefined) return;
    this.#working = this.#work()
      .catch((cause: unknown) => this.log.warn('the outbox could not be read', { cause }))
      .finally(() => {
        this.#working = undefined;
      });
  }

  /** A lease by `next_at`. */
  async #work(): Promise<void> {
    if (this.clock.nowMs() - this.#cleanedAtMs > CLEAN_EVERY_MS) await this.#clean();
    const due = await this.database.client.$queryRaw<{ id: bigint }[]>`
      update outbox_messages set next_at = now() + ${LEASE_MS} * interval '1 millisecond', attempts = attempts + 1
      where id in (select id from outbox_messages where sent_at is null and failed_at is null and next_at <= now()
        and webhook_id <> all(${[...this.#sending.keys()]}::uuid[])
        order by next_at limit ${BATCH} for update skip locked)
      returning id`;
    if (due.length === 0) return;
    const messages = await this.database.client.outboxMessage.findMany({
      where: { id: { in: due.map((row) => row.id) } },
      orderBy: { id: 'asc' },
    });
    const webhooks = await this.database.client.webhook.findMany({
      where: { id: { in: messages.map((message) => message.webhookId) } },
    });
    for (const [webhookId, theirs] of Map.groupBy(messages, (message) => message.webhookId)) {
      const webhook = webhooks.find((row) => row.id === webhookId);
      const sending = Promise.all(theirs.map((message) => this.#send(message, webhook)))
        .then(
          () => undefined,
          (cause: unknown) => this.log.warn('what became of a message could not be noted; it is sent again', { cause }),
        )
        .finally(() => {
          this.#sending.delete(webhookId);
          this.wake();
        });
      this.#sending.set(webhookId, sending);
    }
  }

  async #clean(): Promise<void> {
    this.#cleanedAtMs = this.clock.nowMs();
    const before = new Date(this.#cleanedAtMs - KEPT_MS);
    await this.database.client.outboxMessage.deleteMany({
      where: { OR: [{ sentAt: { lt: before } }, { failedAt: { lt: before } }] },
    });
  }

  async #send(message: OutboxMessage, webhook: Webhook | undefined): Promise<void> {
    const failure =
      webhook === undefined || webhook.disabledAt !== null
        ? 'the webhook is gone'
        : await this.channels.deliver(message, webhook);
    const now = this.clock.now();
    if (failure === undefined) {
      this.#sent.inc({ outcome: 'sent' });
      await this.database.client.outboxMessage.update({
        where: { id: message.id },
        data: { sentAt: now, error: null },
      });
      return;
    }
    const pause = webhook === undefined ? undefined : PAUSES_MS[message.attempts - 1];
    this.#sent.inc({ outcome: pause === undefined ? 'given_up' : 'failed' });
    const error = failure.slice(0, 500);
    // A fifth of jitter, so that a receiver that comes back is not met by everything at once.
    const next =
      pause === undefined
        ? { failedAt: now }
        : { nextAt: new Date(now.getTime() + pause * (0.9 + Math.random() * 0.2)) };
    await this.database.client.outboxMessage.update({ where: { id: message.id }, data: { ...next, error } });
  }
}
