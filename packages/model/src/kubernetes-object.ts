/**
 * What rules about objects ask for, read from the values an object or a patch sets: replicas, images, privileged containers,
 * paths of the host. Refuses to know kinds: a pod's template is found wherever it stands (a Deployment, a CronJob, a custom
 * resource of an operator), so that no kind is forgotten.
 */
import type { BodyField, KubernetesFacts } from './http-statement.ts';

export type ObjectFacts = Pick<
  KubernetesFacts,
  'replicas' | 'images' | 'privileged' | 'hostPath' | 'hostNetwork' | 'serviceAccount'
>;

export const NO_OBJECT: ObjectFacts = Object.freeze({
  replicas: -1,
  images: Object.freeze([]),
  privileged: false,
  hostPath: false,
  hostNetwork: false,
  serviceAccount: '',
});

/** A container of a pod: in a list of them, or the object of one by JSON Patch. */
const IMAGE = /(?:^|\.)(?:containers|initContainers|ephemeralContainers)\[\d+\]\.image$/;
const IMAGE_VOLUME = /(?:^|\.)volumes\[\d+\]\.image\.reference$/;
const PRIVILEGED = /(?:^|\.)securityContext\.privileged$/;
const CAPABILITY = /(?:^|\.)securityContext\.capabilities\.add\[\d+\]$/;
const PROC_MOUNT = /(?:^|\.)securityContext\.procMount$/;
const PROFILE = /(?:^|\.)securityContext\.(?:seccompProfile|appArmorProfile)\.type$/;
const HOST_PROCESS = /(?:^|\.)windowsOptions\.hostProcess$/;
/** A `local` volume is a folder of the node, too. */
const HOST_PATH = /(?:^|\.)hostPath(?:\.|$)|^spec\.local\.path$/;
const HOST_NAMESPACE = /(?:^|\.)host(?:Network|PID|IPC)$/;
const SERVICE_ACCOUNT = /(?:^|\.)spec\.serviceAccount(?:Name)?$/;
const REPLICAS = /^spec\.replicas$/;
/** Capabilities that make a container its node's master, or nearly. */
const STRONG: ReadonlySet<string> = new Set([
  'ALL',
  'SYS_ADMIN',
  'SYS_MODULE',
  'SYS_PTRACE',
  'SYS_RAWIO',
  'SYS_BOOT',
  'NET_ADMIN',
  'DAC_READ_SEARCH',
  'BPF',
  'MKNOD',
]);

export function objectFactsOf(fields: readonly BodyField[]): ObjectFacts {
  let replicas = -1;
  let serviceAccount = '';
  const images = new Set<string>();
  let privileged = false;
  let hostPath = false;
  let hostNetwork = false;
  for (const { path, value, number, kind } of fields) {
    if (REPLICAS.test(path)) {
      // Taking the number away means the server's own: one.
      replicas = kind === 'number' ? number : kind === 'null' ? 1 : replicas;
    } else if (IMAGE.test(path) || IMAGE_VOLUME.test(path)) images.add(value);
    else if (HOST_PATH.test(path)) hostPath ||= kind !== 'null';
    else if (HOST_NAMESPACE.test(path)) hostNetwork ||= value === 'true';
    else if (SERVICE_ACCOUNT.test(path)) serviceAccount = value || serviceAccount;
    else privileged ||= isPrivileged(path, value);
  }
  return { replicas, images: [...images], privileged, hostPath, hostNetwork, serviceAccount };
}

function isPrivileged(path: string, value: string): boolean {
  if (PRIVILEGED.test(path)) return value === 'true';
  if (HOST_PROCESS.test(path)) return value === 'true';
  if (CAPABILITY.test(path)) return STRONG.has(value.toUpperCase().replace(/^CAP_/, ''));
  if (PROC_MOUNT.test(path)) return value === 'Unmasked';
  return PROFILE.test(path) && value === 'Unconfined';
}
