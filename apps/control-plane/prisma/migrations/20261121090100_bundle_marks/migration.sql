-- Which rows that bundles are made from have changed, so that a replica reads those alone (docs/adr/0024). Written by triggers,
-- which no code can forget. A mark becomes visible with its change; a reader takes those that its last snapshot did not see,
-- whatever the order in which transactions began. Old ones are removed; a reader that is older still reads everything.
CREATE SCHEMA "marks";

CREATE TABLE "marks"."bundle" (
    "xid" xid8 NOT NULL DEFAULT pg_current_xact_id(),
    "project_id" UUID NOT NULL,
    "kind" TEXT NOT NULL,
    "key" TEXT NOT NULL,
    "made_at" TIMESTAMPTZ(3) NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX "bundle_xid" ON "marks"."bundle"("xid");
CREATE INDEX "bundle_made_at" ON "marks"."bundle"("made_at");

-- Transactions whose marks may be gone: all below this.
CREATE TABLE "marks"."forgotten" ("below" xid8 NOT NULL);
INSERT INTO "marks"."forgotten" VALUES ('0');

-- Arguments: kind, and the expression over a changed row that is its key.
CREATE FUNCTION "marks"."note"() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format(
        'INSERT INTO marks.bundle (project_id, kind, key) SELECT DISTINCT c.project_id, %L, %s FROM changed c',
        TG_ARGV[0], TG_ARGV[1]);
    RETURN NULL;
END $$;

-- Of principals and projects only this matters, and the rows change for other reasons too.
CREATE FUNCTION "marks"."note_disabled"() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format(
        'INSERT INTO marks.bundle (project_id, kind, key) SELECT DISTINCT c.%I, %L, c.id::text FROM changed c'
        ' JOIN former f ON f.id = c.id WHERE f.disabled_at IS DISTINCT FROM c.disabled_at', TG_ARGV[1], TG_ARGV[0]);
    RETURN NULL;
END $$;

DO $$
DECLARE
    "one" RECORD;
BEGIN
    FOR "one" IN
        SELECT * FROM (VALUES
            ('resources', 'resource', 'c.id::text'),
            ('policies', 'policy', 'c.id::text'),
            ('grants', 'grant', 'c.id::text'),
            ('grant_reviews', 'grant', 'c.grant_id::text'),
            ('groups', 'group', 'c.id::text'),
            ('memberships', 'member', 'c.group_id::text || ''/'' || c.principal_id::text'),
            ('revocations', 'revocation', 'c.id::text'),
            ('credentials', 'credential', 'c.id::text')
        ) AS t("source", "kind", "key")
    LOOP
        EXECUTE format('CREATE TRIGGER bundle_marks_insert AFTER INSERT ON %I REFERENCING NEW TABLE AS changed'
            ' FOR EACH STATEMENT EXECUTE FUNCTION marks.note(%L, %L)', "one"."source", "one"."kind", "one"."key");
        EXECUTE format('CREATE TRIGGER bundle_marks_update AFTER UPDATE ON %I REFERENCING NEW TABLE AS changed'
            ' FOR EACH STATEMENT EXECUTE FUNCTION marks.note(%L, %L)', "one"."source", "one"."kind", "one"."key");
        EXECUTE format('CREATE TRIGGER bundle_marks_delete AFTER DELETE ON %I REFERENCING OLD TABLE AS changed'
            ' FOR EACH STATEMENT EXECUTE FUNCTION marks.note(%L, %L)', "one"."source", "one"."kind", "one"."key");
    END LOOP;
END $$;

CREATE TRIGGER "bundle_marks_insert" AFTER INSERT ON "principals" REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION "marks"."note"('principal', 'c.id::text');
CREATE TRIGGER "bundle_marks_update" AFTER UPDATE ON "principals" REFERENCING OLD TABLE AS former NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION "marks"."note_disabled"('principal', 'project_id');
CREATE TRIGGER "bundle_marks_delete" AFTER DELETE ON "principals" REFERENCING OLD TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION "marks"."note"('principal', 'c.id::text');
