/**
 * The clouds' official SDKs, loaded at the first credential that needs one: they are large, so they are not part of an
 * agent unless somebody installs them beside it. Refuses to guess: a missing one is named with the command that adds it.
 */
import { unavailable } from './source.ts';

/**
 * @param load a literal `import()`, so that types and bundlers see it; bundles keep these names external
 * @throws GatewayError `credential.unavailable` when the SDK is not installed
 */
export async function cloudSdk<T>(kind: string, packages: string, load: () => Promise<T>): Promise<T> {
  try {
    return await load();
  } catch (cause) {
    throw unavailable(kind, `its SDK is not installed here: npm install ${packages}`, cause);
  }
}

/** An SDK's error without its words, which may quote a request: its name is enough to look it up. */
export function sdkFailure(kind: string, error: unknown): ReturnType<typeof unavailable> {
  const { name = '', code = '' } = error as { name?: unknown; code?: unknown };
  const word = (value: unknown): string =>
    String(value)
      .replace(/[^A-Za-z0-9_.-]/g, '')
      .slice(0, 64);
  return unavailable(kind, `the store refused or could not be reached (${word(name)} ${word(code)})`);
}
