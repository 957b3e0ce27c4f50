/**
 * `node scripts/test-kubernetes.ts`: builds kube-apiserver and helm from their Go modules, and the tests' node and informer beside
 * them, into ~/.cache/sallyport/kube. Takes about ten minutes of CPU, once; tests of a real cluster are skipped by name without it.
 * `SALLYPORT_TEST_KUBE=build` makes `npm test` do the same. etcd is Debian's.
 */
import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import path from 'node:path';

const VERSION = '1.33.13';
const OUT = path.join(homedir(), '.cache/sallyport/kube/bin');
const HELM = 'v3.19.5';
/** Programs of the tests' own, built from Kubernetes' modules. */
const SOURCES: Readonly<Record<string, string>> = {
  'kube-node': path.join(import.meta.dirname, '../test/kubernetes/node/main.go'),
  'kube-informer': path.join(import.meta.dirname, '../test/kubernetes/informer/main.go'),
};
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

const isOld = (name: string): boolean =>
  !existsSync(path.join(OUT, name)) || statSync(path.join(OUT, name)).mtimeMs < statSync(SOURCES[name]!).mtimeMs;

const BUILD = ['build', '-p', '2', '-mod=mod', '-trimpath', '-ldflags', '-s -w', '-o'];

/** @returns whether everything is there now */
export function buildCluster(say: (line: string) => void): boolean {
  const old = Object.keys(SOURCES).filter(isOld);
  const [server, helm] = [path.join(OUT, 'kube-apiserver'), path.join(OUT, 'helm')];
  if (existsSync(server) && existsSync(helm) && old.length === 0) return true;
  if (!existsSync(GO) && GO !== 'go') return false;
  const work = mkdtempSync(path.join(tmpdir(), 'sallyport-kube-build-'));
  try {
    mkdirSync(OUT, { recursive: true });
    writeModule(work);
    if (!existsSync(server)) go(work, ...BUILD, server, 'k8s.io/kubernetes/cmd/kube-apiserver');
    for (const name of old) {
      mkdirSync(path.join(work, name));
      cpSync(SOURCES[name]!, path.join(work, name, 'main.go'));
      go(work, ...BUILD, path.join(OUT, name), `./${name}`);
    }
    if (!existsSync(helm)) buildHelm(work, helm);
    say(`kube-apiserver ${VERSION}, helm ${HELM} and the tests' own programs are in ${OUT}.`);
    return true;
  } catch (error) {
    say(`kube-apiserver or its clients could not be built here: ${String(error).split('\n', 1)[0]}`);
    return false;
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

/** In a module of its own: it wants other versions of Kubernetes' modules. */
function buildHelm(work: string, out: string): void {
  const dir = path.join(work, 'helm');
  mkdirSync(dir);
  writeFileSync(path.join(dir, 'go.mod'), 'module sallyport.test/helm\n\ngo 1.24.0\n');
  go(dir, 'get', `helm.sh/helm/v3/cmd/helm@${HELM}`);
  go(dir, ...BUILD, out, 'helm.sh/helm/v3/cmd/helm');
}

if (import.meta.main) process.exitCode = buildCluster(console.log) ? 0 : 1;
