/**
 * HTTP/2 over a given stream, by node:http2 (nghttp2), both sides, with the limits that keep a peer from costing more than it
 * pays: streams, header bytes and pairs, settings, pings, frames that are invalid, and requests taken back (rapid reset,
 * CVE-2023-44487; CONTINUATION flood, CVE-2024-27316).
 * Refuses server push, extended CONNECT and priorities.
 */
import http2 from 'node:http2';
import type { Duplex } from 'node:stream';
import { LIMITS } from '@sallyport/core';
import type { BytesDuplex } from './bytes-duplex.ts';

const COMMON = {
  maxSettings: 32,
  maxOutstandingPings: 10,
  maxHeaderListPairs: LIMITS.httpHeadersMax,
  maxSessionInvalidFrames: 50,
  maxSessionRejectedStreams: 50,
  /** Megabytes of what a session may hold, bodies that wait included. */
  maxSessionMemory: 16,
  maxDeflateDynamicTableSize: 4_096,
} as const;

const SETTINGS = {
  enablePush: false,
  enableConnectProtocol: false,
  headerTableSize: 4_096,
  maxHeaderListSize: LIMITS.httpHeadBytesMax,
  initialWindowSize: 1024 * 1024,
} as const;
/** Of all streams together; 64 KiB without a word (RFC 9113 section 6.9.2), a round trip for each. */
const CONNECTION_WINDOW = 4 * 1024 * 1024;

export function openHttp2Server(stream: Duplex): http2.ServerHttp2Session {
  const session = http2.performServerHandshake(stream, {
    ...COMMON,
    streamResetBurst: LIMITS.httpResetsPerWindowMax,
    streamResetRate: 20,
    settings: { ...SETTINGS, maxConcurrentStreams: LIMITS.httpRequestsInFlightMax },
  } as http2.ServerOptions) as http2.ServerHttp2Session;
  session.setLocalWindowSize(CONNECTION_WINDOW);
  return session;
}

/** @param origin `https://host`: node:http2 wants one, and each request names its own */
export function openHttp2Client(stream: BytesDuplex, origin: string): http2.ClientHttp2Session {
  const session = http2.connect(origin, {
    ...COMMON,
    createConnection: () => stream,
    settings: SETTINGS,
  } as http2.ClientSessionOptions);
  session.once('connect', () => session.setLocalWindowSize(CONNECTION_WINDOW));
  return session;
}

/** Codes of RFC 9113 section 7 that are spoken here. */
export const H2_NO_ERROR = http2.constants.NGHTTP2_NO_ERROR;
export const H2_INTERNAL_ERROR = http2.constants.NGHTTP2_INTERNAL_ERROR;
export const H2_CANCEL = http2.constants.NGHTTP2_CANCEL;
export const H2_REFUSED_STREAM = http2.constants.NGHTTP2_REFUSED_STREAM;
export const H2_ENHANCE_YOUR_CALM = http2.constants.NGHTTP2_ENHANCE_YOUR_CALM;
export const H2_FLAG_END_STREAM = http2.constants.NGHTTP2_FLAG_END_STREAM;
