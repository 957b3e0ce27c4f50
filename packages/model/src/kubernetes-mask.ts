/**
 * What a mask of Kubernetes objects names: `secrets:data.*`, `configmaps/app:data.password`. Behind the colon stands a path as
 * masks of JSON have it (json-path.ts), from the root of each object.
 */
import { type JsonStep, parseJsonPath } from './json-path.ts';

export interface KubernetesMaskPlace {
  /** Plural, with its group behind a dot where it has one: `secrets`, `certificates.cert-manager.io`. */
  readonly resource: string;
  /** '' = of every name. */
  readonly name: string;
  readonly steps: readonly JsonStep[];
}

const PLACE = /^([a-z][a-z0-9.-]{0,252})(?:\/([a-z0-9][a-z0-9.:-]{0,252}))?:(.+)$/;

/** @returns undefined for what is none; pure */
export function parseKubernetesMask(text: string): KubernetesMaskPlace | undefined {
  const match = PLACE.exec(text);
  const steps = match === null ? undefined : parseJsonPath(match[3]!);
  return steps === undefined ? undefined : { resource: match![1]!, name: match![2] ?? '', steps };
}
