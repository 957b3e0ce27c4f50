/** Where a detector saw something. Refuses to know what is done about it. */
import type { Detector } from '@sallyport/model';
import { isWord } from './bytes.ts';

/** Byte offsets into the examined text; `end` is exclusive. */
export interface Span {
  readonly start: number;
  readonly end: number;
  readonly kind: Detector;
}

/**
 * Calls `hit` for each find, left to right, without overlaps of its own. Linear in the text's length.
 * @param seams as long as the text: 1 where something that is not shown (a terminal's escape) stands before the byte, so that
 *   what is before it need not belong to the same word. Only terminal streams have them.
 */
export type Scan = (text: Uint8Array, hit: (start: number, end: number) => void, seams?: Uint8Array) => void;

const isSeam = (seams: Uint8Array | undefined, at: number): boolean => seams !== undefined && seams[at] === 1;
/** A word's character stands directly before `at`: what begins there is part of something longer. */
export const isGluedBefore = (text: Uint8Array, at: number, seams: Uint8Array | undefined): boolean =>
  isWord(text[at - 1]) && !isSeam(seams, at);
/** A word goes on at `end`. */
export const isGluedAfter = (text: Uint8Array, end: number, seams: Uint8Array | undefined): boolean =>
  isWord(text[end]) && !isSeam(seams, end);
