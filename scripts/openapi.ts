/**
 * Writes docs/reference/openapi.json from a control plane that is started for the moment. A test tells when it is stale.
 * Refuses to describe by hand what the code says.
 */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

const root = path.join(import.meta.dirname, '..');
const target = path.join(root, 'docs/reference/openapi.json');
execFileSync(path.join(root, 'node_modules/.bin/tsc'), ['-p', 'apps/control-plane'], { cwd: root, stdio: 'inherit' });
const dir = mkdtempSync(path.join(tmpdir(), 'sallyport-openapi-'));
chmodSync(dir, 0o711);
const child = spawn(process.execPath, [path.join(root, 'apps/control-plane/dist/main.js')], {
  stdio: ['ignore', 'ignore', 'inherit'],
  env: {
    ...process.env,
    SALLYPORT_DATA_DIR: path.join(dir, 'data'),
    SALLYPORT_HTTP: '127.0.0.1:0',
    SALLYPORT_LINK: '127.0.0.1:0',
    SALLYPORT_ENROLL: '127.0.0.1:0',
    SALLYPORT_LOG_LEVEL: 'warn',
  },
});
const ready = path.join(dir, 'data/ready.json');
const READY_MS = 120_000;

try {
  const deadline = Date.now() + READY_MS;
  while (!existsSync(ready) && child.exitCode === null && Date.now() < deadline) await sleep(100);
  if (!existsSync(ready)) throw new Error('the control plane did not start: what it says stands above');
  const { http } = JSON.parse(readFileSync(ready, 'utf8')) as { http: string };
  const answer = await fetch(`${http}/openapi.json`, { signal: AbortSignal.timeout(READY_MS) });
  if (!answer.ok) throw new Error(`the control plane answered ${answer.status} for its OpenAPI document`);
  writeFileSync(target, `${JSON.stringify(await answer.json(), undefined, 2)}\n`);
} finally {
  // Whatever went wrong, no control plane and no database of it outlive this script.
  if (child.exitCode === null && child.signalCode === null) {
    child.kill('SIGTERM');
    await once(child, 'exit');
  }
  rmSync(dir, { recursive: true, force: true });
}
console.log(path.relative(root, target));
