/** Requests and answers about webhooks. */
import { z } from 'zod';
import { Instant, Name, open, secret, sensitive } from '../http/schema.ts';
import { WEBHOOK_FORMATS } from './formats.ts';
import { isAddress } from './mailer.ts';
import { OUTBOX_EVENTS } from './outbox.ts';

const Event = z.enum([...OUTBOX_EVENTS, '*']);
const Url = z.url({ protocol: /^https?$/ }).max(2_000);
// Slack's own URL is the secret there; ours signs the body for receivers that check.
const HmacSecret = z.string().min(16).max(200);
const Address = z.string().refine(isAddress, 'one e-mail address is expected, without a name');
const To = z.array(Address).min(1).max(20);
/** Id (`C0123ABCD`) or name (`#approvals`). */
const Channel = z.string().regex(/^(#[a-z0-9_-]{1,80}|[A-Z][A-Z0-9]{2,20})$/, 'a channel’s id or #name is expected');
const BotToken = z.string().regex(/^xoxb-[A-Za-z0-9-]{5,200}$/, 'a bot token (xoxb-…) is expected');
const SigningSecret = z.string().regex(/^[A-Za-z0-9]{16,128}$/, 'the app’s signing secret is expected');

type Field = 'url' | 'secret' | 'to' | 'channel' | 'botToken' | 'signingSecret';
const POSTED = { url: 'needed', secret: 'optional' } as const;
/** Which fields a format has. */
export const FIELDS_OF: Readonly<
  Record<(typeof WEBHOOK_FORMATS)[number], Readonly<Partial<Record<Field, 'needed' | 'optional'>>>>
> = {
  generic: POSTED,
  slack: POSTED,
  teams: POSTED,
  email: { to: 'needed' },
  slack_app: { url: 'optional', channel: 'needed', botToken: 'needed', signingSecret: 'needed' },
};

export const CreateWebhook = z
  .strictObject({
    name: open(Name),
    url: secret(Url.optional()).describe('Of generic, slack and teams; of a Slack app its API, if not the usual.'),
    format: open(z.enum(WEBHOOK_FORMATS).default('generic')),
    events: open(z.array(Event).min(1).max(30).default(['*'])),
    secret: secret(HmacSecret.optional()),
    to: sensitive(To.optional()).describe('Of e-mail: addresses.'),
    channel: open(Channel.optional()).describe('Of a Slack app.'),
    botToken: secret(BotToken.optional()).describe('Of a Slack app.'),
    signingSecret: secret(SigningSecret.optional()).describe('Of a Slack app: signs what Slack sends us.'),
  })
  .superRefine((input, context) => {
    const fields = FIELDS_OF[input.format];
    for (const field of ['url', 'secret', 'to', 'channel', 'botToken', 'signingSecret'] as const) {
      const given = input[field] !== undefined;
      if (given && fields[field] === undefined)
        context.addIssue({ code: 'custom', path: [field], message: `not of format ${input.format}` });
      if (!given && fields[field] === 'needed')
        context.addIssue({ code: 'custom', path: [field], message: `format ${input.format} needs it` });
    }
  })
  .meta({ id: 'CreateWebhook' });
export type CreateWebhook = z.infer<typeof CreateWebhook>;

export const UpdateWebhook = z
  .strictObject({
    url: secret(Url.optional()),
    format: open(z.enum(WEBHOOK_FORMATS).optional()).describe(
      'generic, slack and teams may be turned into each other.',
    ),
    events: open(z.array(Event).min(1).max(30).optional()),
    secret: secret(HmacSecret.optional()),
    to: sensitive(To.optional()),
    channel: open(Channel.optional()),
    botToken: secret(BotToken.optional()),
    signingSecret: secret(SigningSecret.optional()),
    disabled: open(z.boolean().optional()),
  })
  .meta({ id: 'UpdateWebhook' });
export type UpdateWebhook = z.infer<typeof UpdateWebhook>;

export const WebhookView = z
  .object({
    id: open(z.string()),
    name: open(z.string()),
    url: sensitive(z.string()).describe(
      'Scheme and host: the rest is a secret. Of a Slack app its API; empty for e-mail.',
    ),
    format: open(z.enum(WEBHOOK_FORMATS)),
    to: sensitive(z.array(z.string())),
    channel: open(z.string().nullable()),
    events: open(z.array(z.string())),
    disabled: open(z.boolean()),
    createdAt: open(Instant),
  })
  .meta({ id: 'Webhook' });
export type WebhookView = z.infer<typeof WebhookView>;

export const WebhookWithSecret = WebhookView.extend({
  secret: z.string().optional().describe('Shown this once: signs every message. E-mail and Slack apps have none.'),
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
