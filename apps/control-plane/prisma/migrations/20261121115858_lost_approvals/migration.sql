-- AlterTable
ALTER TABLE "approval_requests" ADD COLUMN     "chain_epoch" BIGINT NOT NULL DEFAULT 0,
ADD COLUMN     "instance" TEXT NOT NULL DEFAULT '';

-- CreateIndex
CREATE INDEX "approval_requests_agent_id_state_idx" ON "approval_requests"("agent_id", "state");
