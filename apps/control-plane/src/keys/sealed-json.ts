/** A JSON value kept under the envelope cipher, in clear for the caller alone. */
import type { Envelope } from './envelope.ts';

export const sealJson = (envelope: Envelope, value: unknown, context: string): Uint8Array<ArrayBuffer> =>
  envelope.seal(Buffer.from(JSON.stringify(value ?? null)), context);

/** @throws GatewayError `credential.unavailable` when the box is damaged or under another key */
export const openJson = (envelope: Envelope, sealed: Uint8Array, context: string): unknown =>
  JSON.parse(envelope.open(sealed, context).reveal().toString());
