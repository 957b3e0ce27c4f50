/**
 * What was written, as recordings and approvers see it: masked as what is read is. Refuses to show what a Secret holds, or a token
 * that is asked about, whatever the policy says.
 */
import { JsonMasker, type MaskKey } from '@sallyport/mask';
import type { MaskSet } from '@sallyport/model';
import type { RequestInfo } from '../messages.ts';
import { planOf } from '../paths.ts';
import { writesSecrets } from './effects.ts';
import { withoutData } from './statement-text.ts';

/** @returns JSON */
export function writtenAs(info: RequestInfo, sent: unknown, masks: MaskSet, key: MaskKey | undefined): string {
  const plan = planOf(masks, info);
  // The values of a JSON Patch are named by its paths, not theirs.
  if (writesSecrets(info) || (plan !== undefined && Array.isArray(sent))) return withoutData(sent);
  const text = JSON.stringify(sent);
  if (plan === undefined) return text;
  const masker = new JsonMasker({ plan, detect: [], key });
  const shown = Buffer.concat([masker.push(Buffer.from(text)), masker.end()]);
  return masker.broken ? '' : shown.toString();
}
