-- CreateIndex
CREATE INDEX "identities_principal_id_idx" ON "identities"("principal_id");
