/** HMAC-SHA-256 with a secret that is stored under the envelope; the secret is in clear for this function alone. */
import { createHmac, timingSafeEqual } from 'node:crypto';
import type { Envelope } from './envelope.ts';

/** Hex. @throws GatewayError `credential.unavailable` when the box is damaged or under another key */
export const hmacUnder = (envelope: Envelope, sealed: Uint8Array, context: string, message: string): string =>
  createHmac('sha256', envelope.open(sealed, context).reveal()).update(message).digest('hex');

/** Whether `hex` is that HMAC, compared in constant time. */
export function isHmacUnder(
  envelope: Envelope,
  sealed: Uint8Array,
  context: string,
  message: string,
  hex: string,
): boolean {
  const wanted = Buffer.from(hmacUnder(envelope, sealed, context, message));
  const given = Buffer.from(hex);
  return wanted.length === given.length && timingSafeEqual(wanted, given);
}
