/** `.sallyport/dev.json`: where a running stack is and what a script needs to use it. Mode 0600, since it holds tokens. */
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';

export interface DemoPrincipal {
  readonly name: string;
  readonly kind: 'person' | 'service' | 'ai_agent';
  readonly groups: readonly string[];
  /** Persons: an API token. */
  readonly token?: string;
  /** Services and AI agents: for the client-credentials grant. */
  readonly clientId?: string;
  readonly clientSecret?: string;
}

export interface DevFile {
  readonly pid: number;
  /** REST base URL, as `http://127.0.0.1:7400`. */
  readonly rest: string;
  readonly link: string;
  readonly enroll: string;
  /** PEM file of the root that the agent's listener certificate chains to. */
  readonly ca: string;
  readonly agent: {
    readonly name: string;
    readonly pid: number;
    readonly host: string;
    readonly postgres: number;
    readonly postgresPlaintext: number | undefined;
    readonly ssh: number;
    /** HTTP services, Kubernetes and MCP. */
    readonly https: number;
    readonly health: string;
    readonly dataDir: string;
  };
  readonly controlPlane: { readonly pid: number; readonly dataDir: string };
  readonly demo: {
    readonly host: string;
    readonly port: number;
    readonly database: string;
    readonly username: string;
    readonly password: string;
    readonly ca: string;
    readonly superuser: string;
    readonly superuserPassword: string;
  };
  readonly principals: Readonly<Record<string, DemoPrincipal>>;
}

export const readDevFile = (file: string): DevFile | undefined =>
  existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as DevFile) : undefined;

/** Written whole or not at all. */
export function writeDevFile(file: string, dev: DevFile): void {
  writeFileSync(`${file}.new`, `${JSON.stringify(dev, undefined, 2)}\n`, { mode: 0o600 });
  renameSync(`${file}.new`, file);
}
