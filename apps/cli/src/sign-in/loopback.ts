/**
 * Sign-in by the browser of this machine (RFC 8252): a listener on loopback for one answer, a code with PKCE (RFC 7636).
 * Refuses an answer with another state or of another issuer (RFC 9207), and anything but the one path.
 */
import { spawn } from 'node:child_process';
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { OAuthApi, TokenAnswer } from '@sallyport/api-client';
import { CliError } from '../exit-codes.ts';

const WAIT_MS = 10 * 60_000;
const random = (): string => randomBytes(32).toString('base64url');

export interface LoopbackRequest {
  readonly baseUrl: string;
  readonly provider?: string | undefined;
  readonly project?: string | undefined;
  readonly maxAgeS?: number | undefined;
  readonly acrValues?: string | undefined;
}

/** @param show told the address the person opens; @throws CliError refused or unauthenticated */
export async function signInOnLoopback(
  oauth: OAuthApi,
  request: LoopbackRequest,
  show: (url: string) => void,
): Promise<TokenAnswer> {
  const [state, verifier] = [random(), random()];
  const answer = Promise.withResolvers<URL>();
  const server = createServer((incoming, response) => {
    const url = new URL(incoming.url ?? '/', 'http://127.0.0.1');
    const isOurs = incoming.method === 'GET' && url.pathname === '/callback';
    response.writeHead(isOurs ? 200 : 404, {
      'content-type': 'text/plain; charset=utf-8',
      'cache-control': 'no-store',
    });
    response.end(isOurs ? 'You can close this page and go back to the terminal.\n' : '');
    if (isOurs) answer.resolve(url);
  });
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(0, '127.0.0.1', resolve));
  const redirectUri = `http://127.0.0.1:${(server.address() as AddressInfo).port}/callback`;
  const timer = setTimeout(
    () => answer.reject(new CliError('unauthenticated', 'Nobody signed in within ten minutes.')),
    WAIT_MS,
  );
  try {
    const { baseUrl, ...more } = request;
    const codeChallenge = createHash('sha256').update(verifier).digest('base64url');
    show(oauth.authorizeUrl(baseUrl, { ...more, redirectUri, codeChallenge, state }));
    const url = await answer.promise;
    const given = Buffer.from(url.searchParams.get('state') ?? '');
    const isAnswer = given.length === state.length && timingSafeEqual(given, Buffer.from(state));
    if (!isAnswer || url.searchParams.get('iss') !== baseUrl)
      throw new CliError('unauthenticated', 'The browser brought an answer to another question. Sign in again.');
    const code = url.searchParams.get('code');
    if (code === null) throw new CliError('unauthenticated', 'The sign-in was refused in the browser.');
    return await oauth.redeemCode(code, redirectUri, verifier);
  } finally {
    clearTimeout(timer);
    server.closeAllConnections();
    server.close();
  }
}

/** Opens the browser of this machine if there is one; the address was printed anyway. */
export function openBrowser(url: string, platform: NodeJS.Platform = process.platform): void {
  const [command, ...args] = platform === 'darwin' ? ['open', url] : ['xdg-open', url];
  const child = spawn(command!, args, { stdio: 'ignore', detached: true });
  // No such program here: the person opens the address by hand.
  child.once('error', () => undefined);
  child.unref();
}
