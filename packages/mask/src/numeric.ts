/**
 * The binary form of PostgreSQL's numeric (src/backend/utils/adt/numeric.c, numeric_send), read as decimal text.
 * Refuses anything but its integer part: that is where a number that identifies somebody stands.
 */

/** @returns decimal digits, '' for NaN, infinities and malformed bytes */
export function numericText(cell: Buffer): string {
  if (cell.length < 8) return '';
  const count = cell.readUInt16BE(0);
  const weight = cell.readInt16BE(2);
  const sign = cell.readUInt16BE(4);
  // 0x0000 positive, 0x4000 negative; above them NaN and infinities.
  if ((sign !== 0 && sign !== 0x4000) || cell.length < 8 + count * 2 || weight > 5) return '';
  let text = '';
  for (let i = 0; i <= weight; i++) {
    const group = i < count ? cell.readUInt16BE(8 + i * 2) : 0;
    text += i === 0 ? String(group) : String(group).padStart(4, '0');
  }
  return text;
}
