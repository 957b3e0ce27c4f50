/**
 * The little DER that requests and certificates of our own need (ITU-T X.690): definite lengths, tags of one byte.
 * Refuses to know what a value means.
 */

/** One value: tag, length, content. Up to 64 KiB. */
export function tlv(tag: number, ...content: readonly Uint8Array[]): Buffer {
  const body = Buffer.concat(content);
  const length =
    body.length < 128
      ? Buffer.of(body.length)
      : body.length < 256
        ? Buffer.of(0x81, body.length)
        : Buffer.of(0x82, body.length >> 8, body.length & 255);
  return Buffer.concat([Buffer.of(tag), length, body]);
}

/** The values that stand in a constructed one, each with its tag and length. @param bytes the constructed value */
export function children(bytes: Buffer): readonly Buffer[] {
  const { from, to } = contentOf(bytes, 0);
  const found: Buffer[] = [];
  for (let at = from; at < to; ) {
    const end = contentOf(bytes, at).to;
    found.push(bytes.subarray(at, end));
    at = end;
  }
  return found;
}

function contentOf(bytes: Buffer, at: number): { readonly from: number; readonly to: number } {
  const first = bytes[at + 1] ?? 0;
  const more = first < 0x80 ? 0 : first & 0x7f;
  const size = more === 0 ? first : bytes.readUIntBE(at + 2, more);
  const from = at + 2 + more;
  return { from, to: Math.min(from + size, bytes.length) };
}
