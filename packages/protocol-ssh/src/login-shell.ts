/**
 * Which shell reads an account's command lines on its host: asked by `echo $SHELL`, which all of them read alike, once in a
 * while for a resource and account. Lines are judged as shells of the Bourne family read them, so others are refused. A host
 * that names none (a forced command, git-shell, an appliance) has no shell that would read a line in another way.
 */
import { GatewayError } from '@sallyport/core';
import type { Resource } from '@sallyport/model';
import type { Permit } from '@sallyport/protocol-kit';
import { requests } from './upstream.ts';
import type { Work } from './work.ts';

const ASKING = 'echo $SHELL';
/** How long an answer is believed. */
const KNOWN_MS = 10 * 60_000;
const ANSWER_BYTES_MAX = 1_024;

interface Known {
  readonly atMs: number;
  /** '' where the host names none. */
  readonly name: string;
}

/** By account; a resource that is changed is another object. */
const known = new WeakMap<Resource, Map<string, Known>>();
/** Asked by a session, for its channels: one that ends takes no other's answer with it. */
const asked = new WeakMap<Work, Promise<string>>();

/** sh, bash, rbash, dash, ash, ksh, ksh93, mksh, yash, posh, bash-5.2, … */
const BOURNE = /^(?:r?(?:ba|da|a|[lm]|pd)?k?sh(?:93)?|yash|posh|busybox|toybox)(?:[-.]?\d[\d.]*)?(?:[-.]static)?$/;

/**
 * @param permit of the line that is to run
 * @returns the name of a shell that reads lines otherwise than they are judged, or undefined
 * @throws GatewayError `upstream.*`
 */
export async function foreignShell(work: Work, permit: Permit): Promise<string | undefined> {
  const { resource, info } = work.signed;
  const accounts = known.get(resource) ?? new Map<string, Known>();
  known.set(resource, accounts);
  const now = work.host.nowMs();
  let answer = accounts.get(info.role);
  if (answer === undefined || now - answer.atMs >= KNOWN_MS) {
    const asking = asked.get(work) ?? ask(work, permit).finally(() => asked.delete(work));
    asked.set(work, asking);
    answer = { atMs: now, name: await asking };
    accounts.set(info.role, answer);
  }
  return answer.name === '' || BOURNE.test(answer.name) ? undefined : answer.name;
}

async function ask(work: Work, permit: Permit): Promise<string> {
  const host = await work.upstream.openSession(permit);
  return await new Promise((resolve, reject) => {
    let text = '';
    let exited = false;
    const told = (): void => {
      resolve(nameIn(text));
      host.close();
    };
    host.owner = {
      data: (chunk, isStderr) => {
        if (!isStderr) text = (text + chunk.toString('latin1')).slice(-ANSWER_BYTES_MAX);
        host.took(chunk.length);
      },
      // Not at the exit status: what was said before it may come after it.
      eof: told,
      closed: () => {
        // A connection that broke has said nothing, and is not taken for a host that has nothing to say.
        if (exited) told();
        else reject(new GatewayError('upstream.unreachable', { reason: 'the login shell did not answer' }));
      },
      drained: () => undefined,
      request: ({ type, wantReply }) => {
        if (type === 'exit-status' || type === 'exit-signal') exited = true;
        if (wantReply) host.answer(false);
      },
    };
    host.request('exec', requests.exec(ASKING), (ok) => {
      // It runs no commands, and will not run the client's.
      if (!ok) told();
    });
    host.eof();
  });
}

/** The program at the end of a path, which is a line by itself; files that a shell reads first may say something before. */
const nameIn = (text: string): string =>
  text
    .split(/\r?\n/)
    .findLast((line) => /^\/\S+$/.test(line))
    ?.replace(/^.*\//, '') ?? '';
