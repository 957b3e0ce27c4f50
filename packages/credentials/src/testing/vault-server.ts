/**
 * Vault itself for tests: a server in its development mode, of the binary that scripts/test-vault.ts builds or
 * SALLYPORT_TEST_VAULT names. Everything it holds is gone when it stops.
 */
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { createServer } from 'node:net';
import { homedir, tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

const BINARY = process.env['SALLYPORT_TEST_VAULT'] ?? path.join(homedir(), '.cache/sallyport/vault');
/** Tests that need it are skipped by name where it is not. */
export const hasVault = existsSync(BINARY);

export interface VaultServer {
  readonly address: string;
  /** As root. @throws Error with status and body when it refuses */
  api(method: string, at: string, body?: unknown): Promise<Record<string, unknown>>;
  /** Stopped in its tracks: connections are taken, and nothing is answered. */
  setAway(away: boolean): void;
  stop(): void;
}

export async function startVaultServer(): Promise<VaultServer> {
  const dir = mkdtempSync(path.join(tmpdir(), 'sallyport-vault-'));
  const port = await freePort();
  const address = `http://127.0.0.1:${port}`;
  const child = spawn(
    BINARY,
    ['server', '-dev', '-dev-root-token-id=root', '-dev-no-store-token', `-dev-listen-address=127.0.0.1:${port}`],
    { stdio: 'ignore', env: { HOME: dir, PATH: process.env['PATH'] ?? '' } },
  );
  const api: VaultServer['api'] = async (method, at, body) => {
    const answer = await fetch(`${address}/v1/${at}`, {
      method,
      headers: { 'x-vault-token': 'root' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    if (!answer.ok) throw new Error(`${at}: ${answer.status} ${await answer.text()}`);
    return answer.status === 204 ? {} : ((await answer.json()) as Record<string, unknown>);
  };
  const stop = (): void => {
    child.kill('SIGKILL');
    rmSync(dir, { recursive: true, force: true });
  };
  for (let tries = 0; ; tries++) {
    const up = await api('GET', 'sys/health').then(
      () => true,
      () => false,
    );
    if (up) break;
    if (tries > 300) {
      stop();
      throw new Error('Vault does not start');
    }
    await sleep(100);
  }
  return { address, api, setAway: (away) => void child.kill(away ? 'SIGSTOP' : 'SIGCONT'), stop };
}

async function freePort(): Promise<number> {
  const probe = createServer();
  await new Promise<void>((done) => probe.listen(0, '127.0.0.1', done));
  const { port } = probe.address() as AddressInfo;
  await new Promise<void>((done) => probe.close(() => done()));
  return port;
}
