-- AlterTable
ALTER TABLE "projects" ADD COLUMN     "description" TEXT NOT NULL DEFAULT '',
ADD COLUMN     "disabled_at" TIMESTAMPTZ(3);

-- What belongs to the installation (projects, keys) is the owner's alone; who administers it so far keeps that.
UPDATE "principals" SET "roles" = array_append("roles", 'owner')
WHERE 'admin' = ANY ("roles") AND NOT 'owner' = ANY ("roles")
  AND "project_id" = (SELECT "id" FROM "projects" WHERE "name" = 'default');
