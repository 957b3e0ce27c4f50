/**
 * How many whole messages of a row stream fit into some bytes. PostgreSQL framing: type (1), length of what follows with
 * itself (4). Refuses to read what is inside. PostgreSQL protocol-message-formats.
 */
export function fitMessages(bytes: Uint8Array, room: number): { readonly length: number; readonly count: number } {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let length = 0;
  let count = 0;
  while (length + 5 <= bytes.length) {
    const end = length + 1 + view.getUint32(length + 1);
    if (end > room || end > bytes.length) break;
    length = end;
    count++;
  }
  return { length, count };
}
