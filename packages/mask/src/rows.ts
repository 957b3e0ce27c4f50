/**
 * Whole DataRow messages in, masked DataRow messages out (PostgreSQL protocol-message-formats, DataRow).
 * Refuses every other message: the caller reads those itself, since a RowDescription changes the plan and an error has
 * fields. Limits: maskedRowBytesMax. The WASM kernel does what it can, rows-reference.ts the rest; the results are equal.
 */
import type { DetectMask, MaskMethod } from '@sallyport/model';
import type { MaskKey } from './methods.ts';
import { createReferenceMasker } from './rows-reference.ts';

export interface RowColumn {
  /** Type OID, as RowDescription says it. */
  readonly typeOid: number;
  /** 0 = text, 1 = binary; from Bind for portals, since RowDescription of a statement always says 0. */
  readonly format: 0 | 1;
  /** Set when the column is masked as a whole (by origin); otherwise the detectors look into its cells. */
  readonly method?: MaskMethod;
}

/** What to do with the rows of one result. */
export interface RowPlan {
  readonly columns: readonly RowColumn[];
  readonly detect: readonly DetectMask[];
  /** For method `hash`; without it `hash` is `redact`. */
  readonly key?: MaskKey;
}

export interface MaskedRows {
  /** Bytes read from the start of `chunk`: whole DataRow messages up to the first other message or the partial tail. */
  readonly consumed: number;
  /** What to send in their place. See the method for who owns it. */
  readonly output: Uint8Array;
  readonly rows: number;
  /** Cells that were changed. */
  readonly maskedCells: number;
}

export interface RowMasker {
  /** True when no row of this plan can change; the caller may forward rows without a call. */
  readonly isClear: boolean;
  /**
   * Masks the whole DataRow messages at the start of `chunk`; stops before the first other message and before a partial
   * one. Call again with what is left and more bytes.
   * `output` belongs to the caller, except where nothing changed: then it is a view of `chunk`, and no more.
   * @throws GatewayError `frame.too_large` for a row over LIMITS.maskedRowBytesMax; `mask.unvouched` when a row does not
   *   have the plan's columns; `protocol.malformed` when its lengths lie. Nothing of the chunk may be sent then.
   */
  mask(chunk: Uint8Array): MaskedRows;
  /**
   * As `mask`, but `output` may be a view of memory that the next call to any masker of this process overwrites:
   * only for a caller that has finished writing, or has copied it, when it returns to the event loop.
   */
  maskShared(chunk: Uint8Array): MaskedRows;
}

/** Plan for one result: called once per RowDescription (or per portal), then used for all its rows. */
export function createRowMasker(plan: RowPlan): RowMasker {
  return createReferenceMasker(plan);
}
