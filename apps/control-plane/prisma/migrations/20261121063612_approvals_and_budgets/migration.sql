-- AlterTable
ALTER TABLE "approval_requests" ADD COLUMN     "escalate_at" TIMESTAMPTZ(3),
ADD COLUMN     "escalate_groups" TEXT[],
ADD COLUMN     "escalated_at" TIMESTAMPTZ(3),
ADD COLUMN     "grant_until" TIMESTAMPTZ(3),
ADD COLUMN     "revoked_at" TIMESTAMPTZ(3),
ADD COLUMN     "rows_max" INTEGER,
ADD COLUMN     "scope" TEXT NOT NULL DEFAULT 'once';

-- AlterTable
ALTER TABLE "approval_votes" ADD COLUMN     "seat_of_id" UUID,
ADD COLUMN     "terms" JSONB;

-- CreateTable
CREATE TABLE "approval_comments" (
    "id" UUID NOT NULL,
    "project_id" UUID NOT NULL,
    "request_id" TEXT NOT NULL,
    "principal_id" UUID NOT NULL,
    "text" TEXT NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "approval_comments_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "approval_seats" (
    "project_id" UUID NOT NULL,
    "request_id" TEXT NOT NULL,
    "of_id" UUID NOT NULL,
    "to_id" UUID NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "approval_seats_pkey" PRIMARY KEY ("request_id","of_id")
);

-- CreateTable
CREATE TABLE "approver_delegations" (
    "id" UUID NOT NULL,
    "project_id" UUID NOT NULL,
    "of_id" UUID NOT NULL,
    "to_id" UUID NOT NULL,
    "starts_at" TIMESTAMPTZ(3) NOT NULL,
    "ends_at" TIMESTAMPTZ(3) NOT NULL,
    "ended_at" TIMESTAMPTZ(3),
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "approver_delegations_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "budget_shares" (
    "project_id" UUID NOT NULL,
    "budget" TEXT NOT NULL,
    "principal_id" UUID NOT NULL,
    "started_at" TIMESTAMPTZ(3) NOT NULL,
    "agent_id" UUID NOT NULL,
    "ends_at" TIMESTAMPTZ(3) NOT NULL,
    "statements" DOUBLE PRECISION NOT NULL DEFAULT 0,
    "writes" DOUBLE PRECISION NOT NULL DEFAULT 0,
    "rows" DOUBLE PRECISION NOT NULL DEFAULT 0,
    "bytes" DOUBLE PRECISION NOT NULL DEFAULT 0,
    "seconds" DOUBLE PRECISION NOT NULL DEFAULT 0,

    CONSTRAINT "budget_shares_pkey" PRIMARY KEY ("project_id","budget","principal_id","started_at","agent_id")
);

-- CreateIndex
CREATE INDEX "approval_comments_request_id_created_at_idx" ON "approval_comments"("request_id", "created_at");

-- CreateIndex
CREATE INDEX "approval_seats_to_id_idx" ON "approval_seats"("to_id");

-- CreateIndex
CREATE INDEX "approver_delegations_project_id_to_id_ends_at_idx" ON "approver_delegations"("project_id", "to_id", "ends_at");

-- CreateIndex
CREATE INDEX "budget_shares_ends_at_idx" ON "budget_shares"("ends_at");

-- CreateIndex
CREATE INDEX "approval_requests_state_escalated_at_escalate_at_idx" ON "approval_requests"("state", "escalated_at", "escalate_at");

-- AddForeignKey
ALTER TABLE "approval_comments" ADD CONSTRAINT "approval_comments_request_id_fkey" FOREIGN KEY ("request_id") REFERENCES "approval_requests"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "approval_seats" ADD CONSTRAINT "approval_seats_request_id_fkey" FOREIGN KEY ("request_id") REFERENCES "approval_requests"("id") ON DELETE CASCADE ON UPDATE CASCADE;
