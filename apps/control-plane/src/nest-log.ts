/** Nest's own log lines through the process's logger. Refuses colours and contexts of Nest's making. */
import type { LoggerService } from '@nestjs/common';
import type { Logger } from '@sallyport/core';

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
