/**
 * One whole message in memory: an event's data, a WebSocket's text. JSON by paths and detectors, other text by detectors.
 * Refuses what may be JSON and is none, where paths are to be masked.
 */
import { JsonMasker, type JsonMaskerOptions, maskDetectedCell } from '@sallyport/mask';

const REDACTED = Buffer.from('[redacted]');
const QUOTE = 34;
const COLON = 58;

/** @returns the same object where nothing is masked; undefined when it cannot be vouched for */
export function maskMessage(message: Uint8Array, masks: JsonMaskerOptions): Uint8Array | undefined {
  const first = message.find((byte) => byte !== 32 && byte !== 9 && byte !== 10 && byte !== 13);
  // { [ "
  if (first === 123 || first === 91 || first === QUOTE) {
    const masker = new JsonMasker(masks);
    const head = masker.push(message);
    const isSame = head === message;
    const tail = masker.end();
    if (!masker.broken) return isSame && tail.length === 0 ? message : Buffer.concat([head, tail]);
  }
  // `[DONE]` is no document: nothing in it has a name.
  if (masks.plan !== undefined && (message.includes(QUOTE) || message.includes(COLON))) return undefined;
  return maskLooseText(message, masks);
}

/** Text by detectors, also behind `\u0040`. */
export function maskLooseText(text: Uint8Array, { detect, key }: JsonMaskerOptions): Uint8Array {
  if (detect.length === 0 || text.length === 0) return text;
  const options = key === undefined ? {} : { key };
  const shown = maskDetectedCell(text, detect, options) ?? REDACTED;
  const plain = Buffer.from(text.buffer, text.byteOffset, text.byteLength).toString('utf8');
  if (!plain.includes('\\u')) return shown;
  const unescaped = Buffer.from(
    plain.replaceAll(/\\u([0-9a-fA-F]{4})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16))),
  );
  // What is hidden by escapes is hidden as a whole.
  const seen = maskDetectedCell(unescaped, detect, options);
  return seen === unescaped || shown !== text ? shown : REDACTED;
}
