/**
 * The masker of a body by its headers: what reads it, behind which coding. Refuses bodies in which values stand that nothing here
 * can read: what is to be masked and cannot be is never passed. docs/reference/http-masking.md has the table.
 */
import { type JsonMaskerOptions, JsonPlan, type MaskKey, sharedMasks } from '@sallyport/mask';
import type { HttpTextStream, MaskSet } from '@sallyport/model';
import type { BodyMasker } from '../message.ts';
import { BodyByLook } from './body-by-look.ts';
import { CodedBody, codingOf } from './content-coding.ts';
import { type BodyKind, type MediaType, parseMediaType } from './content-type.ts';
import { EventStream } from './event-stream.ts';
import { FoldedText } from './folded-text.ts';
import { FormBody } from './form-body.ts';
import { openJoinedTexts } from './joined-texts.ts';
import { JsonLines } from './json-lines.ts';
import { MarkupText } from './markup-text.ts';
import { MultipartBody } from './multipart-body.ts';
import { JsonBody, TextBody } from './plain-bodies.ts';

export interface BodyShape {
  /** Values of the headers; '' without. */
  readonly contentType: string;
  readonly contentEncoding: string;
  /** False: what comes out is in no coding, for somebody who reads it. Absent = in the one it came in. */
  readonly recode?: boolean;
  /** Texts that come in pieces, one in each event or line. */
  readonly streams?: readonly HttpTextStream[] | undefined;
  /** Archives and documents, which nothing here can read, pass all the same. */
  readonly documents?: boolean | undefined;
}

/** Multipart in multipart. */
const NESTING_MAX = 3;

const plans = new WeakMap<object, JsonPlan>();
/** Masks of one verdict, as maskers of bodies take them; made once per set. */
export function bodyMasks(masks: MaskSet, key?: MaskKey): JsonMaskerOptions {
  const { detect, json = [] } = masks;
  let plan = json.length === 0 ? undefined : plans.get(json);
  if (plan === undefined && json.length > 0) {
    plan = new JsonPlan(json);
    plans.set(json, plan);
  }
  return { plan, detect, key };
}

export const hasBodyMasks = (masks: MaskSet): boolean => masks.detect.length > 0 || (masks.json?.length ?? 0) > 0;

/**
 * Called once per body.
 * @param key for method `hash`; without it `hash` reads `[redacted]`
 * @returns `pass` when nothing is masked, or nothing in it can be; `refuse` when it must be and cannot
 */
export function openBodyMasker(masks: MaskSet, shape: BodyShape, key?: MaskKey): BodyMasker | 'pass' | 'refuse' {
  if (!hasBodyMasks(masks)) return 'pass';
  const media = parseMediaType(shape.contentType);
  const joined = inPieces(masks, media, shape, key);
  const inner = joined === undefined ? bodyOf(bodyMasks(masks, key), media, shape, 0) : opened(joined, media, shape);
  if (inner === 'refuse') return inner;
  const coding = codingOf(shape.contentEncoding);
  if (coding === undefined) return 'refuse';
  return coding === 'identity'
    ? inner
    : new CodedBody(coding, inner, shape.recode !== false, media.kind === 'sse' || media.isLines);
}

/** Masks of a body that is one JSON document in no coding, the same for each of this shape; undefined for any other. */
export function jsonBodyMasks(masks: MaskSet, shape: BodyShape, key?: MaskKey): JsonMaskerOptions | undefined {
  const { kind, isReadable, isLines } = parseMediaType(shape.contentType);
  if (kind !== 'json' || !isReadable || isLines || codingOf(shape.contentEncoding) !== 'identity') return undefined;
  const options = bodyMasks(masks, key);
  return { ...options, shared: sharedMasks(options) };
}

/** Events and lines whose texts are read across them. */
function inPieces(masks: MaskSet, media: MediaType, shape: BodyShape, key?: MaskKey): BodyMasker | undefined {
  const isEvents = media.kind === 'sse';
  if ((!isEvents && !media.isLines) || !media.isReadable) return undefined;
  const texts = openJoinedTexts<string>(masks, key, shape.streams);
  if (texts === undefined) return undefined;
  return isEvents ? new EventStream(bodyMasks(masks, key), texts) : new JsonLines(texts);
}

function bodyOf(masks: JsonMaskerOptions, media: MediaType, shape: BodyShape, nesting: number): BodyMasker | 'refuse' {
  const inner = bodyBy(masks, media, shape, nesting);
  return inner === 'refuse' ? inner : opened(inner, media, shape);
}

/** Looked at before it is read, whatever it is called. JSON is read so strictly that nothing else goes by its name. */
function opened(inner: BodyMasker, { kind }: MediaType, { documents }: BodyShape): BodyMasker {
  if (kind === 'json') return inner;
  const asItIs = (): BodyMasker => inner;
  return new BodyByLook(documents === true ? 'plain' : 'open', asItIs, asItIs);
}

function bodyBy(masks: JsonMaskerOptions, media: MediaType, shape: BodyShape, nesting: number): BodyMasker | 'refuse' {
  const kind: BodyKind = media.kind;
  const hasPaths = masks.plan !== undefined;
  if (kind === 'packed' || !media.isReadable) return 'refuse';
  const text = (): BodyMasker => (media.isMarkup ? new MarkupText(masks) : new TextBody(masks));
  // JSON when it begins as JSON; what begins otherwise is cut where members may stand in it.
  const unsure = (): BodyMasker => (hasPaths ? new JsonBody(masks) : text());
  if (kind === 'document' || kind === 'encoded')
    return shape.documents === true ? new BodyByLook('media', unsure) : 'refuse';
  switch (kind) {
    case 'media':
      return new BodyByLook('media', unsure);
    case 'json':
      return new JsonBody(masks);
    case 'sse':
      return new EventStream(masks);
    case 'form':
      return hasPaths ? 'refuse' : new FormBody(masks);
    case 'excel':
      return new BodyByLook(hasPaths && shape.documents !== true ? 'table' : 'media', unsure);
    case 'data':
      return hasPaths ? 'refuse' : text();
    case 'markup':
    case 'sheet':
      return hasPaths ? new BodyByLook(kind, unsure, text) : text();
    case 'folded':
      return new FoldedText(unsure(), shape.documents === true);
    case 'unsure':
      return unsure();
    case 'multipart': {
      // A field's name stands in its head, where no path leads.
      if (hasPaths && media.type === 'multipart/form-data') return 'refuse';
      const boundary = media.parameters.get('boundary') ?? '';
      if (boundary === '' || boundary.length > 70 || nesting === NESTING_MAX) return 'refuse';
      return new MultipartBody(boundary, masks, (contentType, encoding) => {
        const inner = bodyOf(masks, parseMediaType(contentType), shape, nesting + 1);
        return inner === 'refuse' || !['', '7bit', '8bit', 'binary'].includes(encoding) ? undefined : inner;
      });
    }
    default:
      return kind satisfies never;
  }
}
