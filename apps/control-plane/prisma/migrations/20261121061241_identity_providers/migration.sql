-- AlterTable
ALTER TABLE "identities" ADD COLUMN     "verified_email" TEXT;

-- AlterTable
ALTER TABLE "api_tokens" ADD COLUMN     "person_session_id" UUID;

-- AlterTable
ALTER TABLE "login_attempts" ADD COLUMN     "acr_values" TEXT,
ADD COLUMN     "code_challenge" TEXT,
ADD COLUMN     "max_age_s" INTEGER,
ADD COLUMN     "person_session_id" UUID,
ADD COLUMN     "redirect_uri" TEXT;

-- CreateTable
CREATE TABLE "identity_providers" (
    "id" UUID NOT NULL,
    "project_id" UUID NOT NULL,
    "name" TEXT NOT NULL,
    "kind" TEXT NOT NULL,
    "display_name" TEXT NOT NULL DEFAULT '',
    "config" JSONB NOT NULL,
    "sealed" BYTEA,
    "mapping" JSONB NOT NULL,
    "enabled" BOOLEAN NOT NULL DEFAULT true,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "updated_at" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "identity_providers_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "person_sessions" (
    "id" UUID NOT NULL,
    "project_id" UUID NOT NULL,
    "principal_id" UUID NOT NULL,
    "provider" TEXT NOT NULL,
    "subject" TEXT NOT NULL,
    "provider_session" TEXT,
    "amr" TEXT[],
    "acr" TEXT,
    "auth_time" TIMESTAMPTZ(3),
    "sealed" BYTEA,
    "refresh_at" TIMESTAMPTZ(3),
    "expires_at" TIMESTAMPTZ(3) NOT NULL,
    "ended_at" TIMESTAMPTZ(3),
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "person_sessions_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "used_ids" (
    "project_id" UUID NOT NULL,
    "purpose" TEXT NOT NULL,
    "hash" BYTEA NOT NULL,
    "expires_at" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "used_ids_pkey" PRIMARY KEY ("project_id","purpose","hash")
);

-- CreateIndex
CREATE UNIQUE INDEX "identity_providers_project_id_name_key" ON "identity_providers"("project_id", "name");

-- CreateIndex
CREATE INDEX "person_sessions_project_id_provider_subject_idx" ON "person_sessions"("project_id", "provider", "subject");

-- CreateIndex
CREATE INDEX "person_sessions_refresh_at_idx" ON "person_sessions"("refresh_at");

-- CreateIndex
CREATE INDEX "person_sessions_expires_at_idx" ON "person_sessions"("expires_at");

-- CreateIndex
CREATE INDEX "used_ids_expires_at_idx" ON "used_ids"("expires_at");

-- CreateIndex
CREATE INDEX "identities_provider_subject_idx" ON "identities"("provider", "subject");

-- CreateIndex
CREATE INDEX "identities_verified_email_idx" ON "identities"("verified_email");

-- CreateIndex
CREATE INDEX "api_tokens_person_session_id_idx" ON "api_tokens"("person_session_id");

-- AddForeignKey
ALTER TABLE "api_tokens" ADD CONSTRAINT "api_tokens_person_session_id_fkey" FOREIGN KEY ("person_session_id") REFERENCES "person_sessions"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "person_sessions" ADD CONSTRAINT "person_sessions_principal_id_fkey" FOREIGN KEY ("principal_id") REFERENCES "principals"("id") ON DELETE CASCADE ON UPDATE CASCADE;
