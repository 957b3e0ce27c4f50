-- CreateSchema
CREATE SCHEMA IF NOT EXISTS "public";

-- CreateTable
CREATE TABLE "projects" (
    "id" UUID NOT NULL,
    "name" TEXT NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "projects_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "principals" (
    "id" UUID NOT NULL,
    "project_id" UUID NOT NULL,
    "name" TEXT NOT NULL,
    "kind" TEXT NOT NULL,
    "display_name" TEXT NOT NULL DEFAULT '',
    "email" TEXT,
    "roles" TEXT[] DEFAULT ARRAY['member']::TEXT[],
    "disabled_at" TIMESTAMPTZ(3),
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "updated_at" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "principals_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "groups" (
    "id" UUID NOT NULL,
    "project_id" UUID NOT NULL,
    "name" TEXT NOT NULL,
    "description" TEXT NOT NULL DEFAULT '',
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "groups_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "memberships" (
    "project_id" UUID NOT NULL,
    "group_id" UUID NOT NULL,
    "principal_id" UUID NOT NULL,
    "source" TEXT NOT NULL DEFAULT 'manual',
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "memberships_pkey" PRIMARY KEY ("group_id","principal_id","source")
);

-- CreateTable
CREATE TABLE "identities" (
    "id" UUID NOT NULL,
    "project_id" UUID NOT NULL,
    "principal_id" UUID NOT NULL,
    "provider" TEXT NOT NULL,
    "subject" TEXT NOT NULL,
    "last_login_at" TIMESTAMPTZ(3),

    CONSTRAINT "identities_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "api_tokens" (
    "id" UUID NOT NULL,
    "project_id" UUID NOT NULL,
    "principal_id" UUID NOT NULL,
    "name" TEXT NOT NULL,
    "kind" TEXT NOT NULL,
    "hash" BYTEA NOT NULL,
    "scopes" TEXT[],
    "expires_at" TIMESTAMPTZ(3) NOT NULL,
    "revoked_at" TIMESTAMPTZ(3),
    "last_used_at" TIMESTAMPTZ(3),
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "api_tokens_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "client_secrets" (
    "id" UUID NOT NULL,
    "project_id" UUID NOT NULL,
    "principal_id" UUID NOT NULL,
    "hash" BYTEA NOT NULL,
    "expires_at" TIMESTAMPTZ(3),
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "client_secrets_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "login_attempts" (
    "id" UUID NOT NULL,
    "project_id" UUID NOT NULL,
    "provider" TEXT NOT NULL,
    "kind" TEXT NOT NULL,
    "secret_hash" BYTEA NOT NULL,
    "user_code" TEXT,
    "nonce" TEXT,
    "code_verifier" TEXT,
    "return_to" TEXT,
    "principal_id" UUID,
    "denied_at" TIMESTAMPTZ(3),
    "consumed_at" TIMESTAMPTZ(3),
    "last_polled_at" TIMESTAMPTZ(3),
    "expires_at" TIMESTAMPTZ(3) NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "login_attempts_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "signing_keys" (
    "id" TEXT NOT NULL,
    "project_id" UUID NOT NULL,
    "purpose" TEXT NOT NULL,
    "algorithm" TEXT NOT NULL,
    "public_jwk" JSONB NOT NULL,
    "sealed" BYTEA NOT NULL,
    "certificate" TEXT,
    "not_before" TIMESTAMPTZ(3) NOT NULL,
    "signs_until" TIMESTAMPTZ(3) NOT NULL,
    "not_after" TIMESTAMPTZ(3) NOT NULL,
    "retired_at" TIMESTAMPTZ(3),
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "signing_keys_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "resources" (
    "id" UUID NOT NULL,
    "project_id" UUID NOT NULL,
    "name" TEXT NOT NULL,
    "kind" TEXT NOT NULL,
    "description" TEXT NOT NULL DEFAULT '',
    "labels" JSONB NOT NULL DEFAULT '{}',
    "spec" JSONB NOT NULL,
    "agents" TEXT[],
    "credential_id" UUID,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "updated_at" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "resources_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "credentials" (
    "id" UUID NOT NULL,
    "project_id" UUID NOT NULL,
    "name" TEXT NOT NULL,
    "kind" TEXT NOT NULL,
    "username" TEXT NOT NULL,
    "reference" TEXT,
    "certificate" BOOLEAN NOT NULL DEFAULT false,
    "sealed" BYTEA,
    "version" INTEGER NOT NULL DEFAULT 1,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "updated_at" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "credentials_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "grants" (
    "id" UUID NOT NULL,
    "project_id" UUID NOT NULL,
    "name" TEXT NOT NULL,
    "principal_id" UUID,
    "group_name" TEXT,
    "resource" TEXT,
    "labels" JSONB,
    "effects" TEXT[],
    "roles" TEXT[],
    "kind" TEXT NOT NULL DEFAULT 'standing',
    "not_before" TIMESTAMPTZ(3),
    "not_after" TIMESTAMPTZ(3),
    "revoked_at" TIMESTAMPTZ(3),
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "updated_at" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "grants_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "policies" (
    "id" UUID NOT NULL,
    "project_id" UUID NOT NULL,
    "name" TEXT NOT NULL,
    "source" TEXT NOT NULL,
    "compiled" JSONB NOT NULL,
    "revision" INTEGER NOT NULL DEFAULT 1,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "updated_at" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "policies_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "policy_revisions" (
    "project_id" UUID NOT NULL,
    "policy_id" UUID NOT NULL,
    "revision" INTEGER NOT NULL,
    "source" TEXT NOT NULL,
    "by_id" UUID,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "policy_revisions_pkey" PRIMARY KEY ("policy_id","revision")
);

-- CreateTable
CREATE TABLE "agents" (
    "id" UUID NOT NULL,
    "project_id" UUID NOT NULL,
    "name" TEXT NOT NULL,
    "labels" JSONB NOT NULL DEFAULT '{}',
    "seal_key" BYTEA NOT NULL,
    "capabilities" TEXT[],
    "version" TEXT NOT NULL DEFAULT '',
    "key_hash" BYTEA NOT NULL,
    "names" TEXT[],
    "endpoints" JSONB NOT NULL DEFAULT '[]',
    "cert_expires" TIMESTAMPTZ(3),
    "revoked_at" TIMESTAMPTZ(3),
    "last_seen_at" TIMESTAMPTZ(3),
    "instance" TEXT,
    "bundle_epoch" INTEGER NOT NULL DEFAULT 0,
    "bundle_revision" INTEGER NOT NULL DEFAULT 0,
    "bundle_error" TEXT,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "agents_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "join_tokens" (
    "id" UUID NOT NULL,
    "project_id" UUID NOT NULL,
    "agent_name" TEXT NOT NULL,
    "names" TEXT[],
    "hash" BYTEA NOT NULL,
    "expires_at" TIMESTAMPTZ(3) NOT NULL,
    "used_at" TIMESTAMPTZ(3),
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "join_tokens_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "bundle_state" (
    "project_id" UUID NOT NULL,
    "epoch" INTEGER NOT NULL DEFAULT 1,
    "revision" INTEGER NOT NULL DEFAULT 0,
    "updated_at" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "bundle_state_pkey" PRIMARY KEY ("project_id")
);

-- CreateTable
CREATE TABLE "revocations" (
    "id" UUID NOT NULL,
    "project_id" UUID NOT NULL,
    "kind" TEXT NOT NULL,
    "target_id" TEXT NOT NULL,
    "before" TIMESTAMPTZ(3) NOT NULL,
    "keep_until" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "revocations_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "approval_requests" (
    "id" TEXT NOT NULL,
    "project_id" UUID NOT NULL,
    "agent_id" UUID NOT NULL,
    "session_id" UUID NOT NULL,
    "resource_id" UUID NOT NULL,
    "principal_id" UUID NOT NULL,
    "on_behalf_of_id" UUID,
    "digest" TEXT NOT NULL,
    "mode" TEXT NOT NULL,
    "rule" TEXT NOT NULL,
    "body" JSONB NOT NULL,
    "groups" TEXT[],
    "count" INTEGER NOT NULL,
    "state" TEXT NOT NULL DEFAULT 'pending',
    "reason" TEXT,
    "signed" TEXT,
    "requested_at" TIMESTAMPTZ(3) NOT NULL,
    "expires_at" TIMESTAMPTZ(3) NOT NULL,
    "answered_at" TIMESTAMPTZ(3),
    "consumed_at" TIMESTAMPTZ(3),

    CONSTRAINT "approval_requests_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "approval_votes" (
    "project_id" UUID NOT NULL,
    "request_id" TEXT NOT NULL,
    "principal_id" UUID NOT NULL,
    "granted" BOOLEAN NOT NULL,
    "reason" TEXT,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "approval_votes_pkey" PRIMARY KEY ("request_id","principal_id")
);

-- CreateTable
CREATE TABLE "sessions" (
    "id" UUID NOT NULL,
    "project_id" UUID NOT NULL,
    "agent_id" UUID NOT NULL,
    "instance" TEXT NOT NULL DEFAULT '',
    "chain_epoch" BIGINT NOT NULL DEFAULT 0,
    "resource_id" UUID NOT NULL,
    "resource_name" TEXT NOT NULL,
    "protocol" TEXT NOT NULL,
    "principal_id" UUID NOT NULL,
    "principal_name" TEXT NOT NULL,
    "principal_kind" TEXT NOT NULL,
    "on_behalf_of_id" UUID,
    "on_behalf_of_name" TEXT,
    "token_id" TEXT NOT NULL,
    "client_address" TEXT NOT NULL,
    "database" TEXT NOT NULL,
    "role" TEXT NOT NULL,
    "application" TEXT NOT NULL,
    "opened_at" TIMESTAMPTZ(3) NOT NULL,
    "closed_at" TIMESTAMPTZ(3),
    "close_reason" TEXT,
    "statements" INTEGER NOT NULL DEFAULT 0,
    "rows" BIGINT NOT NULL DEFAULT 0,
    "bytes" BIGINT NOT NULL DEFAULT 0,
    "erased_at" TIMESTAMPTZ(3),

    CONSTRAINT "sessions_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "session_keys" (
    "id" UUID NOT NULL,
    "project_id" UUID NOT NULL,
    "session_id" UUID NOT NULL,
    "seal_key_id" TEXT NOT NULL,
    "box" BYTEA NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "session_keys_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "trail_chains" (
    "id" UUID NOT NULL,
    "project_id" UUID NOT NULL,
    "agent_id" UUID NOT NULL,
    "instance" TEXT NOT NULL,
    "epoch" BIGINT NOT NULL,
    "last_sequence" BIGINT NOT NULL,
    "head" BYTEA NOT NULL,
    "said_sequence" BIGINT NOT NULL DEFAULT 0,
    "said_head" BYTEA,
    "alarm" TEXT,
    "updated_at" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "trail_chains_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "trail_batches" (
    "chain_id" UUID NOT NULL,
    "project_id" UUID NOT NULL,
    "first_sequence" BIGINT NOT NULL,
    "last_sequence" BIGINT NOT NULL,
    "segment" BIGINT NOT NULL,
    "segment_header" BYTEA NOT NULL,
    "records" BYTEA NOT NULL,
    "first_time" TIMESTAMPTZ(3) NOT NULL,
    "last_time" TIMESTAMPTZ(3) NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "trail_batches_pkey" PRIMARY KEY ("chain_id","first_sequence")
);

-- CreateTable
CREATE TABLE "trail_checkpoints" (
    "chain_id" UUID NOT NULL,
    "project_id" UUID NOT NULL,
    "segment" BIGINT NOT NULL,
    "last_sequence" BIGINT NOT NULL,
    "head" BYTEA NOT NULL,
    "record" BYTEA NOT NULL,
    "leaf_index" BIGINT,
    "leaf" BYTEA NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "trail_checkpoints_pkey" PRIMARY KEY ("chain_id","segment")
);

-- CreateTable
CREATE TABLE "trail_tree_heads" (
    "project_id" UUID NOT NULL,
    "size" BIGINT NOT NULL,
    "root" BYTEA NOT NULL,
    "signed" BYTEA NOT NULL,
    "key_id" TEXT NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "trail_tree_heads_pkey" PRIMARY KEY ("project_id","size")
);

-- CreateTable
CREATE TABLE "trail_events" (
    "time" TIMESTAMPTZ(3) NOT NULL,
    "chain_id" UUID NOT NULL,
    "sequence" BIGINT NOT NULL,
    "project_id" UUID NOT NULL,
    "kind" TEXT NOT NULL,
    "session_id" UUID,
    "verdict" TEXT,
    "rule" TEXT,
    "code" TEXT,
    "action" TEXT,
    "target" TEXT,
    "principal_id" UUID,
    "count" INTEGER NOT NULL DEFAULT 1,

    CONSTRAINT "trail_events_pkey" PRIMARY KEY ("time","chain_id","sequence")
) PARTITION BY RANGE ("time");

-- Partitions live in a schema of their own: one a month (UTC), made ahead, dropped whole when retention ends.
-- A clock far off lands in the default partition instead of failing an ingest.
CREATE SCHEMA "partitions";
CREATE TABLE "partitions"."trail_events_default" PARTITION OF "trail_events" DEFAULT;

CREATE FUNCTION "partitions"."ensure_trail_events"("from_time" TIMESTAMPTZ, "months" INTEGER) RETURNS INTEGER
LANGUAGE plpgsql AS $$
DECLARE
    "start" TIMESTAMP := date_trunc('month', "from_time" AT TIME ZONE 'UTC');
    "part" TEXT;
    "made" INTEGER := 0;
BEGIN
    FOR i IN 0..("months" - 1) LOOP
        "part" := 'trail_events_' || to_char("start" + make_interval(months => i), 'YYYY_MM');
        IF to_regclass('partitions.' || "part") IS NULL THEN
            EXECUTE format(
                'CREATE TABLE partitions.%I PARTITION OF trail_events FOR VALUES FROM (%L) TO (%L)', "part",
                ("start" + make_interval(months => i))::TEXT || '+00', ("start" + make_interval(months => i + 1))::TEXT || '+00');
            "made" := "made" + 1;
        END IF;
    END LOOP;
    RETURN "made";
END $$;

-- CreateTable
CREATE TABLE "control_acts" (
    "id" BIGSERIAL NOT NULL,
    "project_id" UUID NOT NULL,
    "time" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "principal_id" UUID,
    "principal_name" TEXT,
    "principal_kind" TEXT,
    "on_behalf_of_id" UUID,
    "on_behalf_of_name" TEXT,
    "action" TEXT NOT NULL,
    "target" TEXT NOT NULL,
    "detail" JSONB NOT NULL,
    "request_id" TEXT NOT NULL,
    "session_id" UUID,
    "chained_at" TIMESTAMPTZ(3),

    CONSTRAINT "control_acts_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "recording_chunks" (
    "session_id" UUID NOT NULL,
    "project_id" UUID NOT NULL,
    "index" INTEGER NOT NULL,
    "digest" BYTEA NOT NULL,
    "size" INTEGER NOT NULL,
    "object" TEXT NOT NULL,
    "from_ms" INTEGER NOT NULL DEFAULT 0,
    "to_ms" INTEGER NOT NULL DEFAULT 0,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "recording_chunks_pkey" PRIMARY KEY ("session_id","index")
);

-- CreateTable
CREATE TABLE "webhooks" (
    "id" UUID NOT NULL,
    "project_id" UUID NOT NULL,
    "name" TEXT NOT NULL,
    "url" TEXT NOT NULL,
    "format" TEXT NOT NULL DEFAULT 'generic',
    "sealed" BYTEA NOT NULL,
    "events" TEXT[],
    "disabled_at" TIMESTAMPTZ(3),
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "webhooks_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "outbox_messages" (
    "id" BIGSERIAL NOT NULL,
    "project_id" UUID NOT NULL,
    "webhook_id" UUID NOT NULL,
    "event" TEXT NOT NULL,
    "body" JSONB NOT NULL,
    "attempts" INTEGER NOT NULL DEFAULT 0,
    "next_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "sent_at" TIMESTAMPTZ(3),
    "failed_at" TIMESTAMPTZ(3),
    "error" TEXT,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "outbox_messages_pkey" PRIMARY KEY ("id")
);

-- CreateIndex
CREATE UNIQUE INDEX "projects_name_key" ON "projects"("name");

-- CreateIndex
CREATE UNIQUE INDEX "principals_project_id_name_key" ON "principals"("project_id", "name");

-- CreateIndex
CREATE UNIQUE INDEX "groups_project_id_name_key" ON "groups"("project_id", "name");

-- CreateIndex
CREATE INDEX "memberships_project_id_principal_id_idx" ON "memberships"("project_id", "principal_id");

-- CreateIndex
CREATE UNIQUE INDEX "identities_project_id_provider_subject_key" ON "identities"("project_id", "provider", "subject");

-- CreateIndex
CREATE UNIQUE INDEX "api_tokens_hash_key" ON "api_tokens"("hash");

-- CreateIndex
CREATE INDEX "api_tokens_project_id_principal_id_idx" ON "api_tokens"("project_id", "principal_id");

-- CreateIndex
CREATE UNIQUE INDEX "client_secrets_hash_key" ON "client_secrets"("hash");

-- CreateIndex
CREATE INDEX "client_secrets_project_id_principal_id_idx" ON "client_secrets"("project_id", "principal_id");

-- CreateIndex
CREATE UNIQUE INDEX "login_attempts_secret_hash_key" ON "login_attempts"("secret_hash");

-- CreateIndex
CREATE UNIQUE INDEX "login_attempts_user_code_key" ON "login_attempts"("user_code");

-- CreateIndex
CREATE INDEX "login_attempts_expires_at_idx" ON "login_attempts"("expires_at");

-- CreateIndex
CREATE INDEX "signing_keys_project_id_purpose_not_before_idx" ON "signing_keys"("project_id", "purpose", "not_before");

-- CreateIndex
CREATE UNIQUE INDEX "resources_project_id_name_key" ON "resources"("project_id", "name");

-- CreateIndex
CREATE UNIQUE INDEX "credentials_project_id_name_key" ON "credentials"("project_id", "name");

-- CreateIndex
CREATE UNIQUE INDEX "grants_project_id_name_key" ON "grants"("project_id", "name");

-- CreateIndex
CREATE UNIQUE INDEX "policies_project_id_name_key" ON "policies"("project_id", "name");

-- CreateIndex
CREATE UNIQUE INDEX "agents_project_id_name_key" ON "agents"("project_id", "name");

-- CreateIndex
CREATE UNIQUE INDEX "join_tokens_hash_key" ON "join_tokens"("hash");

-- CreateIndex
CREATE INDEX "revocations_project_id_keep_until_idx" ON "revocations"("project_id", "keep_until");

-- CreateIndex
CREATE INDEX "approval_requests_project_id_state_expires_at_idx" ON "approval_requests"("project_id", "state", "expires_at");

-- CreateIndex
CREATE INDEX "sessions_project_id_opened_at_idx" ON "sessions"("project_id", "opened_at");

-- CreateIndex
CREATE INDEX "sessions_project_id_principal_id_opened_at_idx" ON "sessions"("project_id", "principal_id", "opened_at");

-- CreateIndex
CREATE INDEX "session_keys_project_id_session_id_idx" ON "session_keys"("project_id", "session_id");

-- CreateIndex
CREATE INDEX "trail_chains_project_id_idx" ON "trail_chains"("project_id");

-- CreateIndex
CREATE UNIQUE INDEX "trail_chains_agent_id_instance_epoch_key" ON "trail_chains"("agent_id", "instance", "epoch");

-- CreateIndex
CREATE INDEX "trail_batches_project_id_first_time_idx" ON "trail_batches"("project_id", "first_time");

-- CreateIndex
CREATE UNIQUE INDEX "trail_checkpoints_project_id_leaf_index_key" ON "trail_checkpoints"("project_id", "leaf_index");

-- CreateIndex
CREATE INDEX "trail_events_project_id_session_id_time_idx" ON "trail_events"("project_id", "session_id", "time");

-- CreateIndex
CREATE INDEX "trail_events_project_id_kind_time_idx" ON "trail_events"("project_id", "kind", "time");

-- CreateIndex
CREATE INDEX "control_acts_chained_at_id_idx" ON "control_acts"("chained_at", "id");

-- CreateIndex
CREATE UNIQUE INDEX "webhooks_project_id_name_key" ON "webhooks"("project_id", "name");

-- CreateIndex
CREATE INDEX "outbox_messages_sent_at_failed_at_next_at_idx" ON "outbox_messages"("sent_at", "failed_at", "next_at");

-- AddForeignKey
ALTER TABLE "memberships" ADD CONSTRAINT "memberships_group_id_fkey" FOREIGN KEY ("group_id") REFERENCES "groups"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "memberships" ADD CONSTRAINT "memberships_principal_id_fkey" FOREIGN KEY ("principal_id") REFERENCES "principals"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "identities" ADD CONSTRAINT "identities_principal_id_fkey" FOREIGN KEY ("principal_id") REFERENCES "principals"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "api_tokens" ADD CONSTRAINT "api_tokens_principal_id_fkey" FOREIGN KEY ("principal_id") REFERENCES "principals"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "client_secrets" ADD CONSTRAINT "client_secrets_principal_id_fkey" FOREIGN KEY ("principal_id") REFERENCES "principals"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "resources" ADD CONSTRAINT "resources_credential_id_fkey" FOREIGN KEY ("credential_id") REFERENCES "credentials"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "policy_revisions" ADD CONSTRAINT "policy_revisions_policy_id_fkey" FOREIGN KEY ("policy_id") REFERENCES "policies"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "approval_votes" ADD CONSTRAINT "approval_votes_request_id_fkey" FOREIGN KEY ("request_id") REFERENCES "approval_requests"("id") ON DELETE CASCADE ON UPDATE CASCADE;
-- CreateTable
CREATE TABLE "issued_certificates" (
    "id" UUID NOT NULL,
    "project_id" UUID NOT NULL,
    "purpose" TEXT NOT NULL,
    "agent_id" UUID NOT NULL,
    "certificate" TEXT NOT NULL,
    "not_before" TIMESTAMPTZ(3) NOT NULL,
    "not_after" TIMESTAMPTZ(3) NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "issued_certificates_pkey" PRIMARY KEY ("id")
);

-- CreateIndex
CREATE INDEX "issued_certificates_project_id_agent_id_not_after_idx" ON "issued_certificates"("project_id", "agent_id", "not_after");
