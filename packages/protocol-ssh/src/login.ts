/**
 * Signing in, both ways. The client: an OpenSSH certificate of our CA that carries an access token, an access token as
 * password, or a link to a browser (RFC 4252, RFC 4256, OpenSSH PROTOCOL.certkeys). An offer of a key is an offer and never a
 * sign-in; all failures read alike. Upstream: a key, with its certificate where there is one, or a password.
 * Refuses to send anything of the client's to the host. Limits: LIMITS.sshSignInsMax, LIMITS.passwordBytesMax.
 */
import { type KeyObject, sign } from 'node:crypto';
import { GatewayError, isDnsLabel, LIMITS, Secret } from '@sallyport/core';
import type { SignedIn, SignInPort, UpstreamCredential } from '@sallyport/protocol-kit';
import {
  checkCertificate,
  isCertificateType,
  jwkThumbprint,
  type PrivateKey,
  parseCertificate,
  publicKeyBlob,
  type SshCertificate,
  signatureHolds,
  WireReader,
  wireString,
} from '@sallyport/ssh-certificates';
import { parsePrivateKey } from './codec.ts';
import {
  type AuthRequest,
  bool,
  byte,
  encode,
  MSG,
  parseAuthRequest,
  Reader,
  raw,
  string,
  uint32,
} from './messages.ts';

/** Where a user's certificate holds its access token: docs/adr/0023. */
export const TOKEN_EXTENSION = 'access-token@sallyport';
const SERVICE = 'ssh-userauth';
const CONNECTION = 'ssh-connection';

export interface ClientLoginPorts {
  readonly signIn: SignInPort;
  /** `ip:port`. */
  readonly address: string;
  sessionId(): Buffer;
  nowMs(): number;
  send(payload: Uint8Array): void;
  /** It is signed in; the success has been sent. */
  done(signed: SignedIn): void;
  /** A person was shown a link: the wait is longer. */
  asked(): void;
  /** Too many attempts, or an error that is none of the token's. */
  give(error: GatewayError): void;
}

interface Target {
  readonly user: string;
  readonly resource: string;
  readonly login: string | undefined;
}

type Waiting =
  | { readonly kind: 'none' }
  | { readonly kind: 'checking' }
  | { readonly kind: 'prompt'; readonly target: Target }
  | { readonly kind: 'link'; confirmed(): void };

/** OpenSSH comes this way before it asks for a password: so a token is taken here, too. */
const PROMPT = 'Access token, or Enter to sign in by browser: ';
/** For every certificate that was not taken, whatever the reason. */
const NOT_TAKEN =
  'Sallyport: the certificate was not accepted. Get another one with `sallyport ssh-cert --renew <resource>`, or sign in by browser with `ssh -o PubkeyAuthentication=no`.\r\n';

export class ClientLogin {
  readonly #ports: ClientLoginPorts;
  #served = false;
  #target: Target | undefined;
  #attempts = 0;
  #waiting: Waiting = { kind: 'none' };
  /** Requests that came while one is being answered (RFC 4252 section 5.1 lets clients do so); few. */
  readonly #queue: AuthRequest[] = [];
  #over = false;
  #cancelLink: (() => void) | undefined;
  /** A certificate was shown and not taken. */
  #certificateRefused = false;

  constructor(ports: ClientLoginPorts) {
    this.#ports = ports;
  }

  /** @throws GatewayError `protocol.unexpected`, `protocol.malformed` */
  message(payload: Buffer): void {
    const type = payload[0];
    if (type === MSG.serviceRequest && !this.#served) {
      if (new Reader(payload).text() !== SERVICE) throw new GatewayError('protocol.unexpected', { service: 'unknown' });
      this.#served = true;
      this.#ports.send(encode(byte(MSG.serviceAccept), string(SERVICE)));
    } else if (type === MSG.userauthRequest && this.#served) this.#requested(parseAuthRequest(payload));
    else if (type === MSG.userauthInfoResponse && this.#waiting.kind === 'link') this.#waiting.confirmed();
    else if (type === MSG.userauthInfoResponse && this.#waiting.kind === 'prompt')
      this.#prompted(payload, this.#waiting.target);
    else throw new GatewayError('protocol.unexpected', { type: type ?? 0 });
  }

  /** The client is gone. */
  close(): void {
    this.#over = true;
    this.#cancelLink?.();
  }

  #requested(request: AuthRequest): void {
    if (request.service !== CONNECTION) throw new GatewayError('protocol.unexpected', { service: 'unknown' });
    // One connection is one sign-in: an attempt for another account or resource is another connection's.
    if (this.#target !== undefined && this.#target.user !== request.user)
      throw new GatewayError('protocol.unexpected', { reason: 'another user name' });
    this.#target ??= targetOf(request.user);
    if (++this.#attempts > LIMITS.sshSignInsMax) throw new GatewayError('auth.failed', { why: 'too many attempts' });
    if (this.#waiting.kind === 'link' || this.#waiting.kind === 'prompt') {
      this.#cancelLink?.();
      this.#waiting = { kind: 'none' };
    }
    if (this.#waiting.kind === 'checking') {
      if (this.#queue.length >= 4) throw new GatewayError('protocol.unexpected', { reason: 'impatient' });
      this.#queue.push(request);
      return;
    }
    this.#answer(request, this.#target);
  }

  #answer({ method }: AuthRequest, target: Target): void {
    switch (method.kind) {
      case 'password':
        return this.#token(target, method.password);
      case 'publickey':
        return this.#key(target, method);
      case 'keyboard-interactive':
        return this.#prompt(target);
      case 'none':
      case 'other':
        return this.#refuse();
      default:
        method satisfies never;
    }
  }

  #token(target: Target, text: string): void {
    if (Buffer.byteLength(text) > LIMITS.passwordBytesMax) return this.#refuse();
    this.#check(target, { token: new Secret(text.trim()) });
  }

  #check(target: Target, proof: { readonly token: Secret<string>; readonly provenKey?: string }): void {
    this.#waiting = { kind: 'checking' };
    const request = { ...proof, resource: target.resource, role: target.login, database: '', application: '' };
    this.#ports.signIn.signIn(request).then(
      (signed) => {
        if (this.#over) return;
        this.#over = true;
        this.#queue.length = 0;
        this.#ports.send(encode(byte(MSG.userauthSuccess)));
        this.#ports.done(signed);
      },
      (error: unknown) => {
        if (this.#over) return;
        this.#waiting = { kind: 'none' };
        if (proof.provenKey !== undefined) this.#certificateRefused = true;
        if (error instanceof GatewayError && error.code !== 'auth.failed') return this.#ports.give(error);
        this.#refuse();
      },
    );
  }

  #key(named: Target, method: AuthRequest['method'] & { readonly kind: 'publickey' }): void {
    const certificate = isCertificateType(method.algorithm) ? readCertificate(method.key) : undefined;
    // A plain key says nothing here: it is not even looked at, and not on the record.
    if (certificate === undefined) return this.#refuse();
    const target = this.#certified(named, certificate);
    const wrong = checkCertificate(certificate, {
      kind: 'user',
      cas: (this.#ports.signIn.userCas?.() ?? []).map(publicKeyBlob),
      principal: target.resource,
      nowMs: this.#ports.nowMs(),
      address: this.#ports.address.slice(0, this.#ports.address.lastIndexOf(':')),
    });
    const token = certificate.extensions.get(TOKEN_EXTENSION);
    if (wrong !== undefined || token === undefined) {
      this.#certificateRefused = true;
      this.#ports.signIn.refused?.(target.resource, wrong ?? 'a certificate without an access token');
      return this.#refuse();
    }
    if (method.proof === undefined) {
      // "This key would do": nobody is signed in before a signature is seen (RFC 4252 section 7).
      this.#ports.send(encode(byte(MSG.userauthMethod), string(method.algorithm), string(method.key)));
      return;
    }
    const signed = Buffer.concat([wireString(this.#ports.sessionId()), method.proof.before]);
    if (!signatureHolds(certificate.publicKey, signed, method.proof.signature)) {
      this.#certificateRefused = true;
      this.#ports.signIn.refused?.(target.resource, 'a signature that does not hold');
      return this.#refuse();
    }
    this.#check(target, { token: new Secret(token), provenKey: jwkThumbprint(certificate.publicKey.key) });
  }

  /** A name that is none of ours is an account on the one resource of the certificate: `ssh deploy@web-1` by ssh-config. */
  #certified(named: Target, { principals }: SshCertificate): Target {
    const [only, ...others] = principals;
    if (only === undefined || others.length > 0 || named.login !== undefined) return named;
    if (named.user === only || this.#ports.signIn.isResource?.(named.resource) === true) return named;
    return { user: named.user, resource: only, login: named.user };
  }

  /** RFC 4256: one hidden question. */
  #prompt(target: Target): void {
    if (this.#ports.signIn.askByLink === undefined) return this.#refuse();
    if (this.#certificateRefused) {
      // A program without a person would answer with nothing, and wait for minutes for somebody to open the link.
      this.#ports.send(encode(byte(MSG.userauthBanner), string(NOT_TAKEN), string('')));
      return this.#refuse();
    }
    this.#waiting = { kind: 'prompt', target };
    const question = [string('Sallyport'), string(''), string(''), uint32(1), string(PROMPT), bool(false)];
    this.#ports.send(encode(byte(MSG.userauthMethod), ...question));
  }

  #prompted(payload: Buffer, target: Target): void {
    this.#waiting = { kind: 'none' };
    const reader = new Reader(payload);
    const text = reader.uint32() === 1 ? reader.text() : undefined;
    if (text === undefined) return this.#refuse();
    if (text === '') this.#link(target);
    else this.#token(target, text);
  }

  /** RFC 4256: a request with nothing to answer shows the link; what the client sends back says that it was seen. */
  #link(target: Target): void {
    const ask = this.#ports.signIn.askByLink?.bind(this.#ports.signIn);
    if (ask === undefined) return this.#refuse();
    this.#waiting = { kind: 'checking' };
    this.#ports.asked();
    const offered = ask(target.resource);
    this.#cancelLink = () => offered.cancel();
    offered.link.then(
      ({ url, userCode }) => {
        if (this.#over) return;
        const seen = Promise.withResolvers<void>();
        this.#waiting = { kind: 'link', confirmed: () => seen.resolve() };
        const words = `Open ${url}\nand confirm the code ${userCode}. This window goes on by itself.\n`;
        this.#ports.send(
          encode(byte(MSG.userauthMethod), string('Sign in by browser'), string(words), string(''), uint32(0)),
        );
        Promise.all([seen.promise, offered.token]).then(
          ([, token]) => {
            if (!this.#over && this.#waiting.kind === 'link') this.#check(target, { token });
          },
          () => this.#refuseLater(),
        );
      },
      () => this.#refuseLater(),
    );
    offered.token.catch(() => undefined);
  }

  #refuseLater(): void {
    if (this.#over) return;
    this.#waiting = { kind: 'none' };
    this.#refuse();
  }

  #refuse(): void {
    const methods = [
      'publickey',
      'password',
      ...(this.#ports.signIn.askByLink === undefined ? [] : ['keyboard-interactive']),
    ];
    this.#ports.send(encode(byte(MSG.userauthFailure), string(methods.join(',')), bool(false)));
    const next = this.#queue.shift();
    if (next !== undefined && this.#target !== undefined) this.#answer(next, this.#target);
  }
}

/** `<resource>` or `<login>+<resource>`; what is neither names nothing, and fails like a wrong token. */
function targetOf(user: string): Target {
  const plus = user.lastIndexOf('+');
  const resource = user.slice(plus + 1);
  const login = plus === -1 ? undefined : user.slice(0, plus);
  return { user, resource: isDnsLabel(resource) ? resource : '', login };
}

function readCertificate(blob: Buffer): SshCertificate | undefined {
  try {
    return parseCertificate(blob);
  } catch {
    return undefined;
  }
}

export interface UpstreamLoginPorts {
  sessionId(): Buffer;
  send(payload: Uint8Array): void;
  done(): void;
  /** It took nothing of what there was. */
  refused(): void;
}

/** Signs in at the host with one credential. */
export class UpstreamLogin {
  readonly #ports: UpstreamLoginPorts;
  readonly #login: string;
  readonly #attempts: (() => void)[];
  #current: 'key' | 'password' | 'interactive' = 'password';

  /** @throws GatewayError `credential.unavailable` for a key that cannot be read */
  constructor(login: string, credential: UpstreamCredential, ports: UpstreamLoginPorts) {
    this.#ports = ports;
    this.#login = login;
    this.#attempts = this.#plan(credential);
  }

  begin(): void {
    this.#ports.send(encode(byte(MSG.serviceRequest), string(SERVICE)));
  }

  message(payload: Buffer): void {
    switch (payload[0]) {
      case MSG.serviceAccept:
      case MSG.userauthFailure:
        return this.#next();
      case MSG.userauthSuccess:
        return this.#ports.done();
      case MSG.userauthBanner:
        // What a host says to whoever comes is not the client's to see before it is signed in, and it is in by then.
        return;
      case MSG.userauthMethod:
        return this.#asked(payload);
      default:
        throw new GatewayError('upstream.protocol', { type: payload[0] ?? 0 });
    }
  }

  #next(): void {
    const attempt = this.#attempts.shift();
    if (attempt === undefined) this.#ports.refused();
    else attempt();
  }

  #plan({ secret, ssh }: UpstreamCredential): (() => void)[] {
    const plan: (() => void)[] = [];
    const privateText = ssh?.privateKey.reveal() ?? (isPrivateKey(secret?.reveal()) ? secret?.reveal() : undefined);
    if (privateText !== undefined) {
      const key = parsePrivateKey(privateText);
      const blob = ssh?.certificate === undefined ? undefined : Buffer.from(ssh.certificate, 'base64');
      for (const algorithm of signaturesOf(key)) plan.push(() => this.#signIn(key, algorithm, blob));
      return plan;
    }
    if (secret !== undefined) {
      plan.push(() => {
        this.#current = 'password';
        this.#request('password', encode(bool(false), string(secret.reveal())));
      });
      plan.push(() => {
        // Hosts that ask through PAM take a password this way alone.
        this.#current = 'interactive';
        this.#answers = [secret];
        this.#request('keyboard-interactive', encode(string(''), string('')));
      });
    }
    return plan;
  }

  #answers: Secret<string>[] = [];

  #asked(payload: Buffer): void {
    if (this.#current !== 'interactive') return this.#next();
    const reader = new Reader(payload);
    reader.string();
    reader.string();
    reader.string();
    const count = reader.uint32();
    // One hidden question is the password; what asks for more is not answered.
    const secret = count === 0 ? undefined : this.#answers.shift();
    if (count > 1 || (count === 1 && secret === undefined)) return this.#next();
    this.#ports.send(
      count === 0
        ? encode(byte(MSG.userauthInfoResponse), uint32(0))
        : encode(byte(MSG.userauthInfoResponse), uint32(1), string(secret?.reveal() ?? '')),
    );
  }

  #request(method: string, rest: Uint8Array): void {
    this.#ports.send(
      encode(byte(MSG.userauthRequest), string(this.#login), string(CONNECTION), string(method), raw(rest)),
    );
  }

  /** RFC 4252 section 7; with a certificate the request names its type and the signature the plain one. */
  #signIn(key: PrivateKey, algorithm: Signature, certificate: Buffer | undefined): void {
    this.#current = 'key';
    const named = certificate === undefined ? algorithm.name : `${algorithm.name}-cert-v01@openssh.com`;
    const request = encode(
      byte(MSG.userauthRequest),
      string(this.#login),
      string(CONNECTION),
      string('publickey'),
      bool(true),
      string(named),
      string(certificate ?? key.blob),
    );
    const signed = Buffer.concat([wireString(this.#ports.sessionId()), request]);
    const signature = Buffer.concat([wireString(algorithm.name), wireString(signatureOf(key, algorithm, signed))]);
    this.#ports.send(Buffer.concat([request, wireString(signature)]));
  }
}

const isPrivateKey = (text: string | undefined): boolean => /^\s*-----BEGIN [A-Z ]*PRIVATE KEY-----/.test(text ?? '');

interface Signature {
  readonly name: string;
  readonly hash: string | null;
  readonly key: KeyObject;
}

const EC_HASHES: Readonly<Record<string, string>> = {
  'ecdsa-sha2-nistp256': 'sha256',
  'ecdsa-sha2-nistp384': 'sha384',
  'ecdsa-sha2-nistp521': 'sha512',
};

/** What a key can sign with, best first; never SHA-1. @throws GatewayError `credential.unavailable` */
function signaturesOf(key: PrivateKey): readonly Signature[] {
  if (key.type === 'ssh-ed25519') return [{ name: key.type, hash: null, key: key.key }];
  if (key.type === 'ssh-rsa')
    return [
      { name: 'rsa-sha2-512', hash: 'sha512', key: key.key },
      { name: 'rsa-sha2-256', hash: 'sha256', key: key.key },
    ];
  const hash = EC_HASHES[key.type];
  if (hash !== undefined) return [{ name: key.type, hash, key: key.key }];
  throw new GatewayError('credential.unavailable', { reason: 'a kind of key that is not used here' });
}

function signatureOf(key: PrivateKey, { hash, key: object }: Signature, data: Buffer): Buffer {
  if (!Object.hasOwn(EC_HASHES, key.type)) return sign(hash, data, object);
  const plain = sign(hash, data, { key: object, dsaEncoding: 'ieee-p1363' });
  const half = plain.length / 2;
  return Buffer.concat([mpint(plain.subarray(0, half)), mpint(plain.subarray(half))].map((part) => wireString(part)));
}

/** RFC 4251 section 5: no leading zeros but the one that keeps it positive. */
function mpint(bytes: Buffer): Buffer {
  let at = 0;
  while (at < bytes.length - 1 && bytes[at] === 0) at++;
  const short = bytes.subarray(at);
  return (short[0]! & 0x80) === 0 ? short : Buffer.concat([Buffer.alloc(1), short]);
}

/** What is known of a host: pinned keys, CAs that certify it, and whether a new one may be remembered. */
export interface HostTrust {
  readonly keys: readonly Buffer[];
  readonly cas: readonly Buffer[];
  readonly host: string;
  readonly nowMs: number;
  /** Asked last, for a plain key that is neither pinned nor certified. */
  remembered?(blob: Buffer): boolean;
}

/** Never throws: what cannot be read is not trusted. */
export function isTrustedHost(blob: Buffer, trust: HostTrust): boolean {
  try {
    const type = new WireReader(blob, 'host key').text();
    if (isCertificateType(type)) {
      const certificate = parseCertificate(blob);
      if (trust.keys.some((key) => key.equals(certificate.publicKey.blob))) return true;
      return (
        checkCertificate(certificate, { kind: 'host', cas: trust.cas, principal: trust.host, nowMs: trust.nowMs }) ===
        undefined
      );
    }
    if (trust.keys.some((key) => key.equals(blob))) return true;
    return trust.remembered?.(blob) ?? false;
  } catch {
    return false;
  }
}
