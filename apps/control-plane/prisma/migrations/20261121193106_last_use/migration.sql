-- AlterTable
ALTER TABLE "usage_days" ADD COLUMN     "last_allowed_at" TIMESTAMPTZ(3);

-- What was counted before says only when it was last tried.
UPDATE "usage_days" SET "last_allowed_at" = "last_at" WHERE "allowed" > 0;
