/**
 * A recorded body as people read it: without its content coding, and with what detectors find masked. Refuses what must be
 * masked and cannot be read, as the way to a client does.
 */
import type { DetectMask } from '@sallyport/model';
import type { BodyMasker } from '../message.ts';
import { CodedBody, codingOf } from './content-coding.ts';
import { type BodyShape, openBodyMasker } from './open-body-masker.ts';
import { ClearBody } from './plain-bodies.ts';

/** @param detect nothing: in clear @returns undefined when it cannot be shown */
export function openBodyReader(shape: BodyShape, detect: readonly DetectMask[]): BodyMasker | undefined {
  const masker = openBodyMasker({ columns: [], detect }, { ...shape, recode: false });
  if (masker === 'refuse') return undefined;
  if (masker !== 'pass') return masker;
  const coding = codingOf(shape.contentEncoding);
  if (coding === undefined) return undefined;
  return coding === 'identity' ? new ClearBody() : new CodedBody(coding, new ClearBody(), false, false);
}
