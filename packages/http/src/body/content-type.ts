/**
 * What a body is by its Content-Type (RFC 9110 section 8.3), as far as masking asks: what reads it. Refuses to look into bodies
 * but for the first byte of what has no better name.
 */

export interface MediaType {
  /** Lower case, without parameters; '' = none was sent, or none that can be read. */
  readonly type: string;
  /** Lower-case names. */
  readonly parameters: ReadonlyMap<string, string>;
}

const PARAMETER = /;\s*([^\s=;"]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^;\s"]*))/g;

export function parseMediaType(contentType: string): MediaType {
  const type = (contentType.split(';', 1)[0] ?? '').trim().toLowerCase();
  const parameters = new Map<string, string>();
  for (const [, name = '', quoted, plain] of contentType.matchAll(PARAMETER))
    parameters.set(name.toLowerCase(), quoted?.replace(/\\(.)/g, '$1') ?? plain ?? '');
  return { type: /^[^\s/;]+\/[^\s/;]+$/.test(type) ? type : '', parameters };
}

/**
 * `json` also in lines · `sse` events · `form` URL-encoded · `multipart` parts of their own · `text` for people, scripts, markup, drawings
 * · `data` text with members that a path could name (XML, YAML, CSV) · `unsure` may be anything · `packed` binary with values
 * in it (protobuf, MessagePack) · `media` binary that holds no values.
 */
export type BodyKind = 'json' | 'sse' | 'form' | 'multipart' | 'text' | 'data' | 'unsure' | 'packed' | 'media';

const PACKED =
  /^application\/(?:.*\+)?(?:(?:x-|vnd\.google\.)?protobuf|(?:x-|vnd\.)?msgpack|cbor|bson|avro|thrift|x-thrift|vnd\.apache\.thrift.*|vnd\.apache\.(?:arrow|avro|parquet).*|grpc.*|octet-stream\+.*|x-amz-cbor.*|vnd\.kubernetes\.protobuf|vnd\.amazon\.eventstream|x-java-serialized-object|ion)$/;
const MEDIA =
  /^(?:image\/(?!svg)|audio\/|video\/|font\/|model\/|application\/(?:pdf|zip|gzip|x-gzip|x-tar|x-7z-compressed|x-bzip2?|x-xz|zstd|vnd\.rar|wasm|x-font|font|vnd\.ms-|vnd\.openxmlformats|vnd\.oci\.image\.layer|vnd\.docker\.image\.rootfs|java-archive))/;
const DATA =
  /^(?:text\/(?:csv|yaml|x-yaml|vnd\.yaml|xml|tab-separated-values)|application\/(?:.*\+)?(?:xml|yaml|x-yaml|csv|toml))$/;

export function bodyKindOf(type: string): BodyKind {
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
  if (MEDIA.test(type)) return 'media';
  if (DATA.test(type)) return 'data';
  return type.startsWith('text/') ||
    type === 'image/svg+xml' ||
    /^application\/(?:javascript|x-javascript|ecmascript|xhtml\+xml|sql|graphql)$/.test(type)
    ? 'text'
    : 'unsure';
}

/** JSON by types that say that a document stands on each line. */
export const isLines = (type: string): boolean =>
  /^application\/(?:(?:x-)?(?:nd-?json|json-?lines|jsonl|json-seq)|stream\+json)$/.test(type);

/** HTML and XML; without a type a browser may take it for HTML. */
export const isMarkup = (type: string): boolean => type === '' || /(?:html|[/+]xml)\b/.test(type);

/** Charsets in which ASCII reads as ASCII, and UTF-16, whose NULs the detectors pass over. */
const READABLE =
  /^(?:utf-?8|us-ascii|ascii|iso-?8859-\d{1,2}|iso_8859-\d{1,2}|latin-?1|windows-125\d|cp125\d|koi8-[ru]|macintosh|utf-?16(?:le|be)?)$/;

/** False for a charset in which a detector could not see what a reader sees (UTF-7, EBCDIC, ISO-2022). */
export const isReadableCharset = (media: MediaType): boolean =>
  READABLE.test((media.parameters.get('charset') ?? 'utf-8').toLowerCase());
