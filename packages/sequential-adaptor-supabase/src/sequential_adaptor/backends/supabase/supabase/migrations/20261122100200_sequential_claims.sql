-- sequential-adaptor: who works on what. All times are this database's; all answers have 1,000 rows at most.

-- The end of a lease as heartbeats have extended it; null where they have not, or not this lease.
create or replace function public.sequential_extended_lease(worker text, id text, token bigint, lease timestamptz)
returns timestamptz
language sql
stable
set search_path = ''
as $$
    select (beat.beats -> id ->> 2)::timestamptz
    from public.sequential_heartbeats as beat
    where beat.worker = sequential_extended_lease.worker
        and (beat.beats -> id ->> 0)::bigint = token
        and (beat.beats -> id ->> 1)::timestamptz = lease
$$;

-- Give what is due to a worker, the oldest first. Rows that somebody else is looking at are passed over. A request that
-- comes again gets what it was given the first time, where it was given something. ids, a JSON array as text: among these.
create or replace function public.sequential_claim(
    worker text, lease double precision, max_rows int, request text, ids text default null, again boolean default false
)
returns setof public.sequential_stack_run_rows
language plpgsql
set search_path = ''
as $$
declare
    now timestamptz := clock_timestamp();
    among text[] := array(select jsonb_array_elements_text(ids::jsonb));
    chosen text[];
begin
    if again then
        chosen := array(
            select stored.id from public.sequential_stack_runs as stored
            where stored.open_due_at <= now and stored.claim_request = request
        );
    end if;
    if chosen is null or cardinality(chosen) = 0 then
        chosen := array(
            select stored.id
            from public.sequential_stack_runs as stored
            where stored.open_due_at <= now
                and (ids is null or stored.id = any (among))
                and (
                    stored.lease_expires_at is null
                    or (
                        stored.lease_expires_at <= now
                        and coalesce(public.sequential_extended_lease(
                            stored.worker, stored.id, stored.token, stored.lease_expires_at
                        ) <= now, true)
                    )
                )
            order by stored.open_due_at, stored.id
            limit least(max_rows, 1000)
            for no key update skip locked
        );
        if cardinality(chosen) = 0 then
            return;
        end if;
        -- The rows are ours now; what a heartbeat wrote while it had them is seen by this statement, not by the last.
        now := clock_timestamp();
        update public.sequential_stack_runs as stored
        set worker = sequential_claim.worker,
            token = stored.token + 1,
            lease_expires_at = now + make_interval(secs => lease),
            claim_request = request
        where stored.id = any (chosen)
            and (
                stored.lease_expires_at is null
                or coalesce(public.sequential_extended_lease(
                    stored.worker, stored.id, stored.token, stored.lease_expires_at
                ) <= now, true)
            );
    end if;
    return query
    select held.* from public.sequential_stack_run_rows as held
    where held.id in (
        select stored.id from public.sequential_stack_runs as stored
        where stored.id = any (chosen) and stored.claim_request = request
            and stored.worker = sequential_claim.worker
    )
    order by held.due_at, held.id;
end
$$;

-- Extend the leases of those claims, [[stack run, worker, token]] as text, that are still held; their rows. The workers'
-- own rows are written, not those of what they hold, unless a lease is to end sooner than the claim set it.
create or replace function public.sequential_heartbeat(claims text, lease double precision)
returns setof public.sequential_stack_run_rows
language plpgsql
set search_path = ''
as $$
declare
    now timestamptz;
    until timestamptz;
    kept text[];
begin
    perform from public.sequential_stack_runs as stored
    where stored.id in (select claim ->> 0 from jsonb_array_elements(claims::jsonb) as claim)
    order by stored.id for no key update;
    now := clock_timestamp();
    until := now + make_interval(secs => lease);
    kept := array(
        select held.id
        from jsonb_array_elements(claims::jsonb) as claim
        join public.sequential_stack_run_rows as held
            on held.id = claim ->> 0 and held.worker = claim ->> 1 and held.token = (claim -> 2)::bigint
        where held.lease_expires_at > now
    );
    update public.sequential_stack_runs as stored set lease_expires_at = until
    where stored.id = any (kept) and stored.lease_expires_at > until;
    insert into public.sequential_heartbeats as beat (worker, beats, expires_at)
    select
        stored.worker,
        jsonb_object_agg(stored.id, jsonb_build_array(stored.token, stored.lease_expires_at, until)),
        until
    from public.sequential_stack_runs as stored
    where stored.id = any (kept)
    group by stored.worker
    order by stored.worker
    on conflict (worker) do update set
        beats = coalesce((
            select jsonb_object_agg(entry.key, entry.value)
            from jsonb_each(beat.beats) as entry
            where (entry.value ->> 2)::timestamptz > now
        ), '{}') || excluded.beats,
        expires_at = greatest(beat.expires_at, excluded.expires_at);
    delete from public.sequential_heartbeats as stale
    where stale.worker in (
        select found.worker from public.sequential_heartbeats as found
        where found.expires_at < now - interval '1 hour'
        for update skip locked
    );
    return query
    select held.* from public.sequential_stack_run_rows as held where held.id = any (kept);
end
$$;

-- The calls that are pending, due and held by nobody, behind the one that has this time and id.
create or replace function public.sequential_pending(max_rows int, after_due_at text default null, after_id text default null)
returns setof public.sequential_stack_run_rows
language sql
stable
set search_path = ''
as $$
    select held.*
    from public.sequential_stack_run_rows as held
    where held.status = 'pending' and held.operation <> 'task_init'
        and held.due_at <= clock_timestamp()
        and (held.lease_expires_at is null or held.lease_expires_at <= clock_timestamp())
        and (after_id is null or (held.due_at, held.id) > (after_due_at::timestamptz, after_id))
    order by held.due_at, held.id
    limit least(max_rows, 1000)
$$;

create or replace function public.sequential_now()
returns table (now timestamptz)
language sql
volatile
set search_path = ''
as $$ select clock_timestamp() $$;

-- Whether something can be claimed.
create or replace function public.sequential_has_work()
returns boolean
language sql
stable
set search_path = ''
as $$
    select exists (
        select from public.sequential_stack_runs as stored
        where stored.open_due_at <= clock_timestamp()
            and (
                stored.lease_expires_at is null
                or (
                    stored.lease_expires_at <= clock_timestamp()
                    and coalesce(public.sequential_extended_lease(
                        stored.worker, stored.id, stored.token, stored.lease_expires_at
                    ) <= clock_timestamp(), true)
                )
            )
    )
$$;

-- How often work was announced, and in how many seconds there will be some without a word: a time comes, a lease ends.
-- What is held was claimed oldest first, so that it is among the first that are due.
create or replace function public.sequential_look()
returns table (announced bigint, seconds_to_next double precision)
language plpgsql
stable
set search_path = ''
as $$
declare
    now timestamptz := clock_timestamp();
    following timestamptz;
    freed timestamptz;
begin
    select case when sequences.is_called then sequences.last_value else 0 end into announced
    from public.sequential_announcements as sequences;
    select min(stored.open_due_at) into following
    from public.sequential_stack_runs as stored where stored.open_due_at > now;
    select min(held.ends) into freed
    from (
        select coalesce(
            public.sequential_extended_lease(stored.worker, stored.id, stored.token, stored.lease_expires_at),
            stored.lease_expires_at
        ) as ends
        from public.sequential_stack_runs as stored
        where stored.open_due_at <= now
        order by stored.open_due_at, stored.id limit 100
    ) as held
    where held.ends > now;
    seconds_to_next := extract(epoch from least(following, freed) - now);
    return next;
end
$$;

-- Tell those who listen that there is work; the number of the announcement, or null where the work is taken already. It is
-- called after the commit that brings the work, in a transaction of its own: one that notifies holds a lock that every
-- other one waits for until it is on disk, and this one writes nothing and waits for no disk.
create or replace function public.sequential_announce(sender text)
returns table (announced bigint)
language plpgsql
volatile
set search_path = ''
as $$
begin
    if public.sequential_has_work() then
        announced := nextval('public.sequential_announcements');
        perform pg_notify('sequential_work', sender);
    end if;
    return next;
end
$$;

insert into public.sequential_schema (version) values ('20261122100200') on conflict do nothing;
