/** The command line where things are not as usual: a private CA, a folder to prune, a prompt whose session is ended, real shells. */
import { execFileSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, statSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { afterAll, expect, inject, test } from 'vitest';
import { makeServerCertificate } from '../../scripts/stack/certificates.ts';
import { restClient } from '../../scripts/stack/rest.ts';
import { openCli, PROGRAM, until } from './cli-process.ts';

const dev = inject('dev');
const { home, env, start, run, runJson, spawn, end } = openCli(dev);
const WRAPPER = path.join(import.meta.dirname, '../../sallyport');
const SCRIPT = '/usr/bin/script';
const BASH = '/bin/bash';
const cleanUps: (() => unknown)[] = [end];
afterAll(async () => {
  for (const undo of cleanUps.splice(0).reverse()) await undo();
});

const secret = (name: string, text: string): string => {
  const file = path.join(home, name);
  writeFileSync(file, text, { mode: 0o600 });
  return file;
};

/** The REST API behind TLS with a certificate of a CA that nobody knows. */
async function privateFront(): Promise<{ readonly url: string; readonly ca: string }> {
  const dir = path.join(home, 'front');
  const certificate = await makeServerCertificate(dir, 'private front');
  const server = createServer({ cert: certificate.chain, key: certificate.key }, (incoming, answer) => {
    const onward = request(dev.rest + incoming.url, { method: incoming.method, headers: incoming.headers }, (from) => {
      answer.writeHead(from.statusCode ?? 500, from.headers);
      from.pipe(answer);
    });
    incoming.pipe(onward);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  cleanUps.push(() => {
    server.closeAllConnections();
    server.close();
  });
  return { url: `https://127.0.0.1:${(server.address() as AddressInfo).port}`, ca: path.join(dir, 'ca.pem') };
}

test('a control plane behind a private CA is refused until the CA is named, for every way to sign in', async () => {
  const { url, ca } = await privateFront();
  const distrusted = await run(['--as', 'carla', '--url', url, '--json', 'whoami']);
  expect(distrusted.code).toBe(8);
  expect(JSON.parse(distrusted.err)).toMatchObject({ error: { code: 'control_plane.untrusted' } });
  const front = ['--url', url, '--ca-file', ca];
  expect((await run(['--as', 'carla', ...front, 'whoami'])).code).toBe(0);
  // Client credentials: the first thing asked is a token.
  const read = await run(['--as', 'payments-bot', ...front, 'sql', 'payments-db', '-c', 'select 1']);
  expect(read.code, read.err).toBe(0);
  // The profile finds the CA again from any folder.
  const token = secret('carla.token', dev.principals['carla']!.token!);
  const login = ['login', '--profile', 'front', '--url', url, '--token-file', token, '--ca-file', 'ca.pem'];
  const ran = await run(login, undefined, { cwd: path.dirname(ca) });
  expect(ran.code, ran.err).toBe(0);
  expect((await run(['--profile', 'front', 'whoami'], undefined, { cwd: '/' })).code).toBe(0);
  for (const file of [token, '/nowhere/ca.pem'])
    expect((await run(['--as', 'carla', '--url', url, '--ca-file', file, 'whoami'])).code, file).toBe(2);
});

test('approvals watch prints each request once, as it comes, until Ctrl-C', async () => {
  const watching = start(['--as', 'ana', 'approvals', 'watch']);
  const scripted = start(['--as', 'ana', '--json', 'approvals', 'watch']);
  const held = [201, 202].map((mark) =>
    start(['--as', 'payments-bot', 'sql', 'payments-db', '-c', `delete from payments where id = -${mark}`]),
  );
  await until(() => (/-201\n/.test(watching.out()) && /-202\n/.test(watching.out()) ? true : undefined));
  // Other requests of the shared stack may be open; each of these two is told once.
  const ours = (out: string): readonly string[] => out.split('\n').filter((line) => /id = -20[12]\b/.test(line));
  const items = await until(() => {
    const lines = ours(scripted.out());
    return lines.length >= 2 ? lines.map((line) => JSON.parse(line) as { id: string; statement: string }) : undefined;
  });
  for (const { id } of items)
    expect((await run(['--as', 'ana', 'approvals', 'deny', id, '--reason', 'not today'])).code).toBe(0);
  for (const one of held) expect((await one.ended).code).toBe(4);
  for (const one of [watching, scripted]) {
    one.child.kill('SIGINT');
    expect((await one.ended).code).toBe(-2);
    expect(ours(one.out()).length).toBe(2);
  }
});

test('prune removes what documents made and no longer name, and nothing that was made by hand', async () => {
  // In a project of its own: what it prunes is nobody else's.
  const root = restClient(dev.rest, dev.principals['admin']?.token ?? '');
  await root.call('POST', '/v1/projects', { name: 'pruned' });
  const { token } = await root.call<{ token: string }>('POST', '/v1/projects/pruned/admins', { name: 'pruner' });
  const asPruner = ['--url', dev.rest, '--token-file', secret('pruner', token)];
  const folder = path.join(home, 'documents');
  mkdirSync(folder);
  const document = (name: string, kind = 'Group', more = ''): string => `kind: ${kind}\nname: ${name}\n${more}---\n`;
  const grant = (name: string): string =>
    document(name, 'Grant', 'group: pruned-a\nlabels: { env: prod }\neffects: [read]\n');
  const apply = async (text: string, ...options: string[]): Promise<readonly string[]> => {
    writeFileSync(path.join(folder, 'all.yaml'), text);
    const { changes } = await runJson<{ changes: { kind: string; name: string; action: string }[] }>([
      ...asPruner,
      'apply',
      '-f',
      folder,
      ...options,
    ]);
    return changes.filter((one) => one.action !== 'none').map((one) => `${one.action} ${one.kind} ${one.name}`);
  };
  const names = async (what: string): Promise<readonly string[]> =>
    (await runJson<{ name: string }[]>([...asPruner, what, 'ls'])).map((one) => one.name);
  const kept =
    document('kept') + document('base-grant', 'Grant', 'group: kept\nlabels: { env: prod }\neffects: [read]\n');
  await apply(kept + document('pruned-a') + document('pruned-b') + grant('pruned-grant') + grant('kept-grant'));
  expect((await run([...asPruner, 'groups', 'create', 'by-hand'])).code).toBe(0);
  const createGrant = ['grants', 'create', 'grant-by-hand', '--group', 'by-hand', '--label', 'env=prod'];
  expect((await run([...asPruner, ...createGrant, '--effect', 'read'])).code).toBe(0);
  const shorter = kept + document('pruned-a') + grant('kept-grant');
  const gone = ['delete Grant pruned-grant', 'delete Group pruned-b'];
  expect(await apply(shorter, '--prune', '--dry-run')).toEqual(gone);
  expect(await names('groups')).toContain('pruned-b');
  expect(await apply(shorter, '--prune')).toEqual(gone);
  expect(await names('groups')).toEqual(expect.arrayContaining(['by-hand', 'pruned-a', 'kept']));
  expect(await names('groups')).not.toContain('pruned-b');
  expect(await names('grants')).toEqual(expect.arrayContaining(['grant-by-hand', 'kept-grant']));
  expect(await names('grants')).not.toContain('pruned-grant');
  expect(await apply(shorter, '--prune')).toEqual([]);
  expect(await apply(kept, '--prune')).toEqual(['delete Grant kept-grant', 'delete Group pruned-a']);
});

test('a database that is not there, or a file that cannot be written, is said as such', async () => {
  const ran = await run(['--as', 'carla', '--json', 'sql', 'payments-db', '--database', 'nope', '-c', 'select 1']);
  expect(ran.code).toBe(5);
  expect(JSON.parse(ran.err)).toMatchObject({ error: { sqlstate: '3D000', severity: 'FATAL' } });
  for (const file of [path.join(home, 'no/such/folder'), home])
    expect((await run(['--as', 'admin', 'trail', 'export', '-o', file])).code).toBe(2);
  expect((await run(['--as', 'carla', 'sql', 'payments-db', '-f', home])).code).toBe(2);
});

test('an export is readable by its owner alone, also over a file that was not', async () => {
  const file = path.join(home, 'open.export');
  writeFileSync(file, 'old');
  chmodSync(file, 0o644);
  expect((await run(['--as', 'admin', 'trail', 'export', '-o', file])).code).toBe(0);
  expect(statSync(file).mode & 0o777).toBe(0o600);
});

test.skipIf(!existsSync(SCRIPT))(
  'a prompt whose session is ended under a statement says so once, and leaves',
  async () => {
    const command = `'${process.execPath}' '${PROGRAM}' --as payments-bot sql payments-db`;
    const prompt = spawn(SCRIPT, ['-qec', command, '/dev/null']);
    await until(() => (prompt.out().includes('payments-db=> ') ? true : undefined));
    prompt.child.stdin?.write('delete from payments where id = -203;\r');
    await until(() => (prompt.out().includes('apr-') ? true : undefined));
    const sessions = await runJson<{ id: string; heldFor: string | null }[]>([
      '--as',
      'admin',
      'sessions',
      'ls',
      '--live',
    ]);
    const id = sessions.find((one) => one.heldFor !== null && prompt.out().includes(one.heldFor))?.id;
    expect((await run(['--as', 'admin', 'sessions', 'kill', id!, '--reason', 'test'])).code).toBe(0);
    const { code, out } = await prompt.ended;
    expect(code).toBe(8);
    const after = out.slice(out.indexOf('FATAL'));
    expect(after.match(/FATAL|error:/g)).toEqual(['FATAL']);
    expect(after).not.toContain('=> ');
  },
);

test('the checkout’s own command passes signals on: an ended proxy leaves nothing behind', async () => {
  const proxy = spawn(WRAPPER, ['--as', 'carla', '--json', 'proxy', 'payments-db']);
  const { passFile } = await until(() => {
    try {
      return JSON.parse(proxy.out()) as { passFile: string };
    } catch {
      return undefined;
    }
  });
  expect(existsSync(passFile)).toBe(true);
  proxy.child.kill('SIGTERM');
  expect((await proxy.ended).code).toBe(0);
  expect(existsSync(passFile)).toBe(false);
});

test.skipIf(!existsSync(BASH))('bash completes commands, their parts and options, and leaves files to itself', () => {
  const ask = (...words: string[]): string =>
    execFileSync(
      BASH,
      [
        '-c',
        `source <("$1" completion bash); shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _sallyport; echo "\${COMPREPLY[*]}"`,
        'bash',
        WRAPPER,
        WRAPPER,
        ...words,
      ],
      { env, encoding: 'utf8' },
    ).trim();
  expect(ask('sess')).toBe('sessions');
  expect(ask('--as', 'carla', 'sessions', 'k')).toBe('kill');
  expect(ask('sql', 'payments-db', '--for')).toBe('--for --for-token-file');
  expect(ask('trail', 'verify', '')).toBe('');
});
