export { type CellOptions, maskCell, maskDetectedCell } from './cell.ts';
export { JsonMasker, type JsonMaskerOptions, type SharedMasks, sharedMasks } from './json/json-masker.ts';
export { type JsonPathMask, JsonPlan } from './json/json-plan.ts';
export { createMaskKey, type MaskKey, REDACTED } from './methods.ts';
export { createRowMasker, type MaskedRows, type RowColumn, type RowMasker, type RowPlan } from './rows.ts';
export type { Span } from './span.ts';
export { PIPE_LONG_MS, pipeQuietMs } from './stream/patience.ts';
export { createStreamMasker, type StreamMasker, type StreamMaskerOptions } from './stream/stream.ts';
export { detectText, type MaskedText, maskDetected } from './text.ts';
