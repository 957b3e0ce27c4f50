/** The protocols this agent speaks: one line each in `openProtocols`, with what their sessions share. */
import { createHttpDoor } from '@sallyport/http-session';
import { createMcpDialect, httpDialect, type ToolMemory } from '@sallyport/protocol-http';
import type { ProtocolAdapter } from '@sallyport/protocol-kit';
import { createKubernetesDialect } from '@sallyport/protocol-kubernetes';
import { createPostgresAdapter } from '@sallyport/protocol-postgres';
import { algorithmsNamed, createSshAdapter, type HostKey, loadTransport } from '@sallyport/protocol-ssh';
import { createParsePool, loadSqlParser } from '@sallyport/sql';

export interface AgentProtocols {
  readonly adapters: readonly ProtocolAdapter[];
  /** SSH has to be told who the agent is. */
  readonly ssh?: (hostKey: () => HostKey, algorithms: readonly string[]) => ProtocolAdapter;
  /** False: SSH's ciphers run without their native addon, three times slower. */
  readonly sshNative?: boolean;
  /** Ends workers. */
  close(): Promise<void>;
}

/** Beside the bundle the worker is a file of its own; unbuilt, packages/sql finds it. */
const bundledWorker = import.meta.url.endsWith('/agent.mjs') ? new URL('./sql-worker.mjs', import.meta.url) : undefined;

/** @param tools what MCP servers said of their tools at first */
export async function openProtocols(tools: ToolMemory & { close(): void }): Promise<AgentProtocols> {
  const [sshNative] = await Promise.all([loadTransport(), loadSqlParser()]);
  const pool = createParsePool(bundledWorker === undefined ? {} : { workerUrl: bundledWorker });
  return {
    adapters: [
      createPostgresAdapter({ pool }),
      createHttpDoor([httpDialect, createMcpDialect(tools), createKubernetesDialect()]),
    ],
    ssh: (hostKey, algorithms) => createSshAdapter({ hostKey, algorithms: algorithmsNamed(algorithms) }),
    sshNative,
    close: () => {
      tools.close();
      return pool.close();
    },
  };
}
