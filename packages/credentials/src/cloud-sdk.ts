/**
 * The clouds' official SDKs, loaded at the first credential or master key that needs one: they are large, so they are part of nothing
 * that is installed. Found in the SDK folder of the process (SALLYPORT_SDK_DIR), or beside it. Refuses to guess: a missing
 * one is named with the command that adds it, and a folder that others may write to is not read.
 */
import { statSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { GatewayError } from '@sallyport/core';
import { type SourceHost, unavailable } from './source.ts';

/** Versions the sources are tested with: test/sdks installs these, and a test compares. */
export const SDK_VERSIONS = {
  '@aws-sdk/client-kms': '3.1162.0',
  '@aws-sdk/client-secrets-manager': '3.1162.0',
  '@aws-sdk/rds-signer': '3.1162.0',
  '@azure/identity': '4.14.1',
  '@azure/keyvault-keys': '4.10.2',
  '@azure/keyvault-secrets': '4.12.0',
  '@google-cloud/kms': '6.3.0',
  '@google-cloud/secret-manager': '7.2.0',
} as const;
export type SdkPackage = keyof typeof SDK_VERSIONS;

/**
 * @returns the packages' exports, in order; the caller names the parts it uses
 * @throws GatewayError `credential.unavailable` when one is not installed
 */
export async function cloudSdk<T extends readonly unknown[]>(
  host: SourceHost,
  kind: string,
  packages: { readonly [K in keyof T]: SdkPackage },
): Promise<T> {
  const { sdkDir } = host;
  if (isOpenToOthers(sdkDir)) throw unavailable(kind, `others may write to ${sdkDir}: chmod -R go-w ${sdkDir}`);
  const names = packages as readonly SdkPackage[];
  try {
    const loaded: unknown[] = [];
    for (const name of names) loaded.push(await load(sdkDir, name));
    return loaded as unknown as T;
  } catch (cause) {
    const pinned = names.map((name) => `${name}@${SDK_VERSIONS[name]}`).join(' ');
    throw unavailable(kind, `its SDK is not installed here: npm install --prefix ${sdkDir} ${pinned}`, cause);
  }
}

async function load(sdkDir: string, name: string): Promise<unknown> {
  try {
    return createRequire(path.join(sdkDir, 'package.json'))(name);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'MODULE_NOT_FOUND') throw error;
    return await import(name);
  }
}

/** What is loaded runs with our rights. A folder that is not there is no danger. */
function isOpenToOthers(sdkDir: string): boolean {
  const there = statSync(sdkDir, { throwIfNoEntry: false });
  return there !== undefined && (there.mode & 0o022) !== 0;
}

/** Milliseconds one question to a cloud may take once its SDK is loaded, signing in there and asking again included. */
export const SDK_MS_MAX = 5_000;

/**
 * One question by an SDK. Their own limits are for each of their attempts, and signing in knows none: the answer that does not
 * come is said to be missing after `SDK_MS_MAX`, whatever the SDK still does.
 * @param work given a signal that tells the SDK to give up
 * @throws GatewayError `credential.unavailable`
 */
export async function askSdk<T>(kind: string, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const giveUp = new AbortController();
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => {
      reject(unavailable(kind, `no answer within ${SDK_MS_MAX / 1_000} s`));
      giveUp.abort();
    }, SDK_MS_MAX);
  });
  try {
    return await Promise.race([work(giveUp.signal), late]);
  } catch (error) {
    throw isOurs(error) ? error : sdkFailure(kind, error);
  } finally {
    clearTimeout(timer);
  }
}

const isOurs = (error: unknown): boolean => error instanceof GatewayError && error.code === 'credential.unavailable';

/** An SDK's error without its words, which may quote a request: its name is enough to look it up. */
function sdkFailure(kind: string, error: unknown): ReturnType<typeof unavailable> {
  const { name = '', code = '' } = error as { name?: unknown; code?: unknown };
  const word = (value: unknown): string =>
    String(value)
      .replace(/[^A-Za-z0-9_.-]/g, '')
      .slice(0, 64);
  return unavailable(kind, `the service refused or could not be reached (${word(name)} ${word(code)})`);
}
