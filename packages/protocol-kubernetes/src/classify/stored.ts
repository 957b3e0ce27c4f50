/**
 * The stored object that an update or a patch is about, read before the write, and what the write changes of it, for recordings and
 * approvers. Refuses to show more than a `get` by the same principal would: it is asked for as one, and masked as one.
 */
import { GatewayError } from '@sallyport/core';
import { headerOf } from '@sallyport/http';
import type { LookAnswer } from '@sallyport/http-session';
import { JsonMasker, type MaskKey } from '@sallyport/mask';
import type { MaskSet } from '@sallyport/model';
import type { RequestInfo } from '../messages.ts';
import { planOf } from '../paths.ts';
import { compared, difference } from './difference.ts';
import { isSecret } from './effects.ts';
import { readObject } from './json-object.ts';
import type { PatchType } from './patch.ts';
import { patched } from './patched.ts';
import { withoutData } from './statement-text.ts';

export type Stored =
  | { readonly kind: 'object'; readonly object: unknown; readonly version: string }
  | { readonly kind: 'nothing' }
  | { readonly kind: 'unread'; readonly why: string };

/** Whether there is something stored that it changes, and knows what to. */
export const changesStored = ({ verb, name, nonResource, dryRun }: RequestInfo): boolean =>
  !nonResource && !dryRun && name !== '' && (verb === 'update' || verb === 'patch');

export function storedOf(answer: LookAnswer): Stored {
  if (answer.kind === 'none') return { kind: 'unread', why: answer.code };
  const { status, headers, body } = answer;
  if (status === 404) return { kind: 'nothing' };
  const type = headerOf(headers, 'content-type') ?? '';
  if (status !== 200 || !type.startsWith('application/json') || headerOf(headers, 'content-encoding') !== undefined)
    return { kind: 'unread', why: `the server answered ${status}` };
  try {
    const object = readObject(body, 'json') as { readonly metadata?: { readonly resourceVersion?: unknown } };
    const version = object.metadata?.resourceVersion;
    return { kind: 'object', object, version: typeof version === 'string' ? version : '' };
  } catch (error) {
    if (error instanceof GatewayError) return { kind: 'unread', why: error.code };
    throw error;
  }
}

/** @returns lines for people, with what they are compared with on top */
export function changesOf(
  stored: Stored,
  info: RequestInfo,
  type: PatchType,
  sent: unknown,
  masks: MaskSet,
  key: MaskKey | undefined,
): string {
  if (stored.kind === 'unread') return `What is stored was not read (${stored.why}).`;
  if (stored.kind === 'nothing') return 'Nothing is stored by that name.';
  const after = patched(type, stored.object, sent);
  const shown = after === undefined ? undefined : [stored.object, after].map((one) => shownAs(info, one, masks, key));
  if (shown?.includes(undefined) !== false) return 'What is stored cannot be compared with it.';
  const [before, made] = shown.map((one) => compared(one, info.subresource));
  const lines = difference(before, made);
  const what = `Compared with what is stored${stored.version === '' ? '' : ` (version ${stored.version})`}`;
  return lines.length === 0 ? `${what}: nothing that is shown changes.` : `${what}:\n${lines.join('\n')}`;
}

/** As an answer would show it; what a Secret holds is hidden whatever the policy says. Undefined when that cannot be done. */
function shownAs(info: RequestInfo, object: unknown, masks: MaskSet, key: MaskKey | undefined): unknown {
  const text = isSecret(info) ? withoutData(object) : JSON.stringify(object);
  const plan = planOf(masks, info);
  if (plan === undefined && masks.detect.length === 0) return JSON.parse(text) as unknown;
  const masker = new JsonMasker({ plan, detect: masks.detect, key });
  const shown = Buffer.concat([masker.push(Buffer.from(text)), masker.end()]).toString();
  return masker.broken ? undefined : (JSON.parse(shown) as unknown);
}
