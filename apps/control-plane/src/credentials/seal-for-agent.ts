/**
 * A stored secret from under the envelope to an agent's own key, in clear for this function alone.
 * Refuses to know which agent may have it: bundles/ does.
 */
import { seal } from '@sallyport/core';
import type { Envelope } from '../keys/envelope.ts';

/**
 * @param boxId the credential's id, with the ending of the value it is (model NEXT_BOX, PREVIOUS_BOX)
 * @param sealed the row's box @param sealKey raw X25519 public key of the agent
 * @throws GatewayError `credential.unavailable` when the box is damaged or under another key
 */
export function sealForAgent(
  envelope: Envelope,
  credentialId: string,
  boxId: string,
  sealed: Uint8Array,
  sealKey: Uint8Array,
): Uint8Array {
  const plain = envelope.open(sealed, `credential/${credentialId}`).reveal();
  const box = seal(plain, sealKey, `credential/${boxId}`);
  plain.fill(0);
  return box;
}
