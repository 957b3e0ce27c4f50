/**
 * A Slack app: a request is posted with its two answers, and changed in place once it is answered; a person who is tied to a
 * Slack user is told there. Slack Web API: chat.postMessage, chat.update, chat.postEphemeral; its refusals are retried by the
 * outbox. Refuses to know who may answer (slack/).
 */
import { Injectable } from '@nestjs/common';
import { z } from 'zod';
import { Database } from '../db/database.ts';
import type { OutboxMessage, Prisma, Webhook } from '../generated/prisma/client.ts';
import { postGuarded } from '../identity/machines/guarded-fetch.ts';
import { Envelope } from '../keys/envelope.ts';
import { slackAuthorization } from './credentials/slack-secrets.ts';
import { addressOf } from './credentials/webhook-address.ts';
import { slackOf } from './slack.ts';
import { WebhookReach } from './webhook-reach.ts';

const SEND_TIMEOUT_MS = 10_000;
export const SLACK_API = 'https://slack.com/api';

/** Events that ask, and those that end the question, by what the subject is called. */
const ASKS: Readonly<Record<string, string>> = {
  'approval.requested': 'approval',
  'access.requested': 'access-request',
};
const ENDS: Readonly<Record<string, string>> = { 'approval.answered': 'approval', 'access.answered': 'access-request' };

const Answer = z.object({
  ok: z.boolean(),
  error: z.string().max(200).optional(),
  ts: z.string().max(50).optional(),
  channel: z.string().max(50).optional(),
});

interface SlackMessageBody {
  readonly text: string;
  readonly blocks: readonly object[];
}

/** What a button carries: which notifier's secret signs it, and what it answers. */
export const actionValue = (webhookId: string, subject: string): string => `${webhookId}:${subject}`;

@Injectable()
export class SlackApp {
  constructor(
    private readonly database: Database,
    private readonly envelope: Envelope,
    private readonly reach: WebhookReach,
  ) {}

  /** @returns why it was not taken, or undefined */
  async send(message: OutboxMessage, webhook: Webhook): Promise<string | undefined> {
    const data = message.body as Readonly<Record<string, unknown>>;
    const { id = '' } = data as { readonly id?: string };
    const channel = String((webhook.config as { readonly channel?: string }).channel ?? '');
    if (message.event === 'slack.note') {
      const { channel: where, user, text } = data;
      return failureOf(await this.#call(webhook, 'chat.postEphemeral', { channel: where, user, text }));
    }
    const body = slackOf(message.event, data) as SlackMessageBody;
    if (message.recipientId !== null) return await this.#tell(message, webhook, body);
    const asks = ASKS[message.event];
    if (asks !== undefined) return await this.#ask(webhook, channel, `${asks}/${id}`, body);
    const ends = ENDS[message.event];
    if (ends !== undefined) return await this.#end(message, webhook, channel, `${ends}/${id}`, body);
    return failureOf(await this.#call(webhook, 'chat.postMessage', { channel, ...body }));
  }

  async #ask(webhook: Webhook, channel: string, subject: string, body: SlackMessageBody): Promise<string | undefined> {
    const where = { webhookId_subject: { webhookId: webhook.id, subject } };
    // An attempt whose success was not noted before a crash: the question stands there already.
    if ((await this.database.client.slackMessage.findUnique({ where })) !== null) return undefined;
    const answer = await this.#call(webhook, 'chat.postMessage', {
      channel,
      text: body.text,
      blocks: [...body.blocks, ...answerBlocks(actionValue(webhook.id, subject))],
    });
    const failure = failureOf(answer);
    if (failure !== undefined) return failure;
    await this.database.client.slackMessage.create({
      data: {
        projectId: webhook.projectId,
        webhookId: webhook.id,
        subject,
        channel: answer.channel ?? channel,
        ts: answer.ts ?? '',
        blocks: [...body.blocks] as Prisma.InputJsonArray,
      },
    });
    return undefined;
  }

  async #end(
    message: OutboxMessage,
    webhook: Webhook,
    channel: string,
    subject: string,
    body: SlackMessageBody,
  ): Promise<string | undefined> {
    const posted = await this.database.client.slackMessage.findUnique({
      where: { webhookId_subject: { webhookId: webhook.id, subject } },
    });
    if (posted === null) {
      const waits = await this.database.client.outboxMessage.count({
        where: {
          webhookId: webhook.id,
          id: { lt: message.id },
          sentAt: null,
          failedAt: null,
          event: { in: Object.keys(ASKS) },
          body: { path: ['id'], equals: subject.slice(subject.indexOf('/') + 1) },
        },
      });
      if (waits > 0) return 'what it answers is not there yet';
      return failureOf(await this.#call(webhook, 'chat.postMessage', { channel, ...body }));
    }
    const changed = await this.#call(webhook, 'chat.update', {
      channel: posted.channel,
      ts: posted.ts,
      text: body.text,
      blocks: [...(posted.blocks as Prisma.InputJsonArray), ...body.blocks],
    });
    // Somebody deleted it: then there is nothing left to press either.
    return changed.error === 'message_not_found' ? undefined : failureOf(changed);
  }

  async #tell(message: OutboxMessage, webhook: Webhook, body: SlackMessageBody): Promise<string | undefined> {
    const link = await this.database.client.slackLink.findFirst({
      where: { webhookId: webhook.id, principalId: message.recipientId! },
      orderBy: { createdAt: 'desc' },
    });
    if (link === null) return undefined;
    return failureOf(await this.#call(webhook, 'chat.postMessage', { channel: link.slackUserId, ...body }));
  }

  async #call(webhook: Webhook, method: string, body: object): Promise<z.infer<typeof Answer>> {
    const sent = JSON.stringify({ ...body, unfurl_links: false, unfurl_media: false });
    const { status, text } = await postGuarded(`${addressOf(this.envelope, webhook)}/${method}`, sent, {
      ...this.reach.of(webhook),
      timeoutMs: SEND_TIMEOUT_MS,
      headers: {
        'content-type': 'application/json; charset=utf-8',
        authorization: slackAuthorization(this.envelope, webhook),
      },
    });
    if (status !== 200) return { ok: false, error: `HTTP ${status}` };
    return Answer.parse(JSON.parse(text));
  }
}

const failureOf = (answer: z.infer<typeof Answer>): string | undefined =>
  answer.ok ? undefined : `Slack answered ${(answer.error ?? 'no').replaceAll(/[^\w .-]/g, '')}`;

/** A field for the reason, which a refusal needs, and the two answers. */
const answerBlocks = (value: string): readonly object[] => [
  {
    type: 'input',
    block_id: 'reason',
    optional: true,
    label: { type: 'plain_text', text: 'Reason (a refusal needs one)' },
    element: { type: 'plain_text_input', action_id: 'reason', max_length: 500 },
  },
  {
    type: 'actions',
    block_id: 'answer',
    elements: [
      {
        type: 'button',
        action_id: 'approve',
        style: 'primary',
        value,
        text: { type: 'plain_text', text: 'Approve' },
      },
      { type: 'button', action_id: 'deny', style: 'danger', value, text: { type: 'plain_text', text: 'Deny' } },
    ],
  },
];
