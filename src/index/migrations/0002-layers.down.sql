-- Every row is lost, as on the way up; the log or the bucket has what they are made from.

drop table rundlet_entities;
drop table rundlet_waiting;
drop table rundlet_runs;              -- with its partitions
delete from rundlet_spans;
update rundlet_store set mark = 0;
update rundlet_nodes set runs = 0, commits = commits + 1;

create table rundlet_runs (
    id uuid not null,
    trace uuid not null,
    start_us bigint not null,
    name bigint,
    version bigint not null,
    container bigint not null,
    hash_low bigint not null,
    hash_high bigint not null,
    ordinal integer not null,
    size integer not null,
    part integer not null,
    primary key (part, id)
) partition by range (part);

create index rundlet_runs_by_trace on rundlet_runs (trace, start_us, id);
create index rundlet_runs_by_start on rundlet_runs (start_us, id);
create index rundlet_runs_by_name on rundlet_runs (name, start_us, id);

create or replace function rundlet_attach(low integer, high integer) returns void language plpgsql as $$
declare
    called text := 'rundlet_runs_' || replace(low::text, '-', 'h') || '_' || replace(high::text, '-', 'h');
begin
    execute format('create table %I (like rundlet_runs including defaults including constraints)', called);
    execute format('alter table rundlet_runs attach partition %I for values from (%s) to (%s)', called, low, high);
    insert into rundlet_spans values (low, high);
end $$;

select rundlet_attach(part, part + 1) from generate_series(-16, -1) part;
select count(*) from rundlet_cover(array[(now() at time zone 'UTC')::date - date '1970-01-01',
    (date_trunc('month', now() at time zone 'UTC') + interval '1 month')::date - date '1970-01-01']);
