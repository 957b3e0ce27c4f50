/**
 * Answers of what stands behind the API server (`services/…/proxy`, `pods/…/proxy`, `nodes/…/proxy`): a program's own, of any type,
 * so they are masked as those of an HTTP resource, headers and trailers included. Refuses what that refuses.
 */

import type { RequestHead, ResponseHead } from '@sallyport/http';
import { type Header, hasBodyMasks, headersToMaskable, maskAnswer, maskHeaders } from '@sallyport/http';
import { type AnswerPlan, PASS } from '@sallyport/http-session';
import type { MaskKey } from '@sallyport/mask';
import type { JsonMask, MaskSet } from '@sallyport/model';
import type { RequestInfo } from '../messages.ts';
import { LAST_APPLIED, PLACES, pathsOf, resourceName } from '../paths.ts';

/** Whether anything of such an answer is masked. */
export const isProxiedMasked = (info: RequestInfo, masks: MaskSet): boolean => hasBodyMasks(proxiedMasks(masks, info));

/** @throws GatewayError `http.body_unmaskable` */
export function planProxied(
  info: RequestInfo,
  response: ResponseHead,
  masks: MaskSet,
  key: MaskKey | undefined,
): AnswerPlan {
  const set = proxiedMasks(masks, info);
  if (set.headers === undefined && !hasBodyMasks(set)) return PASS;
  // An answer to HEAD comes without a body.
  const { masker, headers } = maskAnswer('', response, set, key);
  const trailers = (fields: readonly Header[]): readonly Header[] => maskHeaders(fields, set, key);
  return { ...(masker === undefined ? {} : { masker }), ...(headers === undefined ? {} : { headers }), trailers };
}

/** What is asked of the program: nothing whose answer could not be masked. */
export const proxiedHeaders = (
  request: RequestHead,
  info: RequestInfo,
  masks: MaskSet,
  key: MaskKey | undefined,
): readonly Header[] => headersToMaskable(request, proxiedMasks(masks, info), key);

const known = new WeakMap<MaskSet, Map<string, MaskSet>>();

/** The masks with what is hidden of this resource as paths. */
function proxiedMasks(masks: MaskSet, info: RequestInfo): MaskSet {
  const { kubernetes, ...others } = masks;
  if (kubernetes === undefined) return masks;
  let ofThese = known.get(masks);
  if (ofThese === undefined) known.set(masks, (ofThese = new Map()));
  const resource = resourceName(info);
  let made = ofThese.get(resource);
  if (made !== undefined) return made;
  made = { ...others, ...jsonOf(masks, resource) };
  // Who asks for one word after another does not make it grow.
  if (ofThese.size >= 100) ofThese.clear();
  ofThese.set(resource, made);
  return made;
}

/** Whose answers stand under which masks' paths: a node shows the pods it runs. Names are not known here. */
function jsonOf(masks: MaskSet, resource: string): Pick<MaskSet, 'json'> {
  const inner = (resource === 'nodes' ? ['nodes', 'pods'] : [resource]).flatMap((one) => pathsOf(masks, one, ''));
  const json: JsonMask[] = [...(masks.json ?? [])];
  if (inner.length > 0)
    for (const place of PLACES) {
      for (const { path, with: method } of inner) json.push({ path: place + path, with: method });
      json.push({ path: place + LAST_APPLIED, with: 'redact' });
    }
  return json.length === 0 ? {} : { json };
}
