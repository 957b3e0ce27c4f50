/**
 * What changing a setting amounts to, in effects. Settings nobody listed count as `admin`: some disable triggers, load
 * libraries or change whose rights are used.
 * Refuses to pin anything: a session that relies on a setting (client_encoding, search_path, …) refuses or mirrors it itself.
 */
import type { Effect } from '@sallyport/model';

const HARMLESS: ReadonlySet<string> = new Set(
  `application_name array_nulls backslash_quote bytea_output check_function_bodies default_tablespace
   default_table_access_method client_connection_check_interval client_encoding
   client_min_messages commit_delay commit_siblings constraint_exclusion cpu_index_tuple_cost cpu_operator_cost
   cpu_tuple_cost cursor_tuple_fraction datestyle debug_pretty_print deadlock_timeout default_statistics_target
   default_transaction_deferrable default_transaction_isolation effective_cache_size effective_io_concurrency
   enable_async_append enable_bitmapscan enable_gathermerge enable_hashagg enable_hashjoin enable_incremental_sort
   enable_indexonlyscan enable_indexscan enable_material enable_memoize enable_mergejoin enable_nestloop
   enable_parallel_append enable_parallel_hash enable_partition_pruning enable_partitionwise_aggregate
   enable_partitionwise_join enable_seqscan enable_sort enable_tidscan escape_string_warning extra_float_digits
   from_collapse_limit geqo hash_mem_multiplier icu_validation_level idle_in_transaction_session_timeout
   idle_session_timeout intervalstyle jit join_collapse_limit lc_messages lc_monetary lc_numeric lc_time lock_timeout
   maintenance_work_mem max_parallel_workers max_parallel_workers_per_gather min_parallel_table_scan_size
   parallel_setup_cost parallel_tuple_cost plan_cache_mode quote_all_identifiers random_page_cost row_security
   seed seq_page_cost standard_conforming_strings statement_timeout stats_fetch_consistency
   synchronize_seqscans synchronous_commit tcp_keepalives_count tcp_keepalives_idle tcp_keepalives_interval
   tcp_user_timeout temp_buffers timezone timezone_abbreviations transaction_deferrable transaction_isolation
   transaction_timeout transform_null_equals work_mem xmlbinary xmloption`.split(/\s+/),
);

/** `opaque` names what a rule may want to know of; '' where it is nothing special. */
export interface SettingMeaning {
  readonly effects: readonly Effect[];
  readonly opaque: string;
}

const NOTHING: SettingMeaning = { effects: [], opaque: '' };

/** @param name lower case; @param value undefined for RESET and DEFAULT, which go back to what the session began with */
export function settingMeaning(name: string, value: string | undefined): SettingMeaning {
  switch (name) {
    case 'role':
      return { effects: ['admin'], opaque: 'set_role' };
    case 'session_authorization':
      return { effects: ['admin'], opaque: 'set_session_authorization' };
    case 'all':
      return { effects: [], opaque: 'reset_all' };
    case 'transaction_read_only':
    case 'default_transaction_read_only':
      // Going to read-only takes nothing; leaving it is the first half of a write.
      return isOn(value) ? NOTHING : { effects: ['write'], opaque: '' };
    case 'search_path':
      // pg_catalog comes first unless it is named later: then anyone's function can stand in for a built-in one.
      return namedLate(value) ? { effects: ['exec'], opaque: 'search_path' } : NOTHING;
    case 'transaction_snapshot':
      return { effects: ['exec'], opaque: '' };
    default:
      if (HARMLESS.has(name)) return NOTHING;
      // A setting with a dot is an application's own; row-level security often trusts such a one.
      return name.includes('.')
        ? { effects: ['exec'], opaque: 'custom_setting' }
        : { effects: ['admin'], opaque: 'server_setting' };
  }
}

const isOn = (value: string | undefined): boolean =>
  value !== undefined && /^(on|true|yes|1|t|y|tr|tru|ye)$/i.test(value);

function namedLate(value: string | undefined): boolean {
  const names = (value ?? '').split(',').map((name) => name.trim().replace(/^"(.*)"$/, '$1'));
  return names.indexOf('pg_catalog') > 0;
}
