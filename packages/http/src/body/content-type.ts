/**
 * What a body is by its Content-Type (RFC 9110 section 8.3), as far as masking asks: what reads it. Refuses to look into bodies
 * but for the first byte of what has no better name.
 */

export interface MediaType {
  /** Lower case, without parameters; '' = none was sent, or none that can be read. */
  readonly type: string;
  /** Lower-case names. */
  readonly parameters: ReadonlyMap<string, string>;
  readonly kind: BodyKind;
  /** JSON by a type that says that a document stands on each line. */
  readonly isLines: boolean;
  /** HTML and XML; without a type a browser may take it for HTML. */
  readonly isMarkup: boolean;
  /** False where any charset is named in which a detector could not see what a reader sees (UTF-7, UTF-16, EBCDIC, ISO-2022). */
  readonly isReadable: boolean;
}

const LINES = /^application\/(?:(?:x-)?(?:nd-?json|json-?lines|jsonl|json-seq)|stream\+json)$/;
const MARKUP = /(?:html|[/+]xml)\b/;
/** Charsets in which each byte of ASCII reads as ASCII, and nothing else does. */
const READABLE =
  /^(?:utf-?8|us-ascii|ascii|iso-?8859-\d{1,2}|iso_8859-\d{1,2}|latin-?1|windows-125\d|cp125\d|koi8-[ru]|macintosh)$/i;
export const isReadableCharset = (name: string): boolean => READABLE.test(name);
/** Wherever one may be read, also twice, in pieces (RFC 2231), or in another parameter's quotes. */
const CHARSET = /charset[\s*\d]{0,8}=\s{0,8}"?\s{0,8}([^\s;",]*)/gi;

const PARAMETER = /;\s*([^\s=;"]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^;\s"]*))/g;
const BOUNDARY = /boundary[\s*\d]{0,8}=/gi;

/** Services have few, and say them in every answer. */
const KNOWN_MAX = 64;
const KNOWN_CHARS_MAX = 256;
const known = new Map<string, MediaType>();

export function parseMediaType(contentType: string): MediaType {
  const found = known.get(contentType);
  if (found !== undefined) return found;
  const media = readMediaType(contentType);
  if (contentType.length <= KNOWN_CHARS_MAX) {
    if (known.size >= KNOWN_MAX) known.clear();
    // A slice would keep the head alive that it was cut from.
    known.set(Buffer.from(contentType).toString(), media);
  }
  return media;
}

function readMediaType(contentType: string): MediaType {
  const type = (contentType.split(';', 1)[0] ?? '').trim().toLowerCase();
  const parameters = new Map<string, string>();
  for (const [, name = '', quoted, plain] of contentType.matchAll(PARAMETER))
    parameters.set(name.toLowerCase(), quoted?.replace(/\\(.)/g, '$1') ?? plain ?? '');
  // Of two nobody knows which one the client believes.
  if ([...contentType.matchAll(BOUNDARY)].length > 1) parameters.delete('boundary');
  const read = /^[^\s/;]+\/[^\s/;]+$/.test(type) ? type : '';
  return {
    type: read,
    parameters,
    kind: bodyKindOf(read),
    isLines: LINES.test(read),
    isMarkup: read === '' || MARKUP.test(read),
    isReadable: [...contentType.matchAll(CHARSET)].every(([, charset = '']) => isReadableCharset(charset)),
  };
}

/**
 * `json` also in lines · `sse` events · `form` URL-encoded · `multipart` parts of their own · `markup` for people, and drawings
 * · `sheet` CSS · `folded` calendars and cards · `data` text with members that a path could name (XML, YAML, CSV) · `excel` such text, or a document · `unsure` may be anything · `packed` binary with values
 * in it (protobuf, MessagePack) · `document` an archive, or a document whose text is packed · `encoded` mail and RTF · `media` binary that holds no values.
 */
export type BodyKind =
  | 'json'
  | 'sse'
  | 'form'
  | 'multipart'
  | 'markup'
  | 'sheet'
  | 'folded'
  | 'data'
  | 'excel'
  | 'unsure'
  | 'packed'
  | 'document'
  | 'encoded'
  | 'media';

const PACKED =
  /^application\/(?:.*\+)?(?:(?:x-|vnd\.google\.)?protobuf|(?:x-|vnd\.)?msgpack|cbor|bson|avro|thrift|x-thrift|vnd\.apache\.thrift.*|vnd\.apache\.(?:arrow|avro|orc|parquet).*|grpc.*|octet-stream\+.*|x-amz-cbor.*|vnd\.kubernetes\.protobuf|vnd\.amazon\.eventstream|x-java-serialized-object|ion|cbor-seq|(?:x-jackson-)?smile|fastinfoset|vnd\.wap\.wbxml|(?:x-)?(?:amf|bplist|bson|capnp|flatbuffers|parquet|plist|ubjson)|x-(?:python-)?pickle)$/;
/** Without Excel's. */
const DOCUMENT =
  /^application\/(?!.*\+xml$)(?:.*\+(?:zip|gzip|zstd)|pdf|zip|gzip|zstd|java-archive|msword|epub.*|(?:x-)?(?:bzip2?|compress|cpio|gtar|gzip|lzma|rar|rpm|sqlite3|tar|xz|zip)(?:-compressed)?|x-7z-compressed|vnd\.(?:rar|sqlite3|debian|android\.package|oasis\.opendocument|openxmlformats|oci\.image\.layer|docker\.image\.rootfs|ms-(?!excel$|fontobject)).*)$/;
/** Mail and RTF: an address may stand in them as `=40`, in base64, as `\'40`. */
const ENCODED = /^(?:message\/.*|application\/mbox|(?:text|application)\/(?:x-)?rtf)$/;
const FOLDED = /^text\/(?:(?:x-)?v?calendar|(?:x-)?vcard|x-vcalendar|directory)$/;
const MEDIA =
  /^(?:image\/(?!svg)|audio\/|video\/|font\/|model\/|application\/(?:wasm|x-font|font|vnd\.ms-fontobject$))/;
const DATA =
  /^(?:text\/(?:x-|vnd\.)?(?:csv|comma-separated-values|tab-separated-values|tsv|yaml|toml|java-properties|properties|xml)|application\/(?:.*\+|x-|vnd\.)?(?:xml|yaml|csv|tsv|toml))$/;
/** Many services say it of CSV and of tables in HTML. */
const EXCEL = /^application\/(?:x-)?(?:vnd\.)?(?:ms-?)?excel$/;

function bodyKindOf(type: string): BodyKind {
  // Frames with JSON in them, too.
  if (type.startsWith('application/grpc')) return 'packed';
  if (type === '' || type === 'application/octet-stream' || type === 'text/plain' || type === 'binary/octet-stream')
    return 'unsure';
  if (/^application\/(?:.*\+)?json(?:-seq|lines|l)?$/.test(type)) return 'json';
  if (/^(?:text\/(?:x-)?json|application\/(?:x-)?(?:nd-?json|json-?lines|jsonl|json-patch|manifest))$/.test(type))
    return 'json';
  if (type === 'application/stream+json' || type.startsWith('application/x-amz-json-')) return 'json';
  if (type === 'text/event-stream') return 'sse';
  if (type === 'application/x-www-form-urlencoded') return 'form';
  if (type.startsWith('multipart/')) return 'multipart';
  if (PACKED.test(type)) return 'packed';
  if (DOCUMENT.test(type)) return 'document';
  if (ENCODED.test(type)) return 'encoded';
  if (EXCEL.test(type)) return 'excel';
  if (MEDIA.test(type)) return 'media';
  if (DATA.test(type)) return 'data';
  if (type === 'text/css') return 'sheet';
  if (FOLDED.test(type)) return 'folded';
  // Scripts are the other form of JSON (`callback({…})`).
  return /^(?:text\/html|image\/svg\+xml|application\/xhtml\+xml)$/.test(type) ? 'markup' : 'unsure';
}
