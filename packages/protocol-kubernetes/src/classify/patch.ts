/**
 * What a patch sets, as the object it would leave behind: all four kinds read alike, so that a rule about replicas holds however
 * they are changed. Refuses operations that carry a value from one place of the stored object to another: nobody sees it go.
 * RFC 6902 (JSON Patch), RFC 7386 (merge), Kubernetes' strategic merge and server-side apply.
 */

import { GatewayError } from '@sallyport/core';
import { type BodyField, fieldsOf, pathKey } from '@sallyport/model';

export type PatchType = '' | 'json' | 'merge' | 'strategic' | 'apply';

export function patchTypeOf(contentType: string): PatchType {
  switch (contentType.split(';', 1)[0]!.trim().toLowerCase()) {
    case 'application/json-patch+json':
      return 'json';
    case 'application/merge-patch+json':
      return 'merge';
    case 'application/strategic-merge-patch+json':
      return 'strategic';
    case 'application/apply-patch+yaml':
      return 'apply';
    default:
      return '';
  }
}

const refused = (reason: string): GatewayError => new GatewayError('kubernetes.object', { reason });

/**
 * @returns the fields it sets, by the path they have in the object; undefined when they are more than may be read
 * @throws GatewayError `kubernetes.object`
 */
export function fieldsOfPatch(type: PatchType, value: unknown): readonly BodyField[] | undefined {
  return type === 'json' ? fieldsOfOperations(value) : fieldsOf(value);
}

function fieldsOfOperations(value: unknown): readonly BodyField[] | undefined {
  if (!Array.isArray(value)) throw refused('a JSON patch is a list');
  const fields: BodyField[] = [];
  for (const one of value as readonly unknown[]) {
    if (typeof one !== 'object' || one === null) throw refused('an operation is an object');
    const { op, path, value: set } = one as { op?: unknown; path?: unknown; value?: unknown };
    if (typeof path !== 'string' || (path !== '' && !path.startsWith('/'))) throw refused('a pointer');
    const at = pathOfPointer(path);
    switch (op) {
      case 'add':
      case 'replace':
      case 'test': {
        const inner = fieldsOf(set ?? null);
        if (inner === undefined) return undefined;
        for (const field of inner) fields.push({ ...field, path: joined(at, field.path) });
        break;
      }
      case 'remove':
        fields.push({ path: at, value: '', number: 0, kind: 'null' });
        break;
      default:
        throw refused('an operation other than add, replace, remove and test');
    }
  }
  return fields;
}

const joined = (before: string, behind: string): string =>
  before === '' || behind === '' || behind.startsWith('[') ? before + behind : `${before}.${behind}`;

/**
 * `/spec/containers/0/image` is `spec.containers[0].image`; a name that is all digits reads as an element. So does one with a sign:
 * the server's library (evanphx/json-patch) takes `+0`, and counts `-1` from the end.
 */
function pathOfPointer(pointer: string): string {
  return pointer
    .split('/')
    .slice(1)
    .map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'))
    .reduce(
      (path, part) =>
        /^(?:[+-]?\d+|-)$/.test(part) ? `${path}[${/\d+/.exec(part)?.[0] ?? '0'}]` : joined(path, pathKey(part)),
      '',
    );
}
