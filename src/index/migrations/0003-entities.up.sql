-- Entities of a parent or of a name are read page by page, newest first.

drop index rundlet_entities_by_parent;
create index rundlet_entities_by_parent on rundlet_entities (parent, kind, made_us, id) where parent is not null;
drop index rundlet_entities_by_text;
create index rundlet_entities_by_text on rundlet_entities (kind, sha256(name), made_us, id) where name is not null;
