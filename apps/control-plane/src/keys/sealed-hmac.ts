/** HMAC-SHA-256 with a secret that is stored under the envelope; the secret is in clear for this function alone. */
import { createHmac } from 'node:crypto';
import type { Envelope } from './envelope.ts';

/** Hex. @throws GatewayError `credential.unavailable` when the box is damaged or under another key */
export const hmacUnder = (envelope: Envelope, sealed: Uint8Array, context: string, message: string): string =>
  createHmac('sha256', envelope.open(sealed, context).reveal()).update(message).digest('hex');
