/**
 * Webhooks: where approvals, alarms and tree heads are told to. The HMAC secret is made by us or given, sealed at once and
 * never shown again. Refuses URLs that carry credentials, and addresses where those who give them may not lead (webhook-reach.ts).
 */
import { randomBytes } from 'node:crypto';
import { Injectable, type OnApplicationBootstrap } from '@nestjs/common';
import { GatewayError } from '@sallyport/core';
import { recordActOf } from '../acts/acts.ts';
import { Database } from '../db/database.ts';
import type { Webhook } from '../generated/prisma/client.ts';
import type { Caller } from '../http/caller.ts';
import { InvalidRequest } from '../http/invalid-request.ts';
import { type Page, type PageRequest, toPage } from '../http/page.ts';
import { type Reach, whyNotFetched } from '../identity/machines/guarded-fetch.ts';
import { Envelope } from '../keys/envelope.ts';
import { SystemClock } from '../time.ts';
import { resealSlackSecrets, sealSlackSecrets } from './credentials/slack-secrets.ts';
import { sealAddress, shownAddress } from './credentials/webhook-address.ts';
import { Mailer } from './mailer.ts';
import { Outbox } from './outbox.ts';
import { SLACK_API } from './slack-app.ts';
import { WebhookReach } from './webhook-reach.ts';
import { type CreateWebhook, FIELDS_OF, type UpdateWebhook, type WebhookView } from './webhooks.dto.ts';
import { WebhooksRepository } from './webhooks.repository.ts';

const DELIVERIES_SHOWN = 20;

function requireUrl(text: string, { loopback, networks }: Reach): string {
  const why = whyNotFetched(text, loopback, networks);
  if (why !== undefined) throw new InvalidRequest([{ field: 'url', message: why }]);
  return text;
}

interface WebhookConfig {
  readonly to?: readonly string[];
  readonly channel?: string;
}
const configOf = (input: { to?: string[] | undefined; channel?: string | undefined }) => ({
  ...(input.to === undefined ? {} : { to: input.to }),
  ...(input.channel === undefined ? {} : { channel: input.channel }),
});

/** @throws InvalidRequest for a field that its format has not, and for a format that is another kind of thing */
function requireFields(known: Webhook, input: UpdateWebhook): void {
  const before = FIELDS_OF[known.format as WebhookView['format']];
  const after = FIELDS_OF[input.format ?? (known.format as WebhookView['format'])];
  if (after !== before)
    throw new InvalidRequest([{ field: 'format', message: `${known.format} cannot become ${input.format}` }]);
  for (const field of ['url', 'secret', 'to', 'channel', 'botToken', 'signingSecret'] as const)
    if (input[field] !== undefined && after[field] === undefined)
      throw new InvalidRequest([{ field, message: `not of format ${known.format}` }]);
}

@Injectable()
export class WebhooksService implements OnApplicationBootstrap {
  constructor(
    private readonly database: Database,
    private readonly repository: WebhooksRepository,
    private readonly outbox: Outbox,
    private readonly envelope: Envelope,
    private readonly clock: SystemClock,
    private readonly mailer: Mailer,
    private readonly reach: WebhookReach,
  ) {}

  /** URLs that a version before this kept in clear. */
  async onApplicationBootstrap(): Promise<void> {
    for (const { id, shownUrl } of await this.repository.inClear())
      await this.repository.seal(id, shownUrl, this.#address(id, shownUrl));
  }

  async list(caller: Caller, page: PageRequest): Promise<Page<WebhookView>> {
    return toPage(await this.repository.list(caller.projectId, page), page, show);
  }

  /** @throws GatewayError `request.not_found` */
  async get(caller: Caller, nameOrId: string): Promise<WebhookView> {
    return show(await this.#require(caller, nameOrId));
  }

  /** @returns the webhook with its secret, shown this once */
  async create(caller: Caller, input: CreateWebhook): Promise<WebhookView & { secret?: string }> {
    const id = this.clock.id();
    const reach = this.reach.given(caller);
    const isSigned = FIELDS_OF[input.format].secret !== undefined;
    const secret = input.secret ?? `whs_${randomBytes(32).toString('base64url')}`;
    if (input.format === 'email' && !this.mailer.isConfigured)
      throw new InvalidRequest([{ field: 'format', message: 'no mail server is configured: set SALLYPORT_SMTP_URL' }]);
    const url = input.format === 'email' ? '' : requireUrl(input.url ?? SLACK_API, reach).replace(/\/+$/, '');
    const sealed =
      input.botToken !== undefined && input.signingSecret !== undefined
        ? sealSlackSecrets(this.envelope, id, { botToken: input.botToken, signingSecret: input.signingSecret })
        : this.envelope.seal(Buffer.from(secret), `webhook/${id}`);
    const webhook = await this.database.transaction(async (tx) => {
      const row = await this.repository.create(tx, {
        id,
        projectId: caller.projectId,
        name: input.name,
        ...(isSigned ? this.#address(id, url) : { shownUrl: url }),
        format: input.format,
        config: { ...configOf(input), ...(reach.loopback ? { loopback: true } : {}) },
        events: [...new Set(input.events)],
        sealed,
      });
      await recordActOf(tx, caller, 'webhook.created', `webhook/${input.name}`, {
        host: url === '' ? '' : new URL(url).host,
        ...(input.channel === undefined ? {} : { channel: input.channel }),
        format: input.format,
        events: input.events,
      });
      return row;
    });
    return { ...show(webhook), ...(isSigned ? { secret } : {}) };
  }

  async update(caller: Caller, nameOrId: string, input: UpdateWebhook): Promise<WebhookView> {
    const known = await this.#require(caller, nameOrId);
    requireFields(known, input);
    // Whoever gives the address answers for where it leads.
    const reach = this.reach.given(caller);
    const moved = input.url === undefined ? {} : { loopback: reach.loopback };
    const config = { ...(known.config as object), ...configOf(input), ...moved };
    const sealed = this.#sealed(known, input);
    return await this.database.transaction(async (tx) => {
      const row = await this.repository.update(tx, known.id, {
        config,
        ...(sealed === undefined ? {} : { sealed }),
        ...(input.url === undefined ? {} : this.#moved(known, requireUrl(input.url, reach))),
        ...(input.format === undefined ? {} : { format: input.format }),
        ...(input.events === undefined ? {} : { events: [...new Set(input.events)] }),
        ...(input.disabled === undefined ? {} : { disabledAt: input.disabled ? this.clock.now() : null }),
      });
      await recordActOf(tx, caller, 'webhook.updated', `webhook/${known.name}`, {
        fields: Object.keys(input).join(' '),
      });
      return show(row);
    });
  }

  #address(id: string, url: string): { shownUrl: string; sealedUrl: Uint8Array<ArrayBuffer> } {
    return { shownUrl: shownAddress(url), sealedUrl: sealAddress(this.envelope, id, url) };
  }

  #moved(known: Webhook, url: string): { shownUrl: string; sealedUrl?: Uint8Array<ArrayBuffer> } {
    return FIELDS_OF[known.format as WebhookView['format']].secret === undefined
      ? { shownUrl: url }
      : this.#address(known.id, url);
  }

  /** The new box, when a secret is changed. */
  #sealed(known: Webhook, input: UpdateWebhook): Uint8Array<ArrayBuffer> | undefined {
    const context = `webhook/${known.id}`;
    if (input.secret !== undefined) return this.envelope.seal(Buffer.from(input.secret), context);
    if (input.botToken === undefined && input.signingSecret === undefined) return undefined;
    return resealSlackSecrets(this.envelope, known, input);
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
  url: row.shownUrl,
  format: row.format as WebhookView['format'],
  to: [...((row.config as WebhookConfig).to ?? [])],
  channel: (row.config as WebhookConfig).channel ?? null,
  events: row.events,
  disabled: row.disabledAt !== null,
  createdAt: row.createdAt.toISOString(),
});
