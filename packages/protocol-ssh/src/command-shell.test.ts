/** A shell that is read line by line, on a real host: what runs, what is kept, what is refused. */
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import path from 'node:path';
import type { Statement, Verdict } from '@sallyport/model';
import { deny, hold, sshdMissing } from '@sallyport/testkit';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { type Bench, openBench } from '../test/bench.fixture.ts';

const allowed: Verdict = { kind: 'allow', rule: 'test/allow', masks: { columns: [], detect: [] } };

describe.skipIf(sshdMissing)('a shell read line by line', () => {
  let bench: Bench;
  beforeAll(async () => {
    bench = await openBench();
  });
  afterEach(() => bench.tidy());
  afterAll(() => bench?.stop());
  const open = (decide: (statement: Statement, approval: unknown) => Verdict = () => allowed) =>
    bench.gateway({ decide }, { shell: 'command' });
  const lines = (at: Awaited<ReturnType<typeof open>>, text: string) =>
    bench.program(at, 'ssh', ['-T', 'web-1@127.0.0.1'], Buffer.from(text));

  test('lines run one after another in one shell, each a statement of its own', async () => {
    const at = await open();
    const ran = await lines(
      at,
      `cd ${bench.dir}\nanswer=42\necho "at $PWD: $answer"\nfalse\necho $?\necho err >&2\nprintf 'no end'\nexit 7\n`,
    );
    expect(ran.stdout.toString()).toBe(`at ${bench.dir}: 42\n1\nno end`);
    expect(ran.stderr).toBe('err\n');
    expect(ran.code).toBe(7);
    expect(at.judged.map(({ statement }) => statement.facts.ssh?.channel)).toEqual(['shell', ...Array(8).fill('line')]);
    await expect.poll(() => at.outcomes).toHaveLength(9);
  });

  test('a denied line never runs, and the shell goes on', async () => {
    const at = await open(({ text }) => (text.includes('touch') ? deny('Nothing is made here.') : allowed));
    const ran = await lines(at, `touch ${bench.dir}/made\necho "then"\n`);
    expect(ran.stderr).toContain('Nothing is made here.');
    expect(ran.stdout.toString()).toBe('then\n');
    expect(existsSync(path.join(bench.dir, 'made'))).toBe(false);
  });

  test('what runs gets no input: later lines are lines, not its food', async () => {
    const at = await open();
    const ran = await lines(at, 'cat\nread x; echo "got [$x]"\necho still here\n');
    expect(ran.stdout.toString()).toBe('got []\nstill here\n');
    expect(at.judged).toHaveLength(4);
  });

  test('a line that would change what later lines mean is refused', async () => {
    const at = await open();
    const tricks = [
      "alias ls='touch x'",
      'ls() { touch x; }',
      'PATH=/tmp:$PATH',
      'export PATH=/tmp',
      'HOME=/',
      'exec 3<&0',
      'trap "touch x" EXIT',
      'enable -n cd',
      'hash -p /tmp/x ls',
      '. /tmp/x',
      'set -x',
      'read IFS < /dev/null',
      'shopt -s expand_aliases',
      'for PATH in /tmp; do :; done',
      'declare -n ref=PA""TH',
      'printf -v "$name" x',
      '$program x',
    ];
    const ran = await lines(at, `${tricks.join('\n')}\necho end\n`);
    expect(ran.stdout.toString()).toBe('end\n');
    expect(ran.stderr.match(/gateway\/shell-state/g)).toHaveLength(tricks.length);
  });

  test('quotes and closing words are of their line, and never more', async () => {
    const at = await open();
    const ran = await lines(at, "echo 'a'\\''b' \"c'd\"\ndone\necho ) 'x\necho fine\n");
    expect(ran.stdout.toString()).toBe("a'b c'd\nfine\n");
    expect(ran.stderr.match(/statement\.unknown/g)).toHaveLength(2);
  });

  test('a command on several lines is one statement, and runs as it was judged', async () => {
    const at = await open(({ text }) => (text.includes('touch') ? deny('Nothing is made here.') : allowed));
    const commands = [
      'word=kept',
      'for i in 1 2\ndo\n  echo "$i"\ndone',
      "cat <<E\n$word 'q' \\$word \\\\n %s %b\n\nE",
      "cat <<'E'\n$word \\c \\0101\nE",
      "echo 'two\nlines' \\\n  joined",
      'false',
      'echo $? \\\n end',
      `if true; then\ntouch ${bench.dir}/made-by-lines\nfi`,
    ];
    const ran = await lines(at, `${commands.join('\n\n')}\nif true\nthen`);
    expect(ran.stdout.toString()).toBe(
      "1\n2\nkept 'q' $word \\n %s %b\n\n$word \\c \\0101\ntwo\nlines joined\n1 end\n",
    );
    // The last one never ends.
    expect(at.judged.map(({ statement }) => statement.text).slice(1)).toEqual([...commands, 'if true\nthen']);
    expect(ran.stderr).toContain('Nothing is made here.');
    expect(ran.stderr).toContain('statement.unknown');
    expect(existsSync(path.join(bench.dir, 'made-by-lines'))).toBe(false);
  });

  test('Ctrl-C gives up a command that has begun', async () => {
    const at = await open();
    const talking = bench.talk(at, ['-tt', 'web-1@127.0.0.1']);
    await talking.heard('$ ');
    talking.say('echo "never\r');
    await talking.heard('\r\n> ');
    talking.say('\u0003');
    await talking.heard('^C');
    talking.say('echo whole\r');
    await talking.heard('\r\nwhole\r\n');
    talking.say('\u0004');
    expect((await talking.ended).code).toBe(0);
    expect(at.judged.map(({ statement }) => statement.text)).toEqual(['(shell)', 'echo whole']);
  });

  test('a held line waits with its notice, and Ctrl-C gives it up', async () => {
    const at = await open(({ text }, approval) => (text.includes('risk') && approval === undefined ? hold() : allowed));
    const talking = bench.talk(at, ['-tt', 'web-1@127.0.0.1']);
    await talking.heard('$ ');
    talking.say('echo risky\r');
    await talking.heard('apr-test');
    talking.say('\u0003');
    await talking.heard('approval.cancelled');
    talking.say('echo ris');
    talking.say('\u007f\u007f\u007fri\u001b[D\u001b[Cskier\r');
    await expect.poll(() => at.holds).toHaveLength(2);
    at.holds[1]?.approve();
    await talking.heard('\r\nriskier\r\n');
    talking.say('sleep 60\r');
    await expect.poll(() => at.judged.some(({ statement }) => statement.text === 'sleep 60')).toBe(true);
    talking.say('\u0003');
    await new Promise((next) => setTimeout(next, 300));
    talking.say('\u0003');
    talking.say('echo again\r');
    await talking.heard('\r\nagain\r\n');
    talking.say('\u0004');
    expect((await talking.ended).code).toBe(0);
  });

  test('a client that does not read holds up the host, and not our memory', async () => {
    const at = await open();
    const [ssh = '', ...options] = bench.sshCommand(at).split(' ');
    const size = 150_000_000;
    const child = spawn(ssh, [...options, '-T', 'web-1@127.0.0.1'], {
      env: bench.env,
      stdio: ['pipe', 'pipe', 'ignore'],
    });
    try {
      child.stdin.write(`head -c ${size} /dev/zero\n`);
      const before = process.memoryUsage().arrayBuffers;
      await expect.poll(() => at.judged.length, { timeout: 25_000 }).toBe(2);
      let last = -1;
      // What it takes is taken by then: whoever waits for nobody would take all of it.
      await expect
        .poll(
          () => {
            const now = process.memoryUsage().arrayBuffers;
            const grown = now - last;
            last = now;
            return grown;
          },
          { interval: 1_000, timeout: 25_000 },
        )
        .toBeLessThan(1_000_000);
      expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(40_000_000);
      let read = 0;
      child.stdout.on('data', (chunk: Buffer) => {
        read += chunk.length;
      });
      await expect.poll(() => read, { timeout: 50_000 }).toBe(size);
    } finally {
      child.kill();
    }
  }, 120_000);

  test('the directory a line starts in is part of how its paths are read', async () => {
    const at = await open();
    // Whatever a line says that the directory is called.
    await lines(at, `cd ${bench.dir}\nPWD=/nowhere\ntee written-here < /dev/null\n`);
    const tee = at.judged.find(({ statement }) => statement.text.startsWith('tee'));
    expect(tee?.statement.facts.shell?.pathsWritten).toContain(path.join(bench.dir, 'written-here'));
  });
});
