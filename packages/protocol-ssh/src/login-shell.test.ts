/** Accounts whose login shell is none of the Bourne family, behind a real sshd: what would run there is not what was judged. */
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { sshdMissing } from '@sallyport/testkit';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { type Bench, openBench } from '../test/bench.fixture.ts';
import { ExecClient } from '../test/exec-client.fixture.ts';

const FISH = '/usr/bin/fish';
/** The tests' own account has the machine's shell: what it would be said to be, and who reads its lines, is sshd's to set. */
const account = (shell: string, reader: string): readonly string[] => [
  `SetEnv SHELL=${shell}`,
  `ForceCommand ${reader} -c "$SSH_ORIGINAL_COMMAND"`,
];

describe.skipIf(sshdMissing)('a login shell of another family', () => {
  const open: Bench[] = [];
  const host = async (...lines: readonly string[]): Promise<Bench> => {
    const bench = await openBench(lines);
    open.push(bench);
    return bench;
  };
  afterEach(async () => {
    for (const bench of open.splice(0)) {
      await bench.tidy();
      await bench.stop();
    }
  });

  test.skipIf(!existsSync(FISH))('is refused by name before a line of the client’s reaches it', async () => {
    const bench = await host(...account(FISH, FISH));
    const at = await bench.gateway();
    const file = path.join(bench.dir, 'made-by-fish');
    // One word of text for sh; for fish, whose quotes know a backslash, a command stands in the middle.
    const line = `echo '\\' '; touch ${file}; #'`;
    const ran = await bench.ssh(at, [line]);
    expect([ran.code, ran.stdout.toString()], ran.stderr).toEqual([126, '']);
    expect(ran.stderr).toContain('fish');
    expect(ran.stderr).toContain('gateway/login-shell');
    expect(existsSync(file)).toBe(false);
    // It does run there, where nobody asks.
    execFileSync(FISH, ['-c', line]);
    expect(existsSync(file)).toBe(true);
  });

  test.each(['zsh', 'tcsh', 'csh', 'nu'])('%s is refused, and said so', async (name) => {
    const bench = await host(`SetEnv SHELL=/usr/bin/${name}`);
    const ran = await bench.ssh(await bench.gateway(), ['true']);
    expect(ran.code).toBe(126);
    expect(ran.stderr).toContain(`login shell is ${name}`);
  });

  test('is not forgotten because a client left while the host was asked', async () => {
    const bench = await host(
      'SetEnv SHELL=/usr/bin/fish',
      'ForceCommand sleep 1; if [ "$SSH_ORIGINAL_COMMAND" = "echo \\$SHELL" ]; then echo $SHELL; else echo ran; fi',
    );
    const at = await bench.gateway();
    const gone = new ExecClient(at.port);
    await gone.ready;
    gone.begin('true').catch(() => undefined);
    await expect
      .poll(() => bench.server.log().includes('Starting session: forced-command'), { timeout: 20_000 })
      .toBe(true);
    gone.destroy();
    const ran = await bench.ssh(at, ['true']);
    expect([ran.code, ran.stdout.toString(), ran.stderr.includes('login shell is fish')]).toEqual([126, '', true]);
  });

  test('what a shell’s own files say first hides no name', async () => {
    const bench = await host('SetEnv SHELL=/opt/fish', 'ForceCommand echo welcome; eval "$SSH_ORIGINAL_COMMAND"');
    const ran = await bench.ssh(await bench.gateway(), ['true']);
    expect([ran.code, ran.stderr.includes('login shell is fish')]).toEqual([126, true]);
  });
});

describe.skipIf(sshdMissing)('an account whose lines are read as they are judged', () => {
  let bench: Bench;
  beforeAll(async () => {
    bench = await openBench();
  });
  afterEach(() => bench.tidy());
  afterAll(() => bench?.stop());

  test('is asked once, and its commands run', async () => {
    const at = await bench.gateway();
    for (const word of ['one', 'two', 'three']) {
      const ran = await bench.ssh(at, [`echo ${word}`]);
      expect(ran.stdout.toString(), ran.stderr).toBe(`${word}\n`);
    }
    expect(bench.server.log().match(/Starting session: command for/g)).toHaveLength(4);
  });

  test('that names no shell, as git-shell and forced commands do, runs what it runs', async () => {
    const forced = await openBench(['ForceCommand echo "forced: $SSH_ORIGINAL_COMMAND"']);
    try {
      const ran = await forced.ssh(await forced.gateway(), ['anything']);
      expect(ran.stdout.toString(), ran.stderr).toBe('forced: anything\n');
    } finally {
      await forced.tidy();
      await forced.stop();
    }
  });
});
