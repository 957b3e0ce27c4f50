-- AlterTable
ALTER TABLE "login_attempts" ADD COLUMN     "answer" BYTEA;

-- CreateTable
CREATE TABLE "scim_clients" (
    "token_id" UUID NOT NULL,
    "project_id" UUID NOT NULL,
    "provider" TEXT NOT NULL,
    "subject" TEXT NOT NULL,

    CONSTRAINT "scim_clients_pkey" PRIMARY KEY ("token_id")
);

-- CreateTable
CREATE TABLE "scim_users" (
    "project_id" UUID NOT NULL,
    "principal_id" UUID NOT NULL,
    "provider" TEXT NOT NULL,
    "subject" TEXT NOT NULL,
    "user_name" TEXT NOT NULL,
    "external_id" TEXT,
    "active" BOOLEAN NOT NULL DEFAULT true,
    "disabled_here" BOOLEAN NOT NULL DEFAULT false,
    "document" JSONB NOT NULL,
    "user_name_folded" TEXT NOT NULL,
    "display_name_folded" TEXT,
    "given_name_folded" TEXT,
    "family_name_folded" TEXT,
    "email_keys" TEXT[],
    "revision" INTEGER NOT NULL DEFAULT 1,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "updated_at" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "scim_users_pkey" PRIMARY KEY ("principal_id","provider")
);

-- CreateTable
CREATE TABLE "scim_groups" (
    "id" UUID NOT NULL,
    "project_id" UUID NOT NULL,
    "provider" TEXT NOT NULL,
    "display_name" TEXT NOT NULL,
    "display_name_folded" TEXT NOT NULL,
    "external_id" TEXT,
    "made_group_id" UUID,
    "revision" INTEGER NOT NULL DEFAULT 1,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "updated_at" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "scim_groups_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "scim_group_members" (
    "project_id" UUID NOT NULL,
    "group_id" UUID NOT NULL,
    "principal_id" UUID NOT NULL,

    CONSTRAINT "scim_group_members_pkey" PRIMARY KEY ("group_id","principal_id")
);

-- CreateTable
CREATE TABLE "saml_keys" (
    "id" UUID NOT NULL,
    "project_id" UUID NOT NULL,
    "provider_id" UUID NOT NULL,
    "certificate" TEXT NOT NULL,
    "sealed" BYTEA NOT NULL,
    "signs_from" TIMESTAMPTZ(3) NOT NULL,
    "not_after" TIMESTAMPTZ(3) NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "saml_keys_pkey" PRIMARY KEY ("id")
);

-- CreateIndex
CREATE INDEX "scim_clients_project_id_provider_idx" ON "scim_clients"("project_id", "provider");

-- CreateIndex
CREATE UNIQUE INDEX "scim_users_project_id_provider_user_name_folded_key" ON "scim_users"("project_id", "provider", "user_name_folded");

-- CreateIndex
CREATE UNIQUE INDEX "scim_users_project_id_provider_external_id_key" ON "scim_users"("project_id", "provider", "external_id");

-- CreateIndex
CREATE UNIQUE INDEX "scim_groups_project_id_provider_display_name_folded_key" ON "scim_groups"("project_id", "provider", "display_name_folded");

-- CreateIndex
CREATE UNIQUE INDEX "scim_groups_project_id_provider_external_id_key" ON "scim_groups"("project_id", "provider", "external_id");

-- CreateIndex
CREATE INDEX "scim_group_members_principal_id_idx" ON "scim_group_members"("principal_id");

-- CreateIndex
CREATE INDEX "saml_keys_project_id_provider_id_idx" ON "saml_keys"("project_id", "provider_id");

-- AddForeignKey
ALTER TABLE "scim_clients" ADD CONSTRAINT "scim_clients_token_id_fkey" FOREIGN KEY ("token_id") REFERENCES "api_tokens"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "scim_users" ADD CONSTRAINT "scim_users_principal_id_fkey" FOREIGN KEY ("principal_id") REFERENCES "principals"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "scim_group_members" ADD CONSTRAINT "scim_group_members_group_id_fkey" FOREIGN KEY ("group_id") REFERENCES "scim_groups"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "scim_group_members" ADD CONSTRAINT "scim_group_members_principal_id_fkey" FOREIGN KEY ("principal_id") REFERENCES "principals"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "saml_keys" ADD CONSTRAINT "saml_keys_provider_id_fkey" FOREIGN KEY ("provider_id") REFERENCES "identity_providers"("id") ON DELETE CASCADE ON UPDATE CASCADE;
