/**
 * A command or an attached container while it runs: both byte streams of the WebSocket, output masked and filmed as the client
 * sees it, its end read from the error channel. Refuses to judge: it is made for what was permitted; a kill is said on the same
 * channel, so that kubectl prints why.
 */
import { type ErrorCode, GatewayError } from '@sallyport/core';
import { maskControl, maskMessage, OPCODES } from '@sallyport/http';
import { type DialectSession, type UpgradeHost, type UpgradeMachine, wordsOf } from '@sallyport/http-session';
import {
  createStreamMasker,
  type JsonMaskerOptions,
  PIPE_LONG_MS,
  pipeQuietMs,
  type StreamMasker,
} from '@sallyport/mask';
import type { DetectMask } from '@sallyport/model';
import {
  ChannelReader,
  CLOSING,
  channelFrame,
  ERROR,
  endOf,
  frame,
  RESIZE,
  STDERR,
  STDIN,
  STDOUT,
  sizeOf,
} from './channels.ts';

export interface ExecOptions {
  readonly session: DialectSession;
  readonly host: UpgradeHost;
  readonly detect: readonly DetectMask[];
  readonly tty: boolean;
  /** Widths are kept: a terminal's screen, or an archive's sizes. */
  readonly keepWidth: boolean;
}

/** How often what is held back, a full recording and masks in force are looked at. */
const LOOK_MS = 50;
/** What waits longer waits for what follows. */
const PATIENCE_MS = 1_200;

export class ExecStream implements UpgradeMachine {
  readonly #options: ExecOptions;
  readonly #client: ChannelReader;
  readonly #upstream: ChannelReader;
  // Made with their first bytes: most commands have nothing to say on one of them.
  #out: StreamMasker | undefined;
  #err: StreamMasker | undefined;
  #detect: readonly DetectMask[];
  #lastMs = 0;
  #end: { readonly code?: number } = {};
  #isOver = false;
  #looks = false;
  #clientFull = false;
  #recorderFull = false;
  #upstreamPaused = false;
  #messages = 0;

  constructor(options: ExecOptions) {
    this.#options = options;
    this.#detect = options.detect;
    const odd = (reason: string): void => {
      throw new GatewayError('kubernetes.stream', { reason });
    };
    this.#client = new ChannelReader(true, {
      stream: (channel, bytes) => this.#typed(channel, bytes),
      whole: (channel, bytes) => this.#said(channel, bytes),
      control: (opcode, payload) => this.#toUpstream(frame(opcode, payload, true)),
      odd,
    });
    this.#upstream = new ChannelReader(false, {
      stream: (channel, bytes) => this.#shown(channel, bytes),
      whole: (channel, bytes) => this.#told(channel, bytes),
      control: (opcode, payload) => this.#controlled(opcode, payload),
      odd,
    });
    if (options.tty) this.#recorder.resize(this.#number, 80, 24);
  }

  get #recorder() {
    return this.#options.session.recorder;
  }
  get #number(): number {
    return this.#options.host.statementNumber;
  }

  #masker(channel: number): StreamMasker {
    return channel === STDOUT ? (this.#out ??= this.#newMasker()) : (this.#err ??= this.#newMasker());
  }

  #newMasker(): StreamMasker {
    const { session, keepWidth } = this.#options;
    // What it gives is recorded and put into a frame at once.
    return createStreamMasker(this.#detect, session.road.maskKey, { keepWidth, isLent: true });
  }

  // From the client.

  clientBytes(chunk: Buffer): void {
    this.#guarded(() => this.#client.push(chunk));
  }

  #typed(channel: number, bytes: Buffer): void {
    if (channel !== STDIN) throw new GatewayError('kubernetes.stream', { reason: 'a channel of the server' });
    if (this.#options.tty) this.#masker(STDOUT).typed(bytes);
    this.#toUpstream(channelFrame(STDIN, bytes, true));
  }

  #said(channel: number, bytes: Buffer): void {
    if (channel === RESIZE) {
      const size = sizeOf(bytes);
      if (size === undefined) throw new GatewayError('kubernetes.stream', { reason: 'a size' });
      if (this.#options.tty) this.#recorder.resize(this.#number, size.columns, size.rows);
    } else if (channel !== CLOSING) throw new GatewayError('kubernetes.stream', { reason: 'an unknown channel' });
    this.#toUpstream(channelFrame(channel, bytes, true));
  }

  #toUpstream(bytes: Buffer): void {
    if (!this.#options.host.toUpstream(bytes)) this.#options.host.pauseClient(true);
  }

  // From the server.

  upstreamBytes(chunk: Buffer): void {
    this.#remask();
    this.#guarded(() => this.#upstream.push(chunk));
  }

  #shown(channel: number, bytes: Buffer): void {
    if (channel !== STDOUT && channel !== STDERR)
      throw new GatewayError('kubernetes.stream', { reason: 'a channel of the client' });
    if (bytes.length === 0) return;
    const masker = this.#masker(channel);
    this.#show(channel, masker.push(bytes));
    if (masker.heldBytes > 0) {
      this.#lastMs = this.#options.session.nowMs();
      this.#look();
    }
  }

  #show(channel: number, bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    const stream = this.#options.tty ? 'pty' : channel === STDERR ? 'stderr' : 'stdout';
    this.#recorder.streamOutput(this.#number, stream, bytes);
    this.#messages++;
    this.#toClient(channelFrame(channel, bytes, false));
    if (this.#recorder.saturated) {
      this.#recorderFull = true;
      this.#pace();
      this.#look();
    }
  }

  #told(channel: number, bytes: Buffer): void {
    if (channel === ERROR) {
      this.#rest(STDOUT);
      this.#rest(STDERR);
      this.#end = endOf(bytes) ?? {};
      this.#toClient(channelFrame(ERROR, this.#hidden(bytes), false));
      return;
    }
    if (channel !== CLOSING) throw new GatewayError('kubernetes.stream', { reason: 'an unknown channel' });
    if (bytes.length !== 1) throw new GatewayError('kubernetes.stream', { reason: 'an end of no channel' });
    if (bytes[0] === STDOUT || bytes[0] === STDERR) this.#rest(bytes[0]);
    this.#toClient(channelFrame(CLOSING, bytes, false));
  }

  get #masks(): JsonMaskerOptions {
    return { plan: undefined, detect: this.#detect, key: this.#options.session.road.maskKey };
  }

  /** A runtime's words may quote what is masked: in the message, and again in its causes. */
  #hidden(status: Buffer): Uint8Array {
    const shown = maskMessage(status, this.#masks);
    if (shown === undefined) throw new GatewayError('http.body_unmaskable');
    return shown;
  }

  #rest(channel: number): void {
    const masker = channel === STDOUT ? this.#out : this.#err;
    if (masker !== undefined) this.#show(channel, masker.flush());
  }

  #controlled(opcode: number, payload: Buffer): void {
    if (opcode === OPCODES.close) {
      this.#rest(STDOUT);
      this.#rest(STDERR);
    }
    this.#toClient(frame(opcode, maskControl(opcode, payload, this.#masks), false));
  }

  #toClient(bytes: Buffer): void {
    // Frames are made here, each in memory of its own.
    if (this.#options.host.toClient(bytes, true)) return;
    this.#clientFull = true;
    this.#pace();
  }

  #pace(): void {
    const paused = this.#clientFull || this.#recorderFull;
    if (paused === this.#upstreamPaused) return;
    this.#upstreamPaused = paused;
    this.#options.host.pauseUpstream(paused);
  }

  clientDrained(): void {
    this.#clientFull = false;
    this.#pace();
  }
  upstreamDrained(): void {
    this.#options.host.pauseClient(false);
  }

  /** Masks of another bundle hold from here on. */
  #remask(): void {
    const { detect } = this.#options.session.road.masks();
    if (detect === this.#detect) return;
    const had = this.#detect.length > 0;
    this.#detect = detect;
    if (had) {
      this.#out?.remask(detect);
      this.#err?.remask(detect);
    } else this.#out = this.#err = undefined;
  }

  #look(): void {
    if (this.#looks || this.#isOver) return;
    this.#looks = true;
    this.#options.host.wakeAfter(LOOK_MS, () => {
      this.#looks = false;
      if (this.#isOver) return;
      this.#recorderFull = this.#recorder.saturated;
      this.#pace();
      const sinceMs = this.#options.session.nowMs() - this.#lastMs;
      const quietMs = this.#options.tty ? sinceMs : pipeQuietMs(sinceMs);
      if (quietMs !== undefined) {
        this.#idle(STDOUT, this.#out, quietMs);
        this.#idle(STDERR, this.#err, quietMs);
      }
      const patienceMs = this.#options.tty ? PATIENCE_MS : PIPE_LONG_MS + PATIENCE_MS;
      const isHeld = sinceMs < patienceMs && (this.#out?.heldBytes ?? 0) + (this.#err?.heldBytes ?? 0) > 0;
      if (isHeld || this.#recorderFull) this.#look();
    });
  }

  #idle(channel: number, masker: StreamMasker | undefined, quietMs: number): void {
    if (masker !== undefined) this.#show(channel, masker.idle(quietMs));
  }

  closed(side: 'client' | 'upstream'): void {
    if (side === 'upstream') {
      this.#rest(STDOUT);
      this.#rest(STDERR);
    }
    this.#over('');
  }

  ended(code: ErrorCode): void {
    this.#rest(STDOUT);
    this.#rest(STDERR);
    const message = wordsOf(code);
    const status = { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Failure', reason: 'Forbidden', message };
    this.#toClient(channelFrame(ERROR, Buffer.from(JSON.stringify(status)), false));
    // 1000, a normal end (RFC 6455 section 7.4.1): behind any other kubectl does not read the status.
    this.#toClient(frame(OPCODES.close, Buffer.of(0x03, 0xe8), false));
    this.#over(code);
  }

  rows(): number {
    return this.#messages;
  }

  #over(code: ErrorCode | ''): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#recorder.exit(this.#number, this.#end);
    this.#options.host.end(code);
  }

  /** What is no stream of ours ends it. */
  #guarded(run: () => void): void {
    if (this.#isOver) return;
    try {
      run();
    } catch (error) {
      if (!(error instanceof GatewayError)) throw error;
      this.#over(error.code);
    }
  }
}
