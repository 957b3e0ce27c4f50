export { openBodyReader } from './body/body-reader.ts';
export { CODINGS, type Coding, codingOf, decodeBody } from './body/content-coding.ts';
export { type BodyKind, type MediaType, parseMediaType } from './body/content-type.ts';
export { type JoinedMessage, type JoinedTexts, openJoinedTexts } from './body/joined-texts.ts';
export { type MaskedAnswer, maskAnswer } from './body/mask-answer.ts';
export { headersOfMasked, headersToMaskable, maskHeaders } from './body/mask-headers.ts';
export { foundAcross, maskMessage } from './body/message-text.ts';
export { type BodyShape, bodyMasks, hasBodyMasks, openBodyMasker } from './body/open-body-masker.ts';
export { recordedBody } from './body/recorded-body.ts';
export { fieldName, HOP_BY_HOP, hasControl, isToken, listed, namedByConnection, passedTrailers } from './fields.ts';
export { type BodyOwner, BodyReader } from './h1/body.ts';
export {
  isSafeMethod,
  KnownAnswer,
  type ReadRequest,
  type ReadResponse,
  readRequestHead,
  readResponseHead,
} from './h1/head.ts';
export { RequestReader, type RequestsOwner } from './h1/requests.ts';
export { ResponseReader, type ResponsesOwner } from './h1/responses.ts';
export {
  encodeChunk,
  encodeLastChunk,
  encodeRequestHead,
  encodeResponseHead,
  fieldLines,
  KnownLines,
  KnownRequestHead,
  lastLines,
  lentChunk,
  statusLine,
  writeHead,
} from './h1/write.ts';
export { BytesDuplex, type BytesOwner } from './h2/bytes-duplex.ts';
export {
  http2Fields,
  KnownHttp2Fields,
  KnownHttp2Lines,
  type ReadHttp2Response,
  readHttp2Request,
  readHttp2Response,
  readHttp2Trailers,
} from './h2/heads.ts';
export {
  H2_CANCEL,
  H2_ENHANCE_YOUR_CALM,
  H2_FLAG_END_STREAM,
  H2_INTERNAL_ERROR,
  H2_NO_ERROR,
  H2_REFUSED_STREAM,
  openHttp2Client,
  openHttp2Server,
} from './h2/sessions.ts';
export { MadeOf, madeOf } from './made-of.ts';
export {
  type BodyFraming,
  type BodyMasker,
  type Header,
  headerOf,
  headerValues,
  NO_BODY,
  type RequestHead,
  type ResponseFraming,
  type ResponseHead,
  STREAM_BODY,
} from './message.ts';
export { hostOf, type ReadTarget, RefusedTarget, readPath, readTarget, requireAuthority } from './path.ts';
export { asksForAnotherMethod, headerFacts, queryFacts, SECRET_FIELDS } from './request/field-facts.ts';
export { type GraphqlReading, readGraphql } from './request/graphql.ts';
export { answerWithoutTokens, asksForToken, targetWithoutTokens, textWithoutTokens } from './request/oauth.ts';
export { type OpenApiRoutes, routesOfOpenApi } from './request/openapi.ts';
export { effectsAt, type Place, placeOf, routeFacts } from './request/place.ts';
export { type BodyContext, type ReadBody, readGraphqlQuery, readRequestBody } from './request/read-body.ts';
export { matchRoute } from './request/routes.ts';
export { strictJsonFields } from './request/strict-json.ts';
export {
  encodeWebSocketFrame,
  type FrameHead,
  FrameReader,
  type FrameSink,
  OPCODES,
} from './websocket/frame-reader.ts';
export { maskControl, type WebSocketPorts, WebSocketSide } from './websocket/websocket-side.ts';
