/**
 * Whole DataRow messages in, masked DataRow messages out (PostgreSQL protocol-message-formats, DataRow).
 * Refuses every other message: the caller reads those itself, since a RowDescription changes the plan and an error has
 * fields. Limits: maskedRowBytesMax. The WASM kernel does what it can, rows-reference.ts the rest; the results are equal.
 */
import type { DetectMask, MaskMethod } from '@sallyport/model';
import { familyOf } from './families.ts';
import {
  ACTIONS,
  type Action,
  COLUMNS_MAX,
  type Kernel,
  type KernelPlan,
  kernelDetectors,
  openKernel,
  WINDOW_BYTES,
} from './kernel.ts';
import type { MaskKey } from './methods.ts';
import { createReferenceMasker, DATA_ROW, maskRow, messageBytes } from './rows-reference.ts';

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
  const reference = createReferenceMasker(plan);
  const kernel = plan.columns.length > COLUMNS_MAX || reference.isClear ? undefined : openKernel();
  if (kernel === undefined) return reference;
  const kernelPlan = compilePlan(plan);
  return {
    isClear: false,
    mask: (chunk) => maskRows(kernel, kernelPlan, plan, chunk, false),
    maskShared: (chunk) => maskRows(kernel, kernelPlan, plan, chunk, true),
  };
}

function compilePlan(plan: RowPlan): KernelPlan {
  const actions = Uint8Array.from(plan.columns, (column) => actionOf(column, plan));
  return { actions, ...kernelDetectors(plan.detect, plan.key), key: plan.key };
}

/** What cell.ts does with a column, as the kernel's action; what it cannot do alone is left to the reference. */
function actionOf({ typeOid, format, method }: RowColumn, plan: RowPlan): Action {
  const family = familyOf(typeOid);
  if (method !== undefined) {
    if (method === 'null') return ACTIONS.null;
    if (family === 'json' || family === 'jsonb') return ACTIONS.leave;
    if (family !== 'text' && (family !== 'custom' || format === 1)) return ACTIONS.null;
    return ACTIONS[method === 'hash' && plan.key === undefined ? 'redact' : method];
  }
  if (plan.detect.length === 0) return ACTIONS.clear;
  switch (family) {
    case 'plain':
      return ACTIONS.clear;
    case 'text':
      return ACTIONS.detect;
    case 'custom':
    case 'array':
      return format === 0 ? ACTIONS.detect : ACTIONS.detectLeave;
    case 'int8':
      return format === 0 ? ACTIONS.detectLeave : ACTIONS.int8Binary;
    case 'float8':
      return format === 0 ? ACTIONS.float8Text : ACTIONS.float8Binary;
    case 'numeric':
      return format === 0 ? ACTIONS.detectLeave : ACTIONS.numericBinary;
    case 'bytea':
      return ACTIONS.leave;
    case 'json':
    case 'jsonb':
    case 'opaque':
      return ACTIONS.detectLeave;
    default:
      return family satisfies never;
  }
}

/** Bytes of the whole row at `at`; 0 when the next message is no row or is not whole. */
function wholeRowBytes(chunk: Uint8Array, at: number): number {
  if (chunk[at] !== DATA_ROW) return 0;
  const bytes = messageBytes(chunk, at);
  return at + bytes > chunk.length ? 0 : bytes;
}

function maskRows(
  kernel: Kernel,
  kernelPlan: KernelPlan,
  plan: RowPlan,
  chunk: Uint8Array,
  share: boolean,
): MaskedRows {
  const parts: Uint8Array[] = [];
  let consumed = 0;
  let rows = 0;
  let maskedCells = 0;
  for (;;) {
    kernel.load(kernelPlan, chunk, consumed);
    for (let stop = kernel.run(); stop !== 'done'; stop = kernel.run()) {
      const at = consumed + kernel.read;
      if (stop === 'full' && kernel.output.length > 0) parts.push(kernel.take());
      else {
        const row = maskRow(chunk.subarray(at, at + messageBytes(chunk, at)), plan);
        const bytes = wholeRowBytes(chunk, at);
        if (!kernel.put(bytes, row.bytes)) {
          parts.push(kernel.take());
          kernel.put(bytes, row.bytes);
        }
        rows++;
        maskedCells += row.maskedCells;
      }
    }
    rows += kernel.rows;
    maskedCells += kernel.maskedCells;
    const next = consumed + kernel.read;
    const bytes = wholeRowBytes(chunk, next);
    if (bytes === 0) {
      consumed = next;
      break;
    }
    // There is more than one window, or a row longer than a window.
    if (kernel.output.length > 0) parts.push(kernel.take());
    consumed = next;
    if (bytes > WINDOW_BYTES) {
      const row = maskRow(chunk.subarray(next, next + bytes), plan);
      parts.push(row.bytes);
      consumed += bytes;
      rows++;
      maskedCells += row.maskedCells;
    }
  }
  if (maskedCells === 0) return { consumed, output: chunk.subarray(0, consumed), rows, maskedCells };
  if (parts.length === 0) return { consumed, output: share ? kernel.output : kernel.take(), rows, maskedCells };
  return { consumed, output: Buffer.concat([...parts, kernel.output]), rows, maskedCells };
}
