/**
 * A fake of two of Google's services, since the true ones cannot run here: the token endpoint for service accounts
 * ("Using OAuth 2.0 for Server to Server Applications") and groups.list of the Admin SDK's Directory API, with its pages and
 * its errors as they are documented. It checks what Google checks: the assertion's signature, audience, scope and times.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type CryptoKey, exportPKCS8, generateKeyPair, jwtVerify } from 'jose';

const SCOPE = 'https://www.googleapis.com/auth/admin.directory.group.readonly';
export const SERVICE_ACCOUNT = 'groups@project.iam.gserviceaccount.com';
export const ADMINISTRATOR = 'reader@corp.example';

export class GoogleDirectoryFake {
  /** Groups of each person, by address as Google has it. */
  groups: Readonly<Record<string, readonly string[]>> = {};
  /** Answered instead of a page, once for each entry. */
  failures: { readonly status: number; readonly reason: string }[] = [];
  /** Also for the token endpoint, as after a revoked delegation. */
  tokenFailure: string | undefined;
  pageMax = 200;
  nowMs = (): number => Date.now();
  tokens = 0;
  readonly pages: { readonly userKey: string; readonly pageToken: string | null }[] = [];
  /** PEM, as in the service account's key file. */
  privateKey = '';
  #publicKey: CryptoKey | undefined;
  #issued = new Map<string, number>();
  readonly #server = createServer((request, response) => {
    this.#answer(request, response).catch((error: unknown) => response.writeHead(500).end(String(error)));
  });

  async start(): Promise<this> {
    const pair = await generateKeyPair('RS256', { extractable: true });
    this.#publicKey = pair.publicKey;
    this.privateKey = await exportPKCS8(pair.privateKey);
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
    return this;
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  get #url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  get endpoints(): { readonly token: string; readonly directory: string } {
    return { token: `${this.#url}/token`, directory: `${this.#url}/admin/directory/v1` };
  }

  /** Tokens given so far are no longer good, as after an hour. */
  expireTokens(): void {
    this.#issued = new Map();
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '/', this.#url);
    const json = (value: object, status = 200): void => {
      response.writeHead(status, { 'content-type': 'application/json; charset=UTF-8' }).end(JSON.stringify(value));
    };
    if (request.method === 'POST' && url.pathname === '/token') {
      let text = '';
      for await (const chunk of request) text += String(chunk);
      return json(...(await this.#token(new URLSearchParams(text))));
    }
    if (request.method === 'GET' && url.pathname === '/admin/directory/v1/groups')
      return json(...this.#list(url.searchParams, request.headers.authorization));
    response.writeHead(404).end();
  }

  async #token(form: URLSearchParams): Promise<[object, number]> {
    this.tokens++;
    if (this.tokenFailure !== undefined) return [{ error: this.tokenFailure, error_description: 'fake' }, 401];
    if (form.get('grant_type') !== 'urn:ietf:params:oauth:grant-type:jwt-bearer')
      return [{ error: 'unsupported_grant_type' }, 400];
    try {
      const { payload } = await jwtVerify(form.get('assertion') ?? '', this.#publicKey!, {
        algorithms: ['RS256'],
        issuer: SERVICE_ACCOUNT,
        subject: ADMINISTRATOR,
        audience: this.endpoints.token,
        maxTokenAge: '1h',
        currentDate: new Date(this.nowMs()),
      });
      if (payload['scope'] !== SCOPE) return [{ error: 'unauthorized_client' }, 401];
    } catch {
      return [{ error: 'invalid_grant', error_description: 'Invalid JWT Signature.' }, 400];
    }
    const token = `ya29.fake-${this.tokens}`;
    this.#issued.set(token, this.nowMs() + 3_599_000);
    return [{ access_token: token, expires_in: 3_599, token_type: 'Bearer' }, 200];
  }

  #list(query: URLSearchParams, authorization = ''): [object, number] {
    const fails = (code: number, reason: string): [object, number] => [
      { error: { code, message: reason, errors: [{ message: reason, domain: 'global', reason }] } },
      code,
    ];
    if ((this.#issued.get(authorization.replace(/^Bearer /, '')) ?? 0) < this.nowMs()) return fails(401, 'authError');
    const failure = this.failures.shift();
    if (failure !== undefined) return fails(failure.status, failure.reason);
    const userKey = query.get('userKey') ?? '';
    const pageToken = query.get('pageToken');
    this.pages.push({ userKey, pageToken });
    const all = this.groups[userKey];
    // A person of another domain, or nobody: groups.list says 404 "notFound".
    if (all === undefined) return fails(404, 'notFound');
    const from = pageToken === null ? 0 : Number(Buffer.from(pageToken, 'base64url').toString());
    if (!Number.isInteger(from) || from < 0) return fails(400, 'invalid');
    const size = Math.min(Number(query.get('maxResults') ?? 200), this.pageMax);
    const groups = all.slice(from, from + size).map((email) => ({
      kind: 'admin#directory#group',
      id: email,
      email,
      name: email,
      directMembersCount: '3',
    }));
    const next = from + size;
    return [
      {
        kind: 'admin#directory#groups',
        etag: '"fake"',
        // A person without groups gets no `groups` at all.
        ...(groups.length === 0 ? {} : { groups }),
        ...(next < all.length ? { nextPageToken: Buffer.from(String(next)).toString('base64url') } : {}),
      },
      200,
    ];
  }
}
