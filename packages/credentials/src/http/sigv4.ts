/**
 * AWS Signature Version 4 over one request ("Create a signed AWS API request", AWS General Reference). Pure.
 * Refuses a body it does not know, unless the client told its digest or the service takes unsigned ones (S3 over TLS), and the
 * client's own signature in any place: header, query, or chunks.
 */
import { createHash, createHmac } from 'node:crypto';
import { GatewayError } from '@sallyport/core';
import type { Credentialed, HeaderField, Uncredentialed } from './form.ts';

export interface AwsKeys {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  /** Of temporary keys. */
  readonly sessionToken?: string;
}

const ALGORITHM = 'AWS4-HMAC-SHA256';
const EMPTY = createHash('sha256').update('').digest('hex');
const HASH_HEADER = 'x-amz-content-sha256';
const HEX = /^[0-9a-f]{64}$/;
/** Of an earlier signature; ours takes their place. */
const REPLACED: ReadonlySet<string> = new Set(['authorization', 'x-amz-date', 'x-amz-security-token', HASH_HEADER]);
const PRESIGNED = /^x-amz-(algorithm|credential|date|expires|signedheaders|signature|security-token)$/i;
/** Chunks without signatures of their own, over TLS: the one streaming form that nobody's key is in. */
const UNSIGNED_CHUNKS = 'STREAMING-UNSIGNED-PAYLOAD-TRAILER';

/**
 * @param nowMs UTC milliseconds
 * @throws GatewayError `http.body_unsigned`
 */
export function signedV4(
  request: Uncredentialed,
  keys: AwsKeys,
  { region, service }: { readonly region: string; readonly service: string },
  nowMs: number,
): Credentialed {
  const at = new Date(nowMs).toISOString().replace(/[-:]|\.\d{3}/g, '');
  const day = at.slice(0, 8);
  const isS3 = service === 's3' || service === 's3express' || service === 's3-outposts';
  const told = request.headers.find(([name]) => name === HASH_HEADER)?.[1];
  const hash = digestOf(request.body, told, isS3);
  const target = canonicalTarget(request.target, isS3);
  const headers: HeaderField[] = [
    ...request.headers.filter(([name]) => !REPLACED.has(name)),
    ['x-amz-date', at],
    ...(isS3 || told !== undefined ? ([[HASH_HEADER, hash]] as const) : []),
    ...(keys.sessionToken === undefined ? [] : ([['x-amz-security-token', keys.sessionToken]] as const)),
  ];
  const signed = signedHeaders([...headers, ['host', request.authority]]);
  const names = signed.map(([name]) => name).join(';');
  const canonical = [
    request.method,
    target.canonicalPath,
    target.query,
    ...signed.map(([name, value]) => `${name}:${value}`),
    '',
    names,
    hash,
  ].join('\n');
  const scope = `${day}/${region}/${service}/aws4_request`;
  const toSign = [ALGORITHM, at, scope, createHash('sha256').update(canonical).digest('hex')].join('\n');
  const key = [day, region, service, 'aws4_request'].reduce<string | Buffer>(
    (last, word) => createHmac('sha256', last).update(word).digest(),
    `AWS4${keys.secretAccessKey}`,
  );
  const signature = createHmac('sha256', key).update(toSign).digest('hex');
  const authorization = `${ALGORITHM} Credential=${keys.accessKeyId}/${scope}, SignedHeaders=${names}, Signature=${signature}`;
  return { target: target.sent, headers: [...headers, ['authorization', authorization]] };
}

function digestOf(body: Uncredentialed['body'], told: string | undefined, isS3: boolean): string {
  if (told !== undefined && told.startsWith('STREAMING-')) {
    if (told === UNSIGNED_CHUNKS) return told;
    // Each chunk is signed with the client's own key.
    throw new GatewayError('http.body_unsigned', { reason: 'chunks signed by the client' });
  }
  if (body === 'none') return EMPTY;
  if (body !== 'streams') return createHash('sha256').update(body).digest('hex');
  // The service compares it with what comes: a digest that is wrong is refused there.
  if (told !== undefined && HEX.test(told)) return told;
  if (isS3) return 'UNSIGNED-PAYLOAD';
  throw new GatewayError('http.body_unsigned', { reason: 'a body that streams' });
}

/** Host, content-type and everything of Amazon's, sorted; values of one name joined, blanks folded. */
function signedHeaders(headers: readonly HeaderField[]): readonly HeaderField[] {
  const values = new Map<string, string[]>();
  for (const [name, value] of headers) {
    if (name !== 'host' && name !== 'content-type' && !name.startsWith('x-amz-')) continue;
    values.set(name, [...(values.get(name) ?? []), value.trim().replace(/\s+/g, ' ')]);
  }
  return [...values].sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, all]) => [name, all.join(',')]);
}

/** Path and query in the one spelling that is both sent and signed. Only S3 signs a path as it is; others encode it again. */
function canonicalTarget(
  target: string,
  isS3: boolean,
): { readonly sent: string; readonly canonicalPath: string; readonly query: string } {
  const at = target.indexOf('?');
  const path = (at < 0 ? target : target.slice(0, at))
    .split('/')
    .map((part) => encoded(decoded(part)))
    .join('/');
  const query = (at < 0 ? '' : target.slice(at + 1))
    .split('&')
    .filter((part) => part !== '')
    .map((part) => {
      const equals = part.indexOf('=');
      const [name, value] = equals < 0 ? [part, ''] : [part.slice(0, equals), part.slice(equals + 1)];
      return [encoded(decoded(name.replaceAll('+', ' '))), encoded(decoded(value.replaceAll('+', ' ')))] as const;
    })
    .filter(([name]) => !PRESIGNED.test(name))
    .sort(([a, x], [b, y]) => (a < b ? -1 : a > b ? 1 : x < y ? -1 : x > y ? 1 : 0))
    .map(([name, value]) => `${name}=${value}`)
    .join('&');
  return {
    sent: query === '' ? path : `${path}?${query}`,
    canonicalPath: isS3 ? path : path.split('/').map(encoded).join('/'),
    query,
  };
}

/** As RFC 3986 has it: everything but letters, digits and `-_.~`, in capitals. */
const encoded = (text: string): string =>
  encodeURIComponent(text).replace(/[!'()*]/g, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`);

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    // Not UTF-8 behind its escapes: two readers would make two texts of it.
    throw new GatewayError('http.malformed', { reason: 'an escape that is no UTF-8' });
  }
}
