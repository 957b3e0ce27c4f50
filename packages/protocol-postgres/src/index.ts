/** What the relay is given: name, port, ALPN, and a session for each connection. */
import type { ProtocolAdapter } from '@sallyport/protocol-kit';
import type { ParsePool } from '@sallyport/sql';
import { PostgresSession } from './session.ts';

/**
 * PostgreSQL, protocol 3.0 and 3.2.
 * @param options.pool reads SQL for all sessions of the process; loadSqlParser() must have resolved
 */
export const createPostgresAdapter = (options: { readonly pool: ParsePool }): ProtocolAdapter => ({
  name: 'postgres',
  transport: 'relay',
  defaultPort: 5432,
  alpn: ['postgresql'],
  openSession: (host) => new PostgresSession(host, options.pool),
});
