-- AlterTable
ALTER TABLE "credentials" ADD COLUMN     "admin_id" UUID,
ADD COLUMN     "fallback_seconds" INTEGER,
ADD COLUMN     "fetch_error" TEXT,
ADD COLUMN     "fetched_at" TIMESTAMPTZ(3),
ADD COLUMN     "fetched_username" TEXT,
ADD COLUMN     "next_sealed" BYTEA,
ADD COLUMN     "previous_sealed" BYTEA,
ADD COLUMN     "previous_until" TIMESTAMPTZ(3),
ADD COLUMN     "refused_at" TIMESTAMPTZ(3),
ADD COLUMN     "resolve_at" TEXT NOT NULL DEFAULT 'agent',
ADD COLUMN     "rotate_every_seconds" INTEGER,
ADD COLUMN     "rotated_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
ADD COLUMN     "rotation_error" TEXT,
ADD COLUMN     "rotation_tried_at" TIMESTAMPTZ(3),
ADD COLUMN     "settings" JSONB NOT NULL DEFAULT '{}';

-- CreateTable
CREATE TABLE "credential_leases" (
    "id" UUID NOT NULL,
    "project_id" UUID NOT NULL,
    "agent_id" UUID NOT NULL,
    "kind" TEXT NOT NULL,
    "credential_id" UUID NOT NULL,
    "resource_id" UUID NOT NULL,
    "principal_id" UUID NOT NULL,
    "session_id" UUID,
    "account" TEXT NOT NULL,
    "opened_at" TIMESTAMPTZ(3) NOT NULL,
    "expires_at" TIMESTAMPTZ(3) NOT NULL,
    "ended_at" TIMESTAMPTZ(3),
    "reason" TEXT,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "credential_leases_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "credential_errands" (
    "id" UUID NOT NULL,
    "project_id" UUID NOT NULL,
    "credential_id" UUID NOT NULL,
    "resource_id" UUID NOT NULL,
    "agent_id" UUID NOT NULL,
    "kind" TEXT NOT NULL,
    "state" TEXT NOT NULL DEFAULT 'open',
    "code" TEXT NOT NULL DEFAULT '',
    "reason" TEXT NOT NULL DEFAULT '',
    "send_at" TIMESTAMPTZ(3) NOT NULL,
    "sent_at" TIMESTAMPTZ(3),
    "done_at" TIMESTAMPTZ(3),
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "credential_errands_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "master_key" (
    "id" INTEGER NOT NULL DEFAULT 1,
    "key_id" TEXT NOT NULL,
    "changed_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "master_key_pkey" PRIMARY KEY ("id")
);

-- CreateIndex
CREATE INDEX "credential_leases_project_id_ended_at_created_at_idx" ON "credential_leases"("project_id", "ended_at", "created_at");

-- CreateIndex
CREATE INDEX "credential_leases_agent_id_ended_at_idx" ON "credential_leases"("agent_id", "ended_at");

-- CreateIndex
CREATE INDEX "credential_errands_state_send_at_idx" ON "credential_errands"("state", "send_at");

-- CreateIndex
CREATE INDEX "credential_errands_credential_id_idx" ON "credential_errands"("credential_id");

-- AddForeignKey
ALTER TABLE "credentials" ADD CONSTRAINT "credentials_admin_id_fkey" FOREIGN KEY ("admin_id") REFERENCES "credentials"("id") ON DELETE RESTRICT ON UPDATE CASCADE;
