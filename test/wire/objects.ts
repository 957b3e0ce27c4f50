/** What stands in the demo database beside customers and payments: things an attacker would wish to find there. */
export const SETUP = `
create table if not exists ledger (id int primary key, note text not null, amount int not null check (amount < 1000000));
insert into ledger select i, 'n' || i, i from generate_series(1, 20) i on conflict do nothing;
create or replace function wipe_ledger() returns int language plpgsql as $$ begin delete from ledger; return 1; end $$;
create or replace function wipe_with(int, int) returns boolean language plpgsql as $$ begin delete from ledger; return true; end $$;
create or replace function wipe_set() returns int language plpgsql set search_path = public as $$ begin delete from ledger; return 1; end $$;
create or replace function wipe_row(ledger) returns int language plpgsql as $$ begin delete from ledger; return 1; end $$;
create or replace function card_of(ledger) returns text language sql stable as 'select card_number from customers where id = $1.id';
create or replace function name_of(ledger) returns text language sql stable as 'select name from customers where id = $1.id';
create or replace function initcap(bigint) returns text language sql stable as 'select name from customers where id = $1';
create or replace function any_name(anyelement) returns text language sql stable as 'select name from customers where id = 1';
create or replace procedure wipe_by_call() language plpgsql as $$ begin delete from ledger; end $$;
create or replace function say_card(bigint) returns text language sql stable as 'select card_number from customers where id = $1';
create or replace function shout_card(bigint) returns int language plpgsql as
  $$ begin raise notice 'the card is %', (select card_number from customers where id = $1); return 1; end $$;
create or replace function cards() returns setof text language sql stable as 'select card_number from customers where id <= 5';
create or replace function cards_table() returns table (n bigint, shown text) language sql stable as
  'select id, card_number from customers where id <= 5';
create or replace function whole_customer(bigint) returns customers language sql stable as 'select * from customers where id = $1';
do $$ begin
  create operator <<<< (leftarg = int, rightarg = int, function = wipe_with);
exception when duplicate_function then null; end $$;
create or replace view view_of_function as select id, say_card(id) as card, (select name_of(l)) as name from ledger l where id <= 5;
create or replace view view_of_view_of_function as select id, name as shown from view_of_function;
create or replace view ledger_view as select * from ledger;
create or replace view wiping_view as select wipe_ledger() as n;
create table if not exists ledger_in (id int);
create or replace rule ledger_in_wipes as on insert to ledger_in do also delete from ledger;
create or replace view customer_names as select id, name from customers;
create or replace view customer_mail as select id, email as contact from customers;
create or replace view customer_mail_again as select id, contact as reach from customer_mail;
create or replace view customer_hidden as select id, 'x' || card_number as shown from customers;
create table if not exists clients (id bigint, mail text, card text) partition by range (id);
create table if not exists customers_archive () inherits (customers);
insert into customers_archive (id, name, email, national_id, card_number, city, created_at)
  select id + 900000, name, email, national_id, card_number, city, created_at from customers
  where id <= 5 and not exists (select 1 from customers_archive);
create materialized view if not exists customer_snapshot as select id, card_number as stored from customers where id <= 5;
create table if not exists branches (id int primary key);
insert into branches values (1) on conflict do nothing;
create table if not exists customers_of_branches (
  branch int not null default 1 references branches on delete set null, unique (name)) inherits (customers);
insert into customers_of_branches (id, name, email, national_id, card_number, city, created_at)
  select id + 800000, name, email, national_id, card_number, city, created_at from customers
  where id = 1 and not exists (select 1 from customers_of_branches);
create table if not exists branch_notes (customer text references customers_of_branches (name) deferrable initially deferred);
insert into branch_notes select name from customers_of_branches where not exists (select 1 from branch_notes);
create or replace view seen_values as
  select tablename, attname, most_common_vals::text as common, histogram_bounds::text as bounds from pg_stats;
create or replace view seen_texts as select pid, query from pg_stat_activity;
create or replace view seen_rows as select a::text as seen from pg_stat_activity a;
do $$ begin
  execute 'create or replace view seen_by_place as select q from pg_stat_activity as a(' || (select string_agg('c' || n || ', ', '')
    from pg_attribute, generate_series(1, attnum - 1) n where attrelid = 'pg_stat_activity'::regclass and attname = 'query') || 'q)';
end $$;
create or replace view view_of_text as select query_to_xml('select name from customers where id <= 5', true, true, '')::text as shown;
create or replace view view_of_words as select word from ts_stat('select array_to_tsvector(array[name]) from customers where id <= 5');
create or replace function name_after(text, bigint) returns text language sql stable as 'select name from customers where id = $2';
do $$ begin
  create aggregate last_name(bigint) (sfunc = name_after, stype = text);
exception when duplicate_function then null; end $$;
create or replace view view_of_aggregate as select last_name(id::bigint) as shown from ledger where id <= 5;
do $$ begin
  create operator # (leftarg = text, rightarg = bigint, function = name_after);
exception when duplicate_function then null; end $$;
create table if not exists customers_guarded () inherits (customers);
insert into customers_guarded (id, name, email, national_id, card_number, city, created_at)
  select id + 700000, name, email, national_id, card_number, city, created_at from customers
  where id = 1 and not exists (select 1 from customers_guarded);
create or replace function guard_customer() returns trigger language plpgsql as
  $$ begin raise exception using errcode = 'check_violation', message = old.name || ' may not be changed'; end $$;
drop trigger if exists guarded on customers_guarded;
create trigger guarded before update on customers_guarded for each row execute function guard_customer();
create table if not exists keepers as select id, name from customers where id <= 5;
create table if not exists sized (id int primary key, contact varchar(5));
analyze;
`;

/** Fails, and leaves an index that is not valid. By itself, since it can be in no transaction. */
export const BROKEN_INDEX = 'create index concurrently if not exists broken on keepers ((name::int))';

export const MASKED_NAMES = `kind: Policy
name: masked-names
resources: { labels: { env: prod } }
masks:
  - { columns: [public.customers.name, public.keepers.name], with: redact }
`;

/** One line that changes when anything an attack is after has changed. */
export const FINGERPRINT = `
select md5(string_agg(x, '|' order by x)) from (
  select concat('c', n.nspname, relname, relkind, relowner, array_to_string(relacl, ',')) as x
    from pg_class c join pg_namespace n on n.oid = relnamespace
    where n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
  union all select concat('s', nspname) from pg_namespace where nspname !~ '^pg_(temp|toast)'
  union all select concat('f', proname, prosrc, prosecdef) from pg_proc p join pg_namespace n on n.oid = pronamespace
    where n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
  union all select concat('r', rolname, rolsuper, rolcanlogin) from pg_roles
  union all select concat('m', roleid, member) from pg_auth_members
  union all select concat('g', setdatabase, setrole, array_to_string(setconfig, ',')) from pg_db_role_setting
  union all select concat('t', tgname) from pg_trigger
  union all select concat('a', attrelid, attname, attnum) from pg_attribute a join pg_class c on c.oid = attrelid
    where relnamespace = 'public'::regnamespace and attnum > 0
  union all select concat('o', oid) from pg_largeobject_metadata
  union all select concat('d', datname) from pg_database
  union all select concat('e', extname) from pg_extension
  union all select concat('l', l::text) from ledger l
  union all select concat('n', (select count(*) from payments), '/', (select count(*) from customers))
  union all select concat('p', p::text) from payments p where id <= 50
  union all select concat('k', k::text) from customers k where id <= 50
) as everything
`;
