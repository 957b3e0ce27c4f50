/** Which command reaches a resource of which type: what is said to who took another one. */
import type { Resource } from '@sallyport/api-client';

const COMMANDS: Readonly<Record<Resource['type'], (name: string) => string>> = {
  postgres: (name) => `sallyport connect ${name}`,
  ssh: (name) => `sallyport ssh ${name}`,
  kubernetes: (name) => `sallyport kube login ${name}`,
  http: (name) => `sallyport run ${name} -- <program>`,
  mcp: (name) => `sallyport run ${name} -- <program>`,
};

/** A type that this version does not know is one the list of resources tells of. */
export const commandFor = ({ name, type }: Pick<Resource, 'name' | 'type'>): string =>
  COMMANDS[type]?.(name) ?? 'sallyport resources';
