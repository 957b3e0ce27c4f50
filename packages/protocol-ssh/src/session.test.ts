/** SSH through a real relay, between Debian's ssh and a real sshd: what runs, what is refused, what comes back. */
import { createHash, randomBytes } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { deny, hold, run, sshdMissing, sshOptions, talk } from '@sallyport/testkit';
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
    await talking.heard('\nafter-2\r\nready-');
    // Given up: the prompt comes behind the first key. Pasted: what stands behind a refused line is not entered.
    talking.say('echo given');
    await talking.heard('ready-echo given');
    talking.say('\u0003');
    await talking.heard('ready-echo given^C\r\nready-');
    talking.say(`touch ${file}\recho pasted-$((1+1))\r`);
    await talking.heard('What was typed behind that line is not entered.');
    expect(talking.said.split('Nothing is made here.')).toHaveLength(4);
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
    expect(talking.said).not.toContain('pasted-2');
    const texts = at.judged.map(({ statement }) => statement.text);
    expect(texts).toContain(`touch ${file}`);
    expect(texts.some((text) => text.includes('sesame'))).toBe(false);
    const typed = Buffer.concat(at.recorded.streams.flatMap((frame) => (frame.kind === 'input' ? [frame.bytes] : [])));
    expect(typed.toString()).toContain('echo after-');
    expect(typed.toString()).not.toContain('sesame');
  });

  test('lines that are pasted together into a recorded shell are judged together', async () => {
    const at = await bench.gateway({
      decide: ({ facts }) =>
        facts.shell?.programs.includes('touch') === true ? deny('Nothing is made here.') : allowed,
    });
    const talking = bench.talk(at, ['-tt', 'web-1@127.0.0.1']);
    talking.say('TERM=xterm PS1=ready- exec bash --norc --noprofile -i\r');
    await talking.heard('\u001b[?2004hready-');
    const file = path.join(bench.dir, 'shell-pasted');
    talking.say(`\u001b[200~echo first-$((1+1))\rtouch ${file}\u001b[201~`);
    talking.say('\r');
    await talking.heard('Nothing is made here.');
    talking.say('\u001b[200~echo second-$((1+1))\recho third-$((1+1))\u001b[201~\r');
    await talking.heard('\nthird-2');
    talking.say('exit 3\r');
    expect((await talking.ended).code).toBe(3);
    expect(talking.said).not.toContain('first-2');
    expect(talking.said).toContain('second-2');
    expect(existsSync(file)).toBe(false);
    expect(at.judged.map(({ statement }) => statement.text)).toContain('echo second-$((1+1))\necho third-$((1+1))');
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

  test('agent forwarding and X11 are not carried, the client is told, and the session goes on', async () => {
    const at = await bench.gateway();
    const socket = path.join(bench.dir, 'agent');
    const agent = talk('ssh-agent', ['-D', '-a', socket], bench.env);
    try {
      await expect.poll(() => existsSync(socket)).toBe(true);
      const ran = await run(
        'ssh',
        [...sshOptions(at.port), '-A', '-X', 'web-1@127.0.0.1', 'echo "agent=$SSH_AUTH_SOCK display=$DISPLAY"'],
        { env: { ...bench.env, SSH_AUTH_SOCK: socket } },
      );
      expect(ran.stdout.toString()).toBe('agent= display=\n');
      expect(ran.stderr).toContain('Sallyport: Agent forwarding is not carried.');
    } finally {
      agent.kill();
      await agent.ended;
    }
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
});

const allowed = { kind: 'allow', rule: 'test/allow', masks: { columns: [], detect: [] } } as const;
