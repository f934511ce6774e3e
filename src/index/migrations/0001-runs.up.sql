-- Runs, and what leads to them.  docs/design/index-postgres.md says why.

create table rundlet_runs (
    id uuid not null,
    trace uuid not null,
    start_us bigint not null,
    name bigint,                      -- of rundlet_names; null: has none
    version bigint not null,          -- sequence of the record
    container bigint not null,
    hash_low bigint not null,
    hash_high bigint not null,
    ordinal integer not null,
    size integer not null,            -- bytes of the run's object
    part integer not null,            -- a pure function of the id
    primary key (part, id)
) partition by range (part);

create index rundlet_runs_by_trace on rundlet_runs (trace, start_us, id);
create index rundlet_runs_by_start on rundlet_runs (start_us, id);
create index rundlet_runs_by_name on rundlet_runs (name, start_us, id);

-- Which values of part have a partition: low <= part < high.
create table rundlet_spans (
    low integer primary key,
    high integer not null
);

create table rundlet_names (
    id bigint generated always as identity primary key,
    hash bytea not null unique,       -- SHA-256 of folded
    folded text collate "C" not null
);

create table rundlet_containers (
    number bigint primary key,
    node bigint not null,             -- who committed it, or gave it up
    live boolean not null,            -- false: given up; no row leads to it, and none ever will
    witness bigint not null default 0, -- of the commit that made this row
    made_at timestamptz not null default now()
);

create table rundlet_nodes (
    node bigint not null,
    writer smallint not null,
    commits bigint not null,
    runs bigint not null,
    primary key (node, writer)
) with (fillfactor = 50);             -- counted up in place

create table rundlet_store (
    one boolean primary key default true check (one),
    deployment text not null,         -- the id of the log, or of the bucket
    shared boolean not null,          -- a bucket: any number of nodes
    mark bigint not null
) with (fillfactor = 50);

-- Make the partition low <= part < high.  Attaching waits for nobody who reads or writes.
create function rundlet_attach(low integer, high integer) returns void language plpgsql as $$
declare
    called text := 'rundlet_runs_' || replace(low::text, '-', 'h') || '_' || replace(high::text, '-', 'h');
begin
    execute format('create table %I (like rundlet_runs including defaults including constraints)', called);
    execute format('alter table rundlet_runs attach partition %I for values from (%s) to (%s)', called, low, high);
    insert into rundlet_spans values (low, high);
end $$;

-- See that each of these parts, days since 1970, has a partition; what is covered now.
create function rundlet_cover(wanted integer[]) returns setof rundlet_spans language plpgsql as $$
declare
    epoch constant date := '1970-01-01';
    this_month constant date := date_trunc('month', now() at time zone 'UTC')::date;
    near_low constant integer := (this_month - interval '1 month')::date - epoch;
    near_high constant integer := (this_month + interval '2 months')::date - epoch;
    day integer;
    low_end integer;
    high_end integer;
begin
    perform pg_advisory_xact_lock(8247343708);
    for day in select distinct w from unnest(wanted) w where w >= 0 order by w loop
        continue when exists (select 1 from rundlet_spans s where s.low <= day and day < s.high);
        if day >= near_low and day < near_high then
            low_end := date_trunc('month', epoch + day)::date - epoch;
            high_end := (date_trunc('month', epoch + day) + interval '1 month')::date - epoch;
        else
            low_end := date_trunc('year', epoch + day)::date - epoch;
            high_end := (date_trunc('year', epoch + day) + interval '1 year')::date - epoch;
            if day < near_low then
                high_end := least(high_end, near_low);
            else
                low_end := greatest(low_end, near_high);
            end if;
        end if;
        select greatest(low_end, max(s.high)) into low_end from rundlet_spans s where s.high <= day;
        select least(high_end, min(s.low)) into high_end from rundlet_spans s where s.low > day;
        perform rundlet_attach(low_end, high_end);
    end loop;
    return query select * from rundlet_spans;
end $$;

-- The trigram index over names, if it can be had; else what somebody has to do.
create function rundlet_trigrams() returns text language plpgsql as $$
declare
    home name;
begin
    if to_regclass('rundlet_names_by_trigram') is not null then
        return '';
    end if;
    begin
        create extension if not exists pg_trgm;
    exception when others then
        null;                         -- said below
    end;
    select n.nspname into home from pg_extension e join pg_namespace n on n.oid = e.extnamespace
        where e.extname = 'pg_trgm';
    if home is null then
        return 'names are searched without an index: install postgresql-contrib if it is not there, run '
            '"create extension pg_trgm" in this database as its owner, then "rundlet migrate up"';
    end if;
    execute format('create index rundlet_names_by_trigram on rundlet_names '
        'using gin (folded %I.gin_trgm_ops) with (fastupdate = off)', home);
    return '';
end $$;

-- The sixteen for ids that tell no time, and the months around now.
select rundlet_attach(part, part + 1) from generate_series(-16, -1) part;
select count(*) from rundlet_cover(array[(now() at time zone 'UTC')::date - date '1970-01-01',
    (date_trunc('month', now() at time zone 'UTC') + interval '1 month')::date - date '1970-01-01']);
