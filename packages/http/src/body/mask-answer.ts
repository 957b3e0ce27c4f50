/**
 * One answer under the masks of its verdict: headers and body together, as a dialect hands it to the driver. Refuses answers that
 * must be masked and cannot be read. RFC 9110 sections 9.3.2 and 15 (which answers have a body).
 */
import { GatewayError } from '@sallyport/core';
import type { MaskKey } from '@sallyport/mask';
import type { HttpTextStream, MaskSet } from '@sallyport/model';
import { type BodyMasker, type Header, headerOf, type ResponseHead } from '../message.ts';
import { headersOfMasked, maskHeaders } from './mask-headers.ts';
import { hasBodyMasks, openBodyMasker } from './open-body-masker.ts';

export interface MaskedAnswer {
  /** Absent = the bytes pass untouched. */
  readonly masker?: BodyMasker;
  /** Absent = as they came. */
  readonly headers?: readonly Header[];
}

/**
 * @param streams texts that come in pieces
 * @param method of the request: HEAD is answered without a body
 * @throws GatewayError `http.body_unmaskable`
 */
export function maskAnswer(
  method: string,
  response: ResponseHead,
  masks: MaskSet,
  key?: MaskKey,
  streams?: readonly HttpTextStream[],
): MaskedAnswer {
  const headers = maskHeaders(response.headers, masks, key);
  const shown = headers === response.headers ? {} : { headers };
  const isEmpty =
    method === 'HEAD' ||
    response.status === 204 ||
    response.status === 304 ||
    response.framing.kind === 'none' ||
    (response.framing.kind === 'length' && response.framing.bytes === 0);
  if (!hasBodyMasks(masks)) return shown;
  if (isEmpty) return method === 'HEAD' ? { headers: headersOfMasked(headers) } : shown;
  const encodings = response.headers.filter(([name]) => name === 'content-encoding').map(([, value]) => value);
  const masker = openBodyMasker(
    masks,
    {
      contentType: oneType(response.headers),
      contentEncoding: encodings.join(','),
      partial: response.status === 206,
      ...(streams === undefined ? {} : { streams }),
    },
    key,
  );
  if (masker === 'refuse') throw new GatewayError('http.body_unmaskable', { reason: 'kind of body' });
  return masker === 'pass' ? shown : { masker, headers: headersOfMasked(headers) };
}

/** Of two types nobody knows which one the client believes: then it is read as what says nothing. */
function oneType(headers: readonly Header[]): string {
  const types = new Set(headers.filter(([name]) => name === 'content-type').map(([, value]) => value));
  return types.size > 1 ? '' : (headerOf(headers, 'content-type') ?? '');
}
