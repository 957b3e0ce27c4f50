/**
 * Built-in functions we call harmless that not every supported major has, by the first one that does and the first that
 * does not any more. Elsewhere such a name is somebody's own function, whose body is not ours to read.
 * Made from pg_proc of PostgreSQL 13 to 18; test/conformance holds it against the servers' own catalogs.
 */

const SINCE: Readonly<Record<number, string>> = {
  14: `
    bit_count bit_xor date_bin datemultirange elem_contained_by_multirange extract hash_multirange
    hash_multirange_extended hash_record hash_record_extended int4multirange int8multirange multirange
    multirange_adjacent_multirange multirange_adjacent_range multirange_after_multirange multirange_after_range
    multirange_before_multirange multirange_before_range multirange_cmp multirange_contained_by_multirange
    multirange_contained_by_range multirange_contains_elem multirange_contains_multirange multirange_contains_range
    multirange_eq multirange_ge multirange_gt multirange_intersect multirange_le multirange_lt multirange_minus
    multirange_ne multirange_overlaps_multirange multirange_overlaps_range multirange_overleft_multirange
    multirange_overleft_range multirange_overright_multirange multirange_overright_range multirange_union
    numeric_pl_pg_lsn nummultirange pg_column_compression pg_get_catalog_foreign_keys pg_get_function_sqlbody
    pg_get_statisticsobjdef_columns pg_get_statisticsobjdef_expressions pg_lsn pg_lsn_mii pg_lsn_pli
    pg_stat_get_db_active_time pg_stat_get_db_idle_in_transaction_time pg_stat_get_db_session_time
    pg_stat_get_db_sessions pg_stat_get_db_sessions_abandoned pg_stat_get_db_sessions_fatal
    pg_stat_get_db_sessions_killed pg_stat_get_replication_slot pg_stat_get_wal range_adjacent_multirange
    range_after_multirange range_agg range_before_multirange range_contained_by_multirange
    range_contains_multirange range_intersect_agg range_overlaps_multirange range_overleft_multirange
    range_overright_multirange string_to_table trim_array tsmultirange tstzmultirange unistr`,
  15: `
    has_parameter_privilege pg_database_collation_actual_version pg_settings_get_flags
    pg_stat_get_subscription_stats pg_stat_have_stats regexp_count regexp_instr regexp_like regexp_substr
    xid8_larger xid8_smaller`,
  16: `
    any_value array_sample array_shuffle date_add date_subtract erf erfc json_agg_strict json_object_agg_strict
    json_object_agg_unique json_object_agg_unique_strict jsonb_agg_strict jsonb_object_agg_strict
    jsonb_object_agg_unique jsonb_object_agg_unique_strict pg_input_error_info pg_input_is_valid
    pg_split_walfile_name pg_stat_get_backend_subxact pg_stat_get_db_conflict_logicalslot pg_stat_get_io
    pg_stat_get_lastscan pg_stat_get_tuples_newpage_updated pg_stat_get_xact_tuples_newpage_updated random_normal
    system_user`,
  17: `
    icu_unicode_version jsonb_populate_record_valid pg_basetype pg_column_toast_chunk_id pg_get_wait_events
    pg_stat_get_checkpointer_buffers_written pg_stat_get_checkpointer_num_requested
    pg_stat_get_checkpointer_num_timed pg_stat_get_checkpointer_restartpoints_performed
    pg_stat_get_checkpointer_restartpoints_requested pg_stat_get_checkpointer_restartpoints_timed
    pg_stat_get_checkpointer_stat_reset_time pg_stat_get_checkpointer_sync_time pg_stat_get_checkpointer_write_time
    to_bin to_oct to_regtypemod unicode_assigned unicode_version uuid_extract_timestamp uuid_extract_version
    xmltext`,
  18: `
    array_reverse array_sort bytea bytea_larger bytea_smaller casefold crc32 crc32c gamma
    gist_translate_cmptype_common has_largeobject_privilege hashbool hashboolextended hashbytea hashbyteaextended
    hashcid hashcidextended hashdate hashdateextended hashxid hashxid8 hashxid8extended hashxidextended lgamma
    pg_get_acl pg_numa_available pg_stat_get_backend_io pg_stat_get_backend_wal
    pg_stat_get_checkpointer_num_performed pg_stat_get_checkpointer_slru_written
    pg_stat_get_db_parallel_workers_launched pg_stat_get_db_parallel_workers_to_launch
    pg_stat_get_total_analyze_time pg_stat_get_total_autoanalyze_time pg_stat_get_total_autovacuum_time
    pg_stat_get_total_vacuum_time pg_timezone_abbrevs_abbrevs pg_timezone_abbrevs_zone record_larger record_smaller
    timestamptz_hash timestamptz_hash_extended uuidv4 uuidv7`,
};

const GONE: Readonly<Record<number, string>> = {
  17: `
    pg_stat_get_bgwriter_buf_written_checkpoints pg_stat_get_bgwriter_requested_checkpoints
    pg_stat_get_bgwriter_timed_checkpoints pg_stat_get_buf_fsync_backend pg_stat_get_buf_written_backend
    pg_stat_get_checkpoint_sync_time pg_stat_get_checkpoint_write_time`,
  18: `
    pg_timezone_abbrevs`,
};

const byName = (table: Readonly<Record<number, string>>): ReadonlyMap<string, number> =>
  new Map(
    Object.entries(table).flatMap(([major, names]) =>
      names
        .trim()
        .split(/\s+/)
        .map((name) => [name, Number(major)] as const),
    ),
  );

const FIRST = byName(SINCE);
const FIRST_WITHOUT = byName(GONE);

/** Whether a server of this major ships a function that HARMLESS_FUNCTIONS lists. */
export const isShippedBy = (name: string, major: number): boolean =>
  major >= (FIRST.get(name) ?? 0) && major < (FIRST_WITHOUT.get(name) ?? Number.POSITIVE_INFINITY);
