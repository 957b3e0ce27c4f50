/**
 * The names of every setting that is read from the environment, by any of our programs, so that a misspelt one stops a start
 * instead of being ignored. Refuses to know values and to read the environment itself: it is handed in.
 */
import { GatewayError } from './errors.ts';

/**
 * Without the prefix: the control plane's, the agent's, the command line's, and one of this repository's scripts. What another
 * of our programs reads is no mistake: one environment may serve several.
 */
const SETTINGS: ReadonlySet<string> = new Set(
  `
  DATA_DIR RECORDINGS_DIR KEK KEK_FILE KMS SECRETS_DIR SDK_DIR ROOT_PASSPHRASE LOG_LEVEL DOMAIN
  HTTP HTTP_TLS_CERT HTTP_TLS_KEY HTTP_PLAINTEXT LINK ENROLL
  PUBLIC_URL PUBLIC_LINK PUBLIC_ENROLL DEMO_IDP DEMO_IDP_LISTEN ISSUER_LOOPBACK PROJECT_NETWORKS
  USAGE_DAYS UNUSED_DAYS CREDENTIAL_DAYS
  SMTP_URL SMTP_FROM
  OIDC_NAME OIDC_ISSUER OIDC_CLIENT_ID OIDC_CLIENT_SECRET OIDC_GROUPS_CLAIM
  JOIN_TOKEN JOIN_TOKEN_FILE LISTEN_POSTGRES LISTEN_POSTGRES_PLAINTEXT LISTEN_SSH SSH_ALGORITHMS LISTEN_HTTPS ADVERTISE HEALTH INSTANCE
  LINK_ENDPOINTS ENROLL_ENDPOINTS INTERCEPTION
  URL PROFILE PROJECT CONFIG HISTORY TOKEN TOKEN_FILE CLIENT_ID CLIENT_SECRET CLIENT_SECRET_FILE
  CA_FILE DEV_FILE
  UNFROZEN
  `
    .trim()
    .split(/\s+/),
);
const PREFIX = 'SALLYPORT_';
/** What Kubernetes puts into every pod beside a Service called `sallyport` or `sallyport-…` (Service, "environment variables"). */
const SERVICE_LINK =
  /(?:^|_)(?:SERVICE_(?:HOST|PORT)(?:_\w+)?|PORT(?:_\d+_(?:TCP|UDP|SCTP)(?:_(?:PROTO|PORT|ADDR))?)?)$/;

export const isSetting = (variable: string): boolean => {
  const name = variable.slice(PREFIX.length);
  // Whatever credentials name: docs/how-to/credentials.md.
  return (
    SETTINGS.has(name) ||
    name.startsWith('SECRET_') ||
    name.startsWith('TEST_') ||
    SERVICE_LINK.test(name) ||
    isOfRun(name)
  );
};

/** `<RESOURCE>_URL` and `<RESOURCE>_TOKEN`, as `sallyport run` sets them for programs; not a setting of that end, misspelt. */
function isOfRun(name: string): boolean {
  const end = /^\w+(_URL|_TOKEN)$/.exec(name)?.[1];
  if (end === undefined) return false;
  return ![...SETTINGS].some((setting) => setting.endsWith(end) && distance(name, setting) <= MISSPELT_MAX);
}

/**
 * Called once, at a start.
 * @param env the process's environment
 * @throws GatewayError `config.invalid` with `name` and `remedy` of the first `SALLYPORT_…` variable that nothing reads
 */
export function requireKnownSettings(env: Readonly<Record<string, string | undefined>>): void {
  for (const variable of Object.keys(env).sort()) {
    if (!variable.startsWith(PREFIX) || isSetting(variable)) continue;
    const near = nearest(variable.slice(PREFIX.length));
    const meant = near === undefined ? 'unset it' : `did you mean ${PREFIX}${near}?`;
    throw new GatewayError('config.invalid', { name: variable, remedy: `there is no such setting: ${meant}` });
  }
}

const MISSPELT_MAX = 3;

function nearest(name: string): string | undefined {
  const ranked = [...SETTINGS].map((setting) => ({ setting, apart: distance(name, setting) }));
  ranked.sort((a, b) => a.apart - b.apart);
  return ranked[0] !== undefined && ranked[0].apart <= MISSPELT_MAX ? ranked[0].setting : undefined;
}

/** Levenshtein's edit distance. Names are short. */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++)
      next.push(Math.min(row[j]! + 1, next[j - 1]! + 1, row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1)));
    row = next;
  }
  return row[b.length]!;
}
