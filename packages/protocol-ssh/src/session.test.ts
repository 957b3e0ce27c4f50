/** SSH through a real relay, between Debian's ssh and a real sshd: what runs, what is refused, what comes back. */
import { createHash, randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { deny, hold, run, sshdMissing, sshOptions } from '@sallyport/testkit';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { type Bench, openBench } from '../test/bench.fixture.ts';

const sha = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

describe.skipIf(sshdMissing)('SSH', () => {
  let bench: Bench;
  beforeAll(async () => {
    bench = await openBench();
  });
  afterEach(() => bench.tidy());
  afterAll(() => bench?.stop());

  test('a command runs, and its output, errors and exit status come back', async () => {
    const at = await bench.gateway();
    const ran = await bench.ssh(at, ['echo out; echo err >&2; exit 7']);
    expect(ran).toMatchObject({ code: 7, stderr: 'err\n' });
    expect(ran.stdout.toString()).toBe('out\n');
    expect(at.judged.map(({ statement }) => statement.text)).toEqual(['echo out; echo err >&2; exit 7']);
    expect(at.judged[0]?.statement.facts.shell?.programs).toEqual(['echo', 'exit']);
    await expect.poll(() => at.outcomes).toHaveLength(1);
  });

  test('a denied command never runs, and the refusal is readable', async () => {
    const at = await bench.gateway({ decide: () => deny('Ask the platform team.') });
    const ran = await bench.ssh(at, [`touch ${bench.dir}/never`]);
    expect(ran.code).toBe(126);
    expect(ran.stderr).toContain('Ask the platform team.');
    expect(ran.stderr).toContain('test/deny');
    expect(existsSync(path.join(bench.dir, 'never'))).toBe(false);
  });

  test('a line that cannot be read is refused whatever the rules say', async () => {
    const at = await bench.gateway();
    const ran = await bench.ssh(at, [`touch ${bench.dir}/unread; echo 'open`]);
    expect(ran.code).toBe(126);
    expect(ran.stderr).toContain('statement.unknown');
    expect(existsSync(path.join(bench.dir, 'unread'))).toBe(false);
  });

  test('a held command waits with a notice on stderr, and runs once it is approved', async () => {
    const at = await bench.gateway({
      decide: (_statement, approval) =>
        approval === undefined ? hold('Restarts need a second pair of eyes.') : allowed,
    });
    const file = path.join(bench.dir, 'held');
    const ran = bench.ssh(at, [`touch ${file}`]);
    await expect.poll(() => at.holds).toHaveLength(1);
    expect(existsSync(file)).toBe(false);
    at.holds[0]?.approve();
    const { code, stderr } = await ran;
    expect({ code, notice: stderr.includes('apr-test'), why: stderr.includes('second pair of eyes') }).toEqual({
      code: 0,
      notice: true,
      why: true,
    });
    expect(existsSync(file)).toBe(true);
  });

  test('binary streams of many megabytes pass unchanged both ways', async () => {
    const at = await bench.gateway();
    const bytes = randomBytes(24 * 1024 * 1024);
    const up = await bench.ssh(at, ['sha256sum'], bytes);
    expect(up.stdout.toString()).toBe(`${sha(bytes)}  -\n`);
    const echoed = await bench.ssh(at, ['cat'], bytes);
    expect(sha(echoed.stdout)).toBe(sha(bytes));
  });

  test('stdout and stderr that both fill their window are neither mixed nor repeated', async () => {
    const at = await bench.gateway();
    const script =
      "for i in $(seq 40); do head -c 200000 /dev/zero | tr '\\0' o; head -c 200000 /dev/zero | tr '\\0' e >&2; done";
    const ran = await bench.ssh(at, [script]);
    expect(ran.stdout.equals(Buffer.alloc(8_000_000, 'o'))).toBe(true);
    expect(ran.stderr === 'e'.repeat(8_000_000)).toBe(true);
  });

  test('a terminal has its type and its modes, and Ctrl-C reaches the program', async () => {
    const at = await bench.gateway();
    const talking = bench.talk(at, [
      '-tt',
      'web-1@127.0.0.1',
      "trap 'echo caught; exit 9' INT; echo up-$TERM; sleep 60 & wait",
    ]);
    await talking.heard('up-');
    talking.say('\x03');
    expect((await talking.ended).code).toBe(9);
    expect(talking.said).toContain('caught');
  });

  test('a program that a signal ends says so', async () => {
    const at = await bench.gateway();
    const ran = await bench.ssh(at, ['kill -TERM $$']);
    // OpenSSH's client has no status for a signal: it says 255.
    expect(ran.code).toBe(255);
    await expect.poll(() => at.recorded.streams.at(-1)).toMatchObject({ kind: 'exit', signal: 'TERM' });
  });

  test('variables that the resource names are set, others are not', async () => {
    const at = await bench.gateway({}, { env: ['LC_*'] });
    const args = [
      '-o',
      'SetEnv=LC_TEST=one SALLYPORT_TEST_X=two',
      'web-1@127.0.0.1',
      'echo "$LC_TEST-$SALLYPORT_TEST_X"',
    ];
    const ran = await bench.program(at, 'ssh', args);
    expect(ran.stdout.toString()).toBe('one-\n');
  });

  test('many channels share one connection, each judged by itself', async () => {
    const at = await bench.gateway({
      decide: ({ text }) => (text.includes('forbidden') ? deny() : allowed),
    });
    const control = path.join(bench.dir, 'mux');
    const master = await bench.program(at, 'ssh', [
      '-M',
      '-N',
      '-f',
      '-o',
      `ControlPath=${control}`,
      '-o',
      'ControlPersist=30',
      'web-1@127.0.0.1',
    ]);
    expect(master.code).toBe(0);
    const through = (command: string) =>
      run('ssh', ['-F', '/dev/null', '-o', `ControlPath=${control}`, 'web-1@127.0.0.1', command]);
    const ran = await Promise.all(
      Array.from({ length: 20 }, (_, i) => through(i === 7 ? 'echo forbidden' : `echo ${i}`)),
    );
    expect(ran.filter(({ code }) => code === 255).map(({ stderr }) => stderr)).toEqual([]);
    expect(ran.map(({ code }) => code)).toEqual(Array.from({ length: 20 }, (_, i) => (i === 7 ? 126 : 0)));
    expect(ran[3]?.stdout.toString()).toBe('3\n');
    await run('ssh', ['-F', '/dev/null', '-o', `ControlPath=${control}`, '-O', 'exit', 'web-1@127.0.0.1']);
    expect(at.judged).toHaveLength(20);
  });

  test('a shell opens where the resource says so, and nowhere else', async () => {
    const open = await bench.gateway();
    const ran = await bench.program(
      open,
      'ssh',
      ['-tt', 'web-1@127.0.0.1'],
      Buffer.from('echo in-$((40+2))\nexit 5\n'),
    );
    expect(ran.code).toBe(5);
    expect(ran.stdout.toString()).toContain('in-42');
    const shut = await bench.gateway({}, { shell: 'none' });
    const refused = await bench.program(shut, 'ssh', ['-tt', 'web-1@127.0.0.1'], Buffer.from('echo in-$((40+2))\n'));
    expect(refused.code).toBe(126);
    expect(refused.stdout.toString()).not.toContain('in-42');
  });

  test('lines of a shell are read off the screen: a refused one is not entered, a held one waits, a password is no line', async () => {
    const at = await bench.gateway(
      {
        decide: ({ text, facts }, approval) => {
          if (facts.shell?.programs.includes('touch') === true) return deny('Nothing is made here.');
          return text.includes('risky') && approval === undefined ? hold() : allowed;
        },
      },
      { inputRecorded: true },
    );
    const talking = bench.talk(at, ['-tt', 'web-1@127.0.0.1']);
    talking.say('PS1=ready-; bind "set enable-bracketed-paste off" 2>/dev/null\r');
    await talking.heard('\r\nready-');
    const file = path.join(bench.dir, 'shell-made');
    talking.say(`to`);
    talking.say(`cuh\u007f\u007f\u007fuch ${file}\r`);
    await talking.heard('Nothing is made here.');
    // bash runs a line by Ctrl-O, too.
    talking.say(`touch ${file}\x0f`);
    await expect.poll(() => talking.said.split('Nothing is made here.').length, { timeout: 10_000 }).toBe(3);
    talking.say('echo after-$((1+1))\r');
    await talking.heard('\nafter-2');
    talking.say('echo risky-$((2+2))\r');
    await talking.heard('apr-test');
    at.holds[0]?.approve();
    await talking.heard('\nrisky-4');
    // A terminal that changes its mode keeps what was typed ahead in the old one: the password waits until it is asked for.
    talking.say('stty -echo; echo hidden-$((1+1)); read word; stty echo; echo back-$((1+1))\r');
    await talking.heard('\nhidden-2');
    talking.say('sesame\r');
    await talking.heard('\nback-2\r\nready-');
    talking.say('echo "got ${#word}"; exit 3\r');
    expect((await talking.ended).code).toBe(3);
    expect(existsSync(file)).toBe(false);
    expect(talking.said).toContain('got 6');
    const texts = at.judged.map(({ statement }) => statement.text);
    expect(texts).toContain(`touch ${file}`);
    expect(texts.some((text) => text.includes('sesame'))).toBe(false);
    const typed = Buffer.concat(at.recorded.streams.flatMap((frame) => (frame.kind === 'input' ? [frame.bytes] : [])));
    expect(typed.toString()).toContain('echo after-');
    expect(typed.toString()).not.toContain('sesame');
  });

  test('a line of a recorded shell means what that shell made of it, and nothing in another', async () => {
    const at = await bench.gateway();
    const typed = async (...lines: readonly string[]): Promise<void> => {
      const talking = bench.talk(at, ['-tt', 'web-1@127.0.0.1']);
      talking.say('PS1=ready-; bind "set enable-bracketed-paste off" 2>/dev/null\r');
      await talking.heard('\r\nready-');
      for (const [i, line] of lines.entries()) {
        talking.say(`${line}\r`);
        await expect.poll(() => talking.said.split('\nready-').length, { timeout: 20_000 }).toBe(i + 3);
      }
      talking.kill();
    };
    await typed('echo x', 'echo x', 'cd /', 'echo x', 'a=1', 'echo x');
    await typed('echo x');
    const meanings = at.judged.flatMap(({ statement }) => (statement.text === 'echo x' ? [statement.meaning] : []));
    expect(meanings.length).toBe(5);
    expect(meanings[0]).toBe(meanings[1]);
    expect(new Set(meanings).size).toBe(4);
  });

  test('a wrong token and a plain key sign nobody in', async () => {
    const at = await bench.gateway();
    const args = ['-o', 'BatchMode=no', 'web-1@127.0.0.1', 'true'];
    const wrong = await run('ssh', [...sshOptions(at.port), ...args], {
      env: { ...bench.env, TEST_TOKEN: 'nonsense' },
    });
    expect(wrong.code).toBe(255);
    expect(wrong.stderr).toContain('Permission denied');
    const key = path.join(bench.server.dir, 'client_key');
    const keyed = await run('ssh', [
      ...sshOptions(at.port),
      '-o',
      'PreferredAuthentications=publickey',
      '-i',
      key,
      ...args,
    ]);
    expect(keyed.code).toBe(255);
    expect(at.judged).toHaveLength(0);
  });

  test('a host that shows another key gets nothing, not even the credential', async () => {
    const at = await bench.gateway(
      {},
      { hostKeys: ['ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIL31pHrCRCWh2f57RQ5UlfqXN9+1xjsQLjp5UCMBOTZ6'] },
    );
    const ran = await bench.ssh(at, ['true']);
    expect(ran.code).toBe(255);
    expect(ran.stderr).toContain('upstream.host_key');
    expect(bench.server.log()).not.toContain('Accepted publickey for nobody');
    await expect.poll(() => at.closed).toEqual(['upstream.host_key']);
  });

  test('agent forwarding and X11 are not carried, and the session goes on', async () => {
    const at = await bench.gateway();
    const ran = await bench.program(at, 'ssh', [
      '-A',
      '-X',
      'web-1@127.0.0.1',
      'echo "agent=$SSH_AUTH_SOCK display=$DISPLAY"',
    ]);
    expect(ran.stdout.toString()).toBe('agent= display=\n');
  });

  test('what detectors find is masked on both streams, and the record is what the client saw', async () => {
    const masks = { columns: [], detect: [{ detect: 'email', with: 'redact' }] } as const;
    const at = await bench.gateway(
      { decide: () => ({ kind: 'allow', rule: 'test/allow', masks }) },
      { maskStreams: true },
    );
    const ran = await bench.ssh(at, [
      "printf 'to ana@exam'; sleep 0.1; printf 'ple.com now\\n'; echo 'cc bob@example.org' >&2; seq 3",
    ]);
    expect(ran.stdout.toString()).not.toContain('example.com');
    expect(ran.stdout.toString()).toMatch(/^to .* now\n1\n2\n3\n$/);
    expect(ran.stderr).not.toContain('bob@');
    const shown = (stream: string) =>
      Buffer.concat(
        at.recorded.streams.flatMap((frame) =>
          frame.kind === 'output' && frame.stream === stream ? [frame.bytes] : [],
        ),
      );
    await expect.poll(() => at.recorded.streams.at(-1)).toMatchObject({ kind: 'exit', code: 0 });
    expect(shown('stdout').equals(ran.stdout)).toBe(true);
    expect(shown('stderr').toString()).toBe(ran.stderr);
    expect(at.outcomes[0]?.masked).toBe(2);
  });

  test('without a terminal a writer that pauses in the middle of a value shows no part of it', async () => {
    const masks = { columns: [], detect: [{ detect: 'payment_card', with: 'redact' }] } as const;
    const at = await bench.gateway(
      { decide: () => ({ kind: 'allow', rule: 'test/allow', masks }) },
      { maskStreams: true },
    );
    const ran = await bench.ssh(at, [
      "printf 'paid 4111 11'; sleep 0.4; printf '11 1111'; sleep 0.4; echo ' 1111 by card'",
    ]);
    expect(ran.stdout.toString()).toMatch(/^paid \D+ by card\n$/);
  });

  test('a recording that is behind holds the host up, and loses nothing', async () => {
    let behind = true;
    const at = await bench.gateway({ saturated: () => behind });
    const ran = bench.ssh(at, ['head -c 20000000 /dev/zero']);
    const recorded = (): number =>
      at.recorded.streams.reduce((sum, frame) => sum + (frame.kind === 'output' ? frame.bytes.length : 0), 0);
    await expect.poll(recorded).toBeGreaterThan(1_000_000);
    await new Promise((next) => setTimeout(next, 300));
    expect(recorded()).toBeLessThan(3_000_000);
    behind = false;
    at.recorderDrained();
    expect((await ran).stdout).toHaveLength(20_000_000);
    expect(recorded()).toBe(20_000_000);
  });

  test.skipIf(!existsSync('/usr/bin/ssh-audit'))('ssh-audit finds nothing red', async () => {
    const at = await bench.gateway();
    const { stdout } = await run('ssh-audit', ['-n', '-p', `${at.port}`, '127.0.0.1']);
    const said = stdout.toString();
    expect(said).toContain('(kex) curve25519-sha256');
    expect(said.split('\n').filter((line) => line.includes('[fail]'))).toEqual([]);
  });

  test.skipIf(!existsSync('/usr/bin/ansible'))(
    'Ansible pings and plays',
    async () => {
      const at = await bench.gateway({}, { opaque: ['ansible'] });
      const playbook = path.join(bench.dir, 'play.yml');
      const made = path.join(bench.dir, 'made-by-ansible');
      writeFileSync(
        playbook,
        `- hosts: all\n  gather_facts: false\n  tasks:\n    - copy: { dest: ${made}, content: hello }\n    - command: cat ${made}\n      register: said\n    - assert: { that: said.stdout == "hello" }\n`,
      );
      const env = {
        ...bench.env,
        HOME: bench.dir,
        ANSIBLE_SSH_ARGS: `${sshOptions(at.port).join(' ')} -o PasswordAuthentication=yes -o PreferredAuthentications=password -o ControlMaster=auto -o ControlPersist=20 -o ControlPath=${bench.dir}/cm`,
        ANSIBLE_REMOTE_TEMP: `${bench.dir}/.ansible/tmp`,
        ANSIBLE_PYTHON_INTERPRETER: '/usr/bin/python3',
        LC_ALL: 'C.UTF-8',
      };
      const ansible = (program: string, args: readonly string[]) =>
        run(program, ['-i', `127.0.0.1,`, '-u', 'web-1', ...args], { env, cwd: bench.dir, timeoutMs: 120_000 });
      const ping = await ansible('ansible', ['all', '-m', 'ping']);
      expect(ping.stdout.toString() + ping.stderr).toContain('pong');
      const play = await ansible('ansible-playbook', [playbook]);
      expect(play.code, play.stdout.toString() + play.stderr).toBe(0);
      expect(readFileSync(made, 'utf8')).toBe('hello');
      await run('ssh', ['-F', '/dev/null', '-o', `ControlPath=${bench.dir}/cm`, '-O', 'exit', 'web-1@127.0.0.1']);
      const modules = at.judged.filter(({ statement }) => statement.text.includes('python3'));
      expect(modules.length).toBeGreaterThan(2);
      // The resource opts in to Ansible by name: what its modules do is not said to be unknown.
      expect(modules.every(({ statement }) => statement.facts.shell?.opaque.length === 0)).toBe(true);
    },
    300_000,
  );

  test('a kill ends both sides', async () => {
    const at = await bench.gateway();
    const ran = bench.ssh(at, ['echo up; sleep 600']);
    await expect.poll(() => at.judged).toHaveLength(1);
    at.end('session.killed');
    expect((await ran).code).toBe(255);
    await expect.poll(() => at.closed).toEqual(['session.killed']);
  });

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
    writeFileSync(path.join(bench.dir, 'large'), 'z'.repeat(600_000));
    for (const mode of ['-s', '-O']) {
      const got = async (name: string): Promise<{ readonly code: number | null; readonly content: string }> => {
        const to = path.join(bench.dir, `got-${name}${mode}`);
        const { code } = await bench.program(at, 'scp', [mode, `web-1@127.0.0.1:${bench.dir}/${name}`, to]);
        return { code, content: existsSync(to) ? readFileSync(to, 'latin1') : '' };
      };
      expect((await got('plain')).code).toBe(0);
      const mail = await got('mail');
      expect({ mode, failed: mail.code !== 0, holds: mail.content.includes('ana@example.com') }).toEqual({
        mode,
        failed: true,
        holds: false,
      });
      expect((await got('large')).code).not.toBe(0);
    }
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
