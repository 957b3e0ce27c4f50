/**
 * Ways in which masked values once came out, or might. Each row does leak when it is sent past the gateway (the suite
 * checks that too), so none of them passes because it is nonsense. Customers 1 to 5 are who it is about.
 */
export interface LeakRow {
  readonly name: string;
  /** Default carla, who may read. */
  readonly as?: string;
  readonly sql: string;
  /** Sent first, as simple queries; a refusal of one of them is an answer too. */
  readonly before?: readonly string[];
  /** `masked`: rows come, without the values. `stopped`: refused or held. `safe`: either, so long as nothing comes out. */
  readonly expect: 'masked' | 'stopped' | 'safe';
  /** False, with the reason in a comment: the statement tells nothing even past the gateway, or only in other letters. */
  readonly leaksDirectly?: false;
  /** Only this half of the protocol. */
  readonly how?: 'query' | 'extended';
  /** The first major that reads it: older servers tell nothing past the gateway. */
  readonly since?: number;
}

const C = 'from customers where id <= 5';
const AS_BOT = { as: 'payments-bot' } as const;

export const LEAKS: readonly LeakRow[] = [
  // --- plain columns, under every name: shown, masked
  { name: 'the column', sql: `select card_number, national_id, email ${C}`, expect: 'masked' },
  { name: 'star', sql: `select * ${C}`, expect: 'masked' },
  { name: 'TABLE', sql: 'table customers limit 3', how: 'query', expect: 'masked' },
  { name: 'a star of an alias', sql: 'select c.* from customers c where id <= 5', expect: 'masked' },
  { name: 'an alias', sql: `select card_number as harmless ${C}`, expect: 'masked' },
  { name: 'an alias that is another column’s name', sql: `select card_number as city ${C}`, expect: 'masked' },
  {
    name: 'the column under its schema',
    sql: 'select public.customers.card_number from public.customers where id <= 5',
    expect: 'masked',
  },
  { name: 'a quoted name', sql: `select "card_number" ${C}`, expect: 'masked' },
  { name: 'a unicode name', sql: `select U&"card\\005fnumber" ${C}`, expect: 'masked' },
  { name: 'only the table', sql: 'select card_number from only customers where id <= 5', expect: 'masked' },
  {
    name: 'a sample',
    sql: 'select card_number from customers tablesample system (100) where id <= 5',
    expect: 'masked',
  },
  { name: 'a subquery', sql: `select x from (select card_number as x ${C}) s`, expect: 'masked' },
  { name: 'a CTE', sql: `with s as (select card_number as x ${C}) select x from s`, expect: 'masked' },
  {
    name: 'a materialized CTE',
    sql: `with s as materialized (select card_number as x ${C}) select x from s`,
    expect: 'masked',
  },
  { name: 'a CTE with its own names', sql: `with s(a) as (select card_number ${C}) select a from s`, expect: 'masked' },
  {
    name: 'a left join',
    sql: 'select c.card_number from payments p left join customers c on c.id = p.customer_id where p.id <= 5',
    expect: 'masked',
    leaksDirectly: false /* other customers' cards */,
  },
  {
    name: 'a lateral subquery',
    sql: 'select s.x from customers c, lateral (select c.card_number as x) s where c.id <= 5',
    expect: 'safe',
  },
  {
    name: 'an inheriting table',
    sql: 'select card_number, email, national_id from customers_archive',
    expect: 'masked',
  },
  { name: 'DISTINCT', sql: `select distinct card_number ${C}`, expect: 'safe' },
  { name: 'DISTINCT ON', sql: `select distinct on (id) card_number ${C}`, expect: 'safe' },
  { name: 'GROUP BY', sql: `select card_number, count(*) ${C} group by card_number`, expect: 'safe' },
  { name: 'GROUP BY position', sql: `select card_number, count(*) ${C} group by 1`, expect: 'safe' },
  {
    name: 'GROUPING SETS',
    sql: `select card_number, count(*) ${C} group by grouping sets ((card_number), ())`,
    expect: 'safe',
  },
  {
    name: 'a plan of its own for each',
    sql: 'select card_number from customers where id = any (array[1, 2, 3])',
    expect: 'masked',
  },

  // --- lists of aliases
  {
    name: 'an alias list of the table',
    sql: 'select e from customers as c(a, b, x, d, e) where a <= 5',
    expect: 'safe',
  },
  {
    name: 'an aggregate over an alias list',
    sql: 'select max(e) from customers as c(a, b, x, d, e) where a = 1',
    expect: 'stopped',
  },
  {
    name: 'an expression over an alias list',
    sql: "select e || '' from customers as c(a, b, x, d, e) where a <= 5",
    expect: 'stopped',
  },
  {
    name: 'an expression over a subquery’s alias list',
    sql: "select e || '' from (select * from customers) as c(a, b, x, d, e) where a <= 5",
    expect: 'stopped',
  },
  {
    name: 'an expression over a CTE’s alias list',
    sql: "with c(a, b, x, d, e) as (select * from customers) select e || '' from c where a <= 5",
    expect: 'stopped',
  },
  {
    name: 'an expression over a join’s alias list',
    sql: "select e || '' from (customers c join ledger l on c.id = l.id) as j(a, b, x, d, e) where a <= 5",
    expect: 'stopped',
  },
  {
    name: 'an expression over TABLE’s alias list',
    sql: "select e || '' from (table customers) as c(a, b, x, d, e) where a <= 5",
    expect: 'stopped',
  },
  {
    name: 'an expression over an alias of an alias',
    sql: `select y || '' from (select x as y from (select card_number as x ${C}) a) b`,
    expect: 'stopped',
  },

  // --- a column that is a function, a function that is a column
  { name: 'row_to_json as a column', sql: 'select c.row_to_json from customers c where id <= 5', expect: 'stopped' },
  { name: 'to_jsonb as a column', sql: 'select c.to_jsonb from customers c where id <= 5', expect: 'stopped' },
  { name: 'concat as a column', sql: 'select c.concat from customers c where id <= 5', expect: 'stopped' },
  { name: 'json_agg as a column', sql: 'select c.json_agg from customers c where id <= 5', expect: 'stopped' },
  {
    name: 'quote_literal as a column',
    sql: 'select c.quote_literal from customers c where id <= 5',
    expect: 'stopped',
  },
  {
    name: 'a function as a column of the table’s own name',
    sql: 'select customers.to_json from customers where id <= 5',
    expect: 'stopped',
  },
  {
    name: 'a function as a column of a subquery',
    sql: 'select s.to_json from (select * from customers where id <= 5) s',
    expect: 'stopped',
  },
  {
    name: 'a function as a column of a row in parentheses',
    sql: 'select (c).to_json from customers c where id <= 5',
    expect: 'stopped',
  },
  {
    name: 'a function as a column of the table under its schema',
    sql: 'select public.customers.to_json from customers where id <= 5',
    expect: 'stopped',
  },
  {
    name: 'a function as a column of the table under its database',
    sql: 'select payments.public.customers.concat from customers where id <= 5',
    expect: 'stopped',
  },

  // --- names that mean another column than the nearest of that name
  {
    name: 'an alias list of a join with two columns of one name',
    sql: `select p || '' from ((select card_number as x ${C}) a cross join (select 'q' as x) b) as j(p, q)`,
    expect: 'stopped',
  },
  {
    name: 'a row of a join with two columns of one name',
    sql: `select j::text from ((select card_number as x ${C}) a cross join (select 'q' as x) b) as j`,
    expect: 'stopped',
  },
  {
    name: 'a name that an alias list took away',
    sql: `select (select a || '' from (select 1 as a) s(z)) from (select card_number as a ${C}) o`,
    expect: 'stopped',
  },
  {
    name: 'a name that a join’s alias list took away',
    sql: `select (select a || '' from ((select 1 as a) s cross join (select 2 as b) t) as j(p, q)) from (select card_number as a ${C}) o`,
    expect: 'stopped',
  },
  {
    name: 'a name that a neighbour without LATERAL does not see',
    sql: `select (select t.v from (select 1 as a) s, (select a || '' as v) t) from (select card_number as a ${C}) o`,
    expect: 'stopped',
  },
  {
    name: 'a table that a neighbour without LATERAL does not see',
    sql: `select (select t.v from (select 1 as a) s, (select s.a || '' as v) t) from (select card_number as a ${C}) s`,
    expect: 'stopped',
  },
  {
    name: 'a CTE that stands behind the one that reads it',
    ...AS_BOT,
    sql: `with recursive a as (select v as w from b), b as (select card_number as v ${C}) insert into ledger select 1000, max(w), 1 from a returning note`,
    expect: 'stopped',
  },
  { name: 'the column as a function', sql: 'select card_number(c) from customers c where id <= 5', expect: 'stopped' },

  // --- whole rows
  { name: 'a whole row', sql: 'select c from customers c where id <= 5', expect: 'stopped' },
  { name: 'a whole row as text', sql: 'select c::text from customers c where id <= 5', expect: 'stopped' },
  { name: 'a whole row by the table’s name', sql: `select customers ${C}`, expect: 'stopped' },
  { name: 'ROW of a star', sql: 'select row(c.*) from customers c where id <= 5', expect: 'stopped' },
  { name: 'a field of a whole row', sql: 'select (c).card_number from customers c where id <= 5', expect: 'safe' },
  { name: 'the fields of a whole row', sql: 'select (c).* from customers c where id <= 5', expect: 'safe' },
  {
    name: 'a whole row of a subquery',
    sql: 'select s from (select * from customers where id <= 5) s',
    expect: 'stopped',
  },
  {
    name: 'a whole row of a CTE',
    sql: 'with s as (select * from customers where id <= 5) select s from s',
    expect: 'stopped',
  },
  { name: 'a row of chosen columns', sql: `select (card_number, email) ${C}`, expect: 'stopped' },
  {
    name: 'a row in a subquery, its field outside',
    sql: 'select (s.r).card_number from (select c as r from customers c where id <= 5) s',
    expect: 'stopped',
  },
  { name: 'an array of rows', sql: 'select array(select c from customers c where id <= 5)', expect: 'stopped' },

  // --- expressions
  { name: 'a concatenation', sql: `select card_number || '' ${C}`, expect: 'stopped' },
  { name: 'a cast to text', sql: `select card_number::varchar(40) ${C}`, expect: 'stopped' },
  { name: 'a cast to a number', sql: `select card_number::numeric ${C}`, expect: 'stopped' },
  { name: 'a cast to bytea', sql: `select card_number::bytea ${C}`, expect: 'stopped' },
  { name: 'a cast to a name', sql: `select card_number::name ${C}`, expect: 'stopped' },
  { name: 'a collation', sql: `select card_number collate "C" ${C}`, expect: 'safe' },
  { name: 'encode as hex', sql: `select encode(card_number::bytea, 'hex') ${C}`, expect: 'stopped' },
  { name: 'encode as base64', sql: `select encode(card_number::bytea, 'base64') ${C}`, expect: 'stopped' },
  { name: 'reverse', sql: `select reverse(card_number) ${C}`, expect: 'stopped' },
  { name: 'md5', sql: `select md5(card_number) ${C}`, expect: 'stopped' },
  {
    name: 'sha256',
    sql: `select sha256(card_number::bytea) ${C}`,
    expect: 'stopped',
    leaksDirectly: false /* a digest not looked for */,
  },
  { name: 'a part', sql: `select substring(card_number from 1 for 10) ${C}`, expect: 'stopped' },
  { name: 'the left', sql: `select left(card_number, 10) ${C}`, expect: 'stopped' },
  { name: 'overlay', sql: `select overlay(card_number placing 'x' from 12) ${C}`, expect: 'stopped' },
  { name: 'a pattern', sql: `select regexp_replace(card_number, '$', '!') ${C}`, expect: 'stopped' },
  { name: 'a split', sql: `select regexp_split_to_array(card_number, 'x') ${C}`, expect: 'stopped' },
  { name: 'CASE', sql: `select case when true then card_number end ${C}`, expect: 'stopped' },
  { name: 'COALESCE', sql: `select coalesce(card_number, '') ${C}`, expect: 'stopped' },
  { name: 'NULLIF', sql: `select nullif(card_number, '') ${C}`, expect: 'stopped' },
  { name: 'GREATEST', sql: `select greatest(card_number, '') ${C}`, expect: 'stopped' },
  { name: 'format', sql: `select format('%s', card_number) ${C}`, expect: 'stopped' },
  { name: 'concat', sql: `select concat(card_number) ${C}`, expect: 'stopped' },
  {
    name: 'concat_ws of a whole row',
    sql: 'select concat_ws(e.city, c) from customers c, customers e where c.id <= 5 and e.id = 1',
    expect: 'stopped',
  },
  { name: 'to_char', sql: `select to_char(card_number::numeric, 'FM9999999999999999') ${C}`, expect: 'stopped' },
  { name: 'an array', sql: `select array[card_number] ${C}`, expect: 'stopped' },
  { name: 'an element of an array', sql: `select (array[card_number])[1] ${C}`, expect: 'stopped' },
  { name: 'a scalar subquery', sql: 'select (select card_number from customers where id = 1)', expect: 'stopped' },
  {
    name: 'a scalar subquery in VALUES',
    sql: 'values ((select card_number from customers where id = 1))',
    expect: 'stopped',
  },
  {
    name: 'a scalar subquery about another table',
    sql: 'select l.id, (select card_number from customers c where c.id = l.id) from ledger l where id <= 5',
    expect: 'stopped',
  },
  {
    name: 'an array of a subquery',
    sql: 'select array(select card_number from customers where id <= 5)',
    expect: 'stopped',
  },
  {
    name: 'bytes of a column',
    sql: `select get_byte(card_number::bytea, 0) ${C}`,
    expect: 'stopped',
    leaksDirectly: false /* one digit at a time */,
  },
  {
    name: 'the length',
    sql: `select length(email) ${C}`,
    expect: 'stopped',
    leaksDirectly: false /* lengths, not values */,
  },

  // --- aggregates and windows
  { name: 'max', sql: 'select max(card_number) from customers where id = 1', expect: 'stopped' },
  { name: 'min with FILTER', sql: 'select min(card_number) filter (where id = 1) from customers', expect: 'stopped' },
  { name: 'string_agg', sql: `select string_agg(card_number, ',') ${C}`, expect: 'stopped' },
  { name: 'array_agg', sql: `select array_agg(card_number) ${C}`, expect: 'stopped' },
  { name: 'json_agg of rows', sql: 'select json_agg(c) from customers c where id <= 5', expect: 'stopped' },
  { name: 'jsonb_object_agg', sql: `select jsonb_object_agg(id, card_number) ${C}`, expect: 'stopped' },
  { name: 'xmlagg', sql: `select xmlagg(xmlelement(name c, card_number)) ${C}`, expect: 'stopped' },
  {
    name: 'mode',
    sql: 'select mode() within group (order by card_number) from customers where id = 1',
    expect: 'stopped',
  },
  {
    name: 'percentile_disc',
    sql: 'select percentile_disc(0.0) within group (order by card_number) from customers where id = 1',
    expect: 'stopped',
  },
  { name: 'lag', sql: `select lag(card_number) over (order by id) ${C}`, expect: 'stopped' },
  {
    name: 'first_value',
    sql: `select first_value(card_number) over w ${C} window w as (order by id)`,
    expect: 'stopped',
  },

  // --- JSON and XML
  { name: 'row_to_json', sql: 'select row_to_json(c) from customers c where id <= 5', expect: 'stopped' },
  { name: 'to_jsonb', sql: 'select to_jsonb(c) from customers c where id <= 5', expect: 'stopped' },
  {
    name: 'a key of to_jsonb',
    sql: "select to_jsonb(c) ->> 'card_number' from customers c where id <= 5",
    expect: 'stopped',
  },
  { name: 'json_build_object', sql: `select json_build_object('x', card_number) ${C}`, expect: 'stopped' },
  { name: 'JSON_OBJECT', since: 16, sql: `select json_object('x': card_number) ${C}`, expect: 'stopped' },
  {
    name: 'JSON_ARRAY of a query',
    since: 16,
    sql: 'select json_array(select card_number from customers where id <= 5)',
    expect: 'stopped',
  },
  { name: 'JSON_ARRAYAGG', since: 16, sql: `select json_arrayagg(card_number) ${C}`, expect: 'stopped' },
  {
    name: 'JSON_TABLE',
    since: 17,
    sql: "select j.x from customers c, json_table(to_jsonb(c), '$' columns (x text path '$.card_number')) j where c.id <= 5",
    expect: 'stopped',
  },
  {
    name: 'json_each_text',
    sql: 'select f.value from customers c, json_each_text(to_json(c)) f where c.id <= 5',
    expect: 'stopped',
  },
  {
    name: 'jsonb_populate_record',
    sql: 'select (jsonb_populate_record(null::customers, to_jsonb(c))).card_number from customers c where id <= 5',
    expect: 'stopped',
  },
  {
    name: 'XMLTABLE',
    sql: "select x.v from customers c, xmltable('/r' passing xmlelement(name r, c.card_number) columns v text path '.') x where c.id <= 5",
    expect: 'stopped',
  },
  { name: 'xmlforest', sql: `select xmlforest(card_number as x) ${C}`, expect: 'stopped' },
  { name: 'table_to_xml', sql: "select table_to_xml('customers_archive', true, false, '')", expect: 'stopped' },
  {
    name: 'query_to_xml',
    sql: "select query_to_xml('select card_number from customers where id <= 5', true, false, '')",
    expect: 'stopped',
  },

  // --- sets
  { name: 'UNION ALL', sql: `select card_number ${C} union all select 'x'`, expect: 'safe' },
  { name: 'UNION ALL, the column second', sql: `select 'x' union all select card_number ${C}`, expect: 'safe' },
  { name: 'UNION with itself', sql: `select card_number ${C} union select card_number ${C}`, expect: 'safe' },
  { name: 'INTERSECT', sql: `select card_number ${C} intersect select card_number ${C}`, expect: 'safe' },
  { name: 'EXCEPT', sql: `select card_number ${C} except select 'x'`, expect: 'safe' },
  { name: 'UNION of stars', sql: `select * ${C} union all select * ${C}`, expect: 'safe' },
  {
    name: 'UNION inside a subquery',
    sql: `select u.x from (select card_number as x ${C} union all select city ${C}) u`,
    expect: 'safe',
  },
  {
    name: 'a recursive CTE',
    sql: `with recursive r(x, n) as (select card_number, 1 ${C} union all select x, n + 1 from r where n < 2) select x from r`,
    expect: 'safe',
  },
  {
    name: 'VALUES in a lateral join',
    sql: 'select v.x from customers c, lateral (values (c.card_number)) v(x) where c.id <= 5',
    expect: 'safe',
  },
  {
    name: 'unnest in a lateral join',
    sql: 'select x from customers c, unnest(array[c.card_number]) x where c.id <= 5',
    expect: 'stopped',
  },
  {
    name: 'regexp_split_to_table',
    sql: "select x from customers c, regexp_split_to_table(c.card_number, 'x') x where c.id <= 5",
    expect: 'stopped',
  },
  {
    name: 'JOIN USING shows the merged column',
    sql: 'select card_number from customers a join customers_archive b using (card_number) where a.id <= 5',
    expect: 'safe',
  },
  {
    name: 'FULL JOIN USING',
    sql: 'select card_number from customers_archive a full join (select card_number from customers where id <= 5) b using (card_number)',
    expect: 'safe',
  },
  {
    name: 'NATURAL JOIN',
    sql: 'select * from customers natural join (select id, card_number from customers where id <= 5) b',
    expect: 'safe',
  },
  {
    name: 'a join’s own alias',
    sql: 'select j.card_number from (customers a join ledger l on a.id = l.id) j where j.amount <= 5',
    expect: 'safe',
    leaksDirectly: false /* ambiguous ids: 42702 */,
  },
  {
    name: 'USING with an alias of the merged columns',
    since: 14,
    sql: 'select u.card_number from customers a join customers_archive b using (card_number) as u where a.id <= 5',
    expect: 'safe',
  },

  // --- views and copies made before
  { name: 'a view', sql: 'select contact from customer_mail where id <= 5', expect: 'safe' },
  { name: 'a view over a view', sql: 'select reach from customer_mail_again where id <= 5', expect: 'safe' },
  {
    name: 'an expression over a view',
    sql: "select contact || '' from customer_mail where id <= 5",
    expect: 'stopped',
  },
  { name: 'a view with an expression', sql: 'select shown from customer_hidden where id <= 5', expect: 'stopped' },
  { name: 'a view’s whole row', sql: 'select v from customer_mail v where id <= 5', expect: 'stopped' },
  { name: 'a materialized view', sql: 'select stored from customer_snapshot', expect: 'safe' },
  { name: 'a function', sql: 'select say_card(1)', expect: 'stopped' },
  { name: 'a function that returns a set', sql: 'select * from cards()', expect: 'stopped' },
  { name: 'a function that returns a table', sql: 'select shown from cards_table()', expect: 'stopped' },
  { name: 'a function that returns a customer', sql: 'select card_number from whole_customer(1)', expect: 'stopped' },
  { name: 'a field of a function’s row', sql: 'select (whole_customer(1)).card_number', expect: 'stopped' },
  { name: 'a notice', sql: 'select shout_card(1)', expect: 'stopped' },

  {
    name: 'a function in the place of a column',
    sql: 'select l.card_of from ledger l where id <= 5',
    expect: 'stopped',
  },
  {
    name: 'a function in the place of a column, of a name',
    sql: 'select l.name_of from ledger l where id <= 5',
    expect: 'stopped',
  },
  {
    name: 'a function in the place of a column, by the table',
    sql: 'select ledger.name_of from ledger where id <= 5',
    expect: 'stopped',
  },
  {
    name: 'a function in the place of a column of a subquery',
    sql: 'select (s.l).name_of from (select l from ledger l where id <= 5) s',
    expect: 'stopped',
  },
  {
    name: 'a function under the name of a built-in',
    sql: 'select initcap(id::bigint) from ledger where id <= 5',
    expect: 'stopped',
  },
  {
    name: 'a function of anything in the place of a column',
    sql: 'select l.any_name from ledger l where id <= 5',
    expect: 'stopped',
  },
  {
    name: 'a function in the place of a column in a condition',
    sql: "select id from ledger l where l.name_of like 'B%'",
    expect: 'stopped',
    leaksDirectly: false /* an answer of yes or no */,
  },
  { name: 'a view that calls a function', sql: 'select card, name from view_of_function', expect: 'stopped' },
  {
    name: 'a view over a view that calls a function',
    sql: 'select shown from view_of_view_of_function',
    expect: 'stopped',
  },
  {
    name: 'an expression over a view that calls a function',
    sql: "select name || '!' from view_of_function",
    expect: 'stopped',
  },

  { name: 'a view that runs a text', sql: 'select shown from view_of_text', expect: 'stopped' },
  { name: 'a view that counts the words of a text', sql: 'select word from view_of_words', expect: 'stopped' },
  {
    name: 'a view with an aggregate of the database’s own',
    sql: 'select shown from view_of_aggregate',
    expect: 'stopped',
  },
  {
    name: 'an operator under the name of a built-in',
    sql: 'select note # id::bigint from ledger where id <= 5',
    expect: 'stopped',
  },
  {
    name: 'an operator under the name of a built-in, in a subquery',
    sql: 'select x from (select note # id::bigint as x from ledger where id <= 5) s',
    expect: 'stopped',
  },
  {
    name: 'an operator under the name of a built-in, prepared before',
    before: ['prepare p as select note # id::bigint from ledger where id <= 5'],
    sql: 'execute p',
    expect: 'stopped',
  },

  // --- COPY and cursors
  { name: 'COPY of the table', sql: 'copy customers_archive to stdout', how: 'query', expect: 'stopped' },
  { name: 'COPY of columns', sql: 'copy customers_archive (card_number) to stdout', how: 'query', expect: 'stopped' },
  { name: 'COPY of a query', sql: `copy (select card_number ${C}) to stdout`, how: 'query', expect: 'stopped' },
  {
    name: 'COPY of a query, CSV',
    sql: `copy (select card_number ${C}) to stdout with (format csv)`,
    how: 'query',
    expect: 'stopped',
  },
  {
    name: 'COPY of a query, binary',
    sql: `copy (select card_number ${C}) to stdout with (format binary)`,
    how: 'query',
    expect: 'stopped',
  },
  {
    name: 'COPY of a view',
    sql: 'copy (select * from customer_mail where id <= 5) to stdout',
    how: 'query',
    expect: 'stopped',
  },
  {
    name: 'COPY of a table by its old syntax',
    sql: "copy customers_archive to stdout delimiter '|'",
    how: 'query',
    expect: 'stopped',
  },
  {
    name: 'a cursor',
    before: ['begin', `declare c cursor for select card_number ${C}`],
    sql: 'fetch all from c',
    expect: 'safe',
  },
  {
    name: 'a cursor fetched backwards',
    before: ['begin', `declare c scroll cursor for select card_number ${C}`, 'move 3 in c'],
    sql: 'fetch backward all from c',
    expect: 'safe',
  },
  {
    name: 'a binary cursor',
    before: ['begin', `declare c binary cursor for select card_number ${C}`],
    sql: 'fetch all from c',
    expect: 'safe',
  },
  {
    name: 'a cursor over an expression',
    before: ['begin', `declare c cursor for select card_number || '' ${C}`],
    sql: 'fetch all from c',
    expect: 'stopped',
  },
  {
    name: 'a cursor that outlives its transaction',
    before: ['begin', `declare c cursor with hold for select card_number ${C}`, 'commit'],
    sql: 'fetch all from c',
    expect: 'safe',
  },
  {
    name: 'FETCH of one',
    before: ['begin', `declare c cursor for select card_number ${C}`],
    sql: 'fetch next from c',
    expect: 'safe',
  },
  { name: 'a prepared statement', before: [`prepare p as select card_number ${C}`], sql: 'execute p', expect: 'safe' },
  {
    name: 'a prepared expression',
    before: [`prepare p as select card_number || '' ${C}`],
    sql: 'execute p',
    expect: 'stopped',
  },

  // --- errors
  { name: 'a cast that fails', sql: 'select card_number::int from customers where id = 1', expect: 'stopped' },
  {
    name: 'a cast that fails in WHERE',
    sql: 'select id from customers where id = 1 and email::int = 1',
    expect: 'stopped',
  },
  {
    name: 'a date that fails',
    sql: "select id from customers where id = 1 and national_id::date > '2000-01-01'",
    expect: 'stopped',
  },
  {
    name: 'a JSON that fails',
    sql: 'select email::json from customers where id = 1',
    expect: 'stopped',
    leaksDirectly: false /* a part of it */,
  },
  { name: 'an enum that fails', sql: 'select (email::regclass)::text from customers where id = 1', expect: 'stopped' },
  {
    name: 'an encoding that fails',
    sql: "select decode(email, 'hex') from customers where id = 1",
    expect: 'stopped',
    leaksDirectly: false /* one letter */,
  },
  {
    name: 'a setting’s name that does not exist',
    sql: 'select id from customers where id = 1 and current_setting(name) is not null',
    expect: 'stopped',
  },
  {
    name: 'a role’s name that does not exist',
    sql: "select id from customers where id = 1 and has_table_privilege(name, 'customers', 'select')",
    expect: 'stopped',
  },
  {
    name: 'a search that cannot be read',
    sql: "select id from customers where id = 1 and to_tsquery('simple', name || ' & &') is not null",
    expect: 'stopped',
  },
  {
    ...AS_BOT,
    name: 'a row that a foreign key may not clear quotes itself',
    sql: 'delete from branches where id = 1',
    expect: 'safe',
  },
  {
    ...AS_BOT,
    name: 'a deferred key quotes itself',
    before: ['delete from customers_of_branches where id = 800001'],
    sql: 'set constraints all immediate',
    expect: 'safe',
  },
  {
    ...AS_BOT,
    name: 'a deferred key quotes itself at COMMIT',
    before: ['delete from customers_of_branches where id = 800001'],
    sql: 'commit',
    expect: 'safe',
  },
  {
    ...AS_BOT,
    name: 'a sequence keeps a value',
    before: ['create temp sequence kept'],
    sql: "select 1 from customers where id = 1 and setval('kept', card_number::bigint) > 0",
    expect: 'stopped',
    leaksDirectly: false /* the next statement would ask for it */,
  },
  {
    ...AS_BOT,
    name: 'a lock keeps a value',
    sql: 'select 1 from customers where id = 1 and pg_try_advisory_xact_lock(card_number::bigint)',
    expect: 'stopped',
    leaksDirectly: false /* pg_locks would tell */,
  },
  {
    ...AS_BOT,
    name: 'statistics of an expression quote a value, of tables that nobody names',
    since: 14,
    before: ['create statistics told on (name::int) from customers'],
    sql: 'analyze',
    expect: 'stopped',
  },
  {
    ...AS_BOT,
    name: 'an index that is built anew quotes a value, of a table that nobody names',
    sql: 'reindex index broken',
    expect: 'safe',
  },
  {
    ...AS_BOT,
    name: 'a trigger quotes the row under the code of a constraint',
    sql: 'update customers_guarded set city = city where id = 700001',
    expect: 'safe',
  },
  {
    name: 'a cursor that is kept quotes a value at COMMIT',
    before: ['begin', 'declare kept cursor with hold for select id from customers where name::int > 0'],
    sql: 'commit',
    expect: 'safe',
  },
  {
    ...AS_BOT,
    name: 'a row that may not be null quotes itself',
    sql: 'update customers set name = null where id = 1',
    expect: 'safe',
  },
  {
    ...AS_BOT,
    name: 'a unique value quotes itself',
    sql: 'update customers set email = (select email from customers where id = 2) where id = 1',
    expect: 'stopped',
  },
  {
    ...AS_BOT,
    name: 'a unique index over an expression quotes a key',
    sql: 'create unique index on customers ((left(card_number, 12) || repeat(card_number, 0) || md5(city)))',
    expect: 'safe',
    leaksDirectly: false /* the keys differ; the form is what is tried */,
  },
  {
    ...AS_BOT,
    name: 'a value that is too long quotes itself',
    sql: 'insert into sized select id, email from customers where id = 1',
    expect: 'stopped',
    leaksDirectly: false /* only the type is quoted */,
  },
  {
    ...AS_BOT,
    name: 'a constraint that is added quotes the row',
    sql: "alter table customers_archive add constraint x check (card_number = '')",
    expect: 'stopped',
    leaksDirectly: false,
  },

  // --- writes that carry a value somewhere else
  {
    ...AS_BOT,
    name: 'INSERT SELECT',
    sql: 'insert into ledger select 1000, card_number, 1 from customers where id = 1 returning note',
    expect: 'stopped',
  },
  {
    ...AS_BOT,
    name: 'INSERT of a scalar subquery',
    sql: 'insert into ledger values (1001, (select card_number from customers where id = 1), 1) returning note',
    expect: 'stopped',
  },
  {
    ...AS_BOT,
    name: 'UPDATE into another column',
    sql: 'update customers set city = card_number where id = 1 returning city',
    expect: 'stopped',
  },
  {
    ...AS_BOT,
    name: 'UPDATE FROM',
    sql: 'update ledger set note = card_number from customers c where c.id = ledger.id and ledger.id <= 5 returning note',
    expect: 'stopped',
  },
  {
    ...AS_BOT,
    name: 'UPDATE of a row from a subquery',
    sql: 'update ledger set (note, amount) = (select card_number, 1 from customers where id = 1) where id = 1 returning note',
    expect: 'stopped',
  },
  {
    ...AS_BOT,
    name: 'ON CONFLICT',
    sql: "insert into ledger values (1, 'x', 1) on conflict (id) do update set note = (select card_number from customers where id = 1) returning note",
    expect: 'stopped',
  },
  {
    ...AS_BOT,
    name: 'MERGE',
    since: 17,
    sql: 'merge into ledger l using customers c on c.id = l.id and c.id <= 5 when matched then update set note = c.card_number returning l.note',
    expect: 'stopped',
  },
  {
    ...AS_BOT,
    name: 'MERGE RETURNING of the source',
    since: 17,
    sql: 'merge into ledger l using customers c on c.id = l.id and c.id <= 5 when matched then update set amount = 1 returning c.card_number',
    expect: 'stopped',
  },
  {
    ...AS_BOT,
    name: 'RETURNING',
    sql: 'update customers set city = city where id = 1 returning card_number',
    expect: 'safe',
  },
  {
    ...AS_BOT,
    name: 'RETURNING star',
    sql: 'update customers set city = city where id = 1 returning *',
    expect: 'safe',
  },
  {
    ...AS_BOT,
    name: 'RETURNING old',
    since: 18,
    sql: 'update customers set city = city where id = 1 returning old.card_number, new.email',
    expect: 'safe',
  },
  {
    ...AS_BOT,
    name: 'RETURNING old as a row',
    since: 18,
    sql: 'update customers set city = city where id = 1 returning old',
    expect: 'stopped',
  },
  {
    ...AS_BOT,
    name: 'RETURNING old under another name',
    since: 18,
    sql: 'update customers set city = city where id = 1 returning with (old as o) o.card_number',
    expect: 'safe',
  },
  {
    ...AS_BOT,
    name: 'RETURNING old as text, under another name',
    since: 18,
    sql: "update customers set city = city where id = 1 returning with (old as o) o.card_number || ''",
    expect: 'stopped',
  },
  {
    ...AS_BOT,
    name: 'RETURNING an expression',
    sql: "update customers set city = city where id = 1 returning card_number || ''",
    expect: 'stopped',
  },
  {
    ...AS_BOT,
    name: 'RETURNING through a CTE',
    sql: 'with u as (update customers set city = city where id = 1 returning card_number as x) select x from u',
    expect: 'safe',
  },
  {
    ...AS_BOT,
    name: 'RETURNING through a CTE and an expression',
    sql: "with u as (update customers set city = city where id = 1 returning card_number as x) select x || '' from u",
    expect: 'stopped',
  },
  {
    ...AS_BOT,
    name: 'DELETE RETURNING',
    sql: 'delete from customers_archive where id = 900001 returning card_number',
    expect: 'safe',
  },
  {
    ...AS_BOT,
    name: 'a table made of it',
    before: ['create table stolen as select card_number as c from customers where id <= 5'],
    sql: 'select * from stolen',
    expect: 'stopped',
  },
  {
    ...AS_BOT,
    name: 'a temporary table made of it',
    before: ['create temp table stolen as select card_number as c from customers where id <= 5'],
    sql: 'select * from stolen',
    expect: 'stopped',
  },
  {
    ...AS_BOT,
    name: 'SELECT INTO',
    before: ['select card_number as c into stolen from customers where id <= 5'],
    sql: 'select * from stolen',
    expect: 'stopped',
  },
  {
    ...AS_BOT,
    name: 'a view made of it',
    before: ["create view stolen as select card_number || '' as c from customers where id <= 5"],
    sql: 'select * from stolen',
    expect: 'stopped',
  },
  {
    ...AS_BOT,
    name: 'a temporary view made of it',
    before: ['create temp view stolen as select card_number as c from customers where id <= 5'],
    sql: 'select * from stolen',
    expect: 'stopped',
  },
  {
    ...AS_BOT,
    name: 'a materialized view made of it',
    before: ['create materialized view stolen as select card_number as c from customers where id <= 5'],
    sql: 'select * from stolen',
    expect: 'stopped',
  },
  {
    ...AS_BOT,
    name: 'a recursive view made of it',
    before: ['create recursive view stolen(c) as select card_number from customers where id <= 5'],
    sql: 'select * from stolen',
    expect: 'stopped',
  },
  {
    ...AS_BOT,
    name: 'a view whose text is changed',
    before: ['create or replace view customer_names as select id, card_number as name from customers'],
    sql: 'select name from customer_names where id <= 5',
    expect: 'safe',
  },
  {
    ...AS_BOT,
    name: 'a generated column',
    before: ['alter table customers add column copy text generated always as (card_number) stored'],
    sql: `select copy ${C}`,
    expect: 'stopped',
  },

  // --- what the masks are bound to is moved away
  {
    ...AS_BOT,
    name: 'the column gets another name',
    before: ['alter table customers rename column card_number to harmless'],
    sql: `select harmless ${C}`,
    expect: 'stopped',
  },
  {
    ...AS_BOT,
    name: 'the table gets another name',
    before: ['alter table customers rename to harmless'],
    sql: 'select card_number from harmless where id <= 5',
    expect: 'stopped',
  },
  {
    ...AS_BOT,
    name: 'the table gets another schema',
    before: ['create schema elsewhere', 'alter table customers set schema elsewhere'],
    sql: 'select card_number from elsewhere.customers where id <= 5',
    expect: 'safe',
  },
  {
    ...AS_BOT,
    name: 'the schema gets another name',
    since: 15,
    before: ['alter schema public rename to elsewhere'],
    sql: 'select card_number from elsewhere.customers where id <= 5',
    expect: 'safe',
  },
  {
    ...AS_BOT,
    name: 'the table joins another',
    before: ['create table parent (like customers)', 'alter table customers inherit parent'],
    sql: 'select card_number from parent where id <= 5',
    expect: 'safe',
  },
  {
    ...AS_BOT,
    name: 'the table becomes a part of another',
    before: [
      'create table parent (like customers) partition by range (id)',
      'alter table parent attach partition customers_archive default',
    ],
    sql: 'select card_number from parent',
    expect: 'safe',
    leaksDirectly: false /* an inheritance child cannot */,
  },
  {
    ...AS_BOT,
    name: 'a table of the same name in pg_temp stands before',
    before: ['create temp table customers (like public.customers)'],
    sql: 'select card_number from public.customers where id <= 5',
    expect: 'masked',
  },
  {
    ...AS_BOT,
    name: 'a table of another schema stands before',
    before: [
      'create schema evil',
      'create table evil.customers (id int, card_number text)',
      'set search_path = evil, public',
    ],
    sql: 'select card_number from public.customers where id <= 5',
    expect: 'masked',
  },
  {
    ...AS_BOT,
    name: 'the gateway’s own name is prepared first',
    before: ["prepare sallyport_lookup (text[], text[], text[]) as select 'c', 0::int8, 0::int8, 1::int8, 'x', 'y'"],
    sql: `select card_number ${C}`,
    expect: 'safe',
  },
  {
    ...AS_BOT,
    name: 'the gateway’s own name is a cursor',
    before: ['begin', 'declare sallyport_lookup cursor for select 1'],
    sql: `select card_number ${C}`,
    expect: 'safe',
  },

  // --- what the server keeps of values
  {
    name: 'pg_stats',
    sql: "select most_common_vals, histogram_bounds from pg_stats where tablename = 'customers'",
    expect: 'stopped',
    leaksDirectly: false /* other customers */,
  },
  {
    name: 'pg_stats under its schema',
    sql: "select histogram_bounds from pg_catalog.pg_stats where attname = 'email'",
    expect: 'stopped',
    leaksDirectly: false,
  },
  { name: 'pg_statistic', sql: 'select stavalues1 from pg_statistic', expect: 'stopped', leaksDirectly: false },
  {
    name: 'pg_stats through a view',
    sql: "select common, bounds from seen_values where tablename = 'customers'",
    expect: 'stopped',
    leaksDirectly: false,
  },
  {
    name: 'others’ statements through a view',
    sql: 'select query from seen_texts',
    expect: 'stopped',
    leaksDirectly: false,
  },
  {
    name: 'others’ statements through a view of whole rows',
    sql: 'select seen from seen_rows',
    expect: 'stopped',
    leaksDirectly: false,
  },
  {
    name: 'others’ statements through a view by an alias list',
    sql: 'select q from seen_by_place',
    expect: 'stopped',
    leaksDirectly: false,
  },
  { name: 'a plan', sql: `explain (analyze, verbose) select card_number ${C}`, expect: 'safe', leaksDirectly: false },
  {
    name: 'a plan of an expression',
    sql: 'explain (verbose) select * from ledger where note = (select card_number from customers where id = 1)',
    expect: 'safe',
    leaksDirectly: false,
  },

  {
    name: 'others’ statements',
    sql: 'select query from pg_stat_activity',
    expect: 'stopped',
    leaksDirectly: false /* hangs on what others run */,
  },
  {
    name: 'others’ statements by an alias list',
    sql: 'select t from pg_stat_activity as a(b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r, s, t, u, v, w)',
    expect: 'stopped',
    leaksDirectly: false,
  },
  {
    name: 'others’ statements by a function',
    sql: 'select query from pg_stat_get_activity(null)',
    expect: 'stopped',
    leaksDirectly: false,
  },
  {
    name: 'another’s statement by a function',
    sql: 'select pg_catalog.pg_stat_get_backend_activity(i) from pg_stat_get_backend_idset() i',
    expect: 'stopped',
    leaksDirectly: false,
  },

  // --- learning without seeing: a person decides
  {
    name: 'a condition',
    sql: "select id from customers where card_number like '4%' and id <= 5",
    expect: 'stopped',
    leaksDirectly: false,
  },
  {
    name: 'an order',
    sql: 'select id from customers order by card_number limit 5',
    expect: 'stopped',
    leaksDirectly: false,
  },
  {
    name: 'a condition in CASE',
    sql: `select case when card_number < '45' then 1 else 0 end ${C}`,
    expect: 'stopped',
    leaksDirectly: false,
  },
  {
    name: 'a condition in a subquery',
    sql: "select 1 where exists (select 1 from customers where card_number like '4%')",
    expect: 'stopped',
    leaksDirectly: false,
  },
  {
    name: 'a condition in FILTER',
    sql: "select count(*) filter (where card_number like '41%') from customers",
    expect: 'stopped',
    leaksDirectly: false,
  },
  {
    name: 'a condition in HAVING',
    sql: "select city from customers group by city having min(card_number) like '4%'",
    expect: 'stopped',
    leaksDirectly: false,
  },
  {
    name: 'a condition in JOIN',
    sql: "select a.id from customers a join (values ('4%')) v(p) on a.card_number like v.p limit 5",
    expect: 'stopped',
    leaksDirectly: false,
  },
  {
    name: 'a condition over an alias list',
    sql: "select a from customers as c(a, b, x, d, e) where e like '4%' limit 5",
    expect: 'stopped',
    leaksDirectly: false,
  },
  {
    name: 'a condition over a whole row',
    sql: "select id from customers c where c::text like '%4%' and id <= 5",
    expect: 'stopped',
    leaksDirectly: false,
  },
  {
    name: 'a condition over a view',
    sql: "select id from customer_mail where contact like 'a%' limit 5",
    expect: 'stopped',
    leaksDirectly: false,
  },
  {
    name: 'an order of a window',
    sql: 'select id, rank() over (order by card_number) from customers limit 5',
    expect: 'stopped',
    leaksDirectly: false,
  },
  {
    name: 'a group',
    sql: 'select count(*) from customers group by card_number limit 5',
    expect: 'stopped',
    leaksDirectly: false,
  },
  {
    name: 'a lock by a condition',
    as: 'payments-bot',
    sql: "delete from ledger where exists (select 1 from customers where card_number like '4%') and id = 19",
    expect: 'stopped',
    leaksDirectly: false,
  },
];
