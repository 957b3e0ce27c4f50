/**
 * Both sign-ins: ends the client's (startup, TLS, token as the password) and makes ours at the server (TLS, SCRAM, …).
 * Refuses to let a byte of the client reach the server, and a byte of the credential reach the client.
 * PostgreSQL protocol, "Message Flow: Start-up" and "SASL Authentication". Limits: startupBytesMax, passwordBytesMax.
 */
import { createHash } from 'node:crypto';
import { GatewayError, isDnsLabel, LIMITS, Secret } from '@sallyport/core';
import type { PostgresTarget, Resource } from '@sallyport/model';
import type {
  ClientPort,
  ClientTls,
  SignedIn,
  TlsUpgrade,
  UpstreamCredential,
  UpstreamTls,
} from '@sallyport/protocol-kit';
import { SUPPORTED_SERVER_MAJORS } from '@sallyport/sql';
import { frameBytes, HEAD_BYTES, int32, letter } from './codec.ts';
import {
  authenticationCleartextPassword,
  type Fields,
  negotiateProtocolVersion,
  parseFields,
  parsePassword,
  parseStartupPacket,
  parseStatus,
  passwordMessage,
  saslInitialResponse,
  saslResponse,
  sslRequest,
  startupBytes,
  startupMessage,
} from './messages.ts';
import { isReasonTooLong, REASON_SETTING } from './reason.ts';
import { type ScramExchange, startScram } from './scram.ts';

// --- the client's side -----------------------------------------------------------------------------------------------

export interface LoginRequest {
  readonly token: Secret<string>;
  /** '' when no resource is named in a form that could exist: sign-in then fails like any other. */
  readonly resource: string;
  readonly role: string | undefined;
  /** '' when the client named none (or, as libpq does, repeated the user name). */
  readonly database: string;
  readonly application: string;
  /** Why, in the requester's words: the gateway's, never passed on. */
  readonly reason: string;
  /** As the client sent it; shown back to it as `session_authorization`. */
  readonly user: string;
  /** Settings to pass on, allowlisted and checked. */
  readonly settings: Readonly<Record<string, string>>;
  /** 0 or 2. */
  readonly minor: number;
}

export type LoginEvent =
  | { readonly kind: 'wait' }
  | { readonly kind: 'cancel'; readonly processId: number; readonly secret: Buffer }
  | { readonly kind: 'request'; readonly request: LoginRequest };

/** Settings a client may start with, beside those in SPECIAL; in lower case. */
const SETTINGS: ReadonlySet<string> = new Set([
  'application_name',
  'datestyle',
  'timezone',
  'intervalstyle',
  'extra_float_digits',
  'statement_timeout',
  'lock_timeout',
  'idle_in_transaction_session_timeout',
]);
/** Names of UTF8 that drivers send. SQL_ASCII means "as it is": pinned to UTF8, which the client is told. */
const UTF8 = /^'?(utf-?8|unicode|sql_ascii)'?$/i;
const WAIT: LoginEvent = { kind: 'wait' };
const UPGRADES_MAX = 3;

/** Reads the client's packets until its token is there. One for each connection. */
export class ClientLogin {
  readonly #client: ClientPort;
  readonly #resourceOf: (serverName: string) => string | undefined;
  #bytes: Buffer = Buffer.alloc(0);
  #phase: 'startup' | 'tls' | 'password' | 'done' = 'startup';
  #tls: ClientTls | undefined;
  #upgrades = 0;
  #startup: Omit<LoginRequest, 'token'> | undefined;

  constructor(client: ClientPort, resourceOf: (serverName: string) => string | undefined) {
    this.#client = client;
    this.#resourceOf = resourceOf;
  }

  secured(tls: ClientTls): void {
    this.#tls = tls;
    if (this.#phase === 'tls') this.#phase = 'startup';
  }

  /**
   * @throws GatewayError `protocol.malformed`, `protocol.unexpected`, `protocol.unsupported`, `tls.required`
   */
  bytes(chunk: Buffer): LoginEvent {
    // After the request is out the client waits for an answer; before TLS is up nothing may arrive in clear
    // (bytes stuffed behind SSLRequest would be read as if they had been encrypted: CVE-2021-23222).
    if (this.#phase === 'done' || this.#phase === 'tls') throw new GatewayError('protocol.unexpected');
    this.#bytes = this.#bytes.length === 0 ? Buffer.from(chunk) : Buffer.concat([this.#bytes, chunk]);
    let event = WAIT;
    while (event.kind === 'wait' && this.#bytes.length > 0) {
      const packet = this.#next();
      if (packet === undefined) break;
      event = this.#phase === 'password' ? this.#password(packet) : this.#packet(packet);
    }
    return event;
  }

  #next(): Buffer | undefined {
    let length: number | undefined;
    if (this.#phase === 'password') {
      if (this.#bytes[0] !== letter('p')) throw new GatewayError('protocol.unexpected', { type: this.#bytes[0]! });
      if (this.#bytes.length >= HEAD_BYTES) length = frameBytes(this.#bytes, 0);
      if (length !== undefined && length > LIMITS.passwordBytesMax) throw new GatewayError('protocol.malformed');
    } else length = startupBytes(this.#bytes);
    if (length === undefined || this.#bytes.length < length) return undefined;
    const packet = this.#bytes.subarray(0, length);
    this.#bytes = this.#bytes.subarray(length);
    return packet;
  }

  #packet(bytes: Buffer): LoginEvent {
    const packet = parseStartupPacket(bytes);
    switch (packet.kind) {
      case 'ssl':
        if (this.#tls !== undefined || ++this.#upgrades > UPGRADES_MAX) throw new GatewayError('protocol.unexpected');
        if (this.#bytes.length > 0) throw new GatewayError('protocol.unexpected', { stuffed: this.#bytes.length });
        this.#client.write(Buffer.from('S'));
        this.#phase = 'tls';
        this.#client.startTls();
        return WAIT;
      case 'gssenc':
        if (this.#tls !== undefined || ++this.#upgrades > UPGRADES_MAX) throw new GatewayError('protocol.unexpected');
        if (this.#bytes.length > 0) throw new GatewayError('protocol.unexpected', { stuffed: this.#bytes.length });
        this.#client.write(Buffer.from('N'));
        return WAIT;
      case 'cancel':
        this.#phase = 'done';
        return { kind: 'cancel', processId: packet.processId, secret: packet.secret };
      case 'startup':
        if (this.#tls === undefined && !this.#client.plaintextAllowed) throw new GatewayError('tls.required');
        if (packet.major !== 3) throw new GatewayError('protocol.unsupported', { parameter: 'protocol version' });
        this.#startup = this.#read(packet.minor, packet.parameters);
        this.#client.write(authenticationCleartextPassword());
        this.#phase = 'password';
        return WAIT;
      default:
        return packet satisfies never;
    }
  }

  #read(minor: number, given: ReadonlyMap<string, string>): Omit<LoginRequest, 'token'> {
    const user = given.get('user') ?? '';
    const unknown: string[] = [];
    const settings: Record<string, string> = {};
    let reason = '';
    for (const [name, value] of given) {
      const key = name.toLowerCase();
      if (name === 'user' || name === 'database') continue;
      if (name.startsWith('_pq_.')) unknown.push(name);
      else if (key === 'client_encoding' && UTF8.test(value)) continue;
      else if (key === REASON_SETTING && !isReasonTooLong(value)) reason = value;
      else if (key === 'search_path' && !/pg_catalog|pg_temp|pg_toast/i.test(value)) settings[key] = value;
      else if (SETTINGS.has(key)) settings[key] = value;
      else throw new GatewayError('protocol.unsupported', { parameter: name.slice(0, 64) });
    }
    const plus = user.indexOf('+');
    const bySni = this.#tls?.serverName === undefined ? undefined : this.#resourceOf(this.#tls.serverName);
    const named = bySni ?? (plus < 0 ? user : user.slice(plus + 1));
    const database = given.get('database') ?? '';
    if (minor > 2 || unknown.length > 0) this.#client.write(negotiateProtocolVersion(Math.min(minor, 2), unknown));
    return {
      // `+resource` names no role and is no resource either.
      resource: plus !== 0 && isDnsLabel(named) ? named : '',
      role: plus > 0 ? user.slice(0, plus) : undefined,
      database: database === user ? '' : database,
      application: (settings['application_name'] ?? '').slice(0, 256),
      reason,
      user,
      settings,
      minor: minor >= 2 ? 2 : 0,
    };
  }

  #password(packet: Buffer): LoginEvent {
    const token = new Secret(parsePassword(packet));
    this.#phase = 'done';
    if (this.#bytes.length > 0) throw new GatewayError('protocol.unexpected');
    return { kind: 'request', request: { ...this.#startup!, token } };
  }
}

// --- the server's side -----------------------------------------------------------------------------------------------

/** No message of a sign-in is nearly as long. */
const MESSAGE_BYTES_MAX = 64 * 1024;

/** A connection of ours that is ready for its first statement. */
export interface UpstreamReady {
  readonly processId: number;
  readonly secret: Buffer;
  /** Its version, one of SUPPORTED_SERVER_MAJORS. */
  readonly major: number;
  /** What the server reported about its settings. */
  readonly parameters: ReadonlyMap<string, string>;
}

export interface UpstreamLoginPorts {
  send(bytes: Uint8Array): void;
  startTls(): void;
  randomBytes(size: number): Buffer;
  ready(upstream: UpstreamReady): void;
  /** `fields` are the server's own words where they may be shown (a database that is not there); never about a credential. */
  failed(error: GatewayError, fields?: Fields): void;
}

/** TLS has no place on this way to the server: the resource says so, or it is a unix socket. */
export const isPlain = (target: PostgresTarget | undefined): boolean =>
  target?.tls === 'disable' || target?.socket !== undefined;

export const TLS_UPGRADE: TlsUpgrade = { request: sslRequest(), agreed: letter('S') };

/** What the session relies on; RESET and DISCARD go back to what a connection started with, so these hold for good. */
export function pinnedSettings(signed: SignedIn): Readonly<Record<string, string>> {
  return {
    client_encoding: 'UTF8',
    standard_conforming_strings: 'on',
    ...(signed.role === undefined ? {} : { role: signed.role }),
    ...(signed.readOnly ? { default_transaction_read_only: 'on' } : {}),
  };
}

/** Signs in at the server. Every way a server could ask for less than the resource demands ends it. */
export class UpstreamLogin {
  readonly #ports: UpstreamLoginPorts;
  readonly #resource: Resource;
  readonly #target: PostgresTarget;
  readonly #credential: UpstreamCredential;
  readonly #startup: Readonly<Record<string, string>>;
  readonly #parameters = new Map<string, string>();
  #phase: 'ssl' | 'tls' | 'auth' | 'settling' | 'done' = 'ssl';
  #bytes: Buffer = Buffer.alloc(0);
  #tls: UpstreamTls | undefined;
  #scram: ScramExchange | undefined;
  /** Our proof is being made: what comes meanwhile waits. */
  #proving = false;
  #proved = false;
  #answered = false;
  #key: { readonly processId: number; readonly secret: Buffer } | undefined;

  /** @param startup further parameters of the startup message: allowlisted ones of the client, and the pinned ones last */
  constructor(
    ports: UpstreamLoginPorts,
    resource: Resource,
    credential: UpstreamCredential,
    database: string,
    startup: Readonly<Record<string, string>>,
  ) {
    if (resource.postgres === undefined)
      throw new GatewayError('upstream.protocol', { why: 'not a PostgreSQL resource' });
    this.#ports = ports;
    this.#resource = resource;
    this.#target = resource.postgres;
    this.#credential = credential;
    this.#startup = { ...startup, user: credential.username, database };
  }

  /** The connection is open. */
  start(): void {
    if (isPlain(this.#target)) this.#hello();
    else this.#ports.send(TLS_UPGRADE.request);
  }

  secured(tls: UpstreamTls): void {
    this.#tls = tls;
    this.#hello();
  }

  #hello(): void {
    this.#phase = 'auth';
    this.#ports.send(startupMessage(this.#startup));
  }

  bytes(chunk: Buffer): void {
    try {
      this.#read(chunk);
    } catch (error) {
      this.#broken(error);
    }
  }

  #broken(error: unknown): void {
    const known = error instanceof GatewayError && error.code.startsWith('upstream.');
    this.#fail(known ? error : new GatewayError('upstream.protocol', {}, { cause: error }));
  }

  #fail(error: GatewayError, fields?: Fields): void {
    if (this.#phase === 'done') return;
    this.#phase = 'done';
    this.#ports.failed(error, fields);
  }

  #read(chunk: Buffer): void {
    if (this.#phase === 'done') return;
    if (this.#phase === 'ssl') {
      // Exactly one byte: more would be data in clear that a man in the middle put before the handshake.
      if (chunk.length !== 1 || chunk[0] !== TLS_UPGRADE.agreed) {
        throw new GatewayError('upstream.tls', { host: this.#target.host ?? '', answer: chunk[0] ?? 0 });
      }
      this.#phase = 'tls';
      this.#ports.startTls();
      return;
    }
    if (this.#phase === 'tls') throw new GatewayError('upstream.protocol', { why: 'bytes before TLS' });
    const bytes = this.#bytes.length === 0 ? chunk : Buffer.concat([this.#bytes, chunk]);
    let at = 0;
    while (at + HEAD_BYTES <= bytes.length) {
      const size = frameBytes(bytes, at);
      if (size > MESSAGE_BYTES_MAX) throw new GatewayError('upstream.protocol', { length: size });
      if (at + size > bytes.length || this.#proving) break;
      if ((this.#phase as string) === 'done')
        throw new GatewayError('upstream.protocol', { why: 'bytes after sign-in' });
      this.#frame(bytes, at, at + size);
      at += size;
    }
    if (bytes.length - at > MESSAGE_BYTES_MAX)
      throw new GatewayError('upstream.protocol', { length: bytes.length - at });
    this.#bytes = Buffer.from(bytes.subarray(at));
  }

  async #prove(scram: ScramExchange, serverFirst: string): Promise<void> {
    this.#proving = true;
    try {
      const proof = await scram.clientFinal(serverFirst);
      this.#proving = false;
      // The client may have gone meanwhile, or the server.
      if (this.#phase === 'done') return;
      this.#ports.send(saslResponse(proof));
      this.#read(Buffer.alloc(0));
    } catch (error) {
      this.#broken(error);
    }
  }

  #frame(bytes: Buffer, at: number, end: number): void {
    switch (String.fromCharCode(bytes[at]!)) {
      case 'R':
        return this.#authentication(bytes, at, end);
      case 'S': {
        const [name, value] = parseStatus(bytes, at, end);
        this.#parameters.set(name, value);
        return;
      }
      case 'K':
        this.#key = {
          processId: int32(bytes, at + HEAD_BYTES),
          secret: Buffer.from(bytes.subarray(at + HEAD_BYTES + 4, end)),
        };
        return;
      case 'N':
        return;
      case 'E':
        return this.#error(parseFields(bytes, at, end));
      case 'Z':
        return this.#ready();
      default:
        throw new GatewayError('upstream.protocol', { type: bytes[at]! });
    }
  }

  #error(fields: Fields): void {
    const state = fields.get('C') ?? '';
    const detail = { sqlstate: state, resource: this.#resource.name };
    if (state.startsWith('28') || state === '42501') return this.#fail(new GatewayError('upstream.auth', detail));
    if (state === '3D000') return this.#fail(new GatewayError('upstream.unreachable', detail), fields);
    if (state === '22023' && this.#startup['role'] !== undefined)
      return this.#fail(new GatewayError('upstream.auth', detail));
    // A setting the client chose and the server does not know, a full server, a server starting up: in its own words.
    this.#fail(new GatewayError('upstream.unreachable', detail), fields);
  }

  #authentication(bytes: Buffer, at: number, end: number): void {
    if (this.#phase !== 'auth') throw new GatewayError('upstream.protocol', { why: 'authentication after sign-in' });
    const kind = int32(bytes, at + HEAD_BYTES);
    const body = bytes.subarray(at + HEAD_BYTES + 4, end);
    switch (kind) {
      case 0:
        return this.#ok();
      case 3:
        this.#require('password');
        return this.#ports.send(passwordMessage(this.#password()));
      case 5: {
        this.#require('md5');
        if (body.length !== 4) throw new GatewayError('upstream.protocol');
        const inner = md5(Buffer.from(this.#password() + this.#credential.username));
        return this.#ports.send(passwordMessage(`md5${md5(Buffer.concat([Buffer.from(inner), body]))}`));
      }
      case 10:
        return this.#sasl(
          body
            .toString('latin1')
            .split('\0')
            .filter((name) => name !== ''),
        );
      case 11:
        if (this.#scram === undefined) throw new GatewayError('upstream.protocol', { why: 'SASL' });
        void this.#prove(this.#scram, body.toString('utf8'));
        return;
      case 12:
        if (this.#scram === undefined) throw new GatewayError('upstream.protocol', { why: 'SASL' });
        this.#scram.verify(body.toString('utf8'));
        this.#proved = true;
        return;
      default:
        throw new GatewayError('upstream.auth', { why: 'method', method: kind });
    }
  }

  #sasl(offered: readonly string[]): void {
    const { auth } = this.#target;
    const certificate = this.#tls?.certificate;
    const plus = offered.includes('SCRAM-SHA-256-PLUS') && certificate !== undefined;
    if (!offered.includes('SCRAM-SHA-256') && !plus)
      throw new GatewayError('upstream.auth', { why: 'SASL mechanisms' });
    const usePlus = plus && (auth.includes('scram-sha-256-plus') || auth.includes('scram-sha-256'));
    if (!usePlus && !auth.includes('scram-sha-256'))
      throw new GatewayError('upstream.auth', { why: 'scram-sha-256 is not allowed' });
    const nonce = this.#ports.randomBytes(18);
    this.#scram = startScram(
      this.#password(),
      usePlus ? { kind: 'bound', certificate: certificate! } : { kind: certificate === undefined ? 'none' : 'unused' },
      nonce,
    );
    this.#answered = true;
    this.#ports.send(saslInitialResponse(this.#scram.mechanism, this.#scram.clientFirst));
  }

  #require(method: 'password' | 'md5'): void {
    if (!this.#target.auth.includes(method))
      throw new GatewayError('upstream.auth', { why: `${method} is not allowed` });
    this.#answered = true;
  }

  #password(): string {
    const secret = this.#credential.secret;
    if (secret === undefined || this.#credential.certificate)
      throw new GatewayError('upstream.auth', { why: 'no password' });
    return secret.reveal();
  }

  #ok(): void {
    if (this.#scram !== undefined && !this.#proved)
      throw new GatewayError('upstream.auth', { why: 'server signature' });
    if (!this.#answered) {
      const byCertificate =
        this.#credential.certificate && this.#tls !== undefined && this.#target.auth.includes('certificate');
      if (!byCertificate && !this.#target.auth.includes('trust'))
        throw new GatewayError('upstream.auth', { why: 'the server asked for nothing' });
    }
    this.#phase = 'settling';
  }

  #ready(): void {
    if (this.#phase !== 'settling' || this.#key === undefined)
      throw new GatewayError('upstream.protocol', { why: 'order of sign-in' });
    if (
      this.#parameters.get('client_encoding') !== 'UTF8' ||
      this.#parameters.get('standard_conforming_strings') !== 'on'
    ) {
      throw new GatewayError('upstream.protocol', { why: 'pinned settings' });
    }
    // Statements are judged by one grammar: a server that might read them otherwise is not spoken to.
    const version = this.#parameters.get('server_version') ?? '';
    const major = Number.parseInt(version, 10);
    if (!SUPPORTED_SERVER_MAJORS.includes(major))
      throw new GatewayError('upstream.version', { version: version.slice(0, 64) });
    this.#phase = 'done';
    this.#ports.ready({ ...this.#key, major, parameters: this.#parameters });
  }
}

const md5 = (bytes: Uint8Array): string => createHash('md5').update(bytes).digest('hex');
