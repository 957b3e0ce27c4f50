/**
 * OpenID Connect callbacks at a steady rate: a browser comes back from the provider with its code, and gets its session. Each
 * of a person of its own, half of them for the first time. Refuses to time what comes before: the way to the provider is made ahead.
 */
import { spawn } from 'node:child_process';
import path from 'node:path';
import type { Rest } from '../../scripts/stack/rest.ts';
import { CLIENT_ID, codeOf } from './control-plane-idp.ts';
import { addressOf, type LoadResult, openLoop, type Shot } from './control-plane-load.ts';

export interface BenchIdp {
  readonly issuer: string;
  stop(): void;
}

export async function startIdp(): Promise<BenchIdp> {
  const child = spawn(process.execPath, [path.join(import.meta.dirname, 'control-plane-idp.ts')], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const issuer = await new Promise<string>((resolve, reject) => {
    child.stdout.once('data', (data: Buffer) => resolve(data.toString().trim()));
    child.once('exit', () => reject(new Error('The provider did not start.')));
  });
  return { issuer, stop: () => void child.stdin.end() };
}

const PROVIDER = 'bench-idp';
const KNOWN = 100;

export async function inTurn<T, R>(all: readonly T[], work: (one: T, i: number) => Promise<R>): Promise<readonly R[]> {
  const done: R[] = [];
  for (const [i, one] of all.entries()) done.push(await work(one, i));
  return done;
}

/** Who comes: every second one known before, the others for the first time. */
export function peopleOf(count: number): { readonly known: readonly string[]; readonly all: readonly string[] } {
  const half = Math.floor(count / 2);
  const known = Array.from({ length: KNOWN }, (_, i) => `known-${i}`);
  const all = Array.from({ length: count }, (_, i) =>
    i % 2 === 0 && i / 2 < half ? known[(i / 2) % KNOWN]! : `new-${i}`,
  );
  return { known, all };
}

export async function measureCallbacks(
  idp: BenchIdp,
  admin: Rest,
  rest: string,
  count: number,
  perSecond: number,
  cpuMs: () => number,
): Promise<LoadResult> {
  await admin.call('POST', '/v1/identity-providers', {
    name: PROVIDER,
    kind: 'oidc',
    config: { issuer: idp.issuer, clientId: CLIENT_ID },
    secrets: { clientSecret: 'a-secret-that-is-long-enough-for-a-bench' },
  });
  const back = (subs: readonly string[]): Promise<readonly Shot[]> => inTurn(subs, (sub, i) => comeBack(rest, sub, i));
  const { known, all } = peopleOf(count);
  // What is read once is read before, and these are known from then on.
  await openLoop(await back(known), perSecond / 4, 302, cpuMs);
  return await openLoop(await back(all), perSecond, 302, cpuMs);
}

/** Up to where the provider sends the browser back. */
async function comeBack(rest: string, sub: string, i: number): Promise<Shot> {
  const from = addressOf(i);
  const answer = await fetch(`${rest}/v1/login?provider=${PROVIDER}`, {
    redirect: 'manual',
    headers: { 'x-forwarded-for': from },
  });
  // Read, as a browser does: else its connection is used by nobody again, and the server holds one for each of them.
  const said = await answer.text();
  const location = answer.headers.get('location');
  const [cookie = ''] = answer.headers.getSetCookie().map((line) => line.split(';')[0]!);
  if (location === null) throw new Error(`The sign-in did not begin: ${answer.status} ${said}`);
  const asked = new URL(location).searchParams;
  const back = new URL(asked.get('redirect_uri')!);
  back.searchParams.set('code', codeOf({ sub, nonce: asked.get('nonce') ?? '' }));
  back.searchParams.set('state', asked.get('state') ?? '');
  return { method: 'GET', url: `${rest}${back.pathname}${back.search}`, headers: { cookie, 'x-forwarded-for': from } };
}
