/**
 * SAML sign-ins at a steady rate: a browser brings the provider's signed answer by POST, and fetches its session with its cookie.
 * One of these is both requests. The same people as with OpenID Connect, half of them for the first time.
 * Refuses to time what comes before: the way to the provider, and the provider's signature.
 */
import path from 'node:path';
import { inflateRawSync } from 'node:zlib';
import { ROOT } from '../../scripts/stack/build.ts';
import type { Rest } from '../../scripts/stack/rest.ts';
import { inTurn, peopleOf } from './control-plane-callbacks.ts';
import { addressOf, type LoadResult, openLoop, type Shot } from './control-plane-load.ts';

const PROVIDER = 'bench-saml';
const ENTITY = 'https://bench-saml.example/metadata';

interface TestKey {
  readonly certificate: string;
  readonly privateKey: string;
}
/** The signer of the tests, from where it lies. */
interface TestIdp {
  readonly key: TestKey;
  answer(said: Readonly<Record<string, unknown>>): string;
}

async function testIdp(): Promise<TestIdp> {
  const at = (dir: 'src' | 'dist', file: string): string =>
    path.join(ROOT, 'apps/control-plane', dir, 'identity/saml', file);
  const { assertionXml, responseXml, sign, base64 } = await import(at('src', 'test-idp.fixture.ts'));
  const { makeKey } = await import(at('dist', 'saml-keys.js'));
  const made = (await makeKey('bench', new Date())) as { readonly certificate: string; readonly privateKey: Buffer };
  const key = { certificate: made.certificate, privateKey: made.privateKey.toString() };
  return { key, answer: (said) => base64(sign(responseXml(said, assertionXml(said)), 'Assertion', key)) as string };
}

export async function measureSaml(
  admin: Rest,
  rest: string,
  count: number,
  perSecond: number,
  cpuMs: () => number,
): Promise<LoadResult> {
  const idp = await testIdp();
  await admin.call('POST', '/v1/identity-providers', {
    name: PROVIDER,
    kind: 'saml',
    config: { entityId: ENTITY, ssoUrl: 'https://bench-saml.example/sso', certificates: [idp.key.certificate] },
  });
  const back = (subs: readonly string[]): Promise<readonly Shot[]> =>
    inTurn(subs, (sub, i) => comeBack(rest, idp, sub, i));
  const { known, all } = peopleOf(count);
  await openLoop(await back(known), perSecond / 4, 302, cpuMs);
  return await openLoop(await back(all), perSecond, 302, cpuMs);
}

/** Up to where the provider's page posts its answer. */
async function comeBack(rest: string, idp: TestIdp, sub: string, i: number): Promise<Shot> {
  // Other addresses than those of the run before: limits are per address and minute.
  const from = addressOf(100_000 + i);
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
  const state = asked.get('RelayState') ?? '';
  const request = inflateRawSync(Buffer.from(asked.get('SAMLRequest') ?? '', 'base64')).toString();
  const nowMs = Date.now();
  const SAMLResponse = idp.answer({
    issuer: ENTITY,
    audience: `${rest}/v1/saml/${PROVIDER}/metadata`,
    recipient: `${rest}/v1/saml/${PROVIDER}/acs`,
    requestId: / ID="([^"]+)"/.exec(request)?.[1],
    nameId: `saml-${sub}`,
    attributes: { groups: ['dba'] },
    nowMs,
    // All are made before the first is sent.
    notOnOrAfterMs: nowMs + 30 * 60_000,
  });
  return {
    method: 'POST',
    url: `${rest}/v1/saml/${PROVIDER}/acs`,
    headers: { 'content-type': 'application/x-www-form-urlencoded', 'x-forwarded-for': from },
    body: new URLSearchParams({ SAMLResponse, RelayState: state }).toString(),
    next: {
      method: 'GET',
      url: `${rest}/v1/login/saml?state=${encodeURIComponent(state)}`,
      headers: { cookie, 'x-forwarded-for': from },
    },
  };
}
