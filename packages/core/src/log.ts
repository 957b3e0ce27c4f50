/**
 * One JSON line per log record, with secrets left out. Refuses to know where lines go: `write` is an argument.
 * Never called on the path of a statement; it is for an operator, not for the record (that is the trail).
 */
import { GatewayError } from './errors.ts';
import { Secret } from './secret.ts';

export type LogLevel = 'debug' | 'info' | 'warn' | 'error';
export type LogFields = Readonly<Record<string, unknown>>;

export interface Logger {
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
}

const RANK: Record<LogLevel, number> = { debug: 10, info: 20, warn: 30, error: 40 };
const HIDDEN = /pass(word|wd)?|secret|token|authorization|cookie|private|credential|^key$/i;

function clean(key: string, value: unknown): unknown {
  if (HIDDEN.test(key) && (typeof value === 'string' || value instanceof Uint8Array)) return '[secret]';
  if (value instanceof Secret) return '[secret]';
  if (value instanceof GatewayError)
    return { code: value.code, detail: value.detail, cause: clean('cause', value.cause) };
  if (value instanceof Error)
    return { name: value.name, message: value.message, code: (value as { code?: unknown }).code };
  if (value instanceof Uint8Array) return `[${value.length} bytes]`;
  if (typeof value === 'bigint') return value.toString();
  return value;
}

/**
 * @param part which process or module speaks, as `agent/link`
 * @param write receives one line with its newline
 */
export function createLogger(
  part: string,
  options: { readonly level: LogLevel; readonly write: (line: string) => void; readonly nowMs: () => number },
): Logger {
  const at =
    (level: LogLevel) =>
    (message: string, fields: LogFields = {}) => {
      if (RANK[level] < RANK[options.level]) return;
      const record = { time: new Date(options.nowMs()).toISOString(), level, part, message, ...fields };
      options.write(`${JSON.stringify(record, clean)}\n`);
    };
  return { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') };
}
