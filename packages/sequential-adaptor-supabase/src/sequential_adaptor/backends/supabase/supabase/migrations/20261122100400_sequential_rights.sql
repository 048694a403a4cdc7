-- sequential-adaptor: who may do what. The tables are for the service role alone (and for their owner): row level security
-- is on without a policy, and what a hosted project grants to everybody by default is taken back.

do $$
declare
    target record;
    role_name text;
begin
    for target in
        select tables.relname, tables.relkind, case tables.relkind when 'S' then 'sequence' else 'table' end as kind
        from pg_catalog.pg_class as tables
        join pg_catalog.pg_namespace as spaces on spaces.oid = tables.relnamespace
        where spaces.nspname = 'public' and tables.relname like 'sequential\_%' and tables.relkind in ('r', 'v', 'S')
    loop
        if target.relkind = 'r' then
            execute format('alter table public.%I enable row level security', target.relname);
        end if;
        execute format('revoke all on %s public.%I from public', target.kind, target.relname);
        foreach role_name in array array['anon', 'authenticated'] loop
            if exists (select from pg_catalog.pg_roles where rolname = role_name) then
                execute format('revoke all on %s public.%I from %I', target.kind, target.relname, role_name);
            end if;
        end loop;
        if exists (select from pg_catalog.pg_roles where rolname = 'service_role') then
            execute format('revoke all on %s public.%I from service_role', target.kind, target.relname);
            execute format(
                'grant %s on %s public.%I to service_role',
                case target.relkind when 'S' then 'select, usage' else 'select, insert, update, delete' end,
                target.kind, target.relname
            );
        end if;
    end loop;
    for target in
        select functions.oid::regprocedure as signature
        from pg_catalog.pg_proc as functions
        join pg_catalog.pg_namespace as spaces on spaces.oid = functions.pronamespace
        where spaces.nspname = 'public' and functions.proname like 'sequential\_%'
    loop
        execute format('revoke all on function %s from public', target.signature);
        foreach role_name in array array['anon', 'authenticated'] loop
            if exists (select from pg_catalog.pg_roles where rolname = role_name) then
                execute format('revoke all on function %s from %I', target.signature, role_name);
            end if;
        end loop;
        if exists (select from pg_catalog.pg_roles where rolname = 'service_role') then
            execute format('grant execute on function %s to service_role', target.signature);
        end if;
    end loop;
end
$$;

insert into public.sequential_schema (version) values ('20261122100400') on conflict do nothing;

notify pgrst, 'reload schema';
