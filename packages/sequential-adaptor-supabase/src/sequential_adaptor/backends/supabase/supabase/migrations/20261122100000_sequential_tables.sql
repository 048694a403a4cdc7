-- sequential-adaptor: the tables. Payloads are json and not jsonb, which would reorder keys and rewrite numbers.
--
-- Which rows change how often decides where things are: a call's row is written twice, a frame's row a few times a run,
-- and no index holds a column that such a step changes (its status, its lease, its result), so that updates stay
-- within their page (HOT). Half of a page is kept for that: the calls of a page were made together, in one transaction, and
-- may end together, in another one. What the indexes on states need is in generated columns, which a step leaves as they are.

create table if not exists public.sequential_schema (
    version text collate "C" not null primary key,
    applied_at timestamptz not null default clock_timestamp()
);
comment on table public.sequential_schema is 'The migrations of sequential-adaptor that this database has had.';

create table if not exists public.sequential_task_runs (
    id text collate "C" not null primary key,
    task_identifier text collate "C" not null,
    version text collate "C" not null,
    runner text collate "C" not null,
    status text collate "C" not null,
    input json,
    result json,
    error json,
    parent_stack_run_id text collate "C",
    metadata json,
    created_at timestamptz not null,
    updated_at timestamptz,
    started_at timestamptz,
    ended_at timestamptz
) with (
    fillfactor = 80,
    autovacuum_vacuum_scale_factor = 0.02,
    autovacuum_vacuum_threshold = 1000,
    autovacuum_analyze_scale_factor = 0.05
);
comment on table public.sequential_task_runs is 'One execution of a task each.';

create index if not exists sequential_task_runs_by_time on public.sequential_task_runs (created_at, id);
create index if not exists sequential_task_runs_by_task on public.sequential_task_runs (task_identifier, created_at, id);
create index if not exists sequential_task_runs_open on public.sequential_task_runs (status, created_at, id)
    where status in ('pending', 'running', 'suspended');
create index if not exists sequential_task_runs_by_parent on public.sequential_task_runs (parent_stack_run_id)
    where parent_stack_run_id is not null;

create table if not exists public.sequential_stack_runs (
    id text collate "C" not null primary key,
    task_run_id text collate "C" not null,
    parent_stack_run_id text collate "C",
    sequence bigint,
    "position" bigint,
    operation text collate "C" not null,
    status text collate "C" not null,
    input json,
    options json,
    result json,
    error json,
    state json,
    resume_payload json,
    log json,
    attempts bigint not null,
    wakes bigint not null,
    due_at timestamptz,
    worker text collate "C",
    token bigint not null,
    progress_token bigint not null,
    lease_expires_at timestamptz,
    last_commit text collate "C",
    suspended_at timestamptz,
    created_at timestamptz not null,
    updated_at timestamptz,
    ended_at timestamptz,
    claim_request text collate "C",
    open_due_at timestamptz generated always as (
        case when status not in ('completed', 'failed', 'cancelled') then due_at end
    ) stored,
    waiting text collate "C" generated always as (
        case when status in ('pending', 'suspended_waiting_child') then status end
    ) stored
) with (
    fillfactor = 50,
    autovacuum_vacuum_scale_factor = 0.02,
    autovacuum_vacuum_threshold = 1000,
    autovacuum_analyze_scale_factor = 0.05
);
comment on table public.sequential_stack_runs is 'One frame of a run, or one outside call that it made.';
comment on column public.sequential_stack_runs.lease_expires_at is
    'As the claim set it. Heartbeats extend it in sequential_heartbeats; sequential_stack_run_rows shows the end.';
comment on column public.sequential_stack_runs.claim_request is 'Which request claimed it, so that one may be repeated.';

create index if not exists sequential_stack_runs_by_run on public.sequential_stack_runs (task_run_id);
create index if not exists sequential_stack_runs_by_parent on public.sequential_stack_runs (parent_stack_run_id, created_at, id)
    where parent_stack_run_id is not null;
create index if not exists sequential_stack_runs_due on public.sequential_stack_runs (open_due_at, id) where open_due_at is not null;
create index if not exists sequential_stack_runs_waiting on public.sequential_stack_runs (waiting, due_at, id)
    where waiting is not null;

create table if not exists public.sequential_task_functions (
    identifier text collate "C" not null,
    version text collate "C" not null,
    runner text collate "C" not null,
    code text collate "C" not null,
    modules json,
    metadata json,
    created_at timestamptz not null,
    stored bigint not null generated always as identity,
    primary key (identifier, version)
);
comment on table public.sequential_task_functions is
    'Every version of the source of every task; the one that was stored last is current.';

create table if not exists public.sequential_keystore (
    key text collate "C" not null primary key,
    value json not null
);
comment on table public.sequential_keystore is 'Secrets and settings.';

create table if not exists public.sequential_commits (
    id text collate "C" not null primary key,
    number bigint not null generated always as identity,
    written_at timestamptz not null default clock_timestamp()
) with (autovacuum_vacuum_scale_factor = 0.1, autovacuum_vacuum_threshold = 2000);
comment on table public.sequential_commits is 'The commits written lately, so that one that comes again writes nothing.';

create sequence if not exists public.sequential_announcements;
comment on sequence public.sequential_announcements is 'How often somebody said that there is work.';

-- beats: stack run id -> [token, lease as the claim set it, lease as extended]. An entry holds for the row that has this
-- token and this lease of its own, and for no other: whoever writes a lease into the row has the last word.
create table if not exists public.sequential_heartbeats (
    worker text collate "C" not null primary key,
    beats jsonb not null,
    expires_at timestamptz not null
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 200);
comment on table public.sequential_heartbeats is 'Until when each worker holds what it holds, one row a worker.';

-- What the functions return and take: the fields of the records in their order, payloads as text, leases as extended.
create or replace view public.sequential_task_run_rows with (security_invoker = true) as
select
    id, task_identifier, version, runner, status, input::text as input, result::text as result, error::text as error,
    parent_stack_run_id, metadata::text as metadata, created_at, updated_at, started_at, ended_at
from public.sequential_task_runs;

create or replace view public.sequential_stack_run_rows with (security_invoker = true) as
select
    stored.id, stored.task_run_id, stored.parent_stack_run_id, stored.sequence, stored."position", stored.operation,
    stored.status, stored.input::text as input, stored.options::text as options, stored.result::text as result,
    stored.error::text as error, stored.state::text as state, stored.resume_payload::text as resume_payload,
    stored.log::text as log, stored.attempts, stored.wakes, stored.due_at, stored.worker, stored.token,
    stored.progress_token,
    case
        when (beat.beats -> stored.id ->> 0)::bigint = stored.token
            and (beat.beats -> stored.id ->> 1)::timestamptz = stored.lease_expires_at
        then (beat.beats -> stored.id ->> 2)::timestamptz
        else stored.lease_expires_at
    end as lease_expires_at,
    stored.last_commit, stored.suspended_at, stored.created_at, stored.updated_at, stored.ended_at
from public.sequential_stack_runs as stored
left join public.sequential_heartbeats as beat on beat.worker = stored.worker;

create or replace view public.sequential_task_function_rows with (security_invoker = true) as
select identifier, version, runner, code, modules::text as modules, metadata::text as metadata, created_at
from public.sequential_task_functions;

insert into public.sequential_schema (version) values ('20261122100000') on conflict do nothing;
