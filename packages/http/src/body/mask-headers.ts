/**
 * Headers under masks: values of named ones and what detectors find in the others, what a masked answer may no longer say of
 * itself, and what a request may not ask for so that its answer can be masked. Refuses to know bodies.
 */
import { type MaskKey, maskCell, maskDetectedCell } from '@sallyport/mask';
import type { MaskMethod, MaskSet } from '@sallyport/model';
import { type Fielded, madeOf } from '../made-of.ts';
import type { Header } from '../message.ts';
import { codingOf } from './content-coding.ts';
import { parseMediaType } from './content-type.ts';
import { formDecoded } from './form-body.ts';
import { hasBodyMasks } from './open-body-masker.ts';
import { isFoundPacked } from './packed-texts.ts';
import { openedTags, sealedTag } from './sealed-tags.ts';

/** What an answer says of itself in numbers, dates and tokens that are checked or made anew: no detector looks into these. */
const STRUCTURE: ReadonlySet<string> = new Set([
  'accept-ranges',
  'age',
  'connection',
  'content-encoding',
  'content-length',
  'content-range',
  'date',
  'etag',
  'expires',
  'grpc-status',
  'last-modified',
  'sec-websocket-accept',
  'sec-websocket-protocol',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);

/** What would be false of a masked body, or would tell what is masked. */
const OF_THE_WHOLE: ReadonlySet<string> = new Set([
  'accept-ranges',
  'content-length',
  'x-goog-hash',
  'x-goog-stored-content-length',
]);
/** Each store calls its own otherwise: `x-amz-checksum-sha256`, `docker-content-digest`, `x-oss-hash-crc64ecma`. */
const CHECKSUM = /^x-(?:amz-)?checksum-|(?:^|-)(?:digest|md5|sha1|sha256|sha512|crc32c?|crc64(?:ecma|nvme)?)$/;

const PERCENT = 37;

const STRICTER: Readonly<Record<MaskMethod, number>> = { partial: 0, hash: 1, redact: 2, null: 3 };

/** Headers or trailers of an answer as the client may see them; the same list where nothing is masked. */
export function maskHeaders(headers: readonly Header[], masks: MaskSet, key?: MaskKey): readonly Header[] {
  if (headers.length === 0) return headers;
  const named = new Map<string, MaskMethod>();
  for (const mask of masks.headers ?? []) {
    const known = named.get(mask.header);
    if (known === undefined || STRICTER[mask.with] > STRICTER[known]) named.set(mask.header, mask.with);
  }
  if (named.size === 0 && !hasBodyMasks(masks)) return headers;
  let changed = false;
  const shown: Header[] = [];
  for (const header of headers) {
    const [name, value] = header;
    const text = isPacked(name, masks, named)
      ? maskedPacked(value, masks)
      : maskedValue(name, value, named.get(name), masks, key);
    if (text === value) shown.push(header);
    else {
      changed = true;
      if (text !== null) shown.push([name, text]);
    }
  }
  return changed ? shown : headers;
}

/** Metadata of gRPC in base64, often a message of its own: an error's details. */
const isPacked = (name: string, { detect, json }: MaskSet, named: ReadonlyMap<string, MaskMethod>): boolean =>
  name.endsWith('-bin') && !named.has(name) && (detect.length > 0 || json !== undefined);

/** @returns null where something is found in it, or a path leads into what nobody here can read */
function maskedPacked(value: string, { detect, json }: MaskSet): string | null {
  if (json !== undefined && json.length > 0) return null;
  const clear = value.split(',').every((item) => {
    const bytes = Buffer.from(item.trim(), 'base64');
    return maskDetectedCell(bytes, detect, {}) === bytes && !isFoundPacked(bytes, detect);
  });
  return clear ? value : null;
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
  if (name === 'content-type') return typeWithout(bytes, detect);
  const seen = maskDetectedCell(bytes, detect, options);
  if (seen !== bytes) return text(seen);
  // What is hidden by escapes is hidden as a whole.
  return isHiddenByEscapes(bytes, detect) ? '[redacted]' : value;
}

function isHiddenByEscapes(bytes: Buffer, detect: MaskSet['detect']): boolean {
  if (!bytes.includes(PERCENT)) return false;
  const decoded = formDecoded(bytes);
  return maskDetectedCell(decoded, detect, {}) !== decoded;
}

/** A type says how its body is read. One with a find in it (a file's name) is told without what else it says. */
function typeWithout(bytes: Buffer, detect: MaskSet['detect']): string | null {
  const isClear = (some: Buffer): boolean =>
    maskDetectedCell(some, detect, {}) === some && !isHiddenByEscapes(some, detect);
  const value = bytes.toString('latin1');
  if (isClear(bytes)) return value;
  const { type, parameters } = parseMediaType(value);
  if (type === '' || !isClear(Buffer.from(type, 'latin1'))) return null;
  const boundary = parameters.get('boundary');
  return boundary === undefined ? type : `${type}; boundary="${boundary.replaceAll(/["\\]/g, '\\$&')}"`;
}

const text = (bytes: Uint8Array | null): string | null =>
  bytes === null ? null : Buffer.from(bytes).toString('latin1');

/** Headers of an answer whose body is masked: without its length and digests, its entity tag sealed. */
export function headersOfMasked(headers: readonly Header[], key?: MaskKey): readonly Header[] {
  const shown: Header[] = [];
  for (const header of headers) {
    const [name, value] = header;
    if (OF_THE_WHOLE.has(name) || CHECKSUM.test(name)) continue;
    if (name === 'etag') {
      const tag = sealedTag(value, key);
      if (tag !== undefined) shown.push([name, tag]);
    }
    // Deflate is done again as gzip.
    else shown.push(name === 'content-encoding' && codingOf(value) === 'deflate' ? [name, 'gzip'] : header);
  }
  return shown;
}

/**
 * Headers of a request whose answer is to be masked: without ranges (two halves of a value are two secrets nobody sees), asking
 * for codings that can be undone alone, and by tags that were given out.
 */
export function headersToMaskable(request: Fielded, masks: MaskSet, key?: MaskKey): readonly Header[] {
  if (!hasBodyMasks(masks)) return request.headers;
  const { headers, isByTags } = madeOf(request, maskable);
  if (!isByTags) return headers;
  return headers.map((header) => (isConditional(header) ? [header[0], conditions(header, key)] : header));
}

/** Services have copies of the two under names of their own. WebDAV's `If` may hold tags, too (RFC 4918 section 10.4). */
const isConditional = ([name]: Header): boolean => name === 'if' || /(?:^|-)if-(?:none-)?match$/.test(name);
const conditions = ([name, value]: Header, key: MaskKey | undefined): string =>
  name === 'if'
    ? value.replaceAll(/\[[^\]]*\]/g, (tag) => `[${openedTags(tag.slice(1, -1), key)}]`)
    : openedTags(value, key);

const STRETCHES: ReadonlySet<string> = new Set([
  'a-im',
  'if-range',
  'range',
  'x-ms-range',
  'x-ms-range-get-content-crc64',
  'x-ms-range-get-content-md5',
]);

interface Maskable {
  readonly headers: readonly Header[];
  /** Some ask by a tag. */
  readonly isByTags: boolean;
}

function maskable(asked: readonly Header[]): Maskable {
  const headers = asked
    .filter(([name]) => !STRETCHES.has(name))
    .map(([name, value]): Header => (name === 'accept-encoding' ? [name, readableCodings(value)] : [name, value]));
  return { headers, isByTags: headers.some(isConditional) };
}

function readableCodings(value: string): string {
  const kept = value.split(',').filter((item) => {
    const name = (item.split(';', 1)[0] ?? '').trim().toLowerCase();
    return name === 'identity' || (name !== '' && name !== '*' && codingOf(name) !== undefined);
  });
  return kept.length === 0 ? 'identity' : kept.map((item) => item.trim()).join(', ');
}
