/** A further project of a test's control plane, with an admin of its own. Made as an owner makes it: over REST. */
import type { TestControlPlane } from './control-plane.ts';

export interface SecondProject {
  readonly id: string;
  readonly name: string;
  /** API token of its admin. */
  readonly token: string;
}

/** @param admin name of its admin */
export async function addProject(
  plane: Pick<TestControlPlane, 'call'>,
  name: string,
  admin = 'admin',
): Promise<SecondProject> {
  const made = await plane.call<{ id: string }>('POST', '/v1/projects', { name });
  const given = await plane.call<{ token: string }>('POST', `/v1/projects/${name}/admins`, { name: admin });
  if (made.status !== 201 || given.status !== 201)
    throw new Error(`no project: ${JSON.stringify([made.body, given.body])}`);
  return { id: made.body.id, name, token: given.body.token };
}
