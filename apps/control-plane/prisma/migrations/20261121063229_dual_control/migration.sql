-- AlterTable
ALTER TABLE "projects" ADD COLUMN     "dual_control" TEXT[] DEFAULT ARRAY[]::TEXT[];

-- AlterTable
ALTER TABLE "api_tokens" ADD COLUMN     "lineage" UUID[] DEFAULT ARRAY[]::UUID[];

-- CreateTable
CREATE TABLE "change_proposals" (
    "id" UUID NOT NULL,
    "project_id" UUID NOT NULL,
    "areas" TEXT[],
    "method" TEXT NOT NULL,
    "path" TEXT NOT NULL,
    "sealed" BYTEA NOT NULL,
    "requires" TEXT[],
    "changes" JSONB NOT NULL,
    "baseline" BYTEA NOT NULL,
    "proposer_id" UUID NOT NULL,
    "proposer_name" TEXT NOT NULL,
    "permissions" TEXT[],
    "state" TEXT NOT NULL DEFAULT 'pending',
    "answered_by_id" UUID,
    "answered_by_name" TEXT,
    "reason" TEXT,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "expires_at" TIMESTAMPTZ(3) NOT NULL,
    "answered_at" TIMESTAMPTZ(3),

    CONSTRAINT "change_proposals_pkey" PRIMARY KEY ("id")
);

-- CreateIndex
CREATE INDEX "change_proposals_project_id_state_created_at_idx" ON "change_proposals"("project_id", "state", "created_at");
