/** Files over SSH, as sftp, scp, rsync and git move them: each operation a statement with its real path. */
import { createHash, randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { deny, run, sshdMissing } from '@sallyport/testkit';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { type Bench, openBench } from '../test/bench.fixture.ts';

const sha = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

describe.skipIf(sshdMissing)('files over SSH', () => {
  let bench: Bench;
  beforeAll(async () => {
    bench = await openBench();
  });
  afterEach(() => bench.tidy());
  afterAll(() => bench?.stop());

  test('sftp moves files both ways unchanged, each operation a statement with its real path', async () => {
    const at = await bench.gateway();
    const content = randomBytes(3_000_000);
    const local = path.join(bench.dir, 'local');
    writeFileSync(local, content);
    const batch = `cd ${bench.dir}\nput ${local} uploaded\nget uploaded ${local}.back\nrename uploaded moved\nmkdir d\nsymlink moved d/link\nls -l d\nrm d/link\nrmdir d\n`;
    const ran = await bench.program(at, 'sftp', ['-b', '-', 'web-1@127.0.0.1'], Buffer.from(batch));
    expect(ran.stderr).toBe('');
    expect(ran.code).toBe(0);
    expect(sha(readFileSync(path.join(bench.dir, 'moved')))).toBe(sha(content));
    expect(sha(readFileSync(`${local}.back`))).toBe(sha(content));
    const files = at.judged.flatMap(({ statement: { facts } }) => (facts.file === undefined ? [] : [facts.file]));
    expect(files).toContainEqual({ op: 'write', path: `${bench.dir}/uploaded`, target: '', size: 0, via: 'sftp' });
    expect(files).toContainEqual({
      op: 'read',
      path: `${bench.dir}/uploaded`,
      target: '',
      size: 3_000_000,
      via: 'sftp',
    });
    expect(files).toContainEqual({
      op: 'rename',
      path: `${bench.dir}/uploaded`,
      target: `${bench.dir}/moved`,
      size: 0,
      via: 'sftp',
    });
    expect(files).toContainEqual({
      op: 'symlink',
      path: `${bench.dir}/d/link`,
      target: `${bench.dir}/d/moved`,
      size: 0,
      via: 'sftp',
    });
    const digests = at.recorded.streams.flatMap((frame) => (frame.kind === 'file' ? [frame.digest] : []));
    expect(digests.filter((digest) => digest === sha(content))).toHaveLength(2);
  });

  test('links and `..` do not hide a path from a rule, and a denied operation never happens', async () => {
    const at = await bench.gateway({
      decide: ({ facts }) => (facts.file?.path.startsWith(`${bench.dir}/secret`) ? deny('Not these files.') : allowed),
    });
    mkdirSync(path.join(bench.dir, 'secret'), { recursive: true });
    writeFileSync(path.join(bench.dir, 'secret/key'), 'sesame');
    symlinkSync('secret', path.join(bench.dir, 'open'));
    symlinkSync('secret/key', path.join(bench.dir, 'innocent'));
    const got = path.join(bench.dir, 'got');
    for (const asked of [
      'secret/key',
      'x/../secret/key',
      'open/key',
      'innocent',
      './/secret/./key',
      'open/../secret/key',
    ]) {
      const ran = await bench.program(
        at,
        'sftp',
        ['-b', '-', 'web-1@127.0.0.1'],
        Buffer.from(`cd ${bench.dir}\nget ${asked} ${got}\n`),
      );
      expect({ asked, code: ran.code, got: existsSync(got) }).toEqual({ asked, code: 1, got: false });
    }
    const ran = await bench.program(
      at,
      'sftp',
      ['-b', '-', 'web-1@127.0.0.1'],
      Buffer.from(`rm ${bench.dir}/open/key\n`),
    );
    expect(ran.stderr).toContain('Not these files.');
    expect(existsSync(path.join(bench.dir, 'secret/key'))).toBe(true);
  });

  test('scp moves files in both of its protocols', async () => {
    const at = await bench.gateway();
    const content = randomBytes(2_000_000);
    const local = path.join(bench.dir, 'scp-local');
    writeFileSync(local, content);
    for (const mode of [['-s'], ['-O']]) {
      const there = path.join(bench.dir, `scp-there${mode[0]}`);
      const up = await bench.program(at, 'scp', [...mode, local, `web-1@127.0.0.1:${there}`]);
      expect(up).toMatchObject({ code: 0, stderr: '' });
      expect(sha(readFileSync(there))).toBe(sha(content));
      const down = await bench.program(at, 'scp', [...mode, `web-1@127.0.0.1:${there}`, `${there}.back`]);
      expect(down).toMatchObject({ code: 0, stderr: '' });
      expect(sha(readFileSync(`${there}.back`))).toBe(sha(content));
    }
    const files = at.judged.flatMap(({ statement: { facts } }) => (facts.file === undefined ? [] : [facts.file]));
    expect(files.some(({ via, op, path: at }) => via === 'scp' && op === 'write' && at.endsWith('scp-there-O'))).toBe(
      true,
    );
    expect(files.some(({ via, op, path: at }) => via === 'scp' && op === 'read' && at.endsWith('scp-there-O'))).toBe(
      true,
    );
  });

  test('each file of an older scp is judged by its own path and size, and a refused one does not move', async () => {
    const at = await bench.gateway({
      decide: ({ facts }) => (facts.file?.path.endsWith('/two') === true ? deny('Not two.') : allowed),
    });
    const from = path.join(bench.dir, 'scp-tree');
    mkdirSync(path.join(from, 'sub'), { recursive: true });
    for (const [name, content] of [
      ['one', 'first'],
      ['sub/three', ''],
      ['sub/zwei', 'z'.repeat(100_000)],
    ] as const)
      writeFileSync(path.join(from, name), content);
    const to = path.join(bench.dir, 'scp-copy');
    mkdirSync(to);
    expect(await bench.program(at, 'scp', ['-O', '-p', '-r', from, `web-1@127.0.0.1:${to}/`])).toMatchObject({
      code: 0,
      stderr: '',
    });
    expect(readFileSync(path.join(to, 'scp-tree/sub/zwei'), 'utf8')).toHaveLength(100_000);
    const files = at.judged.flatMap(({ statement: { facts } }) =>
      facts.file?.via === 'scp' ? [`${facts.file.op} ${facts.file.path} ${facts.file.size}`] : [],
    );
    expect(files).toContain(`write ${to}/scp-tree/sub/zwei 100000`);
    expect(files).toContain(`mkdir ${to}/scp-tree/sub 0`);
    writeFileSync(path.join(from, 'two'), 'second');
    const refused = await bench.program(at, 'scp', ['-O', '-r', from, `web-1@127.0.0.1:${to}/`]);
    expect(refused.code).not.toBe(0);
    expect(refused.stderr).toContain('Not two.');
    expect(existsSync(path.join(to, 'scp-tree/two'))).toBe(false);
    const down = await bench.program(at, 'scp', [
      '-O',
      '-r',
      `web-1@127.0.0.1:${from}`,
      path.join(bench.dir, 'scp-down'),
    ]);
    expect(down.stderr).toContain('Not two.');
    expect(existsSync(path.join(bench.dir, 'scp-down/two'))).toBe(false);
  });

  test('a download is cut where a detector finds something, or where it is too large', async () => {
    const at = await bench.gateway({}, { downloadDetect: ['email'], downloadBytesMax: 500_000 });
    writeFileSync(path.join(bench.dir, 'plain'), 'nothing in here\n'.repeat(10_000));
    writeFileSync(
      path.join(bench.dir, 'mail'),
      `${'x'.repeat(120_000)} write to ana@example.com now ${'y '.repeat(50_000)}`,
    );
    writeFileSync(path.join(bench.dir, 'last'), 'nothing stands behind ana@example.com');
    writeFileSync(path.join(bench.dir, 'large'), 'z'.repeat(600_000));
    for (const mode of ['-s', '-O']) {
      const got = async (name: string): Promise<{ readonly code: number | null; readonly content: string }> => {
        const to = path.join(bench.dir, `got-${name}${mode}`);
        const { code } = await bench.program(at, 'scp', [mode, `web-1@127.0.0.1:${bench.dir}/${name}`, to]);
        return { code, content: existsSync(to) ? readFileSync(to, 'latin1') : '' };
      };
      expect((await got('plain')).code).toBe(0);
      for (const name of ['mail', 'last']) {
        const mail = await got(name);
        expect({ mode, name, failed: mail.code !== 0, holds: mail.content.includes('ana@example.com') }).toEqual({
          mode,
          name,
          failed: true,
          holds: false,
        });
      }
      expect((await got('large')).code).not.toBe(0);
    }
  });

  test('a file that is looked into is read from its front alone: nothing is found in halves of a value', async () => {
    const at = await bench.gateway({}, { downloadDetect: ['email'] });
    const [from, to, batch] = ['halves', 'halves-got', 'halves-batch'].map((name) => path.join(bench.dir, name));
    writeFileSync(from!, 'write to ana@example.com now');
    writeFileSync(to!, 'write to ana@');
    writeFileSync(batch!, `reget ${from} ${to}\n`);
    const { code } = await bench.program(at, 'sftp', ['-b', batch!, 'web-1@127.0.0.1']);
    expect({ failed: code !== 0, got: readFileSync(to!, 'latin1') }).toEqual({ failed: true, got: 'write to ana@' });
  });

  test('rsync and git move what they move, as file statements', async () => {
    const at = await bench.gateway();
    const source = path.join(bench.dir, 'tree');
    mkdirSync(source);
    for (let i = 0; i < 300; i++) writeFileSync(path.join(source, `f${i}`), `content ${i}\n`);
    const rsync = (from: string, to: string) =>
      run('rsync', ['-a', '-e', bench.sshCommand(at), from, to], { env: bench.env });
    expect(await rsync(`${source}/`, `web-1@127.0.0.1:${bench.dir}/there/`)).toMatchObject({ code: 0, stderr: '' });
    expect(await rsync(`web-1@127.0.0.1:${bench.dir}/there/`, `${bench.dir}/back/`)).toMatchObject({
      code: 0,
      stderr: '',
    });
    expect(readFileSync(path.join(bench.dir, 'back/f299'), 'utf8')).toBe('content 299\n');
    const git = (args: readonly string[], cwd: string) =>
      run('git', ['-c', 'user.name=t', '-c', 'user.email=t@t', '-c', 'init.defaultBranch=main', ...args], {
        cwd,
        env: { ...bench.env, GIT_SSH_COMMAND: bench.sshCommand(at) },
      });
    await git(['init', '-q', '--bare', 'repo.git'], bench.dir);
    expect(await git(['clone', '-q', `web-1@127.0.0.1:${bench.dir}/repo.git`, 'clone'], bench.dir)).toMatchObject({
      code: 0,
    });
    writeFileSync(path.join(bench.dir, 'clone/a'), 'a');
    await git(['add', 'a'], path.join(bench.dir, 'clone'));
    await git(['commit', '-qm', 'one'], path.join(bench.dir, 'clone'));
    expect(await git(['push', '-q', 'origin', 'HEAD:main'], path.join(bench.dir, 'clone'))).toMatchObject({ code: 0 });
    expect((await git(['log', '--format=%s', 'main'], path.join(bench.dir, 'repo.git'))).stdout.toString()).toBe(
      'one\n',
    );
    const seen = at.judged.map(
      ({ statement: { facts, effects } }) => `${facts.file?.via} ${facts.file?.op} ${effects.join()}`,
    );
    expect(new Set(seen)).toEqual(
      new Set(['rsync write write', 'rsync read read', 'git read read', 'git write write']),
    );
  });
});

const allowed = { kind: 'allow', rule: 'test/allow', masks: { columns: [], detect: [] } } as const;
