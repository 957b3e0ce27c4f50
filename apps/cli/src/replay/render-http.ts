/** Frames of HTTP as lines for a terminal: request line and status, headers, what came of the bodies. Nothing of it reaches the terminal raw. */
import type { ReplayFrame } from '@sallyport/api-client';
import { safeText } from '../output/safe-text.ts';
import { styled, type Terminal } from '../terminal.ts';

const LINES_MAX = 200;

/** @param at when, as it is shown */
export function renderHttp(frame: ReplayFrame, at: string, terminal: Terminal): readonly string[] {
  const isRequest = frame.side === 'request';
  const mark = isRequest ? styled(terminal, 'cyan', '→') : styled(terminal, 'green', '←');
  const of = styled(terminal, 'dim', `#${frame.number ?? ''}`);
  switch (frame.kind) {
    case 'http_head': {
      const [first = '', ...headers] = (frame.text ?? '').split('\r\n').filter((line) => line !== '');
      return [
        `${at} ${mark} ${of} ${styled(terminal, 'bold', safeText(first))}`,
        ...headers.map((line) => `${at} ${mark} ${of} ${styled(terminal, 'dim', safeText(line))}`),
      ];
    }
    case 'http_body': {
      const bytes = Buffer.from(typeof frame.bytes === 'string' ? frame.bytes : '', 'base64');
      if (!isText(bytes)) return [`${at} ${mark} ${of} ${bytes.length} bytes that are no text`];
      const lines = bytes
        .toString('utf8')
        .replace(/\r?\n$/, '')
        .split(/\r?\n/);
      const shown = lines.slice(0, LINES_MAX).map((line) => `${at} ${mark} ${of} ${safeText(line)}`);
      return lines.length > LINES_MAX ? [...shown, `${at}   … ${lines.length - LINES_MAX} more lines`] : shown;
    }
    default: {
      const size = typeof frame.bytes === 'number' ? frame.bytes : 0;
      const cut = frame.cut ?? 0;
      if (cut > 0) return [`${at}   … ${cut} of ${size} bytes of #${frame.number ?? ''} are not in the recording`];
      return size === 0 ? [] : [`${at} ${styled(terminal, 'green', '✓')} ${of} ${size} bytes`];
    }
  }
}

/** Bodies are shown as text when they are mostly that. */
function isText(bytes: Buffer): boolean {
  let odd = 0;
  const seen = Math.min(bytes.length, 1024);
  for (let i = 0; i < seen; i++) {
    const byte = bytes[i]!;
    if (byte < 32 && byte !== 9 && byte !== 10 && byte !== 13) odd++;
  }
  return odd * 50 <= seen;
}
