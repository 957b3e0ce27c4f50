/**
 * A control plane at which people sign in by either of two providers that say what a test tells them to.
 * Refuses to be used outside of tests.
 */
import { Database } from '../db/database.ts';
import { Browser } from './browser.ts';
import { startTestControlPlane, type TestControlPlane } from './control-plane.ts';
import { CLIENT_SECRET, CrookedIdp } from './crooked-idp.ts';

export class SignIns {
  readonly plane: TestControlPlane;
  /** `corp`, by which people sign in where nothing else is said, and `other`. */
  readonly idp: CrookedIdp;
  readonly other: CrookedIdp;

  constructor(plane: TestControlPlane, idp: CrookedIdp, other: CrookedIdp) {
    this.plane = plane;
    this.idp = idp;
    this.other = other;
  }

  get database(): Database['client'] {
    return this.plane.controlPlane.app.get(Database, { strict: false }).client;
  }

  /** @param more claims of the person */
  async signIn(name: string, more: Record<string, unknown> = {}, by = this.idp, browser = new Browser()) {
    const claims = { sub: `sub-${name}`, preferred_username: name, sid: `sid-${name}`, ...more };
    by.crooked = { ...by.crooked, claims };
    const provider = by === this.idp ? 'corp' : 'other';
    await browser.open(`${this.plane.url}/v1/login?provider=${provider}&return_to=%2Fdevice`);
    return { browser, session: browser.cookies(this.plane.url).get('sallyport_session') ?? 'none' };
  }

  async statusOf(token: string): Promise<number> {
    return (await this.plane.call('GET', '/v1/whoami', undefined, token)).status;
  }

  /** After a test: providers are honest again, and it is now. */
  calm(): void {
    this.idp.crooked = {};
    this.other.crooked = {};
    this.plane.clock.offsetMs = 0;
  }

  async stop(): Promise<void> {
    await this.idp.stop();
    await this.other.stop();
    await this.plane.stop();
  }
}

export async function startSignIns(): Promise<SignIns> {
  const plane = await startTestControlPlane({ SALLYPORT_HTTP_PLAINTEXT: 'behind-proxy' });
  const idp = await new CrookedIdp().start();
  const other = await new CrookedIdp().start();
  for (const [name, issuer] of [
    ['corp', idp.issuer],
    ['other', other.issuer],
  ])
    await plane.call('POST', '/v1/identity-providers', {
      name,
      kind: 'oidc',
      config: { issuer, clientId: 'sallyport', refreshSeconds: 60 },
      secrets: { clientSecret: CLIENT_SECRET },
    });
  for (const name of ['dba', 'analysts']) await plane.call('POST', '/v1/groups', { name });
  return new SignIns(plane, idp, other);
}
