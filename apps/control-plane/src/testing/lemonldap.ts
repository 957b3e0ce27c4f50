/**
 * LemonLDAP::NG from Debian as a real OpenID provider for tests: its portal under plackup on a free loopback port, with its
 * demo accounts (dwho, rtyler, msmith; the password is the name), in a folder of its own. Refuses to touch the one of the system.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';

const PORTAL = '/usr/share/lemonldap-ng/portal';
/** What Debian only recommends beside the portal, and its OpenID issuer cannot do without. */
const MODULES = ['Plack/Runner', 'String/Random', 'IO/String', 'MIME/Entity', 'Email/Sender'];
export const HAS_LEMONLDAP =
  existsSync(`${PORTAL}/htdocs/index.psgi`) &&
  existsSync('/usr/bin/plackup') &&
  MODULES.every((name) => existsSync(`/usr/share/perl5/${name}.pm`));

export interface Lemonldap {
  readonly issuer: string;
  stop(): Promise<void>;
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** @param redirectUri the one that is registered; @param logoutUri where it may send the browser after sign-out */
export async function startLemonldap(
  redirectUri: string,
  logoutUri: string,
  client: { readonly id: string; readonly secret: string },
): Promise<Lemonldap> {
  const dir = mkdtempSync(path.join(tmpdir(), 'sallyport-lemonldap-'));
  for (const name of ['conf', 'sessions/lock', 'psessions/lock', 'cache', 'notifications'])
    mkdirSync(path.join(dir, name), { recursive: true });
  const port = await freePort();
  const issuer = `http://127.0.0.1:${port}/`;
  const keys = generateKeyPairSync('rsa', {
    modulusLength: 2048,
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs1', format: 'pem' },
  });
  const store = (name: string) => ({ Directory: path.join(dir, name), LockDirectory: path.join(dir, name, 'lock') });
  const rp = 'sallyport';
  writeFileSync(
    path.join(dir, 'conf/lmConf-1.json'),
    JSON.stringify({
      cfgNum: 1,
      cfgAuthor: 'test',
      cfgDate: '1700000000',
      cfgVersion: '2.16.1',
      portal: issuer,
      domain: '127.0.0.1',
      cookieName: 'lemonldap',
      securedCookie: 0,
      authentication: 'Demo',
      userDB: 'Same',
      passwordDB: 'Demo',
      registerDB: 'Demo',
      demoExportedVars: { cn: 'cn', mail: 'mail', uid: 'uid' },
      groups: { timelords: "$uid eq 'dwho'", everybody: '1' },
      macros: { _whatToTrace: '$_auth eq "SAML" ? "$_user@$_idpConfKey" : "$_user"', email_verified: '1' },
      whatToTrace: '_whatToTrace',
      globalStorage: 'Apache::Session::File',
      globalStorageOptions: store('sessions'),
      persistentStorage: 'Apache::Session::File',
      persistentStorageOptions: store('psessions'),
      localSessionStorage: 'Cache::FileCache',
      localSessionStorageOptions: { cache_root: path.join(dir, 'cache'), namespace: 'llng', default_expires_in: 600 },
      notification: 0,
      portalDisplayRegister: 0,
      portalDisplayResetPassword: 0,
      portalDisplayCertificateResetByMail: 0,
      captcha_login_enabled: 0,
      captcha_mail_enabled: 0,
      captcha_register_enabled: 0,
      requireToken: 1,
      portalSkin: 'bootstrap',
      locationRules: {},
      timeout: 72_000,
      issuerDBOpenIDConnectActivation: 1,
      issuerDBOpenIDConnectPath: '^/oauth2/',
      oidcServiceMetaDataIssuer: issuer,
      oidcServiceAllowAuthorizationCodeFlow: 1,
      oidcServicePrivateKeySig: keys.privateKey,
      oidcServicePublicKeySig: keys.publicKey,
      oidcServiceKeyIdSig: 'test-key',
      oidcServiceMetaDataAuthnContext: { 'loa-1': 1, 'loa-2': 2 },
      oidcRPMetaDataExportedVars: { [rp]: { email: 'mail', name: 'cn', preferred_username: 'uid', groups: 'groups' } },
      oidcRPMetaDataOptions: {
        [rp]: {
          oidcRPMetaDataOptionsClientID: client.id,
          oidcRPMetaDataOptionsClientSecret: client.secret,
          oidcRPMetaDataOptionsRedirectUris: redirectUri,
          oidcRPMetaDataOptionsPostLogoutRedirectUris: logoutUri,
          oidcRPMetaDataOptionsIDTokenSignAlg: 'RS256',
          oidcRPMetaDataOptionsIDTokenForceClaims: 1,
          oidcRPMetaDataOptionsBypassConsent: 1,
          oidcRPMetaDataOptionsRequirePKCE: 1,
          oidcRPMetaDataOptionsRefreshToken: 1,
          oidcRPMetaDataOptionsLogoutBypassConfirm: 1,
          oidcRPMetaDataOptionsUserIDAttr: 'uid',
        },
      },
      oidcRPMetaDataOptionsExtraClaims: { [rp]: { groups: 'groups' } },
    }),
  );
  writeFileSync(
    path.join(dir, 'lemonldap-ng.ini'),
    `[all]\nlogLevel = warn\n[configuration]\ntype = File\ndirName = ${dir}/conf\nlocalStorage = Cache::FileCache\nlocalStorageOptions = { 'namespace' => 'conf', 'cache_root' => '${dir}/cache', 'default_expires_in' => 600 }\n[portal]\nstaticPrefix = /static\ntemplateDir = ${PORTAL}/templates\nlanguages = en\n`,
  );
  const child: ChildProcess = spawn(
    '/usr/bin/plackup',
    ['--host', '127.0.0.1', '--port', String(port), '-E', 'deployment', `${PORTAL}/htdocs/index.psgi`],
    {
      env: { ...process.env, LLNG_DEFAULTCONFFILE: path.join(dir, 'lemonldap-ng.ini') },
      stdio: process.env['SALLYPORT_TEST_LEMONLDAP_LOG'] === undefined ? 'ignore' : 'inherit',
    },
  );
  const stop = async (): Promise<void> => {
    if (child.exitCode === null) {
      const gone = new Promise((resolve) => child.once('exit', resolve));
      child.kill('SIGKILL');
      await gone;
    }
    rmSync(dir, { recursive: true, force: true });
  };
  for (let tries = 0; tries < 100; tries++) {
    const isUp = await fetch(`${issuer}.well-known/openid-configuration`).then(
      (response) => response.ok,
      () => false,
    );
    if (isUp) return { issuer, stop };
    if (child.exitCode !== null) break;
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  await stop();
  throw new Error('LemonLDAP::NG did not come up');
}
