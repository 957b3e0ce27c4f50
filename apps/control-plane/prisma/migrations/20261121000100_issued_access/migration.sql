-- CreateTable
CREATE TABLE "issued_access" (
    "jti" TEXT NOT NULL,
    "project_id" UUID NOT NULL,
    "api_token_id" UUID NOT NULL,
    "resource_id" UUID NOT NULL,
    "expires_at" TIMESTAMPTZ(3) NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "issued_access_pkey" PRIMARY KEY ("jti")
);

-- CreateIndex
CREATE INDEX "issued_access_api_token_id_created_at_idx" ON "issued_access"("api_token_id", "created_at");

-- CreateIndex
CREATE INDEX "issued_access_created_at_idx" ON "issued_access"("created_at");
