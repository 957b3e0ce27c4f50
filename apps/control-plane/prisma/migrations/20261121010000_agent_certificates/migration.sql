-- Every identity certificate issued to an agent: a checkpoint names its signer by key, and an export needs the
-- certificate long after it expired.
CREATE TABLE "agent_certificates" (
    "id" UUID NOT NULL,
    "project_id" UUID NOT NULL,
    "agent_id" UUID NOT NULL,
    "key_hash" BYTEA NOT NULL,
    "chain" TEXT NOT NULL,
    "not_before" TIMESTAMPTZ(3) NOT NULL,
    "not_after" TIMESTAMPTZ(3) NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "agent_certificates_pkey" PRIMARY KEY ("id")
);

-- CreateIndex
CREATE INDEX "agent_certificates_agent_id_key_hash_idx" ON "agent_certificates"("agent_id", "key_hash");
