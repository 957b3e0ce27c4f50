/**
 * Headers under masks: values of named ones and what detectors find in the others, what a masked answer may no longer say of
 * itself, and what a request may not ask for so that its answer can be masked. Refuses to know bodies.
 */
import { type MaskKey, maskCell, maskDetectedCell } from '@sallyport/mask';
import type { MaskMethod, MaskSet } from '@sallyport/model';
import { type Fielded, madeOf } from '../made-of.ts';
import type { Header } from '../message.ts';
import { codingOf } from './content-coding.ts';
import { formDecoded } from './form-body.ts';
import { hasBodyMasks } from './open-body-masker.ts';

/** What an answer says of itself in words of the protocol: no detector looks into these. */
const STRUCTURE: ReadonlySet<string> = new Set([
  'accept-ranges',
  'age',
  'allow',
  'alt-svc',
  'cache-control',
  'connection',
  'content-encoding',
  'content-length',
  'content-range',
  'content-type',
  'date',
  'etag',
  'expires',
  'grpc-status',
  'keep-alive',
  'last-modified',
  'retry-after',
  'sec-websocket-accept',
  'sec-websocket-protocol',
  'strict-transport-security',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'vary',
]);

/** What would be false of a masked body, or would tell what is masked. */
const OF_THE_WHOLE: ReadonlySet<string> = new Set([
  'accept-ranges',
  'content-digest',
  'content-length',
  'content-md5',
  'digest',
  'repr-digest',
  'x-amz-checksum-crc32',
  'x-amz-checksum-crc32c',
  'x-amz-checksum-sha1',
  'x-amz-checksum-sha256',
  'x-goog-hash',
]);

const STRICTER: Readonly<Record<MaskMethod, number>> = { partial: 0, hash: 1, redact: 2, null: 3 };

/** Headers or trailers of an answer as the client may see them; the same list where nothing is masked. */
export function maskHeaders(headers: readonly Header[], masks: MaskSet, key?: MaskKey): readonly Header[] {
  const named = new Map<string, MaskMethod>();
  for (const mask of masks.headers ?? []) {
    const known = named.get(mask.header);
    if (known === undefined || STRICTER[mask.with] > STRICTER[known]) named.set(mask.header, mask.with);
  }
  if (named.size === 0 && masks.detect.length === 0) return headers;
  let changed = false;
  const shown: Header[] = [];
  for (const header of headers) {
    const [name, value] = header;
    const text = maskedValue(name, value, named.get(name), masks, key);
    if (text === value) shown.push(header);
    else {
      changed = true;
      if (text !== null) shown.push([name, text]);
    }
  }
  return changed ? shown : headers;
}

/** @returns null when the header is left out */
function maskedValue(
  name: string,
  value: string,
  method: MaskMethod | undefined,
  { detect }: MaskSet,
  key: MaskKey | undefined,
): string | null {
  const options = key === undefined ? {} : { key };
  if (method === undefined && (detect.length === 0 || STRUCTURE.has(name))) return value;
  const bytes = Buffer.from(value, 'latin1');
  if (method !== undefined) return text(maskCell(bytes, method, options));
  const seen = maskDetectedCell(bytes, detect, options);
  if (seen !== bytes) return text(seen);
  if (!value.includes('%')) return value;
  const decoded = formDecoded(bytes);
  // What is hidden by escapes is hidden as a whole.
  return maskDetectedCell(decoded, detect, options) === decoded ? value : '[redacted]';
}

const text = (bytes: Uint8Array | null): string | null =>
  bytes === null ? null : Buffer.from(bytes).toString('latin1');

/** Headers of an answer whose body is masked: without its length and digests; a strong validator becomes a weak one. */
export function headersOfMasked(headers: readonly Header[]): readonly Header[] {
  return headers
    .filter(([name]) => !OF_THE_WHOLE.has(name))
    .map(([name, value]): Header => {
      if (name === 'etag' && value.startsWith('"')) return [name, `W/${value}`];
      // Deflate is done again as gzip.
      return name === 'content-encoding' && codingOf(value) === 'deflate' ? [name, 'gzip'] : [name, value];
    });
}

/**
 * Headers of a request whose answer is to be masked: without ranges (two halves of a value are two secrets nobody sees), and
 * asking for codings that can be undone alone.
 */
export const headersToMaskable = (request: Fielded, masks: MaskSet): readonly Header[] =>
  hasBodyMasks(masks) ? madeOf(request, maskable) : request.headers;

function maskable(headers: readonly Header[]): readonly Header[] {
  return headers
    .filter(([name]) => name !== 'range' && name !== 'if-range' && name !== 'a-im')
    .map(([name, value]): Header => (name === 'accept-encoding' ? [name, readableCodings(value)] : [name, value]));
}

function readableCodings(value: string): string {
  const kept = value.split(',').filter((item) => {
    const name = (item.split(';', 1)[0] ?? '').trim().toLowerCase();
    return name === 'identity' || (name !== '' && name !== '*' && codingOf(name) !== undefined);
  });
  return kept.length === 0 ? 'identity' : kept.map((item) => item.trim()).join(', ');
}
