/**
 * Fakes of the key services of AWS, Google and Azure: servers that answer as their REST references say on the calls Sallyport
 * makes, for the clouds' own SDKs to speak to (none of the clouds can run here). Each key exists, made when first used, and
 * what is wrong is refused in the service's own form, with words that must not get out.
 */
import { execFileSync } from 'node:child_process';
import {
  constants,
  createCipheriv,
  createDecipheriv,
  generateKeyPairSync,
  type KeyObject,
  privateDecrypt,
  publicEncrypt,
  randomBytes,
} from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { getCACertificates, setDefaultCACertificates } from 'node:tls';

export interface FakeKms {
  /** Of the kind, without `name`. */
  readonly kind: string;
  readonly settings: Readonly<Record<string, string>>;
  /** Calls that came, as the service names them, and what was to be authenticated beside the text. */
  readonly asked: string[];
  /** It answers nothing but 503 from here on, or answers again. */
  /** `silent`: takes every question and answers none. */
  setAway(away: boolean | 'silent'): void;
  /** Azure's key gets another version; the others' keys are rotated within. */
  rotate(): void;
  stop(): Promise<void>;
}

type Body = Readonly<Record<string, unknown>>;
interface Said {
  readonly status: number;
  readonly body: Body;
  readonly headers?: Readonly<Record<string, string>>;
}
type Answer = (request: IncomingMessage, body: Body, address: string) => Said;

/** POST /, X-Amz-Target TrentService.Encrypt or Decrypt, signed for service kms. */
export async function startFakeAwsKms(): Promise<FakeKms> {
  const keys = symmetricKeys();
  const refuse = (type: string): Said => ({ status: 400, body: { __type: type, message: 'canary words' } });
  const served = await serve('http', (request, body) => {
    const signed = /^AWS4-HMAC-SHA256 Credential=[^/]+\/\d{8}\/eu-central-1\/kms\/aws4_request, /;
    if (!signed.test(String(request.headers.authorization))) return refuse('IncompleteSignature');
    const key = String(body['KeyId']);
    if (key === 'alias/none') return refuse('NotFoundException');
    const context = JSON.stringify(body['EncryptionContext'] ?? {});
    const verb = String(request.headers['x-amz-target']);
    served.asked.push(`${verb} ${context}`);
    if (verb === 'TrentService.Encrypt') {
      const blob = keys.seal(key, bytes(body['Plaintext']), context).toString('base64');
      return { status: 200, body: { CiphertextBlob: blob, KeyId: key, EncryptionAlgorithm: 'SYMMETRIC_DEFAULT' } };
    }
    const plain = keys.open(key, bytes(body['CiphertextBlob']), context);
    if (plain === undefined) return refuse('InvalidCiphertextException');
    return { status: 200, body: { Plaintext: plain.toString('base64'), KeyId: key } };
  });
  return {
    ...served.fake,
    kind: 'aws_kms',
    settings: { region: 'eu-central-1', key: 'alias/sallyport', endpoint: served.address },
    rotate: keys.rotate,
  };
}

/** POST /v1/projects/…/cryptoKeys/KEY:encrypt or :decrypt, with a bearer token. */
export async function startFakeGcpKms(): Promise<FakeKms> {
  const keys = symmetricKeys();
  const refuse = (status: number, code: string): Said => ({
    status,
    body: { error: { code: status, message: 'canary words', status: code } },
  });
  const served = await serve('https', (request, body) => {
    if (!String(request.headers.authorization).startsWith('Bearer ')) return refuse(401, 'UNAUTHENTICATED');
    const [, key = '', verb = ''] =
      /^\/v1\/(projects\/p-1\/locations\/europe-west3\/keyRings\/ring\/cryptoKeys\/[\w-]+):(\w+)/.exec(
        request.url ?? '',
      ) ?? [];
    if (key === '' || key.endsWith('/none')) return refuse(404, 'NOT_FOUND');
    const context = bytes(body['additionalAuthenticatedData']).toString();
    served.asked.push(`${verb} ${context}`);
    if (verb === 'encrypt') {
      const ciphertext = keys.seal(key, bytes(body['plaintext']), context).toString('base64');
      return { status: 200, body: { name: `${key}/cryptoKeyVersions/1`, ciphertext, protectionLevel: 'SOFTWARE' } };
    }
    const plain = keys.open(key, bytes(body['ciphertext']), context);
    if (plain === undefined) return refuse(400, 'INVALID_ARGUMENT');
    return { status: 200, body: { plaintext: plain.toString('base64'), protectionLevel: 'SOFTWARE' } };
  });
  return {
    ...served.fake,
    kind: 'gcp_kms',
    settings: {
      project: 'p-1',
      location: 'europe-west3',
      key_ring: 'ring',
      key: 'sallyport',
      endpoint: new URL(served.address).host,
    },
    rotate: keys.rotate,
  };
}

/** GET /keys/NAME/ and POST /keys/NAME/VERSION/wrapkey or unwrapkey, behind Key Vault's challenge. */
export async function startFakeAzureKeys(): Promise<FakeKms> {
  const versions = new Map<string, KeyObject>();
  const rotate = (): void =>
    void versions.set(randomBytes(16).toString('hex'), generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey);
  rotate();
  const oaep = { padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: 'sha256' };
  const refuse = (status: number, code: string): Said => ({
    status,
    body: { error: { code, message: 'canary words' } },
  });
  const served = await serve('https', (request, body, address) => {
    if (!String(request.headers.authorization).startsWith('Bearer ')) {
      const challenge = `Bearer authorization="https://login.example/tenant", resource="${address}"`;
      return { ...refuse(401, 'Unauthorized'), headers: { 'www-authenticate': challenge } };
    }
    const { pathname } = new URL(request.url ?? '', address);
    const [, name = '', version = '', verb = ''] =
      /^\/keys\/([\w-]+)(?:\/([0-9a-f]*))?(?:\/(\w+))?\/?$/.exec(pathname) ?? [];
    if (name !== 'sallyport') return refuse(404, 'KeyNotFound');
    const newest = [...versions.keys()].at(-1)!;
    const at = version === '' ? newest : version;
    const key = versions.get(at);
    if (key === undefined) return refuse(404, 'KeyNotFound');
    const kid = `${address}/keys/${name}/${at}`;
    served.asked.push(verb === '' ? 'get' : verb);
    if (verb === '') {
      const { n, e } = key.export({ format: 'jwk' });
      return {
        status: 200,
        body: { key: { kid, kty: 'RSA', n, e, key_ops: ['wrapKey', 'unwrapKey'] }, attributes: { enabled: true } },
      };
    }
    if (body['alg'] !== 'RSA-OAEP-256') return refuse(400, 'BadParameter');
    try {
      const value = Buffer.from(String(body['value']), 'base64url');
      const result =
        verb === 'wrapkey' ? publicEncrypt({ key, ...oaep }, value) : privateDecrypt({ key, ...oaep }, value);
      return { status: 200, body: { kid, value: result.toString('base64url') } };
    } catch {
      return refuse(400, 'BadParameter');
    }
  });
  return { ...served.fake, kind: 'azure_keys', settings: { vault_url: served.address, key: 'sallyport' }, rotate };
}

/** Keys by name, of which the newest version seals and each one opens. */
function symmetricKeys() {
  let versions = [randomBytes(32)];
  const tag = 16;
  return {
    rotate: (): void => {
      versions = [randomBytes(32), ...versions];
    },
    seal: (name: string, plain: Buffer, context: string): Buffer => {
      const nonce = randomBytes(12);
      const cipher = createCipheriv('aes-256-gcm', versions[0]!, nonce).setAAD(Buffer.from(`${name} ${context}`));
      return Buffer.concat([nonce, cipher.update(plain), cipher.final(), cipher.getAuthTag()]);
    },
    open: (name: string, sealed: Buffer, context: string): Buffer | undefined => {
      for (const key of versions) {
        try {
          const cipher = createDecipheriv('aes-256-gcm', key, sealed.subarray(0, 12))
            .setAAD(Buffer.from(`${name} ${context}`))
            .setAuthTag(sealed.subarray(-tag));
          return Buffer.concat([cipher.update(sealed.subarray(12, -tag)), cipher.final()]);
        } catch {
          // Another version's, or nobody's: as the services, it does not say which.
          continue;
        }
      }
      return undefined;
    },
  };
}

const bytes = (value: unknown): Buffer => Buffer.from(String(value), 'base64');

async function serve(scheme: 'http' | 'https', answer: Answer) {
  let away: boolean | 'silent' = false;
  const asked: string[] = [];
  const on = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const parts: Buffer[] = [];
    for await (const part of request) parts.push(part as Buffer);
    const text = Buffer.concat(parts).toString('utf8');
    if (away === 'silent') return;
    const said: Said = away
      ? { status: 503, body: {} }
      : answer(request, text === '' ? {} : (JSON.parse(text) as Body), address);
    const type = request.headers['x-amz-target'] === undefined ? 'application/json' : 'application/x-amz-json-1.1';
    response.writeHead(said.status, { 'content-type': type, ...said.headers });
    response.end(JSON.stringify(said.body));
  };
  const listener = (request: IncomingMessage, response: ServerResponse): void => void on(request, response);
  const server = scheme === 'http' ? createServer(listener) : createTlsServer(trustedPair(), listener);
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  const address = `${scheme}://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const fake = {
    asked,
    setAway: (value: boolean | 'silent'): void => {
      away = value;
    },
    stop: (): Promise<void> =>
      new Promise((done) => {
        server.close(() => done());
        server.closeAllConnections();
      }),
  };
  return { address, asked, fake };
}

/** A certificate for 127.0.0.1 that this process trusts from here on. */
function trustedPair(): { readonly key: Buffer; readonly cert: Buffer } {
  const dir = mkdtempSync(path.join(tmpdir(), 'sallyport-fake-'));
  try {
    const [key, cert] = [path.join(dir, 'key'), path.join(dir, 'cert')];
    const what = ['-subj', '/CN=127.0.0.1', '-addext', 'subjectAltName=IP:127.0.0.1', '-days', '2', '-nodes'];
    const how = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-keyout', key, '-out', cert];
    execFileSync('openssl', ['req', '-x509', ...what, ...how], { stdio: 'ignore' });
    const pair = { key: readFileSync(key), cert: readFileSync(cert) };
    setDefaultCACertificates([...getCACertificates('default'), pair.cert.toString()]);
    return pair;
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

/** Variables under which Google's client signs its own tokens, by a key made here, and asks nobody. */
export function googleSignIn(dir: string): Readonly<Record<string, string>> {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const file = path.join(dir, 'google.json');
  const account = {
    type: 'service_account',
    project_id: 'p-1',
    private_key_id: 'k',
    private_key: privateKey.export({ format: 'pem', type: 'pkcs8' }),
    client_email: 'sallyport@p-1.iam.gserviceaccount.com',
    client_id: '1',
    token_uri: 'http://127.0.0.1:9/none',
    universe_domain: 'googleapis.com',
  };
  writeFileSync(file, JSON.stringify(account), { mode: 0o600 });
  return { GOOGLE_APPLICATION_CREDENTIALS: file };
}
