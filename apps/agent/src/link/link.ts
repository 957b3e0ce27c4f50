/**
 * The stream to the control plane: dials its endpoints in turn, with jittered backoff, for as long as the agent lives.
 * Refuses to know what messages mean. Everything that matters is sent again after a reconnect, so a lost message is late,
 * never lost; what the stream cannot take now is dropped here and the caller is told.
 */
import { Client, type ClientDuplexStream, credentials, type ServiceError, status } from '@grpc/grpc-js';
import {
  type AgentMessage,
  type ControlMessage,
  type EnrollResponse,
  linkService,
  type RenewRequest,
} from '@sallyport/contract';
import { GatewayError, LIMITS, type Logger } from '@sallyport/core';
import { CHANNEL_OPTIONS } from './enroll.ts';
import type { Identity } from './identity.ts';

export interface LinkOptions {
  /** The identity in force; read at each dial, since certificates are renewed. */
  identity(): Identity;
  readonly log: Logger;
  /** 0 ≤ x < 1, for jitter. */
  random(): number;
  /** The first words of a stream. */
  hello(): AgentMessage;
  /** The control plane has answered: the link stands. */
  opened(): void;
  closed(): void;
  /** The control plane, proven by its certificate, does not know this agent any more: it was revoked. */
  refused(): void;
  message(message: ControlMessage): void;
}

const BACKOFF_MS_MIN = 200;
const BACKOFF_MS_MAX = 10_000;
const WELCOME_MS_MAX = 10_000;
const CALL_MS_MAX = 10_000;

type Stream = ClientDuplexStream<AgentMessage, ControlMessage>;

export class Link {
  readonly #options: LinkOptions;
  readonly #spread: number;
  #client: Client | undefined;
  #stream: Stream | undefined;
  #up = false;
  #stopped = false;
  #attempt = 0;
  #redialling = false;
  #retry: NodeJS.Timeout | undefined;
  #welcome: NodeJS.Timeout | undefined;

  constructor(options: LinkOptions) {
    this.#options = options;
    this.#spread = options.random();
  }

  get connected(): boolean {
    return this.#up;
  }

  start(): void {
    this.#dial();
  }

  /** Queues a message. @returns false when there is no link: what matters is sent again when there is one */
  send(message: AgentMessage): boolean {
    if (!this.#up || this.#stream === undefined) return false;
    this.#stream.write(message);
    return true;
  }

  /** Drops the stream and dials again at once; after a renewed certificate. */
  redial(): void {
    this.#attempt = 0;
    this.#redialling = true;
    this.#stream?.cancel();
  }

  /** Asks for the next certificates. @throws GatewayError `enroll.failed` */
  renew(request: RenewRequest): Promise<EnrollResponse> {
    const client = this.#client;
    if (!this.#up || client === undefined)
      return Promise.reject(new GatewayError('enroll.failed', { reason: 'no link' }));
    const { path, requestSerialize, responseDeserialize } = linkService.renew;
    return new Promise((resolve, reject) => {
      const options = { deadline: Date.now() + CALL_MS_MAX };
      client.makeUnaryRequest(
        path,
        requestSerialize,
        responseDeserialize,
        request,
        options,
        (error: ServiceError | null, answer?: EnrollResponse) => {
          if (error === null && answer !== undefined) resolve(answer);
          else
            reject(
              new GatewayError(
                'enroll.failed',
                { reason: error?.details ?? 'no answer' },
                { cause: error ?? undefined },
              ),
            );
        },
      );
    });
  }

  /** Sends what is queued, then closes. */
  async stop(): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#retry);
    clearTimeout(this.#welcome);
    const stream = this.#stream;
    const wasUp = this.#up;
    this.#up = false;
    if (stream !== undefined && wasUp) {
      await new Promise<void>((done) => {
        setTimeout(done, LIMITS.closeTimeoutMsMax).unref();
        stream.once('close', done);
        stream.once('error', () => done());
        stream.once('end', () => done());
        stream.once('finish', () => setTimeout(done, 100));
        stream.end();
      });
    }
    stream?.cancel();
    this.#client?.close();
  }

  #dial(): void {
    if (this.#stopped) return;
    const identity = this.#options.identity();
    const { endpoints } = identity.file;
    // Each agent starts at a place of its own, or all of them would be guests of the first control plane.
    const first = Math.floor(this.#spread * endpoints.length);
    const endpoint = endpoints[(first + this.#attempt) % Math.max(1, endpoints.length)];
    if (endpoint === undefined) {
      this.#options.log.error('no control plane endpoint is known', {});
      this.#later();
      return;
    }
    const channel = credentials.createSsl(
      Buffer.from(identity.file.root),
      Buffer.from(identity.file.identityKey),
      Buffer.from(identity.file.identityChain),
    );
    const client = new Client(endpoint, channel, {
      ...CHANNEL_OPTIONS,
      'grpc.max_receive_message_length': LIMITS.grpcMessageBytesMax,
      'grpc.max_send_message_length': LIMITS.grpcMessageBytesMax,
    });
    const { path, requestSerialize, responseDeserialize } = linkService.connect;
    const stream: Stream = client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize);
    this.#client = client;
    this.#stream = stream;
    this.#welcome = setTimeout(() => stream.cancel(), WELCOME_MS_MAX);
    const lost = (why: string): void => {
      if (this.#stream !== stream) return;
      this.#stream = undefined;
      this.#client = undefined;
      clearTimeout(this.#welcome);
      client.close();
      const wasUp = this.#up;
      this.#up = false;
      if (!this.#redialling) this.#options.log.warn('the link to the control plane is down', { endpoint, why });
      this.#redialling = false;
      if (wasUp) this.#options.closed();
      this.#later();
    };
    stream.on('error', (error: ServiceError) => {
      // Statuses of this kind are also made locally when TLS fails; only the control plane says our code. A certificate
      // that has run out is no revocation.
      const said = error.code === status.UNAUTHENTICATED && error.details.startsWith('auth.failed');
      if (said && this.#stream === stream && Date.now() < identity.expiresAtMs) this.#options.refused();
      lost(error.details ?? error.message);
    });
    stream.on('end', () => lost('ended'));
    stream.on('data', (message: ControlMessage) => this.#received(message, endpoint));
    stream.write(this.#options.hello());
  }

  #received(message: ControlMessage, endpoint: string): void {
    if (!this.#up && !this.#stopped) {
      this.#up = true;
      this.#attempt = 0;
      clearTimeout(this.#welcome);
      this.#options.log.info('the link to the control plane is up', { endpoint });
      this.#options.opened();
    }
    this.#options.message(message);
  }

  #later(): void {
    if (this.#stopped) return;
    const longest = Math.min(BACKOFF_MS_MAX, BACKOFF_MS_MIN * 2 ** Math.min(this.#attempt, 10));
    this.#attempt++;
    this.#retry = setTimeout(() => this.#dial(), longest * (0.5 + this.#options.random() / 2));
  }
}
