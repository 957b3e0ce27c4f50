/**
 * How an HTTP service's answer is shown under a verdict's masks. Refuses answers that must be masked and cannot be read.
 */
import { GatewayError } from '@sallyport/core';
import {
  answerWithoutTokens,
  type BodyShape,
  type Header,
  headersToMaskable,
  maskAnswer,
  maskHeaders,
  type RequestHead,
  type ResponseHead,
} from '@sallyport/http';
import { type AnswerPlan, type DialectSession, type ForwardedRequest, PASS } from '@sallyport/http-session';
import type { MaskSet } from '@sallyport/model';
import { isWebSocket, withoutExtensions } from './websocket.ts';

/**
 * @param asksForToken the answer may be one
 * @throws GatewayError `http.body_unmaskable`
 */
export function maskedAnswer(
  request: RequestHead,
  response: ResponseHead,
  session: DialectSession,
  masks: MaskSet,
  asksForToken: boolean,
): AnswerPlan {
  const isPlain = masks.detect.length === 0 && masks.headers === undefined && masks.json === undefined;
  if (isPlain) return asksForToken ? { recorded: answerWithoutTokens(response.headers) } : PASS;
  const { maskKey } = session.road;
  const { masker, headers } = maskAnswer(request.method, response, masks, maskKey, shapeOf(session));
  const trailers = (fields: readonly Header[]): readonly Header[] => maskHeaders(fields, masks, maskKey);
  const recorded = asksForToken ? answerWithoutTokens(headers ?? response.headers) : undefined;
  return { masker, headers, trailers, recorded };
}

/** What the resource says of its answers. */
function shapeOf({ resource: { http } }: DialectSession): Pick<BodyShape, 'streams' | 'documents'> {
  const documents = http?.documents === 'pass';
  return http?.streams === undefined ? { documents } : { documents, streams: http.streams };
}

/**
 * The request as it is sent on: it asks for nothing whose answer could not be masked.
 * @param renames the answer may name fields otherwise than masks by path do
 * @throws GatewayError `mask.unvouched`
 */
export function maskableRequest(
  request: RequestHead,
  session: DialectSession,
  masks: MaskSet,
  renames: (request: RequestHead) => boolean,
): ForwardedRequest {
  if ((masks.json?.length ?? 0) > 0 && renames(request))
    throw new GatewayError('mask.unvouched', { reason: 'aliases' });
  const { method, target } = request;
  const headers = headersToMaskable(request, masks, session.road.maskKey);
  return { method, target, headers: isWebSocket(request) ? withoutExtensions(headers) : headers };
}
