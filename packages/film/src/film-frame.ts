/**
 * What a film is made of: the frames of a recording that have to do with streams and commands, as the trail reads them.
 * Refuses to know where they are kept. Other frames of a recording are no part of a film and passed over.
 */

export type FilmFrame =
  | { readonly kind: 'statement'; readonly atMs: number; readonly number: number; readonly text: string }
  | {
      readonly kind: 'terminal_output';
      readonly atMs: number;
      readonly number: number;
      readonly stream: 'stdout' | 'stderr' | 'pty';
      readonly bytes: Uint8Array;
    }
  | { readonly kind: 'terminal_input'; readonly atMs: number; readonly number: number; readonly bytes: Uint8Array }
  | {
      readonly kind: 'resize';
      readonly atMs: number;
      readonly number: number;
      readonly columns: number;
      readonly rows: number;
    }
  | {
      readonly kind: 'exit';
      readonly atMs: number;
      readonly number: number;
      readonly code?: number;
      readonly signal?: string;
    }
  | {
      readonly kind: 'stream_cut';
      readonly atMs: number;
      readonly number: number;
      readonly stream: string;
      readonly bytes: number;
    };

const KINDS: ReadonlySet<string> = new Set<FilmFrame['kind']>([
  'statement',
  'terminal_output',
  'terminal_input',
  'resize',
  'exit',
  'stream_cut',
]);

/** Whether a frame of a recording belongs to a film. */
export const isFilmFrame = (frame: { readonly kind: string }): frame is FilmFrame => KINDS.has(frame.kind);
