/**
 * A real control plane for tests: own folder, own PostgreSQL, free ports, and a small REST client.
 * Refuses to mock anything; `stop` removes the folder.
 */
import { chmodSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { type ControlPlane, startControlPlane } from '../boot.ts';
import { parseConfig } from '../config.ts';
import { SystemClock } from '../time.ts';

export interface Answer<T = Record<string, unknown>> {
  readonly status: number;
  readonly body: T;
  readonly headers: Headers;
}

/** The system's clock, moved by hand. */
export class MovedClock extends SystemClock {
  offsetMs = 0;
  #stoodMs: number | undefined;
  override nowMs(): number {
    return this.#stoodMs ?? super.nowMs() + this.offsetMs;
  }
  /** Stands still at the beginning of its second. */
  stand(): void {
    this.#stoodMs = Math.floor(this.nowMs() / 1000) * 1000;
  }
  /** Goes on, as if it had never stood. */
  go(): void {
    this.#stoodMs = undefined;
  }
  override monotonicMs(): number {
    return super.monotonicMs() + this.offsetMs;
  }
}

export interface TestControlPlane {
  readonly controlPlane: ControlPlane;
  readonly dir: string;
  readonly clock: MovedClock;
  readonly url: string;
  readonly adminToken: string;
  /** Log lines so far. */
  readonly log: string[];
  call<T = Record<string, unknown>>(method: string, path: string, body?: unknown, token?: string): Promise<Answer<T>>;
  /** A form to /v1/oauth/token. */
  oauth<T = Record<string, unknown>>(form: Record<string, string>): Promise<Answer<T>>;
  stop(): Promise<void>;
}

/** @param env further SALLYPORT_… variables; `folder` to start again on an earlier one's */
export async function startTestControlPlane(
  env: Record<string, string> = {},
  folder?: string,
  clock = new MovedClock(),
): Promise<TestControlPlane> {
  const dir = folder ?? mkdtempSync(path.join(tmpdir(), 'sallyport-cp-'));
  const free = { SALLYPORT_HTTP: '127.0.0.1:0', SALLYPORT_LINK: '127.0.0.1:0', SALLYPORT_ENROLL: '127.0.0.1:0' };
  // PostgreSQL runs as nobody when the tests run as root, and must get to its folder.
  chmodSync(dir, 0o711);
  const log: string[] = [];
  const dataDir = env['SALLYPORT_DATA_DIR'] ?? path.join(dir, 'data');
  const config = parseConfig([], { ...free, SALLYPORT_DATA_DIR: dataDir, ...env });
  const controlPlane = await startControlPlane(config, (line) => void log.push(line), clock).catch((error: unknown) => {
    if (folder === undefined) rmSync(dir, { recursive: true, force: true });
    throw error;
  });
  const url = controlPlane.ready.http;
  const adminToken = readFileSync(path.join(dataDir, 'admin-token'), 'utf8').trim();
  const read = async <T>(response: Response): Promise<Answer<T>> => {
    const text = await response.text();
    const isJson = (response.headers.get('content-type') ?? '').includes('json');
    return {
      status: response.status,
      body: (isJson && text !== '' ? JSON.parse(text) : text) as T,
      headers: response.headers,
    };
  };
  return {
    controlPlane,
    dir,
    clock,
    url,
    adminToken,
    log,
    call: async (method, target, body, token = adminToken) =>
      read(
        await fetch(url + target, {
          method,
          redirect: 'manual',
          headers: {
            ...(token === '' ? {} : { authorization: `Bearer ${token}` }),
            ...(body === undefined ? {} : { 'content-type': 'application/json' }),
          },
          ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        }),
      ),
    oauth: async (form) =>
      read(await fetch(`${url}/v1/oauth/token`, { method: 'POST', body: new URLSearchParams(form) })),
    stop: async () => {
      await controlPlane.stop();
      rmSync(dir, { recursive: true, force: true });
    },
  };
}
