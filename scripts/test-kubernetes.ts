/**
 * `node scripts/test-kubernetes.ts`: builds kube-apiserver from its Go modules, and the tests' node beside it, into
 * ~/.cache/sallyport/kube. Takes about seven minutes of CPU, once; tests of a real cluster are skipped by name without it.
 * `SALLYPORT_TEST_KUBE=build` makes `npm test` do the same. etcd is Debian's.
 */
import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import path from 'node:path';

const VERSION = '1.33.13';
const OUT = path.join(homedir(), '.cache/sallyport/kube/bin');
const NODE_SOURCE = path.join(import.meta.dirname, '../test/kubernetes/node/main.go');
const GO = existsSync('/usr/local/go/bin/go') ? '/usr/local/go/bin/go' : 'go';

const go = (cwd: string, ...args: readonly string[]): string =>
  execFileSync(GO, args, { cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] });

/** kubernetes requires its neighbours as v0.0.0, and replaces them in its own go.work alone. */
function writeModule(dir: string): void {
  const staging = `v0.${VERSION.slice(2)}`;
  writeFileSync(path.join(dir, 'go.mod'), 'module sallyport.test/kube\n\ngo 1.24.0\n');
  const { GoMod } = JSON.parse(go(dir, 'mod', 'download', '-json', `k8s.io/kubernetes@v${VERSION}`)) as {
    GoMod: string;
  };
  const names = [...readFileSync(GoMod, 'utf8').matchAll(/^\s*(k8s\.io\/\S+) v0\.0\.0(?: \/\/.*)?$/gm)].map(
    (m) => m[1]!,
  );
  const lines = [
    'module sallyport.test/kube',
    'go 1.24.0',
    `require k8s.io/kubernetes v${VERSION}`,
    `require k8s.io/kubelet ${staging}`,
    ...[...new Set([...names, 'k8s.io/sample-cli-plugin', 'k8s.io/sample-controller'])].map(
      (name) => `replace ${name} => ${name} ${staging}`,
    ),
  ];
  writeFileSync(path.join(dir, 'go.mod'), `${lines.join('\n\n')}\n`);
}

/** @returns whether everything is there now */
export function buildCluster(say: (line: string) => void): boolean {
  const [server, node] = [path.join(OUT, 'kube-apiserver'), path.join(OUT, 'kube-node')];
  const isNodeOld = !existsSync(node) || statSync(node).mtimeMs < statSync(NODE_SOURCE).mtimeMs;
  if (existsSync(server) && !isNodeOld) return true;
  if (!existsSync(GO) && GO !== 'go') return false;
  const work = mkdtempSync(path.join(tmpdir(), 'sallyport-kube-build-'));
  try {
    writeModule(work);
    mkdirSync(path.join(work, 'node'));
    cpSync(NODE_SOURCE, path.join(work, 'node/main.go'));
    mkdirSync(OUT, { recursive: true });
    const build = ['build', '-p', '2', '-mod=mod', '-trimpath', '-ldflags', '-s -w', '-o'];
    if (!existsSync(server)) go(work, ...build, server, 'k8s.io/kubernetes/cmd/kube-apiserver');
    go(work, ...build, node, './node');
    say(`kube-apiserver ${VERSION} and the tests' node are in ${OUT}.`);
    return true;
  } catch (error) {
    say(`kube-apiserver could not be built here: ${String(error).split('\n', 1)[0]}`);
    return false;
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

if (import.meta.main) process.exitCode = buildCluster(console.log) ? 0 : 1;
