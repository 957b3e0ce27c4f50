-- AlterTable
ALTER TABLE "projects" ADD COLUMN     "mask_key" BYTEA,
ADD COLUMN     "retain_events_days" INTEGER,
ADD COLUMN     "retain_sessions_days" INTEGER;

-- AlterTable
ALTER TABLE "trail_batches" ADD COLUMN     "trimmed_at" TIMESTAMPTZ(3);
