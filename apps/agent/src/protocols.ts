/**
 * The protocols this agent speaks: one line each in `openProtocols`, with what their sessions share. One that nobody has
 * connected to is not in memory: it comes with its first connection, once, and stays. Refuses one whose files are gone until
 * the agent is started again: what lies there then may be of another version.
 */
import { createRequire } from 'node:module';
import { GatewayError } from '@sallyport/core';
import type { Protocol } from '@sallyport/model';
import type { ToolMemory } from '@sallyport/protocol-http';
import type { ProtocolAdapter } from '@sallyport/protocol-kit';
import type { HostKey } from '@sallyport/protocol-ssh';
import { algorithmsNamed } from '@sallyport/protocol-ssh/algorithms';
import type { ParsePool } from '@sallyport/sql';
import { compileHotCode } from './flags.ts';

/** What can be listened for; the other protocols come in by the HTTPS listener. */
export type Listened = Extract<Protocol, 'postgres' | 'ssh' | 'http'>;

/** SSH has to be told who the agent is. */
export interface SshIdentity {
  hostKey(): HostKey;
}

export interface AgentProtocols {
  /** The same promise each time. @throws GatewayError `agent.program_missing` */
  load(protocol: Listened, ssh: SshIdentity | undefined): Promise<ProtocolAdapter>;
  /** False: SSH's ciphers run without their native addon, three times slower. */
  readonly sshNative: boolean;
  /** A protocol could not be loaded and will not be until the agent is started again. */
  readonly restartNeeded: boolean;
  /** Ends workers. */
  close(): Promise<void>;
}

export interface ProtocolSettings {
  /** What MCP servers said of their tools at first. */
  readonly tools: ToolMemory & { close(): void };
  /** Names of SALLYPORT_SSH_ALGORITHMS. */
  readonly sshAlgorithms: readonly string[];
}

/** The code is in files of `dist` (scripts/bundle.ts). */
declare const BUNDLED: boolean | undefined;
const isBundled = typeof BUNDLED === 'boolean';

/** @throws GatewayError `config.invalid` for an algorithm of SSH that is not known */
export function openProtocols({ tools, sshAlgorithms }: ProtocolSettings): AgentProtocols {
  const algorithms = algorithmsNamed(sshAlgorithms);
  let pool: ParsePool | undefined;
  let restartNeeded = false;
  const loaders: Readonly<Record<Listened, (ssh: SshIdentity | undefined) => Promise<ProtocolAdapter>>> = {
    postgres: async () => {
      const [{ createPostgresAdapter }, { createParsePool, loadSqlParser }] = await Promise.all([
        import('@sallyport/protocol-postgres'),
        import('@sallyport/sql'),
      ]);
      await loadSqlParser();
      // Beside the bundle the worker is a file of its own; unbuilt, packages/sql finds it.
      pool = createParsePool(isBundled ? { workerUrl: new URL('./sql-worker.mjs', import.meta.url) } : {});
      return createPostgresAdapter({ pool });
    },
    ssh: async (ssh) => {
      const { createSshAdapter, loadTransport } = await import('@sallyport/protocol-ssh');
      await loadTransport();
      return createSshAdapter({ hostKey: () => ssh!.hostKey(), algorithms });
    },
    http: async () => {
      const [{ createHttpDoor }, { createMcpDialect, httpDialect }, { createKubernetesDialect }] = await Promise.all([
        import('@sallyport/http-session'),
        import('@sallyport/protocol-http'),
        import('@sallyport/protocol-kubernetes'),
      ]);
      return createHttpDoor([httpDialect, createMcpDialect(tools), createKubernetesDialect()]);
    },
  };
  const loaded = new Map<Listened, Promise<ProtocolAdapter>>();
  return {
    load: (protocol, ssh) => {
      const known = loaded.get(protocol);
      if (known !== undefined) return known;
      compileHotCode();
      const loading = loaders[protocol](ssh).catch((cause: unknown) => {
        restartNeeded = true;
        throw new GatewayError('agent.program_missing', { protocol }, { cause });
      });
      loaded.set(protocol, loading);
      return loading;
    },
    sshNative: hasNativeCiphers(),
    get restartNeeded() {
      return restartNeeded;
    },
    close: async () => {
      tools.close();
      await pool?.close();
    },
  };
}

/** Asked at the start, so that an operator knows before the first session; ssh2 takes the same addon when it is loaded. */
function hasNativeCiphers(): boolean {
  try {
    const from = createRequire(isBundled ? import.meta.url : import.meta.resolve('@sallyport/protocol-ssh'));
    from(isBundled ? './sshcrypto.node' : 'ssh2/lib/protocol/crypto/build/Release/sshcrypto.node');
    return true;
  } catch {
    return false;
  }
}
