/**
 * Entity tags of answers under masks, sealed: many services make a tag of a digest of the body, and whoever has the digest of a
 * document with one value hidden can try values until it fits. A sealed tag comes back to the service as its own; a tag that
 * was never given out fits nothing, so that no guess can be asked for. Refuses to know bodies. RFC 9110 sections 8.8.3 and 13.1.
 */
import {
  createCipheriv,
  createDecipheriv,
  createHmac,
  createSecretKey,
  type KeyObject,
  timingSafeEqual,
} from 'node:crypto';
import type { MaskKey } from '@sallyport/mask';

const MARK = 'sp.';
const TAG_BYTES = 16;
const TAG_CHARS_MAX = 512;
const TAGS = /\s*(?:(\*)|((?:W\/)?"[^"]*"))\s*(?:,|$)/y;
/** What no service has given out. */
const UNKNOWN = '"unknown-to-the-gateway"';

const cipherKeys = new WeakMap<MaskKey, KeyObject>();
function cipherKey(key: MaskKey): KeyObject {
  let made = cipherKeys.get(key);
  if (made === undefined) {
    made = createSecretKey(createHmac('sha256', key).update('entity tags: cipher').digest());
    cipherKeys.set(key, made);
  }
  return made;
}

const digestOf = (tag: Uint8Array, key: MaskKey): Buffer =>
  createHmac('sha256', key).update('entity tags: digest\0').update(tag).digest().subarray(0, TAG_BYTES);

/** The same tag gives the same. @returns undefined when it is not shown at all */
export function sealedTag(tag: string, key: MaskKey | undefined): string | undefined {
  if (key === undefined || tag.length > TAG_CHARS_MAX) return undefined;
  const bytes = Buffer.from(tag, 'latin1');
  const digest = digestOf(bytes, key);
  const cipher = createCipheriv('aes-256-ctr', cipherKey(key), digest);
  return `W/"${MARK}${Buffer.concat([digest, cipher.update(bytes), cipher.final()]).toString('base64url')}"`;
}

/** A list of tags as their service knows them (`If-Match`, `If-None-Match`). */
export function openedTags(value: string, key: MaskKey | undefined): string {
  const opened: string[] = [];
  TAGS.lastIndex = 0;
  for (let at = 0; at < value.length; at = TAGS.lastIndex) {
    const match = TAGS.exec(value);
    if (match === null) return UNKNOWN;
    opened.push(match[1] ?? openedTag(match[2] as string, key));
  }
  return opened.length === 0 ? UNKNOWN : [...new Set(opened)].join(', ');
}

function openedTag(tag: string, key: MaskKey | undefined): string {
  const text = tag.slice(tag.indexOf('"') + 1, -1);
  if (key === undefined || !text.startsWith(MARK)) return UNKNOWN;
  const sealed = Buffer.from(text.slice(MARK.length), 'base64url');
  if (sealed.length <= TAG_BYTES) return UNKNOWN;
  const digest = sealed.subarray(0, TAG_BYTES);
  const decipher = createDecipheriv('aes-256-ctr', cipherKey(key), digest);
  const bytes = Buffer.concat([decipher.update(sealed.subarray(TAG_BYTES)), decipher.final()]);
  return timingSafeEqual(digestOf(bytes, key), digest) ? bytes.toString('latin1') : UNKNOWN;
}
