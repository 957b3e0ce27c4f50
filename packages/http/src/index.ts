export { CODINGS, type Coding, codingOf, decodeBody } from './body/content-coding.ts';
export { type BodyKind, bodyKindOf, type MediaType, parseMediaType } from './body/content-type.ts';
export { type MaskedAnswer, maskAnswer } from './body/mask-answer.ts';
export { headersOfMasked, headersToMaskable, maskHeaders } from './body/mask-headers.ts';
export { type BodyShape, bodyMasks, hasBodyMasks, openBodyMasker } from './body/open-body-masker.ts';
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
  withoutHeaders,
} from './message.ts';
