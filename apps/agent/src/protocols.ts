/** The protocols this agent speaks: one line each in `openProtocols`, with what their sessions share. */
import type { ProtocolAdapter } from '@sallyport/protocol-kit';
import { createPostgresAdapter } from '@sallyport/protocol-postgres';
import { createParsePool, loadSqlParser } from '@sallyport/sql';

export interface AgentProtocols {
  readonly adapters: readonly ProtocolAdapter[];
  /** Ends workers. */
  close(): Promise<void>;
}

/** Beside the bundle the worker is a file of its own; unbuilt, packages/sql finds it. */
const bundledWorker = import.meta.url.endsWith('/agent.mjs') ? new URL('./sql-worker.mjs', import.meta.url) : undefined;

export async function openProtocols(): Promise<AgentProtocols> {
  await loadSqlParser();
  const pool = createParsePool(bundledWorker === undefined ? {} : { workerUrl: bundledWorker });
  return {
    adapters: [createPostgresAdapter({ pool })],
    close: () => pool.close(),
  };
}
