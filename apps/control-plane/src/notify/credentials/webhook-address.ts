/**
 * Where a webhook is sent. Whoever has the URL of an incoming webhook can write into its channel, so it is a secret: kept under
 * the envelope, in clear for the one request, and shown by its origin alone. Refuses to know who may set it.
 */
import type { Webhook } from '../../generated/prisma/client.ts';
import type { Envelope } from '../../keys/envelope.ts';

/** What of it is kept in clear and shown: scheme and host. */
export const shownAddress = (url: string): string => `${new URL(url).origin}/…`;

export const sealAddress = (envelope: Envelope, webhookId: string, url: string): Uint8Array<ArrayBuffer> =>
  envelope.seal(Buffer.from(url), contextOf(webhookId));

/** @throws GatewayError `credential.unavailable` when the box is damaged or under another key */
export const addressOf = (envelope: Envelope, webhook: Pick<Webhook, 'id' | 'shownUrl' | 'sealedUrl'>): string =>
  webhook.sealedUrl === null
    ? webhook.shownUrl
    : envelope.open(webhook.sealedUrl, contextOf(webhook.id)).reveal().toString('utf8');

/** Whether somebody with `webhook:loopback` gave the address: then it may lead to this host, by plain HTTP too. */
export const mayLoopBack = (webhook: Pick<Webhook, 'config'>): boolean =>
  (webhook.config as { readonly loopback?: boolean }).loopback === true;

const contextOf = (webhookId: string): string => `webhook/${webhookId}/url`;
