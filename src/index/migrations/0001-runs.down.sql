-- Every row is lost; the log or the bucket has what they are made from.

drop function rundlet_trigrams();
drop function rundlet_cover(integer[]);
drop function rundlet_attach(integer, integer);
drop table rundlet_store;
drop table rundlet_nodes;
drop table rundlet_containers;
drop table rundlet_names;
drop table rundlet_spans;
drop table rundlet_runs;              -- with its partitions
