export { type CellOptions, maskCell, maskDetectedCell } from './cell.ts';
export { createMaskKey, type MaskKey, REDACTED } from './methods.ts';
export { createRowMasker, type MaskedRows, type RowColumn, type RowMasker, type RowPlan } from './rows.ts';
export type { Span } from './span.ts';
export { createStreamMasker, type StreamMasker, type StreamMaskerOptions } from './stream/stream.ts';
export { detectText, type MaskedText, maskDetected } from './text.ts';
