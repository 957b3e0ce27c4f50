/**
 * A text whose server says what it is (`mimeType`): read as a body of that type is over HTTP, where its lines are folded, its values
 * in references or an encoding. Refuses to follow paths, as mask.ts does; JSON, which is read strictly elsewhere, is a text here.
 */
import { openBodyMasker, parseMediaType } from '@sallyport/http';
import type { MaskKey } from '@sallyport/mask';
import type { MaskSet } from '@sallyport/model';

/** @returns undefined where nobody can vouch for it */
export function maskTyped(
  text: string,
  mimeType: string,
  masks: MaskSet,
  key: MaskKey | undefined,
  passesDocuments: boolean,
): string | undefined {
  const { kind, isReadable } = parseMediaType(mimeType);
  // A text of an archive or a PDF was read out of it.
  if (isReadable && (kind === 'json' || kind === 'document')) return text;
  const shape = { contentType: mimeType, contentEncoding: '', documents: passesDocuments };
  // XML, YAML and CSV have members that a path may name.
  if (openBodyMasker(masks, shape, key) === 'refuse') return undefined;
  const masker = openBodyMasker({ columns: [], detect: masks.detect }, shape, key);
  if (masker === 'refuse') return undefined;
  if (masker === 'pass') return text;
  const shown = Buffer.concat([Buffer.from(masker.push(Buffer.from(text))), masker.end()]);
  return masker.failed === undefined ? shown.toString('utf8') : undefined;
}
