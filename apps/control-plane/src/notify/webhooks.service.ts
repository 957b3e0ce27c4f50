/**
 * Webhooks: where approvals, alarms and tree heads are told to. The HMAC secret is made by us or given, sealed at once and
 * never shown again. Refuses plain http but on loopback, and URLs that carry credentials.
 */
import { randomBytes } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { GatewayError } from '@sallyport/core';
import { recordActOf } from '../acts/acts.ts';
import { Database } from '../db/database.ts';
import type { Webhook } from '../generated/prisma/client.ts';
import type { Caller } from '../http/caller.ts';
import { InvalidRequest } from '../http/invalid-request.ts';
import { type Page, type PageRequest, toPage } from '../http/page.ts';
import { Envelope } from '../keys/envelope.ts';
import { SystemClock } from '../time.ts';
import { Outbox } from './outbox.ts';
import type { CreateWebhook, UpdateWebhook, WebhookView } from './webhooks.dto.ts';
import { WebhooksRepository } from './webhooks.repository.ts';

const LOOPBACK = new Set(['127.0.0.1', 'localhost', '[::1]']);
const DELIVERIES_SHOWN = 20;

function requireUrl(text: string): string {
  const url = new URL(text);
  const fits = url.protocol === 'https:' || (url.protocol === 'http:' && LOOPBACK.has(url.hostname));
  if (!fits) throw new InvalidRequest([{ field: 'url', message: 'https is expected (http on loopback alone)' }]);
  if (url.username !== '' || url.password !== '')
    throw new InvalidRequest([{ field: 'url', message: 'credentials do not belong in a URL' }]);
  return text;
}

@Injectable()
export class WebhooksService {
  constructor(
    private readonly database: Database,
    private readonly repository: WebhooksRepository,
    private readonly outbox: Outbox,
    private readonly envelope: Envelope,
    private readonly clock: SystemClock,
  ) {}

  async list(caller: Caller, page: PageRequest): Promise<Page<WebhookView>> {
    return toPage(await this.repository.list(caller.projectId, page), page, show);
  }

  /** @throws GatewayError `request.not_found` */
  async get(caller: Caller, nameOrId: string): Promise<WebhookView> {
    return show(await this.#require(caller, nameOrId));
  }

  /** @returns the webhook with its secret, shown this once */
  async create(caller: Caller, input: CreateWebhook): Promise<WebhookView & { secret: string }> {
    const id = this.clock.id();
    const secret = input.secret ?? `whs_${randomBytes(32).toString('base64url')}`;
    const webhook = await this.database.transaction(async (tx) => {
      const row = await this.repository.create(tx, {
        id,
        projectId: caller.projectId,
        name: input.name,
        url: requireUrl(input.url),
        format: input.format,
        events: [...new Set(input.events)],
        sealed: this.envelope.seal(Buffer.from(secret), `webhook/${id}`),
      });
      await recordActOf(tx, caller, 'webhook.created', `webhook/${input.name}`, {
        host: new URL(input.url).host,
        format: input.format,
        events: input.events,
      });
      return row;
    });
    return { ...show(webhook), secret };
  }

  async update(caller: Caller, nameOrId: string, input: UpdateWebhook): Promise<WebhookView> {
    const known = await this.#require(caller, nameOrId);
    return await this.database.transaction(async (tx) => {
      const row = await this.repository.update(tx, known.id, {
        ...(input.url === undefined ? {} : { url: requireUrl(input.url) }),
        ...(input.format === undefined ? {} : { format: input.format }),
        ...(input.events === undefined ? {} : { events: [...new Set(input.events)] }),
        ...(input.secret === undefined
          ? {}
          : { sealed: this.envelope.seal(Buffer.from(input.secret), `webhook/${known.id}`) }),
        ...(input.disabled === undefined ? {} : { disabledAt: input.disabled ? this.clock.now() : null }),
      });
      await recordActOf(tx, caller, 'webhook.updated', `webhook/${known.name}`, {
        fields: Object.keys(input).join(' '),
      });
      return show(row);
    });
  }

  async delete(caller: Caller, nameOrId: string): Promise<void> {
    const known = await this.#require(caller, nameOrId);
    await this.database.transaction(async (tx) => {
      await this.repository.delete(tx, known.id);
      await recordActOf(tx, caller, 'webhook.deleted', `webhook/${known.name}`);
    });
  }

  /** Sends a test message through the outbox, to this webhook alone. */
  async test(caller: Caller, nameOrId: string): Promise<void> {
    const known = await this.#require(caller, nameOrId);
    await this.database.transaction(async (tx) => {
      await this.outbox.addTo(tx, caller.projectId, [known.id], 'test', { by: caller.principal.name });
      await recordActOf(tx, caller, 'webhook.tested', `webhook/${known.name}`);
    });
    this.outbox.wake();
  }

  /** The last deliveries with what went wrong. */
  async deliveries(caller: Caller, nameOrId: string) {
    const known = await this.#require(caller, nameOrId);
    const rows = await this.repository.lastMessages(known.id, DELIVERIES_SHOWN);
    return {
      items: rows.map((row) => ({
        id: String(row.id),
        event: row.event,
        attempts: row.attempts,
        createdAt: row.createdAt.toISOString(),
        sentAt: row.sentAt?.toISOString() ?? null,
        failedAt: row.failedAt?.toISOString() ?? null,
        error: row.error,
      })),
    };
  }

  async #require(caller: Caller, nameOrId: string): Promise<Webhook> {
    const webhook = await this.repository.find(caller.projectId, nameOrId);
    if (webhook === null) throw new GatewayError('request.not_found', { webhook: nameOrId });
    return webhook;
  }
}

const show = (row: Webhook): WebhookView => ({
  id: row.id,
  name: row.name,
  url: row.url,
  format: row.format as WebhookView['format'],
  events: row.events,
  disabled: row.disabledAt !== null,
  createdAt: row.createdAt.toISOString(),
});
