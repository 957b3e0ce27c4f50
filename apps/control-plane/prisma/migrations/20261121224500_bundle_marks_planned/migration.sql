-- The same marks by statements that are planned once a connection: as texts put together they were planned for every change,
-- which took longer than the change. The branch of another table is never planned, so its columns need not be here.
CREATE OR REPLACE FUNCTION "marks"."note"() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    IF TG_TABLE_NAME = 'memberships' THEN
        INSERT INTO marks.bundle (project_id, kind, key)
            SELECT DISTINCT c.project_id, TG_ARGV[0], c.group_id::text || '/' || c.principal_id::text FROM changed c;
    ELSIF TG_TABLE_NAME = 'grant_reviews' THEN
        INSERT INTO marks.bundle (project_id, kind, key) SELECT DISTINCT c.project_id, TG_ARGV[0], c.grant_id::text FROM changed c;
    ELSE
        INSERT INTO marks.bundle (project_id, kind, key) SELECT c.project_id, TG_ARGV[0], c.id::text FROM changed c;
    END IF;
    RETURN NULL;
END $$;
