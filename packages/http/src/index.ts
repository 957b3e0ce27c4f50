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
