/**
 * Programs that move files over SSH, unchanged, on a whole stack with masks in force: scp, sftp, rsync, git, Ansible. Machines
 * without one of them leave its tests out by name.
 */
import { createHash, randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { run, sshdMissing, talk } from '@sallyport/testkit';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { type Host, manyFiles, openBed, type SshBed } from './ssh-bed.ts';

const dev = inject('dev');
const sha = (file: string): string => createHash('sha256').update(readFileSync(file)).digest('hex');

describe.skipIf(sshdMissing)('files over SSH', () => {
  let bed: SshBed;
  let host: Host;
  let there: string;
  let here: string;
  beforeAll(async () => {
    bed = await openBed(dev);
    host = await bed.host('files-1', { policy: 'masks:\n  - { detect: [email, payment_card], with: partial }\n' });
    there = path.join(bed.dir, 'there');
    here = path.join(bed.dir, 'here');
    for (const dir of [there, here]) mkdirSync(dir);
    writeFileSync(path.join(here, 'data'), Buffer.concat([randomBytes(3_000_000), Buffer.from('ana@example.com')]));
  }, 60_000);
  afterAll(() => bed?.stop());

  test.each([
    ['sftp', []],
    ['its own protocol', ['-O']],
  ])('scp moves files both ways by %s, and what detectors would find in them stays', async (_name, options) => {
    const [data, up, down] = [path.join(here, 'data'), path.join(there, 'up'), path.join(here, 'down')];
    const put = await bed.program('scp', host, [...options, '-p', data, `${host.name}:${up}`]);
    expect(put.code, put.stderr).toBe(0);
    expect(sha(up)).toBe(sha(data));
    const got = await bed.program('scp', host, [...options, `${host.name}:${up}`, down]);
    expect(got.code, got.stderr).toBe(0);
    expect(sha(down)).toBe(sha(data));
  });

  test('sftp works through a batch, and with a person', async () => {
    const data = path.join(here, 'data');
    const batch = path.join(bed.dir, 'batch');
    const lines = [
      `mkdir ${there}/d`,
      `put ${data} ${there}/d/one`,
      `rename ${there}/d/one ${there}/d/two`,
      `ln -s ${there}/d/two ${there}/d/link`,
      `chmod 600 ${there}/d/two`,
      `get ${there}/d/link ${here}/back`,
      `rm ${there}/d/link`,
      `rm ${there}/d/two`,
      `rmdir ${there}/d`,
    ];
    writeFileSync(batch, `${lines.join('\n')}\n`);
    const ran = await bed.program('sftp', host, ['-b', batch, host.name]);
    expect(ran.code, ran.stderr).toBe(0);
    expect(sha(path.join(here, 'back'))).toBe(sha(data));
    expect(existsSync(path.join(there, 'd'))).toBe(false);
    const talking = talk('sftp', ['-F', host.config, host.name], bed.env);
    talking.say(`cd ${there}\npwd\n`);
    await talking.heard(`Remote working directory: ${there}`);
    talking.say(`put ${data} by-hand\nls -l\n`);
    await talking.heard('3000015');
    talking.say('bye\n');
    expect((await talking.ended).code).toBe(0);
  });

  test.skipIf(!existsSync('/usr/bin/rsync'))(
    'rsync moves 10,000 files up and down, and only what changed',
    async () => {
      const tree = path.join(here, 'tree');
      const names = manyFiles(tree, 10_000);
      const rsync = (...args: readonly string[]) =>
        run('rsync', ['-a', '--stats', '-e', bed.sshCommand(host), ...args], { env: bed.env });
      const up = await rsync(`${tree}/`, `${host.name}:${there}/tree/`);
      expect(up.code, up.stderr).toBe(0);
      expect(names.filter((name) => sha(path.join(there, 'tree', name)) !== sha(path.join(tree, name)))).toEqual([]);
      writeFileSync(path.join(there, 'tree', names[7]!), 'changed there\n');
      const down = await rsync('--checksum', `${host.name}:${there}/tree/`, `${tree}/`);
      expect(down.code, down.stderr).toBe(0);
      expect(down.stdout.toString()).toMatch(/Number of regular files transferred: 1\b/);
      expect(readFileSync(path.join(tree, names[7]!), 'utf8')).toBe('changed there\n');
      const whole = path.join(here, 'whole');
      const all = await rsync(`${host.name}:${there}/tree/`, `${whole}/`);
      expect(all.code, all.stderr).toBe(0);
      expect(names.filter((name) => sha(path.join(whole, name)) !== sha(path.join(tree, name)))).toEqual([]);
    },
    120_000,
  );

  test.skipIf(!existsSync('/usr/bin/git'))('git clones and pushes', async () => {
    const env = {
      ...bed.env,
      GIT_SSH_COMMAND: bed.sshCommand(host),
      GIT_CONFIG_NOSYSTEM: '1',
      GIT_AUTHOR_NAME: 'T',
      GIT_AUTHOR_EMAIL: 't@example.com',
      GIT_COMMITTER_NAME: 'T',
      GIT_COMMITTER_EMAIL: 't@example.com',
    };
    const git = async (...args: readonly string[]): Promise<string> => {
      const ran = await run('git', args, { env, cwd: here });
      expect(ran.code, `${args.join(' ')}: ${ran.stderr}`).toBe(0);
      return ran.stdout.toString().trim();
    };
    await git('init', '-q', '--bare', `${there}/app.git`);
    await git('clone', '-q', `${host.name}:${there}/app.git`, 'app');
    manyFiles(path.join(here, 'app'), 50);
    await git('-C', 'app', 'add', '-A');
    await git('-C', 'app', 'commit', '-q', '-m', 'first');
    await git('-C', 'app', 'push', '-q', 'origin', 'HEAD:main');
    await git('clone', '-q', '-b', 'main', `${host.name}:${there}/app.git`, 'again');
    expect(await git('-C', 'again', 'rev-parse', 'HEAD')).toBe(await git('-C', 'app', 'rev-parse', 'HEAD'));
  });

  describe.skipIf(!existsSync('/usr/bin/ansible-playbook'))('Ansible', () => {
    const ansible = (program: string, on: Host, ...args: readonly string[]) =>
      run(program, ['-i', `${on.name},`, `--ssh-common-args=-F ${on.config}`, ...args], {
        env: { ...bed.env, ANSIBLE_HOST_KEY_CHECKING: 'False', ANSIBLE_NOCOLOR: '1', ANSIBLE_LOCALHOST_WARNING: '0' },
        cwd: bed.dir,
        timeoutMs: 90_000,
      });

    test('works where its resource lets it in by name, and is refused where it does not', async () => {
      const open = await bed.host('files-ansible', { ssh: { opaque: ['ansible'] } });
      const python = ['-e', 'ansible_python_interpreter=/usr/bin/python3'];
      const ping = await ansible('ansible', open, 'all', '-m', 'ping', ...python);
      expect(ping.stdout.toString(), ping.stderr).toContain('"pong"');
      const play = path.join(bed.dir, 'play.yaml');
      writeFileSync(
        play,
        `- hosts: all
  gather_facts: false
  tasks:
    - copy: { content: "by ansible\\n", dest: ${there}/by-ansible }
    - command: cat ${there}/by-ansible
      register: said
    - assert: { that: said.stdout == 'by ansible' }
`,
      );
      const played = await ansible('ansible-playbook', open, play, ...python);
      expect(played.code, played.stdout.toString() + played.stderr).toBe(0);
      expect(readFileSync(path.join(there, 'by-ansible'), 'utf8')).toBe('by ansible\n');
      const shut = await bed.host('files-no-ansible', {
        policy: 'rules:\n  - { name: nothing-opaque, when: "shell.opaque.size() > 0", verdict: deny }\n',
      });
      const refused = await ansible('ansible', shut, 'all', '-m', 'ping', ...python);
      expect(refused.code).not.toBe(0);
      expect(refused.stdout.toString()).not.toContain('"pong"');
    }, 300_000);
  });
});
