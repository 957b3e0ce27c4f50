/**
 * Ways round a rule for the lines of a recorded shell: what is pasted into bash, as OpenSSH and a real sshd carry it. What the
 * rule is about only makes a file in a folder of the tests' own. Rows are never removed.
 */
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { sshdMissing, type Talk } from '@sallyport/testkit';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { type Host, openBed, type SshBed, until } from '../e2e/ssh-bed.ts';

const WHY = 'Nothing is made here.';
const DENIED = `rules:
  - name: made
    when: shell.programs.exists(p, p == "touch")
    verdict: deny
    message: ${WHY}
`;
/** Marked pastes are taken as text; to ask for them is left to each test. */
const INPUTRC = 'set enable-bracketed-paste off\n"\\e[200~": bracketed-paste-begin\n';

describe.skipIf(sshdMissing)('ways round the rules for lines of a recorded shell', () => {
  const dir = mkdtempSync(path.join(os.tmpdir(), 'sallyport-lines-'));
  let bed: SshBed;
  let host: Host;
  beforeAll(async () => {
    const inputrc = path.join(dir, 'inputrc');
    writeFileSync(inputrc, INPUTRC);
    bed = await openBed(inject('dev'), [`SetEnv INPUTRC=${inputrc}`]);
    host = await bed.host('recorded-lines', { policy: DENIED, ssh: { shell: 'recorded' } });
  }, 120_000);
  afterAll(async () => {
    await bed?.stop();
    rmSync(dir, { recursive: true, force: true });
  });
  const prompted = (shell: Talk, from = ''): Promise<unknown> =>
    until(async () => {
      const at = shell.said.indexOf(from);
      return (at >= 0 && /[#$] $/.test(shell.said.slice(at))) || undefined;
    });

  // DECSET 2004, as a program may ask for marked pastes.
  test.each([
    ['alone', '[?2004h'],
    ['behind another mode', '[?1;2004h'],
    ['before another mode', '[?2004;1h'],
    ['among modes that are many', `[?${'1;'.repeat(29)}2004h`],
    ['with a zero before it', '[?02004h'],
  ])('pasted lines are judged together where their marks are asked for %s', async (name, modes) => {
    const shell = bed.talk(host, ['-tt', host.name]);
    await prompted(shell);
    shell.say(`printf '\\033${modes}'\r`);
    await prompted(shell, `\u001b${modes}`);
    const file = path.join(dir, `made ${name}`);
    shell.say(`\u001b[200~echo first-$((1+1))\rtouch '${file}'\u001b[201~`);
    shell.say('\r');
    // A terminal loses keys that come with the Ctrl-C of a refusal.
    await prompted(shell, WHY);
    shell.say('\u001b[200~echo second-$((1+1))\recho third-$((1+1))\u001b[201~\r');
    await shell.heard('\nthird-2');
    expect(shell.said).not.toContain('first-2');
    expect(shell.said).toContain('second-2');
    expect(existsSync(file)).toBe(false);
    shell.kill();
  });

  // ECMA-48, RIS: a program died on the other screen, and somebody typed `reset`.
  test('a line that is typed behind a reset of the terminal is judged', async () => {
    const shell = bed.talk(host, ['-tt', host.name]);
    await prompted(shell);
    shell.say("printf '\\033[?1049h\\033c'\r");
    await prompted(shell, '\u001bc');
    const file = path.join(dir, 'made behind a reset');
    shell.say(`touch '${file}'\r`);
    await prompted(shell, WHY);
    expect(existsSync(file)).toBe(false);
    shell.kill();
  });
});
