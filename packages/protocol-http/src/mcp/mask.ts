/**
 * What a server says, masked: documents by path (structured content, and texts that are JSON themselves), every text by
 * detectors. A message is masked whole, so nothing is split. Refuses what it cannot vouch for by leaving it out.
 */
import { GatewayError } from '@sallyport/core';
import { JsonMasker, JsonPlan, type MaskKey, maskDetected } from '@sallyport/mask';
import type { MaskSet } from '@sallyport/model';
import { isObject, type JsonObject } from './message.ts';

const WITHHELD = '[redacted]';
const plans = new WeakMap<MaskSet, JsonPlan | undefined>();

export const masksAnything = ({ json, detect }: MaskSet): boolean => detect.length > 0 || (json?.length ?? 0) > 0;

/** @throws GatewayError `http.body_unmaskable` */
export function maskMessage(message: JsonObject, masks: MaskSet, key: MaskKey | undefined): JsonObject {
  if (!masksAnything(masks)) return message;
  const result = message['result'];
  const byPath = isObject(result) ? { ...message, result: maskResult(result, masks, key) } : message;
  return JSON.parse(masked(JSON.stringify(byPath), undefined, masks, key)) as JsonObject;
}

function maskResult(result: JsonObject, masks: MaskSet, key: MaskKey | undefined): JsonObject {
  const made: Record<string, unknown> = { ...result };
  if (made['structuredContent'] !== undefined)
    made['structuredContent'] = maskDocument(made['structuredContent'], masks, key);
  for (const name of ['content', 'contents'])
    if (Array.isArray(made[name])) made[name] = made[name].map((item: unknown) => maskItem(item, masks, key));
  if (Array.isArray(made['messages']))
    made['messages'] = made['messages'].map((item: unknown) =>
      isObject(item) ? { ...item, content: maskItem(item['content'], masks, key) } : item,
    );
  return made;
}

/** Text, a resource with a text or bytes; pictures and sound pass. */
function maskItem(item: unknown, masks: MaskSet, key: MaskKey | undefined): unknown {
  if (!isObject(item)) return item;
  const made: Record<string, unknown> = { ...item };
  if (typeof made['text'] === 'string') made['text'] = maskText(made['text'], masks, key);
  if (typeof made['blob'] === 'string') made['blob'] = maskBlob(made['blob'], masks, key);
  if (isObject(made['resource'])) made['resource'] = maskItem(made['resource'], masks, key);
  return made;
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
  return maskDetected(text, masks.detect, key).text;
}

/** Bytes that are a text are masked as one. */
function maskBlob(blob: string, masks: MaskSet, key: MaskKey | undefined): string {
  const bytes = Buffer.from(blob, 'base64');
  const text = bytes.toString('utf8');
  return Buffer.from(text).equals(bytes) ? Buffer.from(maskText(text, masks, key)).toString('base64') : blob;
}

const maskDocument = (value: unknown, masks: MaskSet, key: MaskKey | undefined): unknown =>
  JSON.parse(masked(JSON.stringify(value), planOf(masks), masks, key)) as unknown;

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
