/**
 * A form in parts (multipart/form-data, RFC 7578) as rules read it, in one reading that leaves no doubt: delimiters where they
 * belong and nowhere else, one name to a part, said in the one way that every reader takes alike. Refuses the rest as unread.
 * Limits: bodyFieldsMax.
 */
import { LIMITS } from '@sallyport/core';
import { type BodyField, fieldNumber, pathKey } from '@sallyport/model';
import { parseMediaType } from '../body/content-type.ts';
import { strictJsonFields, utf8Text } from './strict-json.ts';

export interface FormParts {
  /** The content of each part by its name; below it members of one that is JSON, and of a file its `filename` and `size`. */
  readonly fields: readonly BodyField[];
  readonly duplicateKeys: boolean;
  /** The body, but for files that are no text. */
  readonly text: string;
}

/** Commas end a boundary for PHP, what stands behind one is ignored by some, and quotes are read by all. */
const BOUNDARY =
  /^multipart\/form-data(?:; ?charset="?utf-8"?)?; ?boundary=(?:"([\w.=+-]{1,70})"|([\w.+-]{1,70}))(?:; ?charset="?utf-8"?)?$/i;
/** Escapes, semicolons and equal signs inside quotes are taken in several ways; browsers write `%22` for a quote, and few undo that. */
const DISPOSITION = /^form-data; ?name="([^"\\;=%]+)"(?:; ?filename="([^"\\;=]*)")?$/i;
const PART_FIELD = /^(content-(?:disposition|type|transfer-encoding|length)): ?([^\0-\x1f\x7f]*)$/i;
const AS_IT_IS: ReadonlySet<string> = new Set(['', '7bit', '8bit', 'binary']);
/** A field by which a form says how its others are to be read (RFC 7578 section 4.6). */
const CHARSET_FIELD = '_charset_';
const LOSSY = new TextDecoder('utf-8', { ignoreBOM: true });

/** @param bytes without content coding @returns undefined for what could be read in another way */
export function readFormParts(contentType: string, bytes: Uint8Array): FormParts | undefined {
  const [, quoted, plain] = BOUNDARY.exec(contentType.trim()) ?? [];
  const boundary = quoted ?? plain;
  if (boundary === undefined) return undefined;
  const delimiter = `--${boundary}`;
  const [before, ...pieces] = Buffer.from(bytes).toString('latin1').split(delimiter);
  const last = pieces.pop();
  // No text before the first part or behind the last one: some take a part that is not closed, or stands there, for one.
  if (before !== '' || pieces.length === 0 || (last !== '--' && last !== '--\r\n')) return undefined;
  const fields: BodyField[] = [];
  const names = new Set<string>();
  let text = '';
  for (const piece of pieces) {
    const part = partOf(piece);
    if (part === undefined || part.name.toLowerCase() === CHARSET_FIELD) return undefined;
    const below = fieldsOf(part);
    if (below === undefined || fields.length + below.length > LIMITS.bodyFieldsMax) return undefined;
    fields.push(...below);
    names.add(part.name);
    text += `${delimiter}\r\n${part.head}\r\n\r\n${utf8Text(part.content) ?? `[${part.content.length} bytes]`}\r\n`;
  }
  return { fields, duplicateKeys: names.size < pieces.length, text: `${text}${delimiter}${last}` };
}

interface Part {
  readonly name: string;
  /** Undefined: it is no file. */
  readonly filename: string | undefined;
  readonly type: string;
  readonly head: string;
  readonly content: Uint8Array;
}

/** @param piece what stands between two delimiters, a byte in each letter */
function partOf(piece: string): Part | undefined {
  const end = piece.indexOf('\r\n\r\n');
  if (!piece.startsWith('\r\n') || end < 2 || !piece.endsWith('\r\n') || piece.length < end + 6) return undefined;
  const head = utf8Text(Buffer.from(piece.slice(2, end), 'latin1'));
  const content = Buffer.from(piece.slice(end + 4, -2), 'latin1');
  const said = new Map<string, string>();
  for (const line of head?.split('\r\n') ?? []) {
    const [, name = '', value = ''] = PART_FIELD.exec(line) ?? [];
    const key = name.toLowerCase();
    if (key === '' || said.has(key) || /content-/i.test(value)) return undefined;
    said.set(key, value.trimEnd());
  }
  const length = said.get('content-length');
  if (!AS_IT_IS.has((said.get('content-transfer-encoding') ?? '').toLowerCase())) return undefined;
  if (length !== undefined && length !== String(content.length)) return undefined;
  const [, name, filename] = DISPOSITION.exec(said.get('content-disposition') ?? '') ?? [];
  if (head === undefined || name === undefined) return undefined;
  return { name, filename, type: said.get('content-type') ?? '', head, content };
}

function fieldsOf({ name, filename, type, content }: Part): readonly BodyField[] | undefined {
  const path = pathKey(name);
  const media = parseMediaType(type);
  if (media.kind === 'multipart' || media.kind === 'form' || isOtherCharset(media.parameters.get('charset')))
    return undefined;
  // A file without a name is a field to some.
  if (filename === '' && content.length > 0) return undefined;
  // Who asks for a field may be given a file by the same name: its content counts as the field's.
  const value = filename === undefined ? utf8Text(content) : LOSSY.decode(content);
  if (value === undefined) return undefined;
  const members = media.kind === 'json' && content.length > 0 ? strictJsonFields(content) : [];
  if (members === undefined) return undefined;
  const file: readonly BodyField[] =
    filename === undefined
      ? []
      : [
          { path: `${path}.filename`, value: filename, number: fieldNumber(filename), kind: 'string' },
          { path: `${path}.size`, value: String(content.length), number: content.length, kind: 'number' },
        ];
  const inside = members.map((field) => ({ ...field, path: below(path, field.path) }));
  return [{ path, value, number: fieldNumber(value), kind: 'string' }, ...file, ...inside];
}

const below = (path: string, member: string): string =>
  member === '' || member.startsWith('[') ? `${path}${member}` : `${path}.${member}`;

const isOtherCharset = (charset = 'utf-8'): boolean => !/^(?:utf-?8|us-ascii)$/i.test(charset);
