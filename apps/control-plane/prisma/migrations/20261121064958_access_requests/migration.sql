-- AlterTable
ALTER TABLE "grants" ADD COLUMN     "request_id" UUID,
ADD COLUMN     "source" TEXT NOT NULL DEFAULT 'manual';

-- AlterTable
ALTER TABLE "webhooks" ADD COLUMN     "config" JSONB NOT NULL DEFAULT '{}';

-- AlterTable
ALTER TABLE "outbox_messages" ADD COLUMN     "recipient_id" UUID;

-- CreateTable
CREATE TABLE "access_policies" (
    "id" UUID NOT NULL,
    "project_id" UUID NOT NULL,
    "name" TEXT NOT NULL,
    "document" JSONB NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "updated_at" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "access_policies_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "access_requests" (
    "id" UUID NOT NULL,
    "project_id" UUID NOT NULL,
    "policy_id" UUID NOT NULL,
    "policy_name" TEXT NOT NULL,
    "principal_id" UUID NOT NULL,
    "principal_name" TEXT NOT NULL,
    "principal_kind" TEXT NOT NULL,
    "requested_by_id" UUID NOT NULL,
    "requested_by_name" TEXT NOT NULL,
    "requested_by_kind" TEXT NOT NULL,
    "involved" UUID[],
    "resource" TEXT,
    "labels" JSONB,
    "effects" TEXT[],
    "roles" TEXT[],
    "duration_ms" BIGINT NOT NULL,
    "start_at" TIMESTAMPTZ(3),
    "reason" TEXT NOT NULL,
    "ticket" TEXT,
    "extends_id" UUID,
    "groups" TEXT[],
    "decision" TEXT,
    "decision_until" TIMESTAMPTZ(3),
    "state" TEXT NOT NULL DEFAULT 'pending',
    "answer" TEXT,
    "grant_id" UUID,
    "requested_at" TIMESTAMPTZ(3) NOT NULL,
    "expires_at" TIMESTAMPTZ(3) NOT NULL,
    "answered_at" TIMESTAMPTZ(3),

    CONSTRAINT "access_requests_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "access_request_votes" (
    "project_id" UUID NOT NULL,
    "request_id" UUID NOT NULL,
    "principal_id" UUID NOT NULL,
    "granted" BOOLEAN NOT NULL,
    "reason" TEXT,
    "effects" TEXT[],
    "duration_ms" BIGINT NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "access_request_votes_pkey" PRIMARY KEY ("request_id","principal_id")
);

-- CreateTable
CREATE TABLE "slack_messages" (
    "project_id" UUID NOT NULL,
    "webhook_id" UUID NOT NULL,
    "subject" TEXT NOT NULL,
    "channel" TEXT NOT NULL,
    "ts" TEXT NOT NULL,
    "blocks" JSONB NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "slack_messages_pkey" PRIMARY KEY ("webhook_id","subject")
);

-- CreateTable
CREATE TABLE "slack_links" (
    "id" UUID NOT NULL,
    "project_id" UUID NOT NULL,
    "webhook_id" UUID NOT NULL,
    "team_id" TEXT NOT NULL,
    "slack_user_id" TEXT NOT NULL,
    "slack_name" TEXT NOT NULL,
    "principal_id" UUID NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "slack_links_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "slack_link_codes" (
    "hash" BYTEA NOT NULL,
    "project_id" UUID NOT NULL,
    "webhook_id" UUID NOT NULL,
    "team_id" TEXT NOT NULL,
    "slack_user_id" TEXT NOT NULL,
    "slack_name" TEXT NOT NULL,
    "expires_at" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "slack_link_codes_pkey" PRIMARY KEY ("hash")
);

-- CreateIndex
CREATE UNIQUE INDEX "access_policies_project_id_name_key" ON "access_policies"("project_id", "name");

-- CreateIndex
CREATE INDEX "access_requests_project_id_state_expires_at_idx" ON "access_requests"("project_id", "state", "expires_at");

-- CreateIndex
CREATE INDEX "access_requests_project_id_principal_id_state_idx" ON "access_requests"("project_id", "principal_id", "state");

-- CreateIndex
CREATE INDEX "access_requests_extends_id_idx" ON "access_requests"("extends_id");

-- CreateIndex
CREATE INDEX "slack_messages_created_at_idx" ON "slack_messages"("created_at");

-- CreateIndex
CREATE INDEX "slack_links_project_id_principal_id_idx" ON "slack_links"("project_id", "principal_id");

-- CreateIndex
CREATE UNIQUE INDEX "slack_links_project_id_webhook_id_team_id_slack_user_id_key" ON "slack_links"("project_id", "webhook_id", "team_id", "slack_user_id");

-- CreateIndex
CREATE INDEX "slack_link_codes_expires_at_idx" ON "slack_link_codes"("expires_at");

-- AddForeignKey
ALTER TABLE "access_request_votes" ADD CONSTRAINT "access_request_votes_request_id_fkey" FOREIGN KEY ("request_id") REFERENCES "access_requests"("id") ON DELETE CASCADE ON UPDATE CASCADE;
