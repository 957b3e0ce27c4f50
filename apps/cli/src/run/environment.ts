/**
 * What a program under `run` finds in its environment: the proxy, the CAs to believe, a URL and a token per resource.
 * Refuses to pass on what this program itself signs in with: a program gets the resources it was started for, and no more.
 */
import { existsSync, readFileSync } from 'node:fs';
import tls from 'node:tls';

export type Environment = Readonly<Record<string, string | undefined>>;

/** Programs and libraries each have their own word for it. */
const CA_VARIABLES = [
  'SSL_CERT_FILE',
  'CURL_CA_BUNDLE',
  'REQUESTS_CA_BUNDLE',
  'GIT_SSL_CAINFO',
  'AWS_CA_BUNDLE',
  'PIP_CERT',
  'CARGO_HTTP_CAINFO',
  'GRPC_DEFAULT_SSL_ROOTS_FILE_PATH',
  'DENO_CERT',
] as const;
const OWN_SIGN_IN = ['TOKEN', 'TOKEN_FILE', 'CLIENT_ID', 'CLIENT_SECRET', 'CLIENT_SECRET_FILE'].map(
  (name) => `SALLYPORT_${name}`,
);
const SYSTEM_BUNDLES = [
  '/etc/ssl/certs/ca-certificates.crt',
  '/etc/pki/tls/certs/ca-bundle.crt',
  '/etc/ssl/ca-bundle.pem',
  '/etc/ssl/cert.pem',
];

/** `crm-api` → what `SALLYPORT_CRM_API_URL` begins with. */
export const variableOf = (resource: string): string => `SALLYPORT_${resource.toUpperCase().replaceAll('-', '_')}`;

export interface RunFacts {
  readonly proxyPort: number;
  readonly password: string;
  /** File with every CA to believe; undefined while the agents end no TLS. */
  readonly caFile: string | undefined;
  /** File with the interception issuer alone, for what adds to a list of its own. */
  readonly extraCaFile: string | undefined;
  readonly resources: readonly { readonly name: string; readonly url: string; readonly token: string }[];
}

export function environmentFor(env: Environment, facts: RunFacts): Environment {
  const made: Record<string, string | undefined> = { ...env };
  for (const name of OWN_SIGN_IN) delete made[name];
  const proxy = `http://run:${facts.password}@127.0.0.1:${facts.proxyPort}`;
  // Lower case too: curl reads `http_proxy` in no other way.
  for (const name of ['HTTP_PROXY', 'HTTPS_PROXY', 'http_proxy', 'https_proxy']) made[name] = proxy;
  for (const name of ['ALL_PROXY', 'all_proxy']) delete made[name];
  for (const name of ['NO_PROXY', 'no_proxy']) made[name] = 'localhost,127.0.0.1,::1';
  made['NODE_USE_ENV_PROXY'] = '1';
  if (facts.caFile !== undefined) {
    for (const name of CA_VARIABLES) made[name] = facts.caFile;
    made['NODE_EXTRA_CA_CERTS'] = facts.extraCaFile;
  }
  for (const { name, url, token } of facts.resources) {
    made[`${variableOf(name)}_URL`] = url;
    made[`${variableOf(name)}_TOKEN`] = token;
  }
  return made;
}

/**
 * What the program would have believed without us, and the interception issuer.
 * @param interception PEM
 */
export function caBundle(env: Environment, interception: string): { readonly all: string; readonly extra: string } {
  const system = env['SSL_CERT_FILE'] ?? SYSTEM_BUNDLES.find((file) => existsSync(file));
  const base =
    system === undefined || !existsSync(system) ? tls.rootCertificates.join('\n') : readFileSync(system, 'utf8');
  const before = env['NODE_EXTRA_CA_CERTS'];
  const own = before !== undefined && existsSync(before) ? readFileSync(before, 'utf8') : '';
  const extra = `${own === '' ? '' : `${own.trim()}\n`}${interception.trim()}\n`;
  return { all: `${base.trim()}\n${extra}`, extra };
}
