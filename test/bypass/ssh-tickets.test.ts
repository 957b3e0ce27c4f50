/**
 * Tickets over SSH: for the line where it was asked. The same words in another directory, behind other lines or with another
 * environment ask anew. Every line here only reads notes in a folder of the tests' own.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { sshdMissing, type Talk } from '@sallyport/testkit';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { type Host, openBed, type SshBed, until } from '../e2e/ssh-bed.ts';

const HELD = `rules:
  - name: notes
    when: shell.programs.exists(p, p == "cat")
    verdict: hold
    approval: { groups: [dba], count: 1, expires: 5m }
`;

describe.skipIf(sshdMissing)('a ticket is for the shell that it was asked in', () => {
  let bed: SshBed;
  let lines: Host;
  let one = '';
  let two = '';
  beforeAll(async () => {
    bed = await openBed(inject('dev'));
    lines = await bed.host('ticket-lines', {
      policy: HELD,
      resource: { approval: 'ticket' },
      ssh: { shell: 'command', env: ['SALLYPORT_TEST_*'] },
    });
    [one, two] = [path.join(bed.dir, 'one'), path.join(bed.dir, 'two')] as const;
    for (const [dir, note] of [
      [one, 'kept-one'],
      [two, 'kept-two'],
    ] as const) {
      mkdirSync(dir);
      writeFileSync(path.join(dir, 'note'), `${note}\n`);
    }
  }, 120_000);
  afterAll(() => bed?.stop());

  /** Says lines, the last of which is held. @returns the note, or the request that asks for it */
  async function says(shell: Talk, ...texts: readonly string[]): Promise<string> {
    const at = shell.said.length;
    for (const text of texts) shell.say(`${text}\n`);
    return until(async () => /kept-\w+|apr-\w+/.exec(shell.said.slice(at))?.[0]);
  }
  const opened = (): Talk => bed.talk(lines, [lines.name]);
  async function approved(id: string): Promise<void> {
    expect(id).toMatch(/^apr-/);
    await until(async () => {
      await bed.answer(id, 'approve');
      return true;
    });
    await new Promise((resolve) => setTimeout(resolve, 1_000));
  }

  test.each<readonly [name: string, here: (a: string) => readonly string[], text: string]>([
    ['in another directory', (dir) => [`cd ${dir}`], 'cat note'],
    ['with another variable', (dir) => [`at=${dir}`], 'cat "$at/note"'],
    ['behind another default', (dir) => [`true "\${at:=${dir}}"`], 'cat "$at/note"'],
    ['with another last directory', (dir) => [`cd ${dir}`, 'cd /'], 'cat ~-/note'],
    ['behind another status', (dir) => [`test ${dir} != ${two}`], `test $? = 0 && cat ${'$one'}/note`],
  ])('%s the same line asks anew', async (_name, here, text) => {
    const words = text.replace('$one', one);
    const asking = opened();
    const id = await says(asking, ...here(one), words);
    await approved(id);
    const other = opened();
    const next = await says(other, ...here(two), words);
    expect(next).toMatch(/^apr-/);
    expect(next).not.toBe(id);
    // Behind the same lines it passes, in a shell of its own; once.
    const same = opened();
    expect(await says(same, ...here(one), words)).toBe('kept-one');
    expect(await says(same, ...here(one), words)).toMatch(/^apr-/);
    for (const shell of [asking, other, same]) shell.kill();
  });

  test('lines that set nothing keep a ticket', async () => {
    const shell = opened();
    await approved(await says(shell, `cd ${one}`, 'cat ./note'));
    expect(await says(shell, 'ls', 'echo --color=never | sort', 'cat ./note')).toBe('kept-one');
    shell.kill();
  });

  test('a command asks anew with another environment', async () => {
    const run = async (at: string): Promise<string> => {
      const ran = await bed.ssh(lines, ['cat "$SALLYPORT_TEST_AT/note"'], { env: { SALLYPORT_TEST_AT: at } });
      return /kept-\w+|apr-\w+/.exec(ran.stdout.toString() + ran.stderr)?.[0] ?? ran.stderr;
    };
    const config = path.join(bed.dir, 'with-env');
    writeFileSync(config, `SendEnv SALLYPORT_TEST_*\nInclude ${lines.config}\n`);
    const plain = lines;
    lines = { ...plain, config };
    try {
      const id = await run(one);
      await approved(id);
      const next = await run(two);
      expect(next).toMatch(/^apr-/);
      expect(next).not.toBe(id);
      expect(await run(one)).toBe('kept-one');
    } finally {
      lines = plain;
    }
  });
});
