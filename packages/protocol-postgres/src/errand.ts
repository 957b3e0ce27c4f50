/**
 * A connection of the gateway's own, for what it has to do at a server by itself: try a credential, make and drop accounts.
 * Signs in as a session does and speaks simple queries one after the other. Refuses to serve a client: no statement of one
 * ever passes here. PostgreSQL protocol, "Simple Query". Limits: ROWS_MAX.
 */
import { GatewayError } from '@sallyport/core';
import type { Resource } from '@sallyport/model';
import type { UpstreamCredential, UpstreamTls } from '@sallyport/protocol-kit';
import { frameBytes, HEAD_BYTES, int32 } from './codec.ts';
import { isPlain, TLS_UPGRADE, UpstreamLogin } from './login.ts';
import { parseDataRow, parseFields, query, terminate } from './messages.ts';

const ROWS_MAX = 10_000;

export interface ErrandPorts {
  send(bytes: Uint8Array): void;
  startTls(): void;
  randomBytes(size: number): Buffer;
  /** Nothing more is to be sent. */
  end(): void;
}

type Row = readonly (string | undefined)[];

/** What the server said no with. */
export class ServerRefusal extends Error {
  override readonly name = 'ServerRefusal';
  readonly sqlstate: string;
  constructor(sqlstate: string) {
    super(`the server refused (${sqlstate})`);
    this.sqlstate = sqlstate;
  }
}

export class Errand {
  readonly #ports: ErrandPorts;
  readonly #login: UpstreamLogin;
  readonly #plain: boolean;
  readonly #signedIn = Promise.withResolvers<void>();
  #open = false;
  #broken: Error | undefined;
  #bytes: Buffer = Buffer.alloc(0);
  #running: { rows: Row[]; error: Error | undefined; readonly done: PromiseWithResolvers<readonly Row[]> } | undefined;

  constructor(ports: ErrandPorts, resource: Resource, credential: UpstreamCredential, database: string) {
    this.#ports = ports;
    this.#plain = isPlain(resource.postgres);
    const loginPorts = {
      send: (bytes: Uint8Array) => ports.send(bytes),
      startTls: () => ports.startTls(),
      randomBytes: (size: number) => ports.randomBytes(size),
      ready: () => {
        this.#open = true;
        this.#signedIn.resolve();
      },
      failed: (error: GatewayError) => this.failed(error),
    };
    this.#login = new UpstreamLogin(loginPorts, resource, credential, database, {
      application_name: 'sallyport',
      client_encoding: 'UTF8',
      standard_conforming_strings: 'on',
      search_path: 'pg_catalog',
      statement_timeout: '15000',
      lock_timeout: '5000',
    });
    this.#signedIn.promise.catch(() => undefined);
  }

  /** The connection is open. @throws GatewayError as a session's sign-in at the server */
  async signIn(): Promise<void> {
    this.#login.start();
    await this.#signedIn.promise;
  }

  /** Runs one text; its rows, as texts. One at a time. @throws ServerRefusal, GatewayError `upstream.*` */
  async run(sql: string): Promise<readonly Row[]> {
    if (this.#broken !== undefined) throw this.#broken;
    if (!this.#open || this.#running !== undefined) throw new GatewayError('internal', { reason: 'errand' });
    const done = Promise.withResolvers<readonly Row[]>();
    this.#running = { rows: [], error: undefined, done };
    this.#ports.send(query(sql));
    return await done.promise;
  }

  /** Says goodbye. */
  close(): void {
    if (this.#open && this.#broken === undefined) this.#ports.send(terminate());
    this.#ports.end();
  }

  secured(tls: UpstreamTls): void {
    this.#login.secured(tls);
  }

  /** The connection is gone, or cannot be used any more. */
  failed(error: Error): void {
    this.#broken ??= error;
    this.#signedIn.reject(error);
    const running = this.#running;
    this.#running = undefined;
    running?.done.reject(error);
    this.#ports.end();
  }

  bytes(chunk: Buffer): void {
    if (!this.#open) return this.#login.bytes(chunk);
    try {
      const bytes = this.#bytes.length === 0 ? chunk : Buffer.concat([this.#bytes, chunk]);
      let at = 0;
      while (at + HEAD_BYTES <= bytes.length) {
        const size = frameBytes(bytes, at);
        if (at + size > bytes.length) break;
        this.#frame(bytes, at, at + size);
        at += size;
      }
      this.#bytes = Buffer.from(bytes.subarray(at));
    } catch (cause) {
      this.failed(new GatewayError('upstream.protocol', {}, { cause }));
    }
  }

  #frame(bytes: Buffer, at: number, end: number): void {
    const running = this.#running;
    switch (String.fromCharCode(bytes[at]!)) {
      case 'D':
        if (running !== undefined && running.rows.length < ROWS_MAX) running.rows.push(parseDataRow(bytes, at, end));
        return;
      case 'E': {
        const state = parseFields(bytes, at, end).get('C') ?? '';
        if (running === undefined) this.failed(new GatewayError('upstream.unreachable', { sqlstate: state }));
        else running.error ??= new ServerRefusal(state);
        return;
      }
      case 'Z':
        this.#running = undefined;
        if (running?.error === undefined) running?.done.resolve(running.rows);
        else running.done.reject(running.error);
        return;
      case 'G':
      case 'H':
      case 'W':
        throw new GatewayError('upstream.protocol', { type: int32(bytes, at) });
      default:
        return;
    }
  }

  /** How TLS is asked for; undefined = it has no place on this way. */
  get upgrade(): typeof TLS_UPGRADE | undefined {
    return this.#plain ? undefined : TLS_UPGRADE;
  }
}
