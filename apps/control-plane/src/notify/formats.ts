/**
 * The body of a webhook: generic JSON, blocks for Slack's incoming webhooks, or a card for Teams. Texts arrive here masked by the
 * detectors. Refuses to know how it is sent.
 */
import { slackOf } from './slack.ts';
import { teamsOf } from './teams.ts';

/** `email` and `slack_app` have senders of their own (mailer.ts, slack-app.ts). */
export const WEBHOOK_FORMATS = ['generic', 'slack', 'teams', 'email', 'slack_app'] as const;

export interface OutboundMessage {
  /** The delivery's id: the same on each attempt, so that receivers can drop repeats. */
  readonly id: string;
  readonly event: string;
  readonly createdAt: Date;
  readonly body: unknown;
}

export function formatFor(format: string, { id, event, createdAt, body }: OutboundMessage): object {
  if (format === 'slack') return slackOf(event, body);
  if (format === 'teams') return teamsOf(event, body);
  return { id, event, createdAt: createdAt.toISOString(), data: body };
}
