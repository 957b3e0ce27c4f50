/**
 * One `session` channel of a client (RFC 4254 section 6): what is set before, then the one thing that runs in it: a command,
 * a shell, or sftp. Judged before the host hears of it; what the client sends meanwhile waits in its window.
 * Refuses agent forwarding, X11 and environment variables that the resource does not name.
 */
import { GatewayError, LIMITS } from '@sallyport/core';
import type { Statement } from '@sallyport/model';
import type { HeldNotice } from '@sallyport/protocol-kit';
import type { Channel, ChannelOwner } from './channels.ts';
import {
  type Asker,
  commandStatement,
  readCommand,
  shellStatement,
  subsystemStatement,
  type Transfer,
  transferIn,
  transferStatements,
} from './classify.ts';
import { CommandShell, KEPT_SHELL } from './command-shell.ts';
import { forTerminal, heldText, refusedStatus } from './deny.ts';
import { foreignShell } from './login-shell.ts';
import { type ChannelRequest, parsePty, parseWindowChange, Reader } from './messages.ts';
import type { Tally } from './record.ts';
import { RecordedShell } from './recorded-shell.ts';
import { RunningStream } from './running.ts';
import { Scp } from './scp.ts';
import { Sftp } from './sftp.ts';
import { requests } from './upstream.ts';
import type { Judged, Work } from './work.ts';

const ENV_MAX = 50;
const CTRL_C = 0x03;

/** What runs: the channel hands over to it what comes from the client. */
export interface Running {
  clientData(chunk: Buffer): void;
  clientEof(): void;
  clientClosed(): void;
  clientDrained(): void;
  resized?(data: Buffer): void;
  signal?(data: Buffer): void;
}

export class SessionChannel implements ChannelOwner {
  readonly #work: Work;
  readonly #channel: Channel;
  #env: (readonly [string, string])[] = [];
  #pty: Buffer | undefined;
  #size: Buffer | undefined;
  #started = false;
  #agentRefused = false;
  #gone = false;
  #running: Running | undefined;
  /** What came before something runs; no more than the window. */
  #early: Buffer[] = [];
  #earlyEof = false;
  /** What is being judged. */
  #asking: Statement | undefined;

  constructor(work: Work, channel: Channel) {
    this.#work = work;
    this.#channel = channel;
    channel.owner = this;
  }

  get #asker(): Asker {
    const meaning = this.#env.length === 0 ? undefined : JSON.stringify(this.#env);
    return { login: this.#work.signed.info.role, pty: this.#pty !== undefined, meaning };
  }

  request({ type, wantReply, data }: ChannelRequest): void {
    const answer = (ok: boolean): void => {
      if (wantReply) this.#channel.answer(ok);
    };
    switch (type) {
      case 'env':
        return answer(this.#setEnv(data));
      case 'pty-req':
        if (this.#started) return answer(false);
        parsePty(data);
        this.#pty = data;
        return answer(true);
      case 'window-change':
        parseWindowChange(data);
        this.#size = data;
        this.#running?.resized?.(data);
        return answer(true);
      case 'signal':
        this.#running?.signal?.(data);
        return answer(this.#running?.signal !== undefined);
      case 'exec':
        return this.#start(answer, () => this.#exec(new Reader(data, 0).text()));
      case 'shell':
        return this.#start(answer, () => this.#shell());
      case 'subsystem':
        return this.#start(answer, () => this.#subsystem(new Reader(data, 0).text()));
      case 'auth-agent-req@openssh.com':
        // ssh does not ask for an answer, so a refusal would show nowhere.
        this.#agentRefused = true;
        return answer(false);
      default:
        // x11-req is among them: nothing of the client's is opened to the host.
        return answer(false);
    }
  }

  #setEnv(data: Buffer): boolean {
    const reader = new Reader(data, 0);
    const [name, value] = [reader.text(), reader.text()];
    const allowed = this.#work.signed.resource.ssh?.env ?? [];
    if (this.#started || this.#env.length >= ENV_MAX || !allowed.some((glob) => matches(glob, name))) return false;
    this.#env.push([name, value]);
    return true;
  }

  #start(answer: (ok: boolean) => void, run: () => Promise<void>): void {
    if (this.#started) return answer(false);
    this.#started = true;
    answer(true);
    if (this.#agentRefused)
      this.#say(
        'Sallyport: Agent forwarding is not carried. For a way on from a host use ssh -J from your own machine.\n',
      );
    run().catch((error: unknown) => this.#refuse(error, this.#asking));
  }

  // What may run.

  async #exec(command: string): Promise<void> {
    const work = this.#work;
    if (Buffer.byteLength(command) > LIMITS.sshCommandBytesMax) throw new GatewayError('statement.too_large');
    const shell = readCommand(command, this.#work.signed.resource.ssh?.opaque);
    const transfer = transferIn(shell);
    if (transfer === undefined) {
      const judged = await this.#judge(commandStatement(command, shell, this.#asker));
      return await this.#runCommand(judged, command);
    }
    let judged: Judged | undefined;
    for (const statement of transferStatements(command, transfer, shell, this.#asker)) {
      judged?.tally.finish(work.host.monotonicUs());
      judged = await this.#judge(statement);
    }
    if (judged !== undefined) await this.#runCommand(judged, command, transfer);
  }

  async #runCommand(judged: Judged, command: string, transfer?: Transfer): Promise<void> {
    await this.#requireReadable(judged);
    const host = await this.#openHost(judged.permit);
    // Before anything of the client's: an end of input that comes first is lost on sshd, and the command waits for ever.
    host.request('exec', requests.exec(command), (ok) => {
      if (!ok) this.#failed(judged.tally, host, 'the host does not run commands');
    });
    // The same server as the subsystem's, so the same operations.
    if (transfer?.kind === 'sftp-server') this.#sftp(host, judged.tally, judged.statement);
    else if (transfer?.kind === 'scp') this.#scp(host, judged, transfer);
    else this.#join(host, judged, transfer);
  }

  /** @throws Refusal where the account's shell reads the line otherwise than it was judged */
  async #requireReadable({ permit, tally, statement }: Judged): Promise<void> {
    const work = this.#work;
    // Nothing of the client's runs yet, and it is not idle.
    work.busy(1);
    const name = await foreignShell(work, permit).finally(() => work.busy(-1));
    if (name === undefined) return;
    tally.error = 'policy.denied';
    tally.finish(work.host.monotonicUs());
    throw work.refuse(
      statement,
      'gateway/login-shell',
      `This account's login shell is ${name}, which reads lines otherwise than they are judged. Give it sh or bash.`,
    );
  }

  async #shell(): Promise<void> {
    const work = this.#work;
    const mode = work.signed.resource.ssh?.shell ?? 'none';
    const statement = shellStatement(this.#asker);
    if (mode === 'none') throw work.refuse(statement, 'gateway/shell', 'This resource opens no shells.');
    const judged = await this.#judge(statement);
    if (mode === 'command') return await this.#commandShell(judged);
    const host = await this.#openHost(judged.permit);
    host.request('shell', new Uint8Array(), (ok) => {
      if (!ok) this.#failed(judged.tally, host, 'the host opens no shell');
    });
    this.#join(host, judged);
  }

  /** Lines are commands: what is kept on the host has no terminal. */
  async #commandShell({ permit, tally, statement }: Judged): Promise<void> {
    const work = this.#work;
    const host = await work.upstream.openSession(permit);
    const over = Promise.withResolvers<void>();
    const shell = new CommandShell(work, this.#channel, host, permit, this.#asker, () => {
      tally.finish(work.host.monotonicUs());
      over.resolve();
    });
    const ended = work.running(statement, (error) => {
      this.#say(work.textOf(error, statement));
      shell.stop();
    });
    void over.promise.then(ended);
    for (const [name, value] of this.#env) host.request('env', requests.env(name, value));
    host.request('exec', requests.exec(KEPT_SHELL), (ok) => {
      if (ok) shell.start();
      else this.#failed(tally, host, 'the host runs no commands');
    });
    this.#run(shell);
  }

  async #subsystem(name: string): Promise<void> {
    const work = this.#work;
    const statement = subsystemStatement(name, this.#asker);
    if (name !== 'sftp') throw work.refuse(statement, 'gateway/subsystem', 'There is no such subsystem here.');
    const { permit, tally } = await this.#judge(statement);
    const host = await this.#openHost(permit);
    host.request('subsystem', requests.subsystem(name), (ok) => {
      if (!ok) this.#failed(tally, host, 'the host offers no sftp');
    });
    this.#sftp(host, tally, statement);
  }

  /** Each file that moves is a statement of its own. */
  #scp(host: Channel, { tally, statement }: Judged, transfer: Transfer): void {
    const work = this.#work;
    const over = Promise.withResolvers<void>();
    const scp = new Scp(work, this.#channel, host, transfer, () => {
      tally.finish(work.host.monotonicUs());
      over.resolve();
    });
    const ended = work.running(statement, (error) => {
      this.#say(work.textOf(error, statement));
      scp.stop();
    });
    void over.promise.then(ended);
    this.#run(scp);
  }

  /** Operations of the client become statements of their own. */
  #sftp(host: Channel, tally: Tally, statement: Statement): void {
    const work = this.#work;
    const over = Promise.withResolvers<void>();
    const sftp = new Sftp(work, this.#channel, host, () => {
      tally.finish(work.host.monotonicUs());
      over.resolve();
    });
    const ended = work.running(statement, (error) => {
      this.#say(work.textOf(error, statement));
      sftp.stop();
    });
    void over.promise.then(ended);
    this.#run(sftp);
  }

  async #judge(statement: Statement): Promise<Judged> {
    this.#asking = statement;
    const judged = await this.#work.judge(statement, { held: (notice) => this.#held(notice) });
    if (this.#gone) throw new GatewayError('approval.cancelled');
    this.#work.host.recorder.statement(judged.tally.number, statement.text);
    return judged;
  }

  #held(notice: HeldNotice): void {
    this.#say(heldText(notice, this.#work.host.nowMs()));
  }

  async #openHost(permit: Judged['permit']): Promise<Channel> {
    const host = await this.#work.upstream.openSession(permit);
    if (this.#gone) {
      host.abort();
      throw new GatewayError('approval.cancelled');
    }
    for (const [name, value] of this.#env) host.request('env', requests.env(name, value));
    if (this.#pty !== undefined) host.request('pty-req', this.#pty, () => undefined);
    if (this.#size !== undefined) host.request('window-change', this.#size);
    return host;
  }

  #join(host: Channel, judged: Judged, transfer?: Transfer): void {
    const pty = this.#pty;
    const lines =
      pty !== undefined && judged.statement.facts.ssh?.channel === 'shell'
        ? new RecordedShell({ work: this.#work, asker: this.#asker, pty, say: (text) => this.#say(text) })
        : undefined;
    const stream = new RunningStream({
      work: this.#work,
      client: this.#channel,
      host,
      judged,
      pty,
      transfer,
      forbidden: (error) => this.#say(this.#work.textOf(error, judged.statement)),
      ...(lines === undefined ? {} : { shown: (bytes: Buffer) => lines.shown(bytes) }),
    });
    lines?.attach(stream);
    this.#run(lines ?? stream);
  }

  /** From here on the client's words go there. */
  #run(running: Running): void {
    this.#asking = undefined;
    this.#running = running;
    for (const chunk of this.#early.splice(0)) running.clientData(chunk);
    if (this.#earlyEof) running.clientEof();
  }

  #failed(tally: Tally, host: Channel, reason: string): void {
    tally.error = 'upstream.protocol';
    host.abort();
    this.#refuse(new GatewayError('upstream.protocol', { reason }), undefined);
  }

  #say(text: string): void {
    const pty = this.#pty !== undefined;
    this.#channel.write(forTerminal(text, pty), !pty);
  }

  #refuse(error: unknown, statement: Statement | undefined): void {
    if (this.#gone) return;
    this.#say(this.#work.textOf(error, statement));
    this.#channel.request('exit-status', requests.exitStatus(refusedStatus(error)));
    this.#channel.eof();
    this.#channel.close();
  }

  // From the client.

  data(chunk: Buffer): void {
    if (this.#running !== undefined) return this.#running.clientData(chunk);
    if (this.#asking !== undefined && this.#pty !== undefined && chunk.includes(CTRL_C))
      this.#work.cancel(this.#asking);
    this.#early.push(Buffer.from(chunk));
  }

  eof(): void {
    if (this.#running === undefined) this.#earlyEof = true;
    else this.#running.clientEof();
  }

  drained(): void {
    this.#running?.clientDrained();
  }

  closed(): void {
    this.#gone = true;
    this.#early = [];
    if (this.#asking !== undefined) this.#work.cancel(this.#asking);
    this.#running?.clientClosed();
  }
}

/** `*` stands for any run of characters. */
function matches(glob: string, name: string): boolean {
  const parts = glob.split('*');
  if (parts.length === 1) return glob === name;
  const [first = '', last = ''] = [parts[0], parts.at(-1)];
  if (!name.startsWith(first) || !name.endsWith(last) || name.length < first.length + last.length) return false;
  let at = first.length;
  for (const part of parts.slice(1, -1)) {
    const found = name.indexOf(part, at);
    if (found === -1) return false;
    at = found + part.length;
  }
  return at <= name.length - last.length;
}
