/**
 * Frames of HTTP: the head of a request or an answer, its body, and what there was of it in all. Refuses to read what the
 * bytes say: they are as the client saw or sent them, masked, in the content coding of their head. docs/reference/trail-format.md.
 */
import { broken } from './bytes.ts';
import { readVarint } from './varint.ts';

export const HTTP_SIDES = ['request', 'response'] as const;
export type HttpSide = (typeof HTTP_SIDES)[number];

export type HttpFrame =
  /** Request line or status, and header lines, as they are written in HTTP/1.1; credentials are never in it. */
  | {
      readonly kind: 'http_head';
      readonly atMs: number;
      readonly number: number;
      readonly side: HttpSide;
      readonly text: string;
    }
  | {
      readonly kind: 'http_body';
      readonly atMs: number;
      readonly number: number;
      readonly side: HttpSide;
      readonly bytes: Uint8Array;
    }
  /** The body has ended: how many bytes it had, how many of them are not in the recording. */
  | {
      readonly kind: 'http_end';
      readonly atMs: number;
      readonly number: number;
      readonly side: HttpSide;
      readonly bytes: number;
      readonly cut: number;
      /** SHA-256 of the whole body as hex; '' where it was not taken. */
      readonly digest: string;
    };

/** In order of their type numbers, which begin at 18. */
export const HTTP_FRAME_TYPES = ['http_head', 'http_body', 'http_end'] as const;

export const isHttpFrame = (frame: { readonly kind: string }): frame is HttpFrame =>
  (HTTP_FRAME_TYPES as readonly string[]).includes(frame.kind);

/** As it stands in a frame: one byte. */
export const sideCode = (side: HttpSide): number => (side === 'request' ? 1 : 2);

/** @param at where the body goes on behind the number @throws GatewayError `trail.broken` (`frame`) */
export function decodeHttpFrame(
  kind: HttpFrame['kind'],
  atMs: number,
  number: number,
  body: Buffer,
  at: { offset: number },
): HttpFrame {
  const side = HTTP_SIDES[readVarint(body, at) - 1];
  if (side === undefined) throw broken('frame');
  switch (kind) {
    case 'http_head':
      return { kind, atMs, number, side, text: body.toString('utf8', at.offset) };
    case 'http_body':
      return { kind, atMs, number, side, bytes: body.subarray(at.offset) };
    case 'http_end': {
      const bytes = readVarint(body, at);
      const cut = readVarint(body, at);
      return { kind, atMs, number, side, bytes, cut, digest: body.toString('hex', at.offset) };
    }
    default:
      return kind satisfies never;
  }
}
