-- sequential-adaptor: what reads, and what people do with a store. All answers have 1,000 rows at most.

create or replace function public.sequential_get_task_run(id text)
returns setof public.sequential_task_run_rows
language sql
stable
set search_path = ''
as $$ select * from public.sequential_task_run_rows as stored where stored.id = sequential_get_task_run.id $$;

create or replace function public.sequential_get_stack_run(id text)
returns setof public.sequential_stack_run_rows
language sql
stable
set search_path = ''
as $$ select * from public.sequential_stack_run_rows as stored where stored.id = sequential_get_stack_run.id $$;

-- The statement for a query over a view of rows. The names of fields are checked against the view's columns, and every
-- value is quoted. wanted: {field: [values, any of them]}; after: [value, id] of the last row of the page before.
create or replace function public.sequential_query(
    view_name text, wanted jsonb, order_by text, newest_first boolean, after jsonb, max_rows int
)
returns text
language plpgsql
stable
set search_path = ''
as $$
declare
    terms text[] := '{}';
    term text;
    field text;
    kind text;
    choices jsonb;
    direction text := case when newest_first then 'desc' else 'asc' end;
    sign text := case when newest_first then '<' else '>' end;
    never_null boolean := order_by in ('id', 'created_at', 'status', 'token', 'task_run_id', 'task_identifier');
begin
    for field, choices in select * from jsonb_each(wanted) loop
        kind := public.sequential_column_type(view_name, field);
        term := format(
            '%I = any (%L::%s[])', field,
            array(select choice from jsonb_array_elements_text(choices) as choice where choice is not null)::text, kind
        );
        if choices @> 'null' then
            term := format('(%s or %I is null)', term, field);
        end if;
        terms := terms || term;
    end loop;
    kind := public.sequential_column_type(view_name, order_by);
    if after is not null then
        if order_by = 'id' then
            term := format('id %s %L', sign, after ->> 1);
        elsif after ->> 0 is not null then
            term := format('(%I, id) %s (%L::%s, %L)', order_by, sign, after ->> 0, kind, after ->> 1);
            if newest_first and not never_null then
                term := format('(%s or %I is null)', term, order_by);
            end if;
        else
            term := format('(%I is null and id %s %L)', order_by, sign, after ->> 1);
            if not newest_first then
                term := format('(%s or %I is not null)', term, order_by);
            end if;
        end if;
        terms := terms || term;
    end if;
    return format('select * from public.%I', view_name)
        || case when terms = '{}' then '' else ' where ' || array_to_string(terms, ' and ') end
        || case
            when order_by = 'id' then format(' order by id %s', direction)
            when never_null then format(' order by %I %s, id %s', order_by, direction, direction)
            when newest_first then format(' order by %I desc nulls last, id desc', order_by)
            else format(' order by %I asc nulls first, id asc', order_by)
        end
        || format(' limit %s', least(max_rows, 1000));
end
$$;

create or replace function public.sequential_column_type(view_name text, field text)
returns text
language plpgsql
stable
set search_path = ''
as $$
declare
    kind text;
begin
    select format_type(columns.atttypid, null) into kind
    from pg_catalog.pg_attribute as columns
    where columns.attrelid = format('public.%I', view_name)::regclass
        and columns.attname = field and columns.attnum > 0;
    if kind is null then
        raise exception 'sequential-adaptor: % has no field %', view_name, field using errcode = '42703';
    end if;
    return kind;
end
$$;

create or replace function public.sequential_query_task_runs(
    wanted text, order_by text, newest_first boolean, max_rows int, after text default null
)
returns setof public.sequential_task_run_rows
language plpgsql
stable
set search_path = ''
as $$
begin
    return query execute public.sequential_query(
        'sequential_task_run_rows', wanted::jsonb, order_by, newest_first, after::jsonb, max_rows
    );
end
$$;

create or replace function public.sequential_query_stack_runs(
    wanted text, order_by text, newest_first boolean, max_rows int, after text default null
)
returns setof public.sequential_stack_run_rows
language plpgsql
stable
set search_path = ''
as $$
begin
    return query execute public.sequential_query(
        'sequential_stack_run_rows', wanted::jsonb, order_by, newest_first, after::jsonb, max_rows
    );
end
$$;

-- The same as sequential_query_stack_runs for the calls below a frame, oldest first, which is how a run is resumed: a
-- plan that is kept.
create or replace function public.sequential_history(parent text, max_rows int, after text default null)
returns setof public.sequential_stack_run_rows
language plpgsql
stable
set search_path = ''
as $$
begin
    if after is null then
        return query
        select * from public.sequential_stack_run_rows as stored
        where stored.parent_stack_run_id = parent
        order by stored.created_at, stored.id limit least(max_rows, 1000);
    else
        return query
        select * from public.sequential_stack_run_rows as stored
        where stored.parent_stack_run_id = parent
            and (stored.created_at, stored.id) > ((after::jsonb ->> 0)::timestamptz, after::jsonb ->> 1)
        order by stored.created_at, stored.id limit least(max_rows, 1000);
    end if;
end
$$;

-- Store a version of a task's source; it is the current one from now on.
create or replace function public.sequential_store_task_function(record text)
returns setof public.sequential_task_function_rows
language plpgsql
set search_path = ''
as $$
declare
    wanted public.sequential_task_function_rows :=
        jsonb_populate_record(null::public.sequential_task_function_rows, record::jsonb);
begin
    insert into public.sequential_task_functions as stored (
        identifier, version, runner, code, modules, metadata, created_at
    ) values (
        wanted.identifier, wanted.version, wanted.runner, wanted.code, wanted.modules::json, wanted.metadata::json,
        coalesce(wanted.created_at, clock_timestamp())
    ) on conflict (identifier, version) do update set
        runner = excluded.runner,
        modules = excluded.modules,
        metadata = excluded.metadata,
        created_at = excluded.created_at,
        stored = default;
    return query select * from public.sequential_get_task_function(wanted.identifier, wanted.version);
end
$$;

create or replace function public.sequential_get_task_function(identifier text, version text default null)
returns setof public.sequential_task_function_rows
language sql
stable
set search_path = ''
as $$
    select stored.identifier, stored.version, stored.runner, stored.code, stored.modules::text, stored.metadata::text,
        stored.created_at
    from public.sequential_task_functions as stored
    where stored.identifier = sequential_get_task_function.identifier
        and (sequential_get_task_function.version is null or stored.version = sequential_get_task_function.version)
    order by stored.stored desc limit 1
$$;

create or replace function public.sequential_list_task_functions(max_rows int, after text default '')
returns table (name text)
language sql
stable
set search_path = ''
as $$
    select distinct stored.identifier from public.sequential_task_functions as stored
    where stored.identifier > after order by stored.identifier limit least(max_rows, 1000)
$$;

create or replace function public.sequential_set_keystore(key text, value text)
returns table (key text)
language sql
set search_path = ''
as $$
    insert into public.sequential_keystore as stored (key, value) values ($1, $2::json)
    on conflict (key) do update set value = excluded.value
    returning stored.key
$$;

create or replace function public.sequential_get_keystore(key text)
returns table (value text)
language sql
stable
set search_path = ''
as $$ select stored.value::text from public.sequential_keystore as stored where stored.key = $1 $$;

-- Forget a key; whether there was one. A request that comes again, because its answer was lost, says what it said.
create or replace function public.sequential_delete_keystore(key text, request text)
returns table (deleted boolean)
language plpgsql
set search_path = ''
as $$
begin
    deleted := public.sequential_has_deleted(request);
    if not deleted then
        delete from public.sequential_keystore as stored where stored.key = sequential_delete_keystore.key;
        deleted := public.sequential_remember_deletion(found, request);
    end if;
    return next;
end
$$;

-- Whether a request has deleted something when it came before: that is written down like a commit.
create or replace function public.sequential_has_deleted(request text)
returns boolean
language sql
stable
set search_path = ''
as $$ select exists (select from public.sequential_commits as stored where stored.id = request) $$;

create or replace function public.sequential_remember_deletion(deleted boolean, request text)
returns boolean
language plpgsql
set search_path = ''
as $$
begin
    if not deleted then
        return public.sequential_has_deleted(request); -- it came twice at once, and this one waited for the other
    end if;
    insert into public.sequential_commits (id) values (request);
    return true;
end
$$;

create or replace function public.sequential_list_keystore(max_rows int, after text default '')
returns table (name text)
language sql
stable
set search_path = ''
as $$
    select stored.key from public.sequential_keystore as stored
    where stored.key > after order by stored.key limit least(max_rows, 1000)
$$;

-- Forget a run with all its stack runs; its children stay. It says what sequential_delete_keystore says.
create or replace function public.sequential_delete_task_run(id text, request text)
returns table (deleted boolean)
language plpgsql
set search_path = ''
as $$
begin
    deleted := public.sequential_has_deleted(request);
    if not deleted then
        delete from public.sequential_stack_runs as stored where stored.task_run_id = sequential_delete_task_run.id;
        delete from public.sequential_task_runs as stored where stored.id = sequential_delete_task_run.id;
        deleted := found;
        -- The first statement did not see what has been made since: by who had one of those rows, or made the run itself.
        if deleted then
            delete from public.sequential_stack_runs as stored where stored.task_run_id = sequential_delete_task_run.id;
        end if;
        deleted := public.sequential_remember_deletion(deleted, request);
    end if;
    return next;
end
$$;

-- What is wrong with the database as a store, or may become so, in sentences.
create or replace function public.sequential_diagnose()
returns table (line text)
language sql
stable
set search_path = ''
as $$
    select format('row level security is off on %s; try: alter table public.%s enable row level security',
        tables.relname, tables.relname)
    from pg_class as tables
    where tables.relnamespace = 'public'::regnamespace and tables.relname like 'sequential\_%'
        and tables.relkind = 'r' and not tables.relrowsecurity
    union all
    select format('%s may read public.%s; try: revoke all on public.%s from %s',
        roles.rolname, tables.relname, tables.relname, roles.rolname)
    from pg_class as tables, pg_roles as roles
    where tables.relnamespace = 'public'::regnamespace and tables.relname like 'sequential\_%'
        and tables.relkind in ('r', 'v') and roles.rolname in ('anon', 'authenticated')
        and has_table_privilege(roles.oid, tables.oid, 'select')
    union all
    select format('a transaction of %s has been open since %s: nothing that was written since can be cleaned up',
        coalesce(activity.usename, 'somebody'), to_char(activity.xact_start, 'YYYY-MM-DD HH24:MI TZ'))
    from pg_stat_activity as activity
    where activity.datname = current_database() and activity.xact_start < clock_timestamp() - interval '15 minutes'
    union all
    select format('%s of %s rows in %s are dead; is autovacuum on? try: vacuum public.%s',
        tables.n_dead_tup, tables.n_dead_tup + tables.n_live_tup, tables.relname, tables.relname)
    from pg_stat_user_tables as tables
    where tables.schemaname = 'public' and tables.relname like 'sequential\_%'
        and tables.n_dead_tup > 10000 and tables.n_dead_tup > tables.n_live_tup
    limit 1000
$$;

-- The migrations that this database has had.
create or replace function public.sequential_schema_versions()
returns table (version text)
language sql
stable
set search_path = ''
as $$ select stored.version from public.sequential_schema as stored order by stored.version $$;

insert into public.sequential_schema (version) values ('20261122100300') on conflict do nothing;
