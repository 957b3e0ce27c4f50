/**
 * Chapter `ssh`: a real OpenSSH client and a real sshd with Sallyport between. The host is a private sshd whose every command
 * goes through a script of the tour's, so that what must never run could do no harm if it did.
 */
import { execFile } from 'node:child_process';
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { type SshServer, sshdMissing, startSshd } from '@sallyport/testkit';
import { eventually, type TourContext } from './context.ts';
import { type Chapter, promise } from './story.ts';

const HOST = 'tour-host';
const CARD = '4111 1111 1111 1111';
const MAIL = 'mary.miller@example.com';

const documents = (server: SshServer): readonly string[] => [
  `kind: Resource
name: ${HOST}
type: ssh
description: A host of the tour.
labels: { env: tour }
credential: tour-hosts
ssh:
  host: 127.0.0.1
  port: ${server.port}
  logins: [${server.login}]
  hostKeys: ["${server.hostKey}"]
`,
  `kind: Grant
name: tour-host
principal: payments-bot
resource: ${HOST}
effects: [read, write, exec]
`,
  `kind: Policy
name: tour-host
resources: { names: [${HOST}] }
masks:
  - { detect: [payment_card, email], with: partial }
`,
];

interface Ran {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

export const ssh: Chapter<TourContext> = {
  name: 'ssh',
  title: 'A bot works on a host by plain ssh, and holds no key of it',
  intro: 'Its key is certified for minutes. The host trusts one CA line; commands are read before they run.',
  run: async (tour, step) => {
    if (sshdMissing) {
      await step('left out here: there is no OpenSSH server and client on this machine', () => 'openssh-server');
      return;
    }
    const work = path.join(tour.dir, 'ssh');
    mkdirSync(work, { recursive: true });
    const guard = path.join(work, 'only-this');
    writeFileSync(guard, GUARD.replaceAll('$WORK', work));
    chmodSync(guard, 0o755);
    writeFileSync(path.join(work, 'customers.txt'), `Mary Miller  ${MAIL}  ${CARD}\n`);
    const server = await startSshd(['TrustedUserCAKeys $DIR/ca.pub', `ForceCommand ${guard}`]);
    try {
      await play(tour, step, server, work);
    } finally {
      await server.stop();
    }
  },
};

async function play(
  tour: TourContext,
  step: Parameters<Chapter<TourContext>['run']>[1],
  server: SshServer,
  work: string,
): Promise<void> {
  const { admin } = tour.stack;
  const ran = (...words: string[]): Promise<Ran> => tour.cli('payments-bot', 'ssh', HOST, '--', ...words);
  await step('the host trusts one line; its private half is made here and nobody sees it', async () => {
    const made = await admin.call<{ settings: Record<string, string> }>('POST', '/v1/credentials', {
      name: 'tour-hosts',
      kind: 'ssh_ca',
    });
    const line = made.settings['public_key']!;
    writeFileSync(path.join(server.dir, 'ca.pub'), `${line}\n`);
    await admin.call('POST', '/v1/apply', {
      documents: documents(server).map((text, i) => ({ file: `tour-host-${i}.yaml`, text })),
      dryRun: false,
      prune: false,
    });
    return `TrustedUserCAKeys: ${line}`;
  });
  await step('a file is read, and what is sensitive in it comes out hidden', async () => {
    let read = await ran('cat', 'customers.txt');
    // The agent hears of the host within a second or two.
    for (let i = 0; i < 10 && read.code !== 0; i++) read = await ran('cat', 'customers.txt');
    promise(read.code === 0, `${read.out}${read.err}`);
    promise(read.out.includes('Mary Miller'), `not the file: ${read.out}${read.err}`);
    promise(!read.out.includes(CARD) && !read.out.includes(MAIL), `in clear: ${read.out}`);
    return read.out.trim();
  });
  await step('`rm -rf /` is stopped by a shipped rule, however it is written', async () => {
    const said: string[] = [];
    for (const command of ['rm -rf /', 'r\\m -r""f /', 'X=rm; $X -rf /', "sh -c 'cd /tmp; rm -rf /../'"]) {
      const one = await ran(command);
      promise(one.code !== 0 && !one.out.includes('DISASTER'), `it ran: ${command}: ${one.out}`);
      promise(one.err.includes('remove-system'), `another reason: ${command}: ${one.err}`);
      said.push(one.err.trim().split('\n')[0]!);
    }
    return said[0]!;
  });
  await step('a restart waits for somebody else, and then runs', async () => {
    const running = ran('systemctl', 'restart', 'app');
    const request = await tour.pending('ana');
    await (await tour.as('ana')).call('POST', `/v1/approvals/${request.id}/approve`, { reason: 'Ticket 4711' });
    const one = await running;
    promise(one.code === 0 && one.out.includes('restarted app'), `${one.code}: ${one.out}${one.err}`);
    promise(one.err.includes(request.id), 'the client was not told that it waited');
    return `${one.err.trim()}\n${one.out.trim()}`;
  });
  const config = path.join(work, 'config');
  await step('a port is not forwarded: the grant does not say so', async () => {
    const block = await tour.cli('payments-bot', 'ssh-config', HOST);
    promise(block.code === 0, block.err);
    writeFileSync(config, block.out);
    const one = await unchanged(tour, 'ssh', ['-F', config, '-W', '127.0.0.1:5432', HOST]);
    promise(one.code !== 0, 'it was forwarded');
    return one.err.trim();
  });
  await step('sftp puts a file there, and the trail has its name and what came of it', async () => {
    const local = path.join(work, 'report.txt');
    writeFileSync(local, 'All is well.\n');
    const batch = path.join(work, 'batch');
    writeFileSync(batch, `put ${local} uploaded.txt\n`);
    const one = await unchanged(tour, 'sftp', ['-F', config, '-b', batch, HOST]);
    promise(one.code === 0, `${one.out}${one.err}`);
    promise(readFileSync(path.join(work, 'uploaded.txt'), 'utf8') === 'All is well.\n', 'the file is another');
    const session = await lastSession(tour);
    // The record follows what it tells of by a moment.
    const upload = await eventually(
      async () => {
        const { items } = await admin.call<{ items: { text: string; verdict: string }[] }>(
          'GET',
          `/v1/sessions/${session}/statements`,
        );
        return items.find(({ text }) => /sftp (write|open).*uploaded\.txt/.test(text));
      },
      20_000,
      'the upload on the trail',
    );
    return `${upload.verdict}: ${upload.text}`;
  });
  await step('a shell is filmed, and the film can be played', async () => {
    const one = await unchanged(tour, 'ssh', ['-F', config, '-tt', HOST], 'echo a day in the life\nexit\n');
    promise(one.code === 0, `${one.out}${one.err}`);
    const session = await lastSession(tour);
    const film = await eventually(
      async () => {
        const played = await tour.cli('admin', 'sessions', 'replay', session, '--speed', '0');
        return played.code === 0 && played.out.includes('a day in the life') ? played.out : undefined;
      },
      15_000,
      'the film',
    );
    return film.trim();
  });
}

/** Of the bot on the host, closed and on the record. */
async function lastSession(tour: TourContext): Promise<string> {
  return await eventually(
    async () => {
      const { items } = await tour.stack.admin.call<{
        items: { id: string; closedAt: string | null; resource: { name: string } }[];
      }>('GET', '/v1/sessions?principal=payments-bot&sort=-openedAt&limit=1');
      const last = items[0];
      return last?.closedAt != null && last.resource.name === HOST ? last.id : undefined;
    },
    10_000,
    'the closed session',
  );
}

/** OpenSSH's own program, with what `sallyport ssh-config` wrote. */
async function unchanged(tour: TourContext, program: string, args: readonly string[], input = ''): Promise<Ran> {
  const env = await tour.cliEnv('payments-bot');
  return new Promise((resolve) => {
    const child = execFile(program, [...args], { env }, (error, out, err) =>
      resolve({ code: error === null ? 0 : Number(error.code ?? 1), out, err }),
    );
    child.stdin?.end(input);
  });
}

/** What the host runs in place of what it is asked to. */
const GUARD = `#!/bin/sh
cd $WORK
case "$SSH_ORIGINAL_COMMAND" in
  "") exec /bin/sh ;;
  "cat customers.txt") exec cat customers.txt ;;
  "systemctl restart "*) echo "restarted \${SSH_ORIGINAL_COMMAND##* }" ;;
  internal-sftp) exec /usr/lib/openssh/sftp-server ;;
  *) echo "DISASTER: $SSH_ORIGINAL_COMMAND"; exit 66 ;;
esac
`;
