/**
 * The body of a webhook: generic JSON, or blocks that Slack's incoming webhooks show. Texts arrive here masked by the
 * detectors. Refuses to know how it is sent.
 */
import { slackOf } from './slack.ts';

export const WEBHOOK_FORMATS = ['generic', 'slack'] as const;

export interface OutboundMessage {
  /** The delivery's id: the same on each attempt, so that receivers can drop repeats. */
  readonly id: string;
  readonly event: string;
  readonly createdAt: Date;
  readonly body: unknown;
}

export const formatFor = (format: string, { id, event, createdAt, body }: OutboundMessage): object =>
  format === 'slack' ? slackOf(event, body) : { id, event, createdAt: createdAt.toISOString(), data: body };
