-- sequential-adaptor: what writes. A refusal is SQLSTATE SQ001 with what is wrong as JSON in its detail.

-- Change some fields of a row, where the expected ones have their values; whether there was such a row.
create or replace function public.sequential_change_task_run(id text, fields jsonb, expect jsonb, now timestamptz)
returns boolean
language plpgsql
set search_path = ''
as $$
declare
    wanted public.sequential_task_run_rows := jsonb_populate_record(null::public.sequential_task_run_rows, fields);
    expected public.sequential_task_run_rows := jsonb_populate_record(null::public.sequential_task_run_rows, expect);
begin
    update public.sequential_task_runs as stored set
        task_identifier = case when fields ? 'task_identifier' then wanted.task_identifier else stored.task_identifier end,
        version = case when fields ? 'version' then wanted.version else stored.version end,
        runner = case when fields ? 'runner' then wanted.runner else stored.runner end,
        status = case when fields ? 'status' then wanted.status else stored.status end,
        input = case when fields ? 'input' then wanted.input::json else stored.input end,
        result = case when fields ? 'result' then wanted.result::json else stored.result end,
        error = case when fields ? 'error' then wanted.error::json else stored.error end,
        parent_stack_run_id =
            case when fields ? 'parent_stack_run_id' then wanted.parent_stack_run_id else stored.parent_stack_run_id end,
        metadata = case when fields ? 'metadata' then wanted.metadata::json else stored.metadata end,
        updated_at = case when fields ? 'updated_at' then wanted.updated_at else now end,
        started_at = case when fields ? 'started_at' then wanted.started_at else stored.started_at end,
        ended_at = case when fields ? 'ended_at' then wanted.ended_at else stored.ended_at end
    where stored.id = sequential_change_task_run.id and (expect = '{}' or (
        (not expect ? 'id' or stored.id = expected.id)
        and (not expect ? 'task_identifier' or stored.task_identifier = expected.task_identifier)
        and (not expect ? 'version' or stored.version = expected.version)
        and (not expect ? 'runner' or stored.runner = expected.runner)
        and (not expect ? 'status' or stored.status = expected.status)
        and (not expect ? 'input' or stored.input::text is not distinct from expected.input)
        and (not expect ? 'result' or stored.result::text is not distinct from expected.result)
        and (not expect ? 'error' or stored.error::text is not distinct from expected.error)
        and (not expect ? 'parent_stack_run_id'
            or stored.parent_stack_run_id is not distinct from expected.parent_stack_run_id)
        and (not expect ? 'metadata' or stored.metadata::text is not distinct from expected.metadata)
        and (not expect ? 'created_at' or stored.created_at is not distinct from expected.created_at)
        and (not expect ? 'updated_at' or stored.updated_at is not distinct from expected.updated_at)
        and (not expect ? 'started_at' or stored.started_at is not distinct from expected.started_at)
        and (not expect ? 'ended_at' or stored.ended_at is not distinct from expected.ended_at)
    ));
    return found;
end
$$;

create or replace function public.sequential_change_stack_run(id text, fields jsonb, expect jsonb, now timestamptz)
returns boolean
language plpgsql
set search_path = ''
as $$
declare
    wanted public.sequential_stack_run_rows;
    expected public.sequential_stack_run_rows;
begin
    -- The outcome of a call, which is what most changes are: a statement that costs a third of the one below.
    if expect = '{}' and fields - '{status,result,error,position,log,ended_at,last_commit,updated_at}'::text[] = '{}' then
        update public.sequential_stack_runs as stored set
            status = case when fields ? 'status' then fields ->> 'status' else stored.status end,
            result = case when fields ? 'result' then (fields ->> 'result')::json else stored.result end,
            error = case when fields ? 'error' then (fields ->> 'error')::json else stored.error end,
            "position" = case when fields ? 'position' then (fields ->> 'position')::bigint else stored."position" end,
            log = case when fields ? 'log' then (fields ->> 'log')::json else stored.log end,
            ended_at = case when fields ? 'ended_at' then (fields ->> 'ended_at')::timestamptz else stored.ended_at end,
            last_commit = case when fields ? 'last_commit' then fields ->> 'last_commit' else stored.last_commit end,
            updated_at = case when fields ? 'updated_at' then (fields ->> 'updated_at')::timestamptz else now end
        where stored.id = sequential_change_stack_run.id;
        return found;
    end if;
    wanted := jsonb_populate_record(null::public.sequential_stack_run_rows, fields);
    expected := jsonb_populate_record(null::public.sequential_stack_run_rows, expect);
    -- A lease is read from elsewhere, as of the beginning of the statement: nobody may be about to change it.
    if expect ? 'lease_expires_at' then
        perform from public.sequential_stack_runs as stored
        where stored.id = sequential_change_stack_run.id for no key update;
    end if;
    update public.sequential_stack_runs as stored set
        task_run_id = case when fields ? 'task_run_id' then wanted.task_run_id else stored.task_run_id end,
        parent_stack_run_id =
            case when fields ? 'parent_stack_run_id' then wanted.parent_stack_run_id else stored.parent_stack_run_id end,
        sequence = case when fields ? 'sequence' then wanted.sequence else stored.sequence end,
        "position" = case when fields ? 'position' then wanted."position" else stored."position" end,
        operation = case when fields ? 'operation' then wanted.operation else stored.operation end,
        status = case when fields ? 'status' then wanted.status else stored.status end,
        input = case when fields ? 'input' then wanted.input::json else stored.input end,
        options = case when fields ? 'options' then wanted.options::json else stored.options end,
        result = case when fields ? 'result' then wanted.result::json else stored.result end,
        error = case when fields ? 'error' then wanted.error::json else stored.error end,
        state = case when fields ? 'state' then wanted.state::json else stored.state end,
        resume_payload =
            case when fields ? 'resume_payload' then wanted.resume_payload::json else stored.resume_payload end,
        log = case when fields ? 'log' then wanted.log::json else stored.log end,
        attempts = case when fields ? 'attempts' then wanted.attempts else stored.attempts end,
        wakes = case when fields ? 'wakes' then wanted.wakes else stored.wakes end,
        due_at = case when fields ? 'due_at' then wanted.due_at else stored.due_at end,
        worker = case when fields ? 'worker' then wanted.worker else stored.worker end,
        token = case when fields ? 'token' then wanted.token else stored.token end,
        progress_token = case when fields ? 'progress_token' then wanted.progress_token else stored.progress_token end,
        lease_expires_at =
            case when fields ? 'lease_expires_at' then wanted.lease_expires_at else stored.lease_expires_at end,
        last_commit = case when fields ? 'last_commit' then wanted.last_commit else stored.last_commit end,
        suspended_at = case when fields ? 'suspended_at' then wanted.suspended_at else stored.suspended_at end,
        updated_at = case when fields ? 'updated_at' then wanted.updated_at else now end,
        ended_at = case when fields ? 'ended_at' then wanted.ended_at else stored.ended_at end
    where stored.id = sequential_change_stack_run.id and (expect = '{}' or (
        (not expect ? 'id' or stored.id = expected.id)
        and (not expect ? 'task_run_id' or stored.task_run_id = expected.task_run_id)
        and (not expect ? 'parent_stack_run_id'
            or stored.parent_stack_run_id is not distinct from expected.parent_stack_run_id)
        and (not expect ? 'sequence' or stored.sequence is not distinct from expected.sequence)
        and (not expect ? 'position' or stored."position" is not distinct from expected."position")
        and (not expect ? 'operation' or stored.operation = expected.operation)
        and (not expect ? 'status' or stored.status = expected.status)
        and (not expect ? 'input' or stored.input::text is not distinct from expected.input)
        and (not expect ? 'options' or stored.options::text is not distinct from expected.options)
        and (not expect ? 'result' or stored.result::text is not distinct from expected.result)
        and (not expect ? 'error' or stored.error::text is not distinct from expected.error)
        and (not expect ? 'state' or stored.state::text is not distinct from expected.state)
        and (not expect ? 'resume_payload' or stored.resume_payload::text is not distinct from expected.resume_payload)
        and (not expect ? 'log' or stored.log::text is not distinct from expected.log)
        and (not expect ? 'attempts' or stored.attempts is not distinct from expected.attempts)
        and (not expect ? 'wakes' or stored.wakes is not distinct from expected.wakes)
        and (not expect ? 'due_at' or stored.due_at is not distinct from expected.due_at)
        and (not expect ? 'worker' or stored.worker is not distinct from expected.worker)
        and (not expect ? 'token' or stored.token is not distinct from expected.token)
        and (not expect ? 'progress_token' or stored.progress_token is not distinct from expected.progress_token)
        and (not expect ? 'lease_expires_at' or (
            select held.lease_expires_at from public.sequential_stack_run_rows as held where held.id = stored.id
        ) is not distinct from expected.lease_expires_at)
        and (not expect ? 'last_commit' or stored.last_commit is not distinct from expected.last_commit)
        and (not expect ? 'suspended_at' or stored.suspended_at is not distinct from expected.suspended_at)
        and (not expect ? 'created_at' or stored.created_at is not distinct from expected.created_at)
        and (not expect ? 'updated_at' or stored.updated_at is not distinct from expected.updated_at)
        and (not expect ? 'ended_at' or stored.ended_at is not distinct from expected.ended_at)
    ));
    if found and wanted.lease_expires_at is not null then
        update public.sequential_heartbeats as beat set beats = beat.beats - sequential_change_stack_run.id
        where beat.beats ? sequential_change_stack_run.id;
        return true;
    end if;
    return found;
end
$$;

-- Store a new row; whether it is there now as it was to be: stored just now, or before, by the very same request.
create or replace function public.sequential_create_task_run(record jsonb, now timestamptz)
returns boolean
language plpgsql
set search_path = ''
as $$
declare
    wanted public.sequential_task_run_rows;
begin
    insert into public.sequential_task_runs (
        id, task_identifier, version, runner, status, input, result, error, parent_stack_run_id, metadata,
        created_at, updated_at, started_at, ended_at
    ) values (
        record ->> 'id', record ->> 'task_identifier', record ->> 'version', record ->> 'runner', record ->> 'status',
        (record ->> 'input')::json, (record ->> 'result')::json, (record ->> 'error')::json,
        record ->> 'parent_stack_run_id', (record ->> 'metadata')::json,
        coalesce((record ->> 'created_at')::timestamptz, now),
        coalesce((record ->> 'updated_at')::timestamptz, (record ->> 'created_at')::timestamptz, now),
        (record ->> 'started_at')::timestamptz, (record ->> 'ended_at')::timestamptz
    ) on conflict do nothing;
    if found then
        return true;
    end if;
    wanted := jsonb_populate_record(null::public.sequential_task_run_rows, record);
    return exists (
        select from public.sequential_task_runs as stored
        where stored.id = wanted.id
            and stored.task_identifier = wanted.task_identifier
            and stored.version = wanted.version
            and stored.runner = wanted.runner
            and stored.status = wanted.status
            and stored.input::text is not distinct from wanted.input
            and stored.result::text is not distinct from wanted.result
            and stored.error::text is not distinct from wanted.error
            and stored.parent_stack_run_id is not distinct from wanted.parent_stack_run_id
            and stored.metadata::text is not distinct from wanted.metadata
            and stored.started_at is not distinct from wanted.started_at
            and stored.ended_at is not distinct from wanted.ended_at
    );
end
$$;

create or replace function public.sequential_create_stack_run(record jsonb, now timestamptz)
returns boolean
language plpgsql
set search_path = ''
as $$
declare
    created timestamptz := coalesce((record ->> 'created_at')::timestamptz, now);
    due timestamptz := (record ->> 'due_at')::timestamptz;
    wanted public.sequential_stack_run_rows;
begin
    if due is null and record ->> 'status' = 'pending' then
        due := least(now, created);
    end if;
    insert into public.sequential_stack_runs (
        id, task_run_id, parent_stack_run_id, sequence, "position", operation, status, input, options, result, error,
        state, resume_payload, log, attempts, wakes, due_at, worker, token, progress_token, lease_expires_at,
        last_commit, suspended_at, created_at, updated_at, ended_at
    ) values (
        record ->> 'id', record ->> 'task_run_id', record ->> 'parent_stack_run_id', (record ->> 'sequence')::bigint,
        (record ->> 'position')::bigint, record ->> 'operation', record ->> 'status', (record ->> 'input')::json,
        (record ->> 'options')::json, (record ->> 'result')::json, (record ->> 'error')::json,
        (record ->> 'state')::json, (record ->> 'resume_payload')::json, (record ->> 'log')::json,
        coalesce((record ->> 'attempts')::bigint, 0), coalesce((record ->> 'wakes')::bigint, 0), due,
        record ->> 'worker', coalesce((record ->> 'token')::bigint, 0),
        coalesce((record ->> 'progress_token')::bigint, 0), (record ->> 'lease_expires_at')::timestamptz,
        record ->> 'last_commit', (record ->> 'suspended_at')::timestamptz, created,
        coalesce((record ->> 'updated_at')::timestamptz, created), (record ->> 'ended_at')::timestamptz
    ) on conflict do nothing;
    if found then
        return true;
    end if;
    wanted := jsonb_populate_record(null::public.sequential_stack_run_rows, record);
    wanted.created_at := created;
    wanted.due_at := due;
    return exists (
        select from public.sequential_stack_run_rows as stored
        where stored.id = wanted.id
            and stored.task_run_id = wanted.task_run_id
            and stored.parent_stack_run_id is not distinct from wanted.parent_stack_run_id
            and stored.sequence is not distinct from wanted.sequence
            and stored."position" is not distinct from wanted."position"
            and stored.operation = wanted.operation
            and stored.status = wanted.status
            and stored.input::text is not distinct from wanted.input
            and stored.options::text is not distinct from wanted.options
            and stored.result::text is not distinct from wanted.result
            and stored.error::text is not distinct from wanted.error
            and stored.state::text is not distinct from wanted.state
            and stored.resume_payload::text is not distinct from wanted.resume_payload
            and stored.log::text is not distinct from wanted.log
            and stored.attempts = coalesce(wanted.attempts, 0)
            and stored.wakes = coalesce(wanted.wakes, 0)
            and (
                stored.due_at is not distinct from wanted.due_at
                or (stored.due_at = stored.created_at and wanted.due_at = wanted.created_at)
            )
            and stored.worker is not distinct from wanted.worker
            and stored.token = coalesce(wanted.token, 0)
            and stored.progress_token = coalesce(wanted.progress_token, 0)
            and stored.lease_expires_at is not distinct from wanted.lease_expires_at
            and stored.suspended_at is not distinct from wanted.suspended_at
            and stored.ended_at is not distinct from wanted.ended_at
    );
end
$$;

-- Raise SQ001 with what a change found instead of what it wants: the index of the change, and the row that is there.
create or replace function public.sequential_refuse(kind text, place int, found_row jsonb)
returns void
language plpgsql
set search_path = ''
as $$
begin
    raise exception 'sequential-adaptor refused: %', kind using
        errcode = 'SQ001',
        detail = jsonb_build_object('kind', kind, 'place', place, 'found', found_row)::text;
end
$$;

-- Apply one commit, {"id", "claims": [[stack run, worker, token]], "changes": [[kind, id, fields, expect]]}; 'repeated'
-- where it was written before. The kinds: create or update a task run or stack run, wake one.
create or replace function public.sequential_apply(commit jsonb, now timestamptz)
returns text
language plpgsql
set search_path = ''
as $$
declare
    commit_id text := commit ->> 'id';
    written bigint;
    claim jsonb;
    change jsonb;
    target text;
    place int := 0;
    done boolean;
    lease timestamptz;
begin
    insert into public.sequential_commits (id) values (commit_id) on conflict do nothing returning number into written;
    if written is null then
        return 'repeated';
    end if;
    if written % 4096 = 0 then
        delete from public.sequential_commits as stale
        where stale.number <= written - 20000 and stale.written_at < now - interval '2 minutes';
    end if;
    for claim in select value from jsonb_array_elements(commit -> 'claims') loop
        select stored.worker = claim ->> 1 and stored.token = (claim -> 2)::bigint, stored.lease_expires_at
        into done, lease
        from public.sequential_stack_runs as stored where stored.id = claim ->> 0
        for no key update;
        if done and lease <= now then
            lease := public.sequential_extended_lease(claim ->> 1, claim ->> 0, (claim -> 2)::bigint, lease);
        end if;
        if done is not true or lease is null or lease <= greatest(now, clock_timestamp()) then
            perform public.sequential_refuse('claim', place, null);
        end if;
        place := place + 1;
    end loop;
    place := 0;
    for change in select value from jsonb_array_elements(commit -> 'changes') loop
        target := change ->> 1;
        case change ->> 0
            when 'update stack run' then
                done := public.sequential_change_stack_run(
                    target, (change -> 2) || jsonb_build_object('last_commit', commit_id), change -> 3, now
                );
            when 'create stack run' then
                done := public.sequential_create_stack_run(
                    (change -> 2) || jsonb_build_object('last_commit', commit_id), now
                );
            when 'update task run' then
                done := public.sequential_change_task_run(target, change -> 2, change -> 3, now);
            when 'create task run' then
                done := public.sequential_create_task_run(change -> 2, now);
            when 'wake' then
                update public.sequential_stack_runs as stored
                set due_at = now, wakes = stored.wakes + 1, updated_at = now
                where stored.id = target and stored.status not in ('completed', 'failed', 'cancelled');
                done := found or exists (select from public.sequential_stack_runs as stored where stored.id = target);
        end case;
        if not done then
            perform public.sequential_refuse(change ->> 0, place, case
                when change ->> 0 like '%task run' then
                    (select to_jsonb(stored) from public.sequential_task_run_rows as stored where stored.id = target)
                else (select to_jsonb(stored) from public.sequential_stack_run_rows as stored where stored.id = target)
            end);
        end if;
        place := place + 1;
    end loop;
    return 'written';
end
$$;

-- Write ordinary commits, all at once. It is a handful of statements however
-- many commits there are. Where a row is missing, is there already, or is not held, all is refused, by SQ001, without a word
-- about what is wrong: sequential_apply says so when the commits are sent again by its way. The parts, each left out where
-- it is empty, and nothing in it twice: "commits", their ids; "claims", [stack run, worker, token] in the order of the ids, so
-- that nobody waits in a circle; "created stack runs", "created task runs", "changed stack runs", "changed task runs", the
-- fields each, a stack run's with last_commit, none of the changed with a lease; "outcomes", changed stack runs as well,
-- with fields that the end of a call has, which most changes are.
-- The settings: plans that are kept, and that go by the primary keys, also where they were made when there were few rows.
create or replace function public.sequential_write(parts jsonb)
returns void
language plpgsql
set search_path = ''
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
as $$
declare
    now timestamptz;
    done bigint;
    written bigint;
    first_end timestamptz;
begin
    with stored as (
        insert into public.sequential_commits (id) select jsonb_array_elements_text(parts -> 'commits')
        on conflict do nothing returning number
    )
    select count(*), max(stored.number) filter (where stored.number % 4096 = 0) into done, written from stored;
    if done <> jsonb_array_length(parts -> 'commits') then
        perform public.sequential_refuse('plain', 0, null);
    end if;
    if parts ? 'claims' then
        select count(held.lease_expires_at), min(held.lease_expires_at) into done, first_end
        from (
            select stored.lease_expires_at
            from jsonb_array_elements(parts -> 'claims') as claim
            join public.sequential_stack_runs as stored on stored.id = claim ->> 0
            where stored.worker = claim ->> 1 and stored.token = (claim -> 2)::bigint
            order by stored.id for no key update of stored
        ) as held;
        if done <> jsonb_array_length(parts -> 'claims') then
            perform public.sequential_refuse('plain', 1, null);
        end if;
        now := clock_timestamp();
        if first_end <= now and exists (
            select
            from jsonb_array_elements(parts -> 'claims') as claim
            join public.sequential_stack_runs as stored on stored.id = claim ->> 0
            where stored.lease_expires_at <= now and coalesce(public.sequential_extended_lease(
                stored.worker, stored.id, stored.token, stored.lease_expires_at
            ) <= now, true)
        ) then
            perform public.sequential_refuse('plain', 2, null);
        end if;
    else
        now := clock_timestamp();
    end if;
    if parts ? 'outcomes' then
        update public.sequential_stack_runs as stored set
            status = case when fields ? 'status' then fields ->> 'status' else stored.status end,
            result = case when fields ? 'result' then (fields ->> 'result')::json else stored.result end,
            error = case when fields ? 'error' then (fields ->> 'error')::json else stored.error end,
            "position" = case when fields ? 'position' then (fields ->> 'position')::bigint else stored."position" end,
            log = case when fields ? 'log' then (fields ->> 'log')::json else stored.log end,
            ended_at = case when fields ? 'ended_at' then (fields ->> 'ended_at')::timestamptz else stored.ended_at end,
            last_commit = fields ->> 'last_commit',
            updated_at = now
        from jsonb_array_elements(parts -> 'outcomes') as fields
        where stored.id = fields ->> 'id';
        get diagnostics done = row_count;
        if done <> jsonb_array_length(parts -> 'outcomes') then
            perform public.sequential_refuse('plain', 3, null);
        end if;
    end if;
    if parts ? 'changed stack runs' then
        update public.sequential_stack_runs as stored set
            task_run_id = case when fields ? 'task_run_id' then fields ->> 'task_run_id' else stored.task_run_id end,
            parent_stack_run_id = case
                when fields ? 'parent_stack_run_id' then fields ->> 'parent_stack_run_id' else stored.parent_stack_run_id
            end,
            sequence = case when fields ? 'sequence' then (fields ->> 'sequence')::bigint else stored.sequence end,
            "position" = case when fields ? 'position' then (fields ->> 'position')::bigint else stored."position" end,
            operation = case when fields ? 'operation' then fields ->> 'operation' else stored.operation end,
            status = case when fields ? 'status' then fields ->> 'status' else stored.status end,
            input = case when fields ? 'input' then (fields ->> 'input')::json else stored.input end,
            options = case when fields ? 'options' then (fields ->> 'options')::json else stored.options end,
            result = case when fields ? 'result' then (fields ->> 'result')::json else stored.result end,
            error = case when fields ? 'error' then (fields ->> 'error')::json else stored.error end,
            state = case when fields ? 'state' then (fields ->> 'state')::json else stored.state end,
            resume_payload = case
                when fields ? 'resume_payload' then (fields ->> 'resume_payload')::json else stored.resume_payload
            end,
            log = case when fields ? 'log' then (fields ->> 'log')::json else stored.log end,
            attempts = case when fields ? 'attempts' then (fields ->> 'attempts')::bigint else stored.attempts end,
            wakes = case when fields ? 'wakes' then (fields ->> 'wakes')::bigint else stored.wakes end,
            due_at = case when fields ? 'due_at' then (fields ->> 'due_at')::timestamptz else stored.due_at end,
            worker = case when fields ? 'worker' then fields ->> 'worker' else stored.worker end,
            token = case when fields ? 'token' then (fields ->> 'token')::bigint else stored.token end,
            progress_token = case
                when fields ? 'progress_token' then (fields ->> 'progress_token')::bigint else stored.progress_token
            end,
            lease_expires_at = case when fields ? 'lease_expires_at' then null else stored.lease_expires_at end,
            last_commit = fields ->> 'last_commit',
            suspended_at = case
                when fields ? 'suspended_at' then (fields ->> 'suspended_at')::timestamptz else stored.suspended_at
            end,
            updated_at = case
                when fields ? 'updated_at' then (fields ->> 'updated_at')::timestamptz else now
            end,
            ended_at = case when fields ? 'ended_at' then (fields ->> 'ended_at')::timestamptz else stored.ended_at end
        from jsonb_array_elements(parts -> 'changed stack runs') as fields
        where stored.id = fields ->> 'id';
        get diagnostics done = row_count;
        if done <> jsonb_array_length(parts -> 'changed stack runs') then
            perform public.sequential_refuse('plain', 4, null);
        end if;
    end if;
    if parts ? 'changed task runs' then
        update public.sequential_task_runs as stored set
            task_identifier =
                case when fields ? 'task_identifier' then fields ->> 'task_identifier' else stored.task_identifier end,
            version = case when fields ? 'version' then fields ->> 'version' else stored.version end,
            runner = case when fields ? 'runner' then fields ->> 'runner' else stored.runner end,
            status = case when fields ? 'status' then fields ->> 'status' else stored.status end,
            input = case when fields ? 'input' then (fields ->> 'input')::json else stored.input end,
            result = case when fields ? 'result' then (fields ->> 'result')::json else stored.result end,
            error = case when fields ? 'error' then (fields ->> 'error')::json else stored.error end,
            parent_stack_run_id = case
                when fields ? 'parent_stack_run_id' then fields ->> 'parent_stack_run_id' else stored.parent_stack_run_id
            end,
            metadata = case when fields ? 'metadata' then (fields ->> 'metadata')::json else stored.metadata end,
            updated_at = case
                when fields ? 'updated_at' then (fields ->> 'updated_at')::timestamptz else now
            end,
            started_at =
                case when fields ? 'started_at' then (fields ->> 'started_at')::timestamptz else stored.started_at end,
            ended_at = case when fields ? 'ended_at' then (fields ->> 'ended_at')::timestamptz else stored.ended_at end
        from jsonb_array_elements(parts -> 'changed task runs') as fields
        where stored.id = fields ->> 'id';
        get diagnostics done = row_count;
        if done <> jsonb_array_length(parts -> 'changed task runs') then
            perform public.sequential_refuse('plain', 5, null);
        end if;
    end if;
    if parts ? 'created task runs' then
        insert into public.sequential_task_runs (
            id, task_identifier, version, runner, status, input, result, error, parent_stack_run_id, metadata,
            created_at, updated_at, started_at, ended_at
        )
        select
            fields ->> 'id', fields ->> 'task_identifier', fields ->> 'version', fields ->> 'runner', fields ->> 'status',
            (fields ->> 'input')::json, (fields ->> 'result')::json, (fields ->> 'error')::json,
            fields ->> 'parent_stack_run_id', (fields ->> 'metadata')::json,
            coalesce((fields ->> 'created_at')::timestamptz, now),
            coalesce((fields ->> 'updated_at')::timestamptz, (fields ->> 'created_at')::timestamptz, now),
            (fields ->> 'started_at')::timestamptz, (fields ->> 'ended_at')::timestamptz
        from jsonb_array_elements(parts -> 'created task runs') as fields
        on conflict do nothing;
        get diagnostics done = row_count;
        if done <> jsonb_array_length(parts -> 'created task runs') then
            perform public.sequential_refuse('plain', 6, null);
        end if;
    end if;
    if parts ? 'created stack runs' then
        insert into public.sequential_stack_runs (
            id, task_run_id, parent_stack_run_id, sequence, "position", operation, status, input, options, result, error,
            state, resume_payload, log, attempts, wakes, due_at, worker, token, progress_token, lease_expires_at,
            last_commit, suspended_at, created_at, updated_at, ended_at
        )
        select
            fields ->> 'id', fields ->> 'task_run_id', fields ->> 'parent_stack_run_id', (fields ->> 'sequence')::bigint,
            (fields ->> 'position')::bigint, fields ->> 'operation', fields ->> 'status', (fields ->> 'input')::json,
            (fields ->> 'options')::json, (fields ->> 'result')::json, (fields ->> 'error')::json,
            (fields ->> 'state')::json, (fields ->> 'resume_payload')::json, (fields ->> 'log')::json,
            coalesce((fields ->> 'attempts')::bigint, 0), coalesce((fields ->> 'wakes')::bigint, 0),
            case
                when fields ? 'due_at' then (fields ->> 'due_at')::timestamptz
                when fields ->> 'status' = 'pending' then least(now, (fields ->> 'created_at')::timestamptz)
            end,
            fields ->> 'worker', coalesce((fields ->> 'token')::bigint, 0),
            coalesce((fields ->> 'progress_token')::bigint, 0), (fields ->> 'lease_expires_at')::timestamptz,
            fields ->> 'last_commit', (fields ->> 'suspended_at')::timestamptz,
            coalesce((fields ->> 'created_at')::timestamptz, now),
            coalesce((fields ->> 'updated_at')::timestamptz, (fields ->> 'created_at')::timestamptz, now),
            (fields ->> 'ended_at')::timestamptz
        from jsonb_array_elements(parts -> 'created stack runs') as fields
        on conflict do nothing;
        get diagnostics done = row_count;
        if done <> jsonb_array_length(parts -> 'created stack runs') then
            perform public.sequential_refuse('plain', 7, null);
        end if;
    end if;
    if written is not null then
        delete from public.sequential_commits as stale
        where stale.number <= written - 20000 and stale.written_at < now - interval '2 minutes';
    end if;
end
$$;

-- Write commits, each whole or not at all: plain ones, the parts of sequential_write as text or an empty text, and then
-- others, a JSON array as text: a row for each of these, in their order, with its outcome: 'written', 'repeated', or
-- 'refused' with the detail of SQ001. Unless apart is true one refusal refuses all, by SQ001: all are then to be sent again
-- as others, with apart, which gives each a subtransaction of its own. locks, an array as text: the stack runs that several
-- commits, here or elsewhere, may meet at; in the order of their ids, so that nobody waits in a circle.
create or replace function public.sequential_commit(plain text, commits text, locks text, apart boolean)
returns table (outcome text, detail text)
language plpgsql
set search_path = ''
as $$
declare
    commit jsonb;
    now timestamptz;
begin
    if locks <> '{}' then
        perform from public.sequential_stack_runs as stored
        where stored.id = any (locks::text[]) order by stored.id for no key update;
    end if;
    if plain <> '' then
        perform public.sequential_write(plain::jsonb);
    end if;
    if commits = '[]' then
        return;
    end if;
    now := clock_timestamp();
    for commit in select value from jsonb_array_elements(commits::jsonb) loop
        detail := null;
        if apart then
            begin
                outcome := public.sequential_apply(commit, now);
            exception when sqlstate 'SQ001' then
                outcome := 'refused';
                get stacked diagnostics detail = pg_exception_detail;
            end;
        else
            outcome := public.sequential_apply(commit, now);
        end if;
        return next;
    end loop;
end
$$;

-- Store a row, or find the one that has its id.
create or replace function public.sequential_store_task_run(record text)
returns setof public.sequential_task_run_rows
language plpgsql
set search_path = ''
as $$
begin
    perform public.sequential_create_task_run(record::jsonb, clock_timestamp());
    return query select * from public.sequential_task_run_rows as stored where stored.id = (record::jsonb ->> 'id');
end
$$;

create or replace function public.sequential_store_stack_run(record text)
returns setof public.sequential_stack_run_rows
language plpgsql
set search_path = ''
as $$
begin
    perform public.sequential_create_stack_run(record::jsonb, clock_timestamp());
    return query select * from public.sequential_stack_run_rows as stored where stored.id = (record::jsonb ->> 'id');
end
$$;

-- Change fields of a row, whatever its lifecycle says: the row then, or none where there is none as expected.
create or replace function public.sequential_update_task_run(id text, fields text, expect text default '{}')
returns setof public.sequential_task_run_rows
language plpgsql
set search_path = ''
as $$
begin
    if public.sequential_change_task_run(id, fields::jsonb, expect::jsonb, clock_timestamp()) then
        return query select * from public.sequential_task_run_rows as stored where stored.id = sequential_update_task_run.id;
    end if;
end
$$;

create or replace function public.sequential_update_stack_run(id text, fields text, expect text default '{}')
returns setof public.sequential_stack_run_rows
language plpgsql
set search_path = ''
as $$
begin
    if public.sequential_change_stack_run(id, fields::jsonb, expect::jsonb, clock_timestamp()) then
        return query select * from public.sequential_stack_run_rows as stored where stored.id = sequential_update_stack_run.id;
    end if;
end
$$;

insert into public.sequential_schema (version) values ('20261122100100') on conflict do nothing;
