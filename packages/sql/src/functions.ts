/**
 * What calling a function does, by its name. Not listed means `exec`: its body is not ours to read.
 * Refuses to resolve overloads: a user's function with a built-in's name and closer argument types is beyond the text;
 * creating one is `ddl`, and docs/reference/policy.md says so.
 */
import type { Effect } from '@sallyport/model';
import { isShippedBy } from './functions-since.ts';
import { HARMLESS_FUNCTIONS } from './harmless-functions.ts';

export interface FunctionMeaning {
  readonly effects: readonly Effect[];
  /** The construct a rule can name; '' where it is nothing special. */
  readonly opaque: string;
}

const READ: FunctionMeaning = { effects: [], opaque: '' };
const EXEC: FunctionMeaning = { effects: ['exec'], opaque: '' };
const WRITE: FunctionMeaning = { effects: ['write'], opaque: '' };

const words = (text: string): ReadonlySet<string> => new Set(text.trim().split(/\s+/));
const WRITING = words(`nextval setval pg_advisory_lock pg_advisory_lock_shared pg_advisory_unlock pg_advisory_unlock_all
  pg_advisory_unlock_shared pg_advisory_xact_lock pg_advisory_xact_lock_shared pg_try_advisory_lock
  pg_try_advisory_lock_shared pg_try_advisory_xact_lock pg_try_advisory_xact_lock_shared`);
/** Helpers of the information schema, which database browsers call. */
const INFORMATION_SCHEMA = words(`_pg_char_max_length _pg_char_octet_length _pg_datetime_precision _pg_expandarray
  _pg_index_position _pg_interval_type _pg_numeric_precision _pg_numeric_precision_radix _pg_numeric_scale
  _pg_truetypid _pg_truetypmod`);
const FILES =
  words(`pg_read_file pg_read_binary_file pg_read_server_files pg_stat_file pg_ls_dir pg_ls_logdir pg_ls_waldir
  pg_ls_archive_statusdir pg_ls_tmpdir pg_ls_logicalmapdir pg_ls_logicalsnapdir pg_ls_replslotdir pg_ls_summariesdir
  pg_current_logfile pg_file_write pg_file_read pg_file_rename pg_file_unlink pg_file_sync pg_logdir_ls
  pg_hba_file_rules pg_ident_file_mappings pg_show_all_file_settings pg_file_length file_fdw_handler lo_import lo_export`);
const LARGE_OBJECTS =
  words(`lo_creat lo_create lo_open lo_close lo_get lo_put lo_from_bytea lo_lseek lo_lseek64 lo_tell lo_tell64
  lo_truncate lo_truncate64 lo_unlink loread lowrite lo_manage`);
const TEXT_RUNNERS = words(`query_to_xml query_to_xmlschema query_to_xml_and_xmlschema cursor_to_xml cursor_to_xmlschema
  table_to_xml table_to_xmlschema table_to_xml_and_xmlschema schema_to_xml schema_to_xmlschema
  schema_to_xml_and_xmlschema database_to_xml database_to_xmlschema database_to_xml_and_xmlschema ts_stat ts_rewrite
  xpath_table crosstab crosstabn crosstab2 crosstab3 crosstab4 connectby`);
const SERVER =
  words(`pg_terminate_backend pg_cancel_backend pg_reload_conf pg_rotate_logfile pg_rotate_logfile_old pg_promote
  pg_switch_wal pg_switch_xlog pg_create_restore_point pg_backup_start pg_backup_stop pg_start_backup pg_stop_backup
  pg_wal_replay_pause pg_wal_replay_resume pg_log_backend_memory_contexts pg_log_standby_snapshot
  pg_import_system_collations pg_stat_reset pg_stat_reset_shared pg_stat_reset_slru pg_stat_reset_backend_stats
  pg_stat_reset_single_table_counters pg_stat_reset_single_function_counters pg_stat_reset_replication_slot
  pg_stat_reset_subscription_stats pg_stat_statements_reset pg_clear_attribute_stats pg_clear_relation_stats
  pg_restore_attribute_stats pg_restore_relation_stats pg_extension_config_dump pg_nextoid pg_get_loaded_modules
  pg_control_system pg_control_checkpoint pg_control_recovery pg_control_init`);
const REPLICATION =
  /^(pg_(create_(physical|logical)|copy_(physical|logical)|drop)_replication_slot|pg_logical_.*|pg_replication_.*|pg_sync_replication_slots)$/;
const DBLINK = /^(dblink|dblink_.*|postgres_fdw_.*)$/;

/** A row of any type is one argument: `c.to_jsonb` is `to_jsonb(c)`, which shows every column (Field Selection, "functional notation"). */
export const WHOLE_ROW_FUNCTIONS =
  words(`any_value array_agg concat count cume_dist dense_rank hash_record hash_record_extended
  json_agg json_agg_strict json_build_array json_build_object jsonb_agg jsonb_agg_strict jsonb_build_array
  jsonb_build_object max min mode num_nonnulls num_nulls percent_rank pg_column_size pg_typeof quote_literal
  quote_nullable rank record_out record_send row_to_json to_json to_jsonb`);

/** @param schema '' or as written; @param name lower case where the text does not quote it; @param major the server's, undefined where every one has it */
export function functionMeaning(schema: string, name: string, major: number | undefined): FunctionMeaning {
  // Extensions live in any schema, so their names count wherever they are.
  if (DBLINK.test(name)) return { effects: ['exec'], opaque: 'dblink' };
  if (FILES.has(name)) return { effects: ['exec'], opaque: 'file_function' };
  if (schema === 'information_schema' && INFORMATION_SCHEMA.has(name)) return READ;
  if (schema !== '' && schema !== 'pg_catalog') return EXEC;
  if (HARMLESS_FUNCTIONS.has(name)) return major === undefined || isShippedBy(name, major) ? READ : EXEC;
  if (WRITING.has(name)) return WRITE;
  if (LARGE_OBJECTS.has(name)) return { effects: ['write', 'exec'], opaque: 'large_object' };
  if (TEXT_RUNNERS.has(name)) return { effects: ['exec'], opaque: 'execute_text' };
  if (SERVER.has(name)) return { effects: ['exec', 'admin'], opaque: 'server_function' };
  if (REPLICATION.test(name)) return { effects: ['exec', 'admin'], opaque: 'replication' };
  if (name === 'pg_notify') return { effects: ['exec'], opaque: 'notify' };
  if (name === 'set_config') return { effects: [], opaque: '' };
  return EXEC;
}
