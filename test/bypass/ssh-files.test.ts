/**
 * Ways round a rule that names files by `file.path` alone, each tried with Debian's sftp and scp on a real sshd: nothing
 * under the kept folder is read, written, or given another name. Rows are never removed.
 */
import {
  existsSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { loadBundlePolicies, parsePolicyDocument, soleBundle } from '@sallyport/policy';
import { type Bench, openBench } from '@sallyport/protocol-ssh/bench';
import { type Gateway, sshdMissing } from '@sallyport/testkit';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';

/** FREE and KEPT are folders beside each other; what a batch fetches comes to LOCAL. */
const BATCHES: readonly string[] = [
  'rename FREE/x KEPT/x',
  'rename KEPT/secret FREE/y',
  'rename FREE/x FREE/../KEPTNAME/x',
  'rename FREE/x FREE/door/x',
  'ln FREE/x KEPT/x',
  'ln KEPT/secret FREE/y',
  'ln FREE/door/secret FREE/y',
  'ln -s KEPT/secret FREE/y',
  'ln -s ../KEPTNAME/secret FREE/y',
  'ln -s deep/../../KEPTNAME/secret FREE/y',
  'ln -s door/secret FREE/y',
  'ln -s FREE/x KEPT/y',
  'ln -s ../KEPTNAME FREE/again',
  'put LOCAL/mine KEPT/x',
  'put LOCAL/mine FREE//.././KEPTNAME/x',
  'put LOCAL/mine FREE/door/x',
  'put LOCAL/mine FREE/dangling',
  'put LOCAL/mine FREE/far/../KEPTNAME/x',
  'get KEPT/secret LOCAL/got',
  'get FREE/door/secret LOCAL/got',
  'get FREE/pointer LOCAL/got',
  'get FREE/pointer-to-pointer LOCAL/got',
  'get FREE/far/../KEPTNAME/secret LOCAL/got',
  'reget KEPT/secret LOCAL/got',
  'mkdir KEPT/sub',
  'rm KEPT/secret',
  'rm FREE/door/secret',
  'chmod 777 FREE/pointer',
  'chmod 777 FREE/door',
  'ls KEPT',
  'ls FREE/door/',
  'cd FREE/door\nget secret LOCAL/got',
  'cd FREE/far\ncd ..\nget KEPTNAME/secret LOCAL/got',
];

const WHY = 'This folder is kept.';

describe.skipIf(sshdMissing)('ways round rules about files, over the wire', () => {
  let bench: Bench;
  let gateway: Gateway;
  let root: string;
  const at = (name: string): string => path.join(root, name);
  const filled = (text: string): string =>
    text
      .replaceAll('KEPTNAME', 'kept')
      .replaceAll('KEPT', at('kept'))
      .replaceAll('FREE', at('free'))
      .replaceAll('LOCAL', at('local'));

  beforeAll(async () => {
    bench = await openBench();
    root = path.join(bench.dir, 'root');
    const policy = parsePolicyDocument(
      `kind: Policy\nname: kept\nsubjects: {}\nresources: {}\nrules:\n  - name: kept\n    when: file.path == "${at('kept')}" || file.path.startsWith("${at('kept')}/")\n    unless: file.op == "stat"\n    verdict: deny\n    message: ${WHY}\n`,
      'kept.yaml',
    );
    const usage = { statements: 0, writes: 0, rows: 0, bytes: 0 };
    gateway = await bench.gateway({
      decide: (statement, _approval, session) => {
        return loadBundlePolicies(soleBundle(session, [policy])).decide({
          session: { ...session, projectId: '' },
          statement,
          usage,
          nowMs: Date.now(),
        });
      },
    });
  });
  afterAll(async () => {
    await bench?.tidy();
    await bench?.stop();
  });
  beforeEach(() => {
    rmSync(root, { recursive: true, force: true });
    for (const name of ['free/deep/deeper', 'kept', 'local', 'elsewhere/there'])
      mkdirSync(at(name), { recursive: true });
    writeFileSync(at('kept/secret'), 'kept');
    writeFileSync(at('free/x'), 'mine');
    writeFileSync(at('local/mine'), 'mine');
    symlinkSync('../kept', at('free/door'));
    symlinkSync('../kept/secret', at('free/pointer'));
    symlinkSync('pointer', at('free/pointer-to-pointer'));
    symlinkSync('../kept/new', at('free/dangling'));
    symlinkSync('../elsewhere', at('free/far'));
  });

  const unchanged = (): void => {
    expect(readdirSync(at('kept'))).toEqual(['secret']);
    expect(readFileSync(at('kept/secret'), 'utf8')).toBe('kept');
    expect(existsSync(at('local/got'))).toBe(false);
    expect(readdirSync(at('free')).toSorted()).toEqual(
      ['dangling', 'deep', 'door', 'far', 'pointer', 'pointer-to-pointer', 'x'].toSorted(),
    );
  };

  test.each(BATCHES)('sftp: %s is refused, and nothing has changed', async (batch) => {
    const ran = await bench.program(gateway, 'sftp', ['-b', '-', 'web-1@127.0.0.1'], Buffer.from(`${filled(batch)}\n`));
    expect(ran.code, ran.stderr).not.toBe(0);
    expect(ran.stderr).toContain(WHY);
    unchanged();
  });

  test.each([
    ['-O', 'web-1@127.0.0.1:KEPT/secret', 'LOCAL/got'],
    ['-O', 'LOCAL/mine', 'web-1@127.0.0.1:KEPT/x'],
    ['-O', 'LOCAL/mine', 'web-1@127.0.0.1:FREE/../KEPTNAME/x'],
    ['-s', 'web-1@127.0.0.1:FREE/door/secret', 'LOCAL/got'],
    ['-s', 'LOCAL/mine', 'web-1@127.0.0.1:FREE/door/x'],
  ])('scp %s %s %s is refused, and nothing has changed', async (...args) => {
    const ran = await bench.program(gateway, 'scp', args.map(filled));
    expect(ran.code, ran.stderr).not.toBe(0);
    expect(ran.stderr).toContain(WHY);
    unchanged();
  });

  test('what the rule does not name is let through by the same ways', async () => {
    linkSync(at('free/x'), at('free/z'));
    const batch = 'rename FREE/x FREE/y\nln -s deep FREE/l\nput LOCAL/mine FREE/far/there/m\nget FREE/y LOCAL/y\n';
    const ran = await bench.program(gateway, 'sftp', ['-b', '-', 'web-1@127.0.0.1'], Buffer.from(filled(batch)));
    expect(ran.code, ran.stderr).toBe(0);
    expect(existsSync(at('elsewhere/there/m'))).toBe(true);
    expect(readFileSync(at('local/y'), 'utf8')).toBe('mine');
  });
});
