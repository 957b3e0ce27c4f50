-- AlterTable
ALTER TABLE "api_tokens" ADD COLUMN     "bound_key" TEXT;

-- CreateTable
CREATE TABLE "local_accounts" (
    "id" UUID NOT NULL,
    "project_id" UUID NOT NULL,
    "principal_id" UUID NOT NULL,
    "password_hash" TEXT,
    "totp_sealed" BYTEA,
    "totp_step" INTEGER,
    "recovery_codes" BYTEA[],
    "break_glass" BOOLEAN NOT NULL DEFAULT false,
    "last_login_at" TIMESTAMPTZ(3),
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "local_accounts_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "passkeys" (
    "id" UUID NOT NULL,
    "project_id" UUID NOT NULL,
    "account_id" UUID NOT NULL,
    "name" TEXT NOT NULL,
    "credential_id" BYTEA NOT NULL,
    "public_key" BYTEA NOT NULL,
    "counter" BIGINT NOT NULL,
    "transports" TEXT[],
    "last_used_at" TIMESTAMPTZ(3),
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "passkeys_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "bootstrap_links" (
    "id" UUID NOT NULL,
    "project_id" UUID NOT NULL,
    "principal_id" UUID NOT NULL,
    "hash" BYTEA NOT NULL,
    "replaces" BOOLEAN NOT NULL DEFAULT false,
    "break_glass" BOOLEAN NOT NULL DEFAULT false,
    "expires_at" TIMESTAMPTZ(3) NOT NULL,
    "used_at" TIMESTAMPTZ(3),
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "bootstrap_links_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "login_ceremonies" (
    "hash" BYTEA NOT NULL,
    "project_id" UUID NOT NULL,
    "kind" TEXT NOT NULL,
    "challenge" TEXT NOT NULL,
    "sealed" BYTEA,
    "expires_at" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "login_ceremonies_pkey" PRIMARY KEY ("hash")
);

-- CreateTable
CREATE TABLE "login_delays" (
    "project_id" UUID NOT NULL,
    "key" TEXT NOT NULL,
    "failures" INTEGER NOT NULL,
    "last_at" TIMESTAMPTZ(3) NOT NULL,
    "next_at" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "login_delays_pkey" PRIMARY KEY ("project_id","key")
);

-- CreateTable
CREATE TABLE "trust_rules" (
    "id" UUID NOT NULL,
    "project_id" UUID NOT NULL,
    "name" TEXT NOT NULL,
    "issuer" TEXT NOT NULL,
    "document" JSONB NOT NULL,
    "last_used_at" TIMESTAMPTZ(3),
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "updated_at" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "trust_rules_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "client_keys" (
    "id" UUID NOT NULL,
    "project_id" UUID NOT NULL,
    "principal_id" UUID NOT NULL,
    "kid" TEXT NOT NULL,
    "jwk" JSONB NOT NULL,
    "expires_at" TIMESTAMPTZ(3),
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "client_keys_pkey" PRIMARY KEY ("id")
);

-- CreateIndex
CREATE UNIQUE INDEX "local_accounts_principal_id_key" ON "local_accounts"("principal_id");

-- CreateIndex
CREATE INDEX "local_accounts_project_id_created_at_idx" ON "local_accounts"("project_id", "created_at");

-- CreateIndex
CREATE UNIQUE INDEX "passkeys_credential_id_key" ON "passkeys"("credential_id");

-- CreateIndex
CREATE INDEX "passkeys_account_id_idx" ON "passkeys"("account_id");

-- CreateIndex
CREATE UNIQUE INDEX "bootstrap_links_hash_key" ON "bootstrap_links"("hash");

-- CreateIndex
CREATE INDEX "bootstrap_links_principal_id_idx" ON "bootstrap_links"("principal_id");

-- CreateIndex
CREATE INDEX "bootstrap_links_expires_at_idx" ON "bootstrap_links"("expires_at");

-- CreateIndex
CREATE INDEX "login_ceremonies_expires_at_idx" ON "login_ceremonies"("expires_at");

-- CreateIndex
CREATE INDEX "login_delays_last_at_idx" ON "login_delays"("last_at");

-- CreateIndex
CREATE INDEX "trust_rules_project_id_issuer_idx" ON "trust_rules"("project_id", "issuer");

-- CreateIndex
CREATE UNIQUE INDEX "trust_rules_project_id_name_key" ON "trust_rules"("project_id", "name");

-- CreateIndex
CREATE UNIQUE INDEX "client_keys_principal_id_kid_key" ON "client_keys"("principal_id", "kid");

-- AddForeignKey
ALTER TABLE "local_accounts" ADD CONSTRAINT "local_accounts_principal_id_fkey" FOREIGN KEY ("principal_id") REFERENCES "principals"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "passkeys" ADD CONSTRAINT "passkeys_account_id_fkey" FOREIGN KEY ("account_id") REFERENCES "local_accounts"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "bootstrap_links" ADD CONSTRAINT "bootstrap_links_principal_id_fkey" FOREIGN KEY ("principal_id") REFERENCES "principals"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "client_keys" ADD CONSTRAINT "client_keys_principal_id_fkey" FOREIGN KEY ("principal_id") REFERENCES "principals"("id") ON DELETE CASCADE ON UPDATE CASCADE;
