/**
 * How a webhook proves that it is ours: HMAC-SHA-256 over the timestamp and the raw body, so that neither can be
 * changed and an old message cannot be played again. Refuses to know what the body says.
 */
import { createHmac, timingSafeEqual } from 'node:crypto';

export const SIGNATURE_HEADER = 'sallyport-signature';
export const TIMESTAMP_HEADER = 'sallyport-timestamp';

/** What is signed: a receiver cannot be shown an old body with a new time. */
export const signedText = (timestampSeconds: number, body: string): string => `${timestampSeconds}.${body}`;

/** `v1=<hex>` over `signedText`; for receivers and tests. */
export function signWebhook(secret: Uint8Array, timestampSeconds: number, body: string): string {
  return `v1=${createHmac('sha256', secret).update(signedText(timestampSeconds, body)).digest('hex')}`;
}

/** For receivers and tests: true when the signature fits and the timestamp is at most `toleranceSeconds` away from `nowSeconds`. */
export function isWebhookSigned(
  secret: Uint8Array,
  received: { readonly signature: string; readonly timestamp: string; readonly body: string },
  nowSeconds: number,
  toleranceSeconds = 300,
): boolean {
  const timestamp = Number(received.timestamp);
  if (!Number.isSafeInteger(timestamp) || Math.abs(nowSeconds - timestamp) > toleranceSeconds) return false;
  const wanted = Buffer.from(signWebhook(secret, timestamp, received.body));
  const given = Buffer.from(received.signature);
  return wanted.length === given.length && timingSafeEqual(wanted, given);
}
