/**
 * What a server says, masked: documents by path (structured content, and JSON in texts), every text by
 * detectors. A message is masked whole, so nothing is split. Refuses what it cannot vouch for by leaving it out.
 */
import { GatewayError } from '@sallyport/core';
import { foundAcross } from '@sallyport/http';
import { JsonMasker, JsonPlan, type MaskKey, maskDetected } from '@sallyport/mask';
import type { MaskSet } from '@sallyport/model';
import { withDocuments } from './json-within.ts';
import { isObject, type JsonObject, parseExactly } from './message.ts';
import { maskTyped } from './typed-text.ts';

const WITHHELD = '[redacted]';
const WITHHELD_BASE64 = Buffer.from(WITHHELD).toString('base64');
const plans = new WeakMap<MaskSet, JsonPlan | undefined>();

export const masksAnything = ({ json, detect }: MaskSet): boolean => detect.length > 0 || (json?.length ?? 0) > 0;

/** @throws GatewayError `http.body_unmaskable` */
export function maskMessage(
  message: JsonObject,
  masks: MaskSet,
  key: MaskKey | undefined,
  passesMedia: boolean,
): JsonObject {
  if (!masksAnything(masks)) return message;
  const texts = maskTexts(message, { masks, key, passesMedia }) as JsonObject;
  const byPath = planOf(masks) === undefined ? texts : maskDocuments(texts, masks, key);
  return parseExactly(masked(JSON.stringify(byPath), undefined, masks, key)) as JsonObject;
}

/** Members of results that the protocol itself reads: lists of what there is, and what a session is opened with. */
const PROTOCOLS_OWN: ReadonlySet<string> = new Set([
  'tools',
  'prompts',
  'resources',
  'resourceTemplates',
  'protocolVersion',
  'capabilities',
  'serverInfo',
]);
/** Lists of items, each a document. */
const ITEMS: ReadonlySet<string> = new Set(['content', 'contents', 'messages']);

/** Where a document of the server's own may stand: paths count from each of them. */
function maskDocuments(message: JsonObject, masks: MaskSet, key: MaskKey | undefined): JsonObject {
  const shown = (value: unknown): unknown => (value === undefined ? undefined : maskDocument(value, masks, key));
  const made: Record<string, unknown> = { ...message };
  const { error, params, result } = message;
  if (isObject(error))
    made['error'] = { ...(shown(error) as JsonObject), data: shown(error['data']), code: error['code'] };
  if (isObject(params))
    made['params'] = shown({ ...params, ...('data' in params ? { data: shown(params['data']) } : {}) });
  if (isObject(result)) {
    const entries = Object.entries(result);
    const rest = entries.filter(([name]) => !PROTOCOLS_OWN.has(name) && !ITEMS.has(name));
    const own = entries.flatMap(([name, value]) => {
      if (PROTOCOLS_OWN.has(name)) return [[name, value] as const];
      if (ITEMS.has(name)) return [[name, Array.isArray(value) ? value.map(shown) : shown(value)] as const];
      return [];
    });
    const inner = rest.map(([name, value]) => [name, isObject(value) ? shown(value) : value] as const);
    made['result'] = { ...(shown(Object.fromEntries(inner)) as JsonObject), ...Object.fromEntries(own) };
  } else if (result !== undefined) made['result'] = shown(result);
  return made;
}

interface Texts {
  readonly masks: MaskSet;
  readonly key: MaskKey | undefined;
  readonly passesMedia: boolean;
  /** What the server says that the texts of an item are. */
  readonly mimeType?: string;
}

/** Every text, wherever it stands, and bytes that are a text. Pictures, sound and other bytes pass, or nothing of them does. */
function maskTexts(value: unknown, texts: Texts, name = ''): unknown {
  if (typeof value === 'string') {
    if (name === 'blob') return maskBlob(value, texts);
    return name === 'text' ? maskSaid(value, texts) : maskText(value, texts.masks, texts.key);
  }
  if (Array.isArray(value))
    return withoutAcross(
      value.map((item: unknown) => maskTexts(item, texts)),
      texts,
    );
  if (!isObject(value)) return value;
  const { type, data, mimeType } = value;
  const typed = typeof mimeType === 'string' ? { ...texts, mimeType } : texts;
  const isMedia = (type === 'image' || type === 'audio') && typeof data === 'string';
  if (isMedia && !texts.passesMedia) return { type: 'text', text: `[${type} withheld: it cannot be masked]` };
  const shown = (at: string, inner: unknown): unknown =>
    isMedia && at === 'data' ? maskBlob(data, typed) : maskTexts(inner, typed, at);
  return Object.fromEntries(Object.entries(value).map(([at, inner]) => [at, shown(at, inner)]));
}

/** Items of content are read behind each other: a value that is spread over them is hidden with its items. */
function withoutAcross(items: readonly unknown[], { masks: { detect } }: Texts): readonly unknown[] {
  const said = items.map(textOfItem);
  if (said.filter((text) => text !== undefined).length < 2) return items;
  const across = foundAcross(
    said.map((text) => text ?? ''),
    detect,
  );
  return items.map((item, at) =>
    across.has(at) && said[at] !== undefined ? { ...(item as JsonObject), text: WITHHELD } : item,
  );
}

function textOfItem(item: unknown): string | undefined {
  return isObject(item) && typeof item['text'] === 'string' ? item['text'] : undefined;
}

function maskText(text: string, masks: MaskSet, key: MaskKey | undefined): string {
  const plan = planOf(masks);
  if (plan !== undefined && /^\s*[[{]/.test(text)) {
    try {
      JSON.parse(text);
      return masked(text, plan, masks, key);
    } catch (error) {
      if (error instanceof GatewayError) return WITHHELD;
      // A text that only begins like JSON is a text.
    }
  }
  const read = plan === undefined ? text : withinText(text, plan, masks, key);
  return maskDetected(read, masks.detect, key).text;
}

function maskSaid(text: string, { masks, key, passesMedia, mimeType }: Texts): string {
  const read = mimeType === undefined ? text : maskTyped(text, mimeType, masks, key, passesMedia);
  return read === undefined ? WITHHELD : maskText(read, masks, key);
}

/** "Here it is: {…}": what stands in it is masked as a text that is all JSON. */
function withinText(text: string, plan: JsonPlan, masks: MaskSet, key: MaskKey | undefined): string {
  try {
    return withDocuments(text, masks.json ?? [], (document) => masked(document, plan, masks, key)) ?? WITHHELD;
  } catch (error) {
    if (error instanceof GatewayError) return WITHHELD;
    throw error;
  }
}

/** Base64 as its reader may take it: what is no base64 is a text. */
function maskBlob(blob: string, texts: Texts): string {
  const { masks, key, passesMedia } = texts;
  const bytes = Buffer.from(blob, 'base64');
  const text = bytes.toString('utf8');
  if (Buffer.from(text).equals(bytes)) {
    const shown = maskSaid(text, texts);
    return shown === text ? maskText(blob, masks, key) : Buffer.from(shown).toString('base64');
  }
  return passesMedia ? maskText(blob, masks, key) : WITHHELD_BASE64;
}

const maskDocument = (value: unknown, masks: MaskSet, key: MaskKey | undefined): unknown =>
  parseExactly(masked(JSON.stringify(value), planOf(masks), masks, key));

function masked(text: string, plan: JsonPlan | undefined, { detect }: MaskSet, key: MaskKey | undefined): string {
  const masker = new JsonMasker({ plan, detect, key });
  const out = Buffer.concat([Buffer.from(masker.push(Buffer.from(text))), Buffer.from(masker.end())]);
  if (masker.broken) throw new GatewayError('http.body_unmaskable');
  return out.toString('utf8');
}

function planOf(masks: MaskSet): JsonPlan | undefined {
  if (!plans.has(masks)) plans.set(masks, (masks.json?.length ?? 0) === 0 ? undefined : new JsonPlan(masks.json ?? []));
  return plans.get(masks);
}
