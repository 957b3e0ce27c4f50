/**
 * Whether what failed is that the database could not be asked, or not in time, rather than what was asked of it: whoever asks again
 * later may be answered. Refuses to look at statements.
 */
import { Prisma } from '../generated/prisma/client.ts';

/** Not reached, its time was up, it closed the connection, no connection was free, a transaction did not get its turn. */
const PRISMA: ReadonlySet<string> = new Set(['P1001', 'P1002', 'P1008', 'P1017', 'P2024', 'P2028', 'P2037']);
/** Of the operating system; and PostgreSQL's: connection exceptions, no more connections, shutting down, starting. */
const DRIVER = /^(?:ECONNREFUSED|ECONNRESET|EPIPE|ENOENT|ETIMEDOUT|EHOSTUNREACH|08[0-9A-Z]{3}|53300|57P0[123])$/;
/** Errors of pg and its pool that carry no code. */
const UNNAMED = /^(?:Connection terminated|timeout exceeded when trying to connect)/;

export function isDatabaseAway(error: unknown): boolean {
  if (error instanceof Prisma.PrismaClientKnownRequestError) return PRISMA.has(error.code);
  if (error instanceof Prisma.PrismaClientInitializationError) return true;
  if (!(error instanceof Error)) return false;
  const { code, syscall } = error as { code?: unknown; syscall?: unknown };
  // Files of this host fail with some of these codes, too.
  if (typeof code === 'string' && DRIVER.test(code)) return code !== 'ENOENT' || syscall === 'connect';
  return UNNAMED.test(error.message);
}
