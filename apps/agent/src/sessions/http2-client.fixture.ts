/**
 * What a client of HTTP/2 sends, for the bench beside it: written by hand, so that no client is measured along. Dev-only.
 * Refuses to read what comes back. RFC 9113 sections 3.4 and 6, RFC 7541.
 */

const [HEADERS, SETTINGS, WINDOW_UPDATE] = [0x1, 0x4, 0x8];
const WINDOW_MAX = 0x7f_ff_ff_ff;
const END_STREAM_END_HEADERS = 0x5;

function frame(type: number, flags: number, stream: number, payload: Buffer): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head.set([type, flags], 3);
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}

/** Preface, and windows that two million answers of 1 KB do not fill. */
export function http2Opening(): Buffer {
  const window = Buffer.alloc(6);
  window.writeUInt16BE(0x4);
  window.writeUInt32BE(WINDOW_MAX, 2);
  const more = Buffer.alloc(4);
  more.writeUInt32BE(WINDOW_MAX - 65_535);
  const preface = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
  return Buffer.concat([preface, frame(SETTINGS, 0, 0, window), frame(WINDOW_UPDATE, 0, 0, more)]);
}

/** A text without Huffman's code (RFC 7541 section 5.2). */
function text(value: string): Buffer {
  const { length } = value;
  const said: number[] = [];
  if (length < 127) said.push(length);
  else {
    said.push(127);
    let rest = length - 127;
    for (; rest >= 128; rest >>= 7) said.push((rest & 127) | 128);
    said.push(rest);
  }
  return Buffer.concat([Buffer.from(said), Buffer.from(value)]);
}

/** GET of one target again and again, each on its own stream; the token is never indexed, as nghttp2's clients have it. */
export function http2Request(authority: string, path: string, authorization: string): () => Buffer {
  const token = Buffer.concat([Buffer.from([0x1f, 23 - 15]), text(authorization)]);
  const [method, https] = [0x82, 0x87];
  const named = [Buffer.from([0x41]), text(authority), Buffer.from([0x44]), text(path)];
  const first = frame(
    HEADERS,
    END_STREAM_END_HEADERS,
    1,
    Buffer.concat([Buffer.from([method, https]), ...named, token]),
  );
  const again = frame(
    HEADERS,
    END_STREAM_END_HEADERS,
    1,
    Buffer.concat([Buffer.from([method, https, 0xbf, 0xbe]), token]),
  );
  let stream = -1;
  return () => {
    stream += 2;
    const next = stream === 1 ? first : again;
    next.writeUInt32BE(stream, 5);
    return next;
  };
}
