/**
 * Writes docs/reference/openapi.json from a control plane that is started for the moment. A test tells when it is stale.
 * Refuses to describe by hand what the code says.
 */
import { execFileSync, spawn } from 'node:child_process';
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
for (let i = 0; i < 300 && !existsSync(ready) && child.exitCode === null; i++) await sleep(100);
const { http } = JSON.parse(readFileSync(ready, 'utf8')) as { http: string };
const answer = await fetch(`${http}/openapi.json`);
if (answer.ok) writeFileSync(target, `${JSON.stringify(await answer.json(), undefined, 2)}\n`);
else process.exitCode = 1;
child.kill('SIGTERM');
await new Promise((resolve) => child.once('exit', resolve));
rmSync(dir, { recursive: true, force: true });
console.log(path.relative(root, target));
