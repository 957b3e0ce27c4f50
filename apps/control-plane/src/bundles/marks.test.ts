/** Reading only what changed gives the rows that reading everything gives, whoever changed them and in whatever order. */
import pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Database, DatabaseUrl } from '../db/database.ts';
import { Project } from '../db/project.ts';
import { Upkeep } from '../db/upkeep.ts';
import { startTestControlPlane, type TestControlPlane } from '../testing/control-plane.ts';
import { BundlesRepository } from './bundles.repository.ts';
import { ProjectRows } from './project-rows.ts';

let plane: TestControlPlane;
let repository: BundlesRepository;
let project: string;
let pool: pg.Pool;
beforeAll(async () => {
  plane = await startTestControlPlane();
  const { app } = plane.controlPlane;
  repository = new BundlesRepository(app.get(Database, { strict: false }));
  project = app.get(Project, { strict: false }).id;
  pool = new pg.Pool({ connectionString: app.get(DatabaseUrl, { strict: false }).url.reveal(), max: 8 });
  pool.on('error', () => undefined);
}, 60_000);
afterAll(async () => {
  await pool.end();
  await plane.stop();
});

const uuid = (kind: number, n: number): string => `0190b3a4-0000-7000-8${kind}00-${n.toString().padStart(12, '0')}`;

/** Numbers that look like chance and come again with the same seed. */
function chance(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

const POLICY = JSON.stringify({ kind: 'policy' });

/** One change as SQL; tables and columns are those that bundles are made from. */
function change(next: (below: number) => number): { text: string; values: unknown[] } {
  const [a, b] = [next(12), next(12)];
  switch (next(17)) {
    case 0:
      return {
        text: `insert into principals (id, project_id, name, kind, roles, updated_at) values ($1, $2, $3, 'service', '{}', now()) on conflict do nothing`,
        values: [uuid(1, a), project, `principal-${a}`],
      };
    case 1:
      return {
        text: 'update principals set disabled_at = case when disabled_at is null then now() end where id = $1',
        values: [uuid(1, a)],
      };
    case 2:
      return { text: 'delete from principals where id = $1', values: [uuid(1, a)] };
    case 3:
      return {
        text: 'insert into groups (id, project_id, name) values ($1, $2, $3) on conflict do nothing',
        values: [uuid(2, a), project, `group-${a}`],
      };
    case 4:
      return { text: 'delete from groups where id = $1', values: [uuid(2, a)] };
    case 5:
    case 6:
    case 7:
      return {
        text: `insert into memberships (project_id, group_id, principal_id, source)
          select $1::uuid, g.id, p.id, $4::text from groups g, principals p where g.id = $2 and p.id = $3 on conflict do nothing`,
        values: [project, uuid(2, a), uuid(1, b), ['manual', 'oidc:x'][next(2)]],
      };
    case 8:
      return {
        text: 'delete from memberships where group_id = $1 and principal_id = $2 and source = $3',
        values: [uuid(2, a), uuid(1, b), ['manual', 'oidc:x'][next(2)]],
      };
    case 9:
      return {
        text: `insert into grants (id, project_id, name, principal_id, group_name, resource, effects, roles, updated_at)
          values ($1, $2, $3, $4, $5, 'db', '{read}', '{}', now())
          on conflict (id) do update set effects = excluded.effects || '{write}', revoked_at = null`,
        values: [uuid(3, a), project, `grant-${a}`, a % 2 === 0 ? uuid(1, b) : null, a % 2 === 0 ? null : `group-${b}`],
      };
    case 10:
      return { text: 'update grants set revoked_at = now() where id = any ($1)', values: [[uuid(3, a), uuid(3, b)]] };
    case 11:
      return {
        text: `insert into resources (id, project_id, name, kind, labels, spec, agents, credential_id, updated_at)
          select $1::uuid, $2::uuid, $3::text, 'postgres', '{}', '{}', '{}', (select id from credentials where id = $4), now()
          on conflict (id) do update set labels = jsonb_build_object('n', $3::text)`,
        values: [uuid(4, a), project, `resource-${a}`, uuid(5, b)],
      };
    case 12:
      return { text: 'delete from resources where id = $1', values: [uuid(4, a)] };
    case 13:
      return {
        text: `insert into credentials (id, project_id, name, kind, username, admin_id, sealed, updated_at)
          select $1::uuid, $2::uuid, $3::text, 'stored', 'someone', (select id from credentials where id = $4 and id <> $1), '\\x00', now()
          on conflict (id) do update set username = credentials.username || 'x', version = credentials.version + 1`,
        values: [uuid(5, a), project, `credential-${a}`, uuid(5, b)],
      };
    case 14:
      return {
        text: `insert into policies (id, project_id, name, source, compiled, updated_at) values ($1, $2, $3, '', $4, now())
          on conflict (id) do update set compiled = jsonb_build_object('n', $3::text)`,
        values: [uuid(6, a), project, `policy-${a}`, POLICY],
      };
    case 15:
      return { text: 'delete from policies where id = $1', values: [uuid(6, a)] };
    default:
      return {
        text: `insert into revocations (id, project_id, kind, target_id, before, keep_until)
          values (gen_random_uuid(), $1, 'token', $2, now(), now() + make_interval(hours => $3))`,
        values: [project, `t-${a}`, next(3) - 1],
      };
  }
}

const plain = (rows: ProjectRows): unknown => {
  const { resources, policies, grants, groups, revocations, ...rest } = rows.source();
  const sorted = (list: readonly unknown[]): readonly string[] => list.map((one) => JSON.stringify(one)).toSorted();
  return {
    ...rest,
    resources: sorted(resources),
    policies: sorted(policies),
    grants: sorted(grants),
    groups: sorted(groups.map((group) => ({ ...group, members: group.members.toSorted() }))),
    revocations: sorted(revocations),
    credentials: sorted([...rows.credentials]),
  };
};

test.each([1, 2, 3])(
  'what is read of the changes alone adds up to what is read whole (seed %i)',
  { timeout: 180_000 },
  async (seed) => {
    const next = chance(seed);
    const kept = new ProjectRows(await repository.read(project));
    const open: pg.PoolClient[] = [];
    const ends = async (client: pg.PoolClient): Promise<void> => {
      await client.query(next(4) === 0 ? 'rollback' : 'commit');
      client.release();
    };
    for (let i = 0; i < 120; i++) {
      // Transactions that began earlier may end later, and a read in between must miss nothing of either.
      if (open.length < 3 && next(5) === 0) {
        const client = await pool.connect();
        await client.query("begin; set local lock_timeout = '20ms'");
        open.push(client);
      }
      const client = open[next(open.length + 1)] ?? pool;
      const { text, values } = change(next);
      try {
        if (client !== pool) await client.query('savepoint s');
        else await client.query("set lock_timeout = '20ms'");
        await client.query(text, values);
      } catch (error) {
        // Two that want one row, or a row that is still in use: no change.
        expect((error as pg.DatabaseError).code).toMatch(/^(55P03|23503|40P01|23505)$/);
        if (client !== pool) await client.query('rollback to savepoint s');
      }
      if (open.length > 0 && next(4) === 0) await ends(open.splice(next(open.length), 1)[0]!);
      if (next(3) !== 0) continue;
      const read = await repository.read(project, kept.seen);
      expect(read.marked).toBeDefined();
      kept.apply(read);
      expect(plain(kept)).toEqual(plain(new ProjectRows(await repository.read(project))));
    }
    for (const client of open) await ends(client);
  },
);

test('marks that the upkeep removed make the next read whole', { timeout: 60_000 }, async () => {
  const before = await repository.read(project);
  const group = (name: string) => plane.call('POST', '/v1/groups', { name });
  expect((await group('while-nobody-looked')).status).toBe(201);
  plane.clock.offsetMs = 2 * 3_600_000;
  expect(await plane.controlPlane.app.get(Upkeep, { strict: false }).run()).toBe(true);
  plane.clock.offsetMs = 0;
  const read = await repository.read(project, before.seen);
  expect(read.marked).toBeUndefined();
  expect(read.groups.map(({ name }) => name)).toContain('while-nobody-looked');
  // From there on changes are read alone again.
  expect((await group('and-then')).status).toBe(201);
  const next = await repository.read(project, read.seen);
  expect(next.marked?.groups).toHaveLength(1);
  expect(next.groups.map(({ name }) => name)).toEqual(['and-then']);
});

test('a project without changes for a while reads nothing', async () => {
  const { seen } = await repository.read(project);
  const read = await repository.read(project, seen);
  expect(Object.values(read.marked!).flat()).toEqual([]);
});
