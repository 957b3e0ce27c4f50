/** SALLYPORT_KMS: one KMS as JSON, or several, the preferred one first. Refuses what its kind does not know, by name. */
import { GatewayError, isDnsLabel } from '@sallyport/core';
import { kmsProblems } from '@sallyport/credentials';

export interface KmsConfig {
  /** Stands with each key it wrapped: it must not change while one is in use. */
  readonly name: string;
  readonly kind: string;
  readonly settings: Readonly<Record<string, string>>;
}

const KMS_MAX = 4;
/** Names of the other sources. */
const TAKEN = new Set(['file', 'environment']);

/** @throws GatewayError `config.invalid` */
export function parseKms(variable: string, text: string | undefined): readonly KmsConfig[] {
  if (text === undefined) return [];
  const refuse = (remedy: string): never => {
    throw new GatewayError('config.invalid', { name: variable, remedy });
  };
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return refuse('JSON is expected: {"kind": "vault_transit", …}, or a list of such');
  }
  const list: readonly unknown[] = Array.isArray(value) ? value : [value];
  if (list.length === 0 || list.length > KMS_MAX) return refuse(`one to ${KMS_MAX} are expected`);
  const parsed = list.map((one): KmsConfig => {
    if (typeof one !== 'object' || one === null) return refuse('an object is expected for each');
    const { kind, name = 'kms', ...settings } = one as Record<string, unknown>;
    if (typeof name !== 'string' || !isDnsLabel(name) || TAKEN.has(name))
      return refuse('name: a DNS label is expected, and neither file nor environment');
    if (typeof kind !== 'string' || Object.values(settings).some((setting) => typeof setting !== 'string'))
      return refuse(`${name}: kind and settings are texts`);
    const [problem] = kmsProblems(kind, settings as Record<string, string>);
    if (problem !== undefined) return refuse(`${name}: ${problem.setting}: ${problem.message}`);
    return { name, kind, settings: settings as Record<string, string> };
  });
  if (new Set(parsed.map(({ name }) => name)).size < parsed.length) return refuse('each has a name of its own');
  return parsed;
}
