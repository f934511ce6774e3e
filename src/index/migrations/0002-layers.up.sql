-- Runs that come in layers, and entities.  docs/design/index-postgres.md says why.
--
-- Which stored layers a run is made of was in no row before, and is only in the log or the bucket.
-- So the rows go, and come back from there: of a log by themselves, when it is opened the next
-- time, since its mark is none; of a bucket with `rundlet reindex`.  Containers stay what they are,
-- so nothing is taken for an object that no row leads to.

drop table rundlet_runs;
delete from rundlet_spans;
update rundlet_store set mark = 0;
update rundlet_nodes set runs = 0, commits = commits + 1;

create table rundlet_runs (
    id uuid not null,
    trace uuid not null,
    parent uuid,                      -- null: top level
    project uuid,                     -- of rundlet_entities; null: only attachments came so far
    start_us bigint not null,
    end_us bigint,                    -- null: nobody said that it ended
    name bigint,                      -- of rundlet_names; null: has none
    version bigint not null,          -- of the run, grows with every change of it
    change bigint not null,           -- of the row: who writes it must have read the last
    post_low bigint,                  -- hash of the last post or whole run; null: none came
    post_high bigint,
    part integer not null,            -- a pure function of the id
    type integer not null,
    status integer not null,
    flags integer not null,           -- 1: the trace is guessed, 2: nobody named the project
    containers bigint[] not null,     -- those that something of the run lies in
    terms bigint[] not null,          -- hashes of what filters ask for
    holders bytea not null,           -- the layers
    facts bytea not null,
    primary key (part, id)
) partition by range (part);

-- What is compared row by row is not compressed, nor put elsewhere.
alter table rundlet_runs alter holders set storage external, alter facts set storage external;

create index rundlet_runs_by_trace on rundlet_runs (trace, start_us, id);
create index rundlet_runs_by_start on rundlet_runs (start_us, id);
create index rundlet_runs_by_name on rundlet_runs (name, start_us, id);
create index rundlet_runs_by_project on rundlet_runs (project, start_us, id);
create index rundlet_runs_by_root on rundlet_runs (project, start_us, id) where parent is null;
create index rundlet_runs_by_parent on rundlet_runs (parent, start_us, id) where parent is not null;
create index rundlet_runs_by_term on rundlet_runs using gin (terms)
    with (fastupdate = on, gin_pending_list_limit = 256) where terms <> '{}'; -- of none GIN has an entry too

-- Runs whose trace is guessed, until the run that they belong under says it.
create table rundlet_waiting (
    awaited uuid not null,
    id uuid not null,
    part integer not null,
    primary key (awaited, id)
);

create table rundlet_entities (
    kind integer not null,
    id uuid not null,
    parent uuid,                      -- what it belongs to; null: nothing
    part integer not null,            -- of a run that is its parent
    made_us bigint not null,
    version bigint not null,          -- sequence of the record that last said it
    removed boolean not null,
    name bytea,                       -- null: has none
    taken bytea,                      -- SHA-256 of a name that no other of the kind may have
    folded text collate "C",          -- the name as names are compared
    json bytea not null,
    primary key (kind, id)
);

create unique index rundlet_entities_by_name on rundlet_entities (kind, taken);
create index rundlet_entities_by_text on rundlet_entities (kind, sha256(name), made_us, id) where name is not null;
create index rundlet_entities_by_parent on rundlet_entities (parent, kind, made_us, id) where parent is not null;
create index rundlet_entities_by_age on rundlet_entities (kind, made_us, id);

-- Make the partition low <= part < high, with room beside a row for what patches make of it.
-- Attaching waits for nobody who reads or writes.
create or replace function rundlet_attach(low integer, high integer) returns void language plpgsql as $$
declare
    called text := 'rundlet_runs_' || replace(low::text, '-', 'h') || '_' || replace(high::text, '-', 'h');
begin
    execute format('create table %I (like rundlet_runs including defaults including constraints including storage)'
        ' with (fillfactor = 70, toast_tuple_target = 8160)', called);
    execute format('alter table rundlet_runs attach partition %I for values from (%s) to (%s)', called, low, high);
    insert into rundlet_spans values (low, high);
end $$;

-- As in the first step.
select rundlet_attach(part, part + 1) from generate_series(-16, -1) part;
select count(*) from rundlet_cover(array[(now() at time zone 'UTC')::date - date '1970-01-01',
    (date_trunc('month', now() at time zone 'UTC') + interval '1 month')::date - date '1970-01-01']);
