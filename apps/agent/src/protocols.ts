/** The protocols this agent speaks: one line each in `openProtocols`. */
import type { ProtocolAdapter } from '@sallyport/protocol-kit';

export interface AgentProtocols {
  readonly postgres: ProtocolAdapter;
  /** Ends workers. */
  close(): Promise<void>;
}

export async function openProtocols(): Promise<AgentProtocols> {
  throw new Error('no protocol');
}
