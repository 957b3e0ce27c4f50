/** Requests and answers about webhooks. */
import { z } from 'zod';
import { Instant, Name, open, secret, sensitive } from '../http/schema.ts';
import { WEBHOOK_FORMATS } from './formats.ts';
import { OUTBOX_EVENTS } from './outbox.ts';

const Event = z.enum([...OUTBOX_EVENTS, '*']);
const Url = z.url({ protocol: /^https?$/ }).max(2_000);
// Slack's own URL is the secret there; ours signs the body for receivers that check.
const HmacSecret = z.string().min(16).max(200);

export const CreateWebhook = z
  .strictObject({
    name: open(Name),
    url: sensitive(Url),
    format: open(z.enum(WEBHOOK_FORMATS).default('generic')),
    events: open(z.array(Event).min(1).max(20).default(['*'])),
    secret: secret(HmacSecret.optional()),
  })
  .meta({ id: 'CreateWebhook' });
export type CreateWebhook = z.infer<typeof CreateWebhook>;

export const UpdateWebhook = z
  .strictObject({
    url: sensitive(Url.optional()),
    format: open(z.enum(WEBHOOK_FORMATS).optional()),
    events: open(z.array(Event).min(1).max(20).optional()),
    secret: secret(HmacSecret.optional()),
    disabled: open(z.boolean().optional()),
  })
  .meta({ id: 'UpdateWebhook' });
export type UpdateWebhook = z.infer<typeof UpdateWebhook>;

export const WebhookView = z
  .object({
    id: open(z.string()),
    name: open(z.string()),
    url: sensitive(z.string()),
    format: open(z.enum(WEBHOOK_FORMATS)),
    events: open(z.array(z.string())),
    disabled: open(z.boolean()),
    createdAt: open(Instant),
  })
  .meta({ id: 'Webhook' });
export type WebhookView = z.infer<typeof WebhookView>;

export const WebhookWithSecret = WebhookView.extend({
  secret: z.string().describe('Shown this once: signs every message.'),
}).meta({ id: 'WebhookWithSecret' });

export const Deliveries = z
  .object({
    items: z.array(
      z.object({
        id: z.string(),
        event: z.string(),
        attempts: z.number(),
        createdAt: Instant,
        sentAt: Instant.nullable(),
        failedAt: Instant.nullable(),
        error: z.string().nullable(),
      }),
    ),
  })
  .meta({ id: 'WebhookDeliveries' });
