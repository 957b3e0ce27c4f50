/** The process's logger as Nest injects it, and Nest's own lines through it. Refuses colours and contexts of Nest's making. */
import type { LoggerService } from '@nestjs/common';
import { type Clock, createLogger, type LogFields, type Logger, type LogLevel } from '@sallyport/core';
import { Log } from './http/problem.filter.ts';

/** Start-up chatter of Nest is for debugging; what it warns of is not. */
export function nestLogger(log: Logger): LoggerService {
  const fields = (rest: readonly unknown[]) => ({ context: rest.map(String).join(' ').slice(0, 2_000) });
  return {
    log: (message: unknown, ...rest: unknown[]) => log.debug(String(message), fields(rest)),
    verbose: (message: unknown, ...rest: unknown[]) => log.debug(String(message), fields(rest)),
    debug: (message: unknown, ...rest: unknown[]) => log.debug(String(message), fields(rest)),
    warn: (message: unknown, ...rest: unknown[]) => log.warn(String(message), fields(rest)),
    error: (message: unknown, ...rest: unknown[]) => log.error(String(message), fields(rest)),
    fatal: (message: unknown, ...rest: unknown[]) => log.error(String(message), fields(rest)),
  };
}

/** The core logger behind the injection token. */
export class ProcessLog extends Log {
  readonly #logger: Logger;
  constructor(level: LogLevel, write: (line: string) => void, clock: Pick<Clock, 'nowMs'>) {
    super();
    this.#logger = createLogger('control-plane', { level, write, nowMs: () => clock.nowMs() });
  }
  override debug(message: string, fields?: LogFields): void {
    this.#logger.debug(message, fields);
  }
  override info(message: string, fields?: LogFields): void {
    this.#logger.info(message, fields);
  }
  override warn(message: string, fields?: LogFields): void {
    this.#logger.warn(message, fields);
  }
  override error(message: string, fields?: LogFields): void {
    this.#logger.error(message, fields);
  }
}
