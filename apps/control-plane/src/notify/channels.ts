/**
 * How a message leaves: by HTTP with a signature, by e-mail, or through a Slack app. One attempt; the outbox tries again.
 * Refuses to follow redirects, to wait longer than a lease of the outbox, and to send to this host unless an owner said so.
 */
import { Injectable } from '@nestjs/common';
import type { OutboxMessage, Webhook } from '../generated/prisma/client.ts';
import { postGuarded } from '../identity/machines/guarded-fetch.ts';
import { Envelope } from '../keys/envelope.ts';
import { hmacUnder } from '../keys/sealed-hmac.ts';
import { SystemClock } from '../time.ts';
import { addressOf } from './credentials/webhook-address.ts';
import { formatFor } from './formats.ts';
import { Mailer } from './mailer.ts';
import { SIGNATURE_HEADER, signedText, TIMESTAMP_HEADER } from './signature.ts';
import { SlackApp } from './slack-app.ts';
import { WebhookReach } from './webhook-reach.ts';

/** Shorter than the outbox's lease. */
export const SEND_TIMEOUT_MS = 10_000;

@Injectable()
export class Channels {
  constructor(
    private readonly envelope: Envelope,
    private readonly mailer: Mailer,
    private readonly slackApp: SlackApp,
    private readonly clock: SystemClock,
    private readonly reach: WebhookReach,
  ) {}

  /** @returns why it was not taken, or undefined */
  async deliver(message: OutboxMessage, webhook: Webhook): Promise<string | undefined> {
    try {
      if (webhook.format === 'email') return await this.mailer.send(message, webhook);
      if (webhook.format === 'slack_app') return await this.slackApp.send(message, webhook);
      return await this.#post(message, webhook);
    } catch (cause) {
      return cause instanceof Error ? `${cause.name}: ${cause.message}` : 'failed';
    }
  }

  async #post(message: OutboxMessage, webhook: Webhook): Promise<string | undefined> {
    const body = JSON.stringify(
      formatFor(webhook.format, {
        id: String(message.id),
        event: message.event,
        createdAt: message.createdAt,
        body: message.body,
      }),
    );
    const timestamp = Math.floor(this.clock.nowMs() / 1000);
    const signature = hmacUnder(this.envelope, webhook.sealed, `webhook/${webhook.id}`, signedText(timestamp, body));
    const { status } = await postGuarded(addressOf(this.envelope, webhook), body, {
      ...this.reach.of(webhook),
      timeoutMs: SEND_TIMEOUT_MS,
      headers: {
        'content-type': 'application/json',
        'user-agent': 'sallyport',
        'sallyport-event': message.event,
        'sallyport-delivery': String(message.id),
        [TIMESTAMP_HEADER]: String(timestamp),
        [SIGNATURE_HEADER]: `v1=${signature}`,
      },
    });
    return status >= 200 && status < 300 ? undefined : `the receiver answered ${status}`;
  }
}
