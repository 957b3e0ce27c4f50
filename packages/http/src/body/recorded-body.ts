/**
 * A request's body as it may be recorded: what detectors find in it is masked, in the coding it came in. What goes to the
 * service is not changed. Refuses to record what must be masked and cannot be read.
 */
import type { MaskKey } from '@sallyport/mask';
import type { DetectMask } from '@sallyport/model';
import { type Header, headerOf, headerValues } from '../message.ts';
import { openBodyMasker } from './open-body-masker.ts';

const UNREADABLE = Buffer.from('[redacted]');

/** @param bytes the whole body @returns the same object where nothing is masked */
export function recordedBody(
  headers: readonly Header[],
  bytes: Uint8Array,
  detect: readonly DetectMask[],
  key?: MaskKey,
): Uint8Array {
  const masker = openBodyMasker(
    { columns: [], detect },
    {
      contentType: headerOf(headers, 'content-type') ?? '',
      contentEncoding: headerValues(headers, 'content-encoding').join(','),
    },
    key,
  );
  if (masker === 'pass') return bytes;
  if (masker === 'refuse') return UNREADABLE;
  const first = masker.push(bytes);
  const isSame = first === bytes;
  const last = masker.end();
  if (masker.failed !== undefined) return UNREADABLE;
  return isSame && last.length === 0 ? bytes : Buffer.concat([first, last]);
}
