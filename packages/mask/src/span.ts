/** Where a detector saw something. Refuses to know what is done about it. */
import type { Detector } from '@sallyport/model';

/** Byte offsets into the examined text; `end` is exclusive. */
export interface Span {
  readonly start: number;
  readonly end: number;
  readonly kind: Detector;
}

/** Calls `hit` for each find, left to right, without overlaps of its own. Linear in `to - from`. */
export type Scan = (text: Uint8Array, hit: (start: number, end: number) => void) => void;
