/**
 * The two secrets of a Slack app, sealed as one box: its bot token, which we show Slack, and its signing secret, by which
 * Slack shows us that a call is its own (docs.slack.dev, "Verifying requests from Slack"). Refuses a call older than five minutes.
 */
import { createHmac, timingSafeEqual } from 'node:crypto';
import { z } from 'zod';
import type { Webhook } from '../../generated/prisma/client.ts';
import type { Envelope } from '../../keys/envelope.ts';

const Secrets = z.object({ botToken: z.string(), signingSecret: z.string() });
type Secrets = z.infer<typeof Secrets>;
type Sealed = Pick<Webhook, 'id' | 'sealed'>;
const TOLERANCE_S = 300;

const contextOf = (webhookId: string): string => `webhook/${webhookId}`;
const open = (envelope: Envelope, { id, sealed }: Sealed): Secrets =>
  Secrets.parse(JSON.parse(envelope.open(sealed, contextOf(id)).reveal().toString('utf8')));

export const sealSlackSecrets = (envelope: Envelope, webhookId: string, secrets: Secrets): Uint8Array<ArrayBuffer> =>
  envelope.seal(Buffer.from(JSON.stringify(secrets)), contextOf(webhookId));

/** The box with one or both replaced. */
export const resealSlackSecrets = (
  envelope: Envelope,
  webhook: Sealed,
  changed: { readonly botToken?: string | undefined; readonly signingSecret?: string | undefined },
): Uint8Array<ArrayBuffer> => {
  const before = open(envelope, webhook);
  return sealSlackSecrets(envelope, webhook.id, {
    botToken: changed.botToken ?? before.botToken,
    signingSecret: changed.signingSecret ?? before.signingSecret,
  });
};

/** Header for calls of Slack's Web API. */
export const slackAuthorization = (envelope: Envelope, webhook: Sealed): string =>
  `Bearer ${open(envelope, webhook).botToken}`;

/** Whether Slack sent this, lately. `raw` is the body as it came. */
export function isSignedBySlack(
  envelope: Envelope,
  webhook: Sealed,
  call: { readonly timestamp: string; readonly signature: string; readonly raw: Buffer },
  nowSeconds: number,
): boolean {
  const timestamp = /^\d{1,12}$/.test(call.timestamp) ? Number(call.timestamp) : Number.NaN;
  if (!(Math.abs(nowSeconds - timestamp) <= TOLERANCE_S)) return false;
  const hmac = createHmac('sha256', open(envelope, webhook).signingSecret).update(`v0:${timestamp}:`).update(call.raw);
  const wanted = Buffer.from(`v0=${hmac.digest('hex')}`);
  const given = Buffer.from(call.signature);
  return wanted.length === given.length && timingSafeEqual(wanted, given);
}
