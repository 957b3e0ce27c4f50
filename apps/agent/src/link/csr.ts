/**
 * A certificate request (PKCS #10, RFC 2986) for a P-256 key: the control plane uses its key alone, so the name is a word.
 * Refuses every other kind of key and every attribute; DER is small enough to write by hand, and the agent stays small.
 */
import { createPublicKey, type KeyObject, sign } from 'node:crypto';
import { tlv } from '../der.ts';

const COMMON_NAME = Buffer.from('0603550403', 'hex');
const ECDSA_WITH_SHA256 = Buffer.from('300a06082a8648ce3d040302', 'hex');

/** @param privateKey P-256 @returns DER */
export function certificateRequest(privateKey: KeyObject, name: string): Buffer {
  const subject = tlv(0x30, tlv(0x31, tlv(0x30, COMMON_NAME, tlv(0x0c, Buffer.from(name)))));
  const key = createPublicKey(privateKey).export({ type: 'spki', format: 'der' });
  const info = tlv(0x30, Buffer.of(0x02, 0x01, 0x00), subject, key, Buffer.of(0xa0, 0x00));
  const signature = sign('sha256', info, { key: privateKey, dsaEncoding: 'der' });
  return tlv(0x30, info, ECDSA_WITH_SHA256, tlv(0x03, Buffer.of(0), signature));
}
