import type { ChainPosition } from '@sallyport/trail';
export interface EpochEnd {
  readonly epoch: number;
  readonly position: ChainPosition;
}
export declare function writePosition(dir: string, end: EpochEnd): void;
/** Undefined when there is none, or when a crash tore it. */
export declare function readPosition(dir: string): EpochEnd | undefined;
