/** An export of the trail as somebody takes it away and verifies it, by the root alone. */
import { X509Certificate } from 'node:crypto';
import { type TreeHead, verifyExport } from '@sallyport/trail';
import type { TestControlPlane } from './control-plane.ts';

export async function exportTrail(plane: TestControlPlane, query = '', token = plane.adminToken): Promise<Buffer> {
  const response = await fetch(`${plane.url}/v1/trail/export${query}`, {
    headers: { authorization: `Bearer ${token}` },
  });
  if (response.status !== 200) throw new Error(`no export: ${response.status} ${await response.text()}`);
  return Buffer.from(await response.arrayBuffer());
}

/** @param root PEM @param since UTC ms from which on the export was asked for; 0 = all of it */
export const verifyArchive = (archive: Buffer, root: string, knownHeads: readonly TreeHead[] = [], since = 0) =>
  verifyExport(
    (async function* () {
      yield archive;
    })(),
    { root: new X509Certificate(root), knownHeads, since },
  );
