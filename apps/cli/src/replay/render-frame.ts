/** One frame of a recording as lines for a terminal. What was recorded came from elsewhere: nothing of it reaches the terminal raw. */
import type { ReplayFrame } from '@sallyport/api-client';
import { safeText } from '../output/safe-text.ts';
import { renderCells } from '../sql/result-table.ts';
import { styled, type Terminal } from '../terminal.ts';
import { renderHttp } from './render-http.ts';

/** @returns lines without a newline */
export function renderFrame(frame: ReplayFrame, terminal: Terminal): readonly string[] {
  const at = styled(terminal, 'dim', showOffset(frame.atMs));
  const text = safeText(frame.text ?? '');
  switch (frame.kind) {
    case 'statement':
      return [
        `${at} ${styled(terminal, 'cyan', '❯')} ${styled(terminal, 'bold', text.replaceAll('\n', '\n           '))}`,
      ];
    case 'columns':
      return [`${at}   ${(frame.columns ?? []).map(safeText).join(' │ ')}`];
    case 'rows': {
      const { rows } = frame;
      if (!Array.isArray(rows)) return [`${at}   ${String(rows ?? '')} rows`];
      return renderCells(rows as readonly (readonly (string | null)[])[]).map((line) => `${at}   ${line}`);
    }
    // What the client loaded, by COPY: the other direction.
    case 'input': {
      const { rows } = frame;
      if (!Array.isArray(rows)) return [`${at} ${styled(terminal, 'cyan', '→')}`];
      const lines = renderCells(rows as readonly (readonly (string | null)[])[]);
      return lines.map((line) => `${at} ${styled(terminal, 'cyan', '→')} ${line}`);
    }
    case 'error':
      return [`${at} ${styled(terminal, 'red', '✗')} ${text}`];
    case 'notice':
      return [`${at} ${styled(terminal, 'yellow', '!')} ${text}`];
    case 'complete':
      return [`${at} ${styled(terminal, 'green', '✓')} ${text}`];
    case 'cut':
      return [
        `${at}   … ${String(frame.rows ?? '?')} more rows (${String(frame.bytes ?? '?')} bytes) are not in the recording, ${digestOf(frame)}`,
      ];
    case 'input_cut':
      return [
        `${at} ${styled(terminal, 'cyan', '→')} … ${String(frame.bytes ?? '?')} bytes that were sent are not in the recording, ${digestOf(frame)}`,
      ];
    case 'terminal_output':
    case 'terminal_input': {
      const shown = Buffer.from(String(frame.bytes ?? ''), 'base64').toString('utf8');
      const mark =
        frame.kind === 'terminal_input'
          ? styled(terminal, 'cyan', '→')
          : frame.stream === 'stderr'
            ? styled(terminal, 'red', '2')
            : ' ';
      return shown
        .replace(/\r?\n$/, '')
        .split(/\r?\n/)
        .map((line) => `${at} ${mark} ${safeText(line)}`);
    }
    case 'resize':
      return [`${at}   the terminal is ${String(frame.size)}`];
    case 'exit':
      return [
        `${at} ${styled(terminal, 'green', '✓')} ${frame.signal === undefined ? `exit ${frame.code ?? ''}` : `ended by ${safeText(frame.signal)}`}`,
      ];
    case 'stream_cut':
      return [
        `${at}   … ${String(frame.bytes ?? '?')} more bytes of ${frame.stream ?? 'it'} are not in the recording, ${digestOf(frame)}`,
      ];
    case 'file': {
      const target = frame.target === undefined || frame.target === '' ? '' : ` → ${safeText(frame.target)}`;
      const size = typeof frame.size === 'number' ? `, ${frame.size} bytes` : '';
      return [
        `${at} ${styled(terminal, 'cyan', '⇅')} ${safeText(frame.op ?? '')} ${safeText(frame.path ?? '')}${target}${size} (${frame.via ?? ''})`,
      ];
    }
    case 'http_head':
    case 'http_body':
    case 'http_end':
      return renderHttp(frame, at, terminal);
    default:
      return [`${at}   ${frame.kind} ${text}`];
  }
}

/** Of what is not there. It comes with what detectors hide alone: it would tell a short text to whoever can guess. */
const digestOf = ({ digest }: ReplayFrame): string =>
  digest === undefined ? 'only their digest (with --clear)' : `only their SHA-256 ${safeText(digest)}`;

/** `mm:ss.t` since the session opened. */
export function showOffset(ms: number): string {
  const tenths = Math.floor(ms / 100);
  const two = (n: number): string => String(n).padStart(2, '0');
  return `${two(Math.floor(tenths / 600))}:${two(Math.floor(tenths / 10) % 60)}.${tenths % 10}`;
}
