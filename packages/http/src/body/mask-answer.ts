/**
 * One answer under the masks of its verdict: headers and body together, as a dialect hands it to the driver. Refuses answers that
 * must be masked and cannot be read. RFC 9110 sections 9.3.2 and 15 (which answers have a body).
 */
import { GatewayError } from '@sallyport/core';
import type { JsonMaskerOptions, MaskKey } from '@sallyport/mask';
import type { MaskSet } from '@sallyport/model';
import { madeOf } from '../made-of.ts';
import { type BodyMasker, type Header, headerOf, type ResponseHead } from '../message.ts';
import { headersOfMasked, maskHeaders } from './mask-headers.ts';
import { type BodyShape, hasBodyMasks, jsonBodyMasks, openBodyMasker } from './open-body-masker.ts';
import { JsonBody } from './plain-bodies.ts';

export interface MaskedAnswer {
  /** Absent = the bytes pass untouched. */
  readonly masker?: BodyMasker;
  /** Absent = as they came. */
  readonly headers?: readonly Header[];
}

/**
 * @param method of the request: HEAD is answered without a body
 * @param more texts that come in pieces, and whether documents pass
 * @throws GatewayError `http.body_unmaskable`
 */
export function maskAnswer(
  method: string,
  response: ResponseHead,
  masks: MaskSet,
  key?: MaskKey,
  more: Pick<BodyShape, 'streams' | 'documents'> = {},
): MaskedAnswer {
  const made = madeOf(response, maskedFields);
  const headers = made.under(masks, key);
  const shown = headers === response.headers ? {} : { headers };
  const isEmpty =
    method === 'HEAD' ||
    response.status === 204 ||
    response.status === 304 ||
    response.framing.kind === 'none' ||
    (response.framing.kind === 'length' && response.framing.bytes === 0);
  if (!hasBodyMasks(masks)) return shown;
  // Its length and its tag speak of the body all the same.
  if (isEmpty) return { headers: made.ofMasked(key) };
  // Nobody could ask for a stretch by its own header: whoever got one otherwise would get a value in two halves.
  if (response.status === 206) throw new GatewayError('http.body_unmaskable', { reason: 'a stretch' });
  const masker = made.masker(masks, key, more);
  if (masker === 'refuse') throw new GatewayError('http.body_unmaskable', { reason: 'kind of body' });
  return masker === 'pass' ? shown : { masker, headers: made.ofMasked(key) };
}

/** The fields of an answer under the masks that were asked for last: services that answer alike say the same ones again. */
class MaskedFields {
  readonly #contentType: string;
  readonly #contentEncoding: string;
  readonly #read: readonly Header[];
  #masks: MaskSet | undefined;
  #key: MaskKey | undefined;
  #headers: readonly Header[] = [];
  #ofMasked: readonly Header[] | undefined;
  #json: JsonMaskerOptions | 'none' | undefined;

  constructor(headers: readonly Header[]) {
    this.#read = headers;
    this.#contentType = oneType(headers);
    const encodings = headers.filter(([name]) => name === 'content-encoding').map(([, value]) => value);
    this.#contentEncoding = encodings.join(',');
  }

  under(masks: MaskSet, key: MaskKey | undefined): readonly Header[] {
    if (masks !== this.#masks || key !== this.#key) {
      this.#headers = maskHeaders(this.#read, masks, key);
      this.#ofMasked = undefined;
      this.#json = undefined;
      this.#masks = masks;
      this.#key = key;
    }
    return this.#headers;
  }

  /** As `under` gave them, of an answer whose body is masked. */
  ofMasked(key: MaskKey | undefined): readonly Header[] {
    return (this.#ofMasked ??= headersOfMasked(this.#headers, key));
  }

  /** Of a body that follows these fields, under what `under` was asked for: of JSON nothing is read or looked up anew. */
  masker(
    masks: MaskSet,
    key: MaskKey | undefined,
    more: Pick<BodyShape, 'streams' | 'documents'>,
  ): ReturnType<typeof openBodyMasker> {
    const json = this.#json;
    if (json !== undefined && json !== 'none') return new JsonBody(json);
    const shape = { ...more, contentType: this.#contentType, contentEncoding: this.#contentEncoding };
    this.#json ??= jsonBodyMasks(masks, shape, key) ?? 'none';
    return openBodyMasker(masks, shape, key);
  }
}
const maskedFields = (headers: readonly Header[]): MaskedFields => new MaskedFields(headers);

/** Of two types nobody knows which one the client believes: then it is read as what says nothing. */
function oneType(headers: readonly Header[]): string {
  const types = new Set(headers.filter(([name]) => name === 'content-type').map(([, value]) => value));
  return types.size > 1 ? '' : (headerOf(headers, 'content-type') ?? '');
}
