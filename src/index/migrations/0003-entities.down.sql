drop index rundlet_entities_by_parent;
create index rundlet_entities_by_parent on rundlet_entities (parent, kind) where parent is not null;
drop index rundlet_entities_by_text;
create index rundlet_entities_by_text on rundlet_entities (kind, sha256(name)) where name is not null;
