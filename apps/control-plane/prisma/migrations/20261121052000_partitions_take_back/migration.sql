-- An agent's clock that was months ahead left rows in the default partition; a month that came could then not be made,
-- and no replica could start. What lies there for a month now moves into its partition. One at a time, whoever asks.
CREATE OR REPLACE FUNCTION "partitions"."ensure_trail_events"("from_time" TIMESTAMPTZ, "months" INTEGER) RETURNS INTEGER
LANGUAGE plpgsql AS $$
DECLARE
    "start" TIMESTAMP := date_trunc('month', "from_time" AT TIME ZONE 'UTC');
    "part" TEXT;
    "lower" TIMESTAMPTZ;
    "upper" TIMESTAMPTZ;
    "made" INTEGER := 0;
BEGIN
    PERFORM pg_advisory_xact_lock(7070, 5);
    FOR i IN 0..("months" - 1) LOOP
        "part" := 'trail_events_' || to_char("start" + make_interval(months => i), 'YYYY_MM');
        "lower" := ("start" + make_interval(months => i)) AT TIME ZONE 'UTC';
        "upper" := ("start" + make_interval(months => i + 1)) AT TIME ZONE 'UTC';
        IF to_regclass('partitions.' || "part") IS NULL THEN
            EXECUTE format('CREATE TABLE partitions.%I (LIKE trail_events INCLUDING ALL)', "part");
            IF EXISTS (SELECT 1 FROM partitions.trail_events_default WHERE "time" >= "lower" AND "time" < "upper") THEN
                LOCK TABLE partitions.trail_events_default IN ACCESS EXCLUSIVE MODE;
                EXECUTE format(
                    'WITH moved AS (DELETE FROM partitions.trail_events_default WHERE "time" >= %L AND "time" < %L RETURNING *)'
                    ' INSERT INTO partitions.%I SELECT * FROM moved', "lower", "upper", "part");
            END IF;
            EXECUTE format(
                'ALTER TABLE trail_events ATTACH PARTITION partitions.%I FOR VALUES FROM (%L) TO (%L)', "part", "lower", "upper");
            "made" := "made" + 1;
        END IF;
    END LOOP;
    RETURN "made";
END $$;
