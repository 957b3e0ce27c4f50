-- Grants of one principal, own and by group, are read at every token exchange.
CREATE INDEX "grants_project_id_principal_id_idx" ON "grants"("project_id", "principal_id");

CREATE INDEX "grants_project_id_group_name_idx" ON "grants"("project_id", "group_name");
