/* table.c - the commands; see command.h. */
#include <stdint.h>
#include <string.h>

#include "command/command.h"
#include "command/nearest.h"

const struct command commands[] = {
    {
        .name = "serve",
        .usage = "",
        .line = "Take in runs and answer over HTTP, until SIGTERM.",
        .more = "The settings say where it listens and what it holds; `rundlet --help` lists them.",
        .logs = true,
        .run = command_serve,
    },
    {
        .name = "get",
        .usage = "ID",
        .line = "Print a run, or one of its fields.",
        .more = "Reads the data directory, also beside a running server. A field is printed byte "
                "for byte as\nit was sent, without a newline. Ends with 1 when there is no such "
                "run.",
        .options =
            {
                {"--field=", "NAME", "Only this: inputs, outputs or metadata, exactly as sent."},
                {"--fields=", "A,B", "Only these fields of the run, and its id."},
            },
        .least_words = 1,
        .most_words = 1,
        .run = command_get,
    },
    {
        .name = "search",
        .usage = "",
        .line = "Print the runs that match, newest first, a run a line.",
        .more = "Reads the data directory, also beside a running server. When there are more runs "
                "than were\nprinted, stderr says with which --cursor to go on.",
        .options =
            {
                {"--trace=", "ID", "Runs of this trace."},
                {"--name=", "TEXT", "Runs whose name contains this, in upper or lower case."},
                {"--limit=", "N", "How many at most. [50]"},
                {"--all", NULL, "All of them."},
                {"--cursor=", "TEXT", "Go on where an earlier search ended."},
            },
        .run = command_search,
    },
    {
        .name = "import",
        .usage = "FILE...",
        .line = "Store the runs of files: a JSON array, or a run a line.",
        .more =
            "A file may be gzip or zstd; `-` is stdin. When a server holds the data directory the "
            "runs are\nsent to it, else they are stored directly; --url sends them to any server, "
            "with the key of the\nsetting api_key. Runs are stored in batches, in order. A run "
            "that is there already with the same\nbytes is left as it is, so an import that was "
            "interrupted is simply run again - except for runs\nwithout an id: they are given one "
            "when they are stored, and stored again each time.\n\nThe sums are printed as one JSON "
            "object; stderr says which runs were\nrefused, counted from 0 in each file. Ends with "
            "1 "
            "when there are any.",
        .options =
            {
                {"--url=", "URL", "Send to the server that is there, as in http://10.0.0.5:8000."},
                {"--continue", NULL, "Leave out runs that are refused, and go on."},
            },
        .least_words = 1,
        .most_words = 1000000,
        .run = command_import,
    },
    {
        .name = "export",
        .usage = "",
        .line = "Print every stored run as it was sent, oldest first, a run a line.",
        .more =
            "Reads the data directory, also beside a running server. What is printed is what the "
            "client sent;\nif it sent no id, the id is put in front, so that what is exported can "
            "be imported. What the\nserver filled in, such as a start_time that was not sent, is "
            "not printed. Back in the directory\nit came from, a run that was sent without an id "
            "counts as another run with the same id.\n\nBytes are kept, so a run that was sent "
            "over several lines is printed over several lines, which\n`rundlet import` and jq read "
            "as well. With --lines each run is on one line, its line breaks\nbetween tokens "
            "being spaces.\n\nWithout an index, as in a backup, it goes by the log alone: a run "
            "that was "
            "stored twice is printed\ntwice. Ends with 1 when damaged runs had to be left out.",
        .options =
            {
                {"--trace=", "ID", "Runs of this trace."},
                {"--since=", "TIME",
                 "Runs that started then or later: 2026-11-23, or with a time."},
                {"--until=", "TIME", "Runs that started before."},
                {"--lines", NULL, "Each run on one line, whatever was sent."},
                {"--times", NULL,
                 "Put in the times that were filled in, so that another server keeps them."},
            },
        .run = command_export,
    },
    {
        .name = "verify",
        .usage = "",
        .line = "Check every stored byte against its checksum.",
        .more = "Reads the data directory, or the bucket, also beside a running server. Damage is "
                "printed "
                "a JSON\nobject a line, then the sums. Ends with 1 when there is any. With "
                "objects=s3://... and\nindex=postgres://... it also looks for rows whose object is "
                "gone: "
                "`rundlet gc --rows`.",
        .options =
            {
                {"--rows", NULL, "Also that the index finds every run where it lies."},
            },
        .run = command_verify,
    },
    {
        .name = "reindex",
        .usage = "",
        .line = "Build the index anew from the stored runs.",
        .more = "No server may be running on the data directory; with PostgreSQL and a bucket "
                "nodes may, and "
                "what their\ndatabase lacks is taken in. Runs that are damaged are left out "
                "and counted;\nit ends with 1 then.",
        .run = command_reindex,
    },
    {
        .name = "pack",
        .usage = "ls | info N | cat N",
        .line = "Look at the containers that the runs are stored in.",
        .more =
            "`pack ls` prints every container, oldest first, a JSON object a line: packs, and "
            "segments that\nare not sealed yet. `pack info N` prints one pack with its sections "
            "and blocks, and whether they\nhad to be made anew because of damage. `pack cat N` "
            "prints its runs as they were sent, in the\norder in which they lie there; with "
            "--trace or --id only that part of the file is read.\n\nN is the number as `pack ls` "
            "prints it, the name of the file, or a decimal number. Reads the data\ndirectory, also "
            "beside a running server. Ends with 1 when something is damaged: what is sound is\n"
            "printed, and stderr says what was left out.",
        .options =
            {
                {"--trace=", "ID", "pack cat: the runs of this trace."},
                {"--id=", "ID", "pack cat: this run."},
            },
        .least_words = 1,
        .most_words = 2,
        .run = command_pack,
    },
    {
        .name = "move",
        .usage = "--to FILE",
        .line = "Copy every stored run to another deployment, and compare.",
        .more =
            "FILE holds the settings of the deployment the runs go to, as its nodes have them "
            "(objects, index\nand so on, a line each); which they come from, the other settings "
            "say. Every run is stored there\nas it is here, with its times, then read back and "
            "compared byte by byte. What is there already is\nleft as it is, so a move that was "
            "interrupted is simply run again; and again at the end, for what\ncame meanwhile. "
            "Nothing is removed here.\n\nThe sums are printed as one JSON object. Ends with 1 when "
            "runs were left out: damaged ones, and\nthose of which the other deployment has "
            "different content.",
        .options =
            {
                {"--to=", "FILE", "The settings of the deployment to copy to."},
            },
        .run = command_move,
    },
    {
        .name = "gc",
        .usage = "",
        .line = "Remove from the bucket what no row leads to; or rows that lead nowhere.",
        .more =
            "For objects=s3://... with index=postgres://...: what was put and then not committed, "
            "once it is\nolder than the setting gc_grace. Nodes do the same by themselves. After "
            "the database was restored\nfrom a backup, or failed over to a copy that was behind, "
            "run `rundlet reindex` first: it takes in\nwhat the database lost. The sums are "
            "printed as one JSON object;\n`objects` are those that are old enough.\n\nWith --rows "
            "it "
            "is the other way round: rows that lead to an object which is gone for good are\ntaken "
            "out, so that those runs are unknown instead of unreadable, and may be sent again. "
            "Nothing "
            "in\nRundlet makes such rows; `rundlet verify` tells of them. Nothing is removed or "
            "taken "
            "out when more\nthan a quarter would be.",
        .options =
            {
                {"--look", NULL, "Only count; remove nothing."},
                {"--rows", NULL, "Take out the rows whose object is gone."},
            },
        .run = command_gc,
    },
    {
        .name = "migrate",
        .usage = "up | down N | status | sql",
        .line = "Bring the schema of PostgreSQL up to date, or back.",
        .more =
            "Nodes do `up` by themselves when they start. `down N` goes back to step N, `status` "
            "says which\nsteps are applied, `sql` prints all of them, for who applies them by "
            "hand.\n`down 0` drops all rows: no node may be running, and `rundlet reindex` has to "
            "follow.",
        .options =
            {
                {"--yes", NULL, "Drop the rows, with `down 0`."},
            },
        .least_words = 1,
        .most_words = 2,
        .run = command_migrate,
    },
    {
        .name = "backup",
        .usage = "DEST",
        .line = "Copy the stored runs to another directory; again later, only what is new.",
        .more =
            "May be done beside a running server: what was acknowledged before it began is in it. "
            "The copy is a\ndata directory, without an index: `rundlet verify --data DEST` checks "
            "it, `rundlet restore DEST`\nbrings it back, `rundlet serve --data DEST` serves it. "
            "Containers are copied oldest first, each\nunder a temporary name until it is on disk "
            "and was read back, so a backup that was interrupted is\nsound, and is simply made "
            "again.\n\nA container that is damaged is told of, copied where DEST has none, and "
            "never takes the place\nof one that DEST has; the command then ends with 1. What DEST "
            "has already is not read again: that is\nwhat `verify` is for. A DEST that is in use, "
            "or holds "
            "containers of another data directory, is refused.",
        .least_words = 1,
        .most_words = 1,
        .run = command_backup,
    },
    {
        .name = "restore",
        .usage = "SRC",
        .line = "Copy a backup to a new data directory, and build its index.",
        .more = "SRC is a backup, or a data directory that is not in use. The data directory must "
                "not exist, or be\nempty: nothing is overwritten. Runs that are damaged are left "
                "out of the index and counted; it ends\nwith 1 then.",
        .least_words = 1,
        .most_words = 1,
        .run = command_restore,
    },
    {
        .name = "version",
        .usage = "",
        .line = "Print which Rundlet this is.",
        .bare = true,
        .run = command_version,
    },
    {
        .name = "help",
        .usage = "[COMMAND]",
        .line = "Explain a command.",
        .most_words = 1,
        .bare = true,
        .run = command_help,
    },
    {
        .name = "docs",
        .usage = "",
        .line = "Print the page of commands, settings and metrics.",
        .hidden = true,
        .bare = true,
        .run = command_docs,
    },
    {.name = NULL},
};

const struct command *command_find(const char *name)
{
    for (const struct command *c = commands; c->name; c++)
        if (strcmp(c->name, name) == 0)
            return c;
    return NULL;
}

const struct command *command_nearest(const char *name)
{
    const struct command *found = NULL;
    size_t best = SIZE_MAX;
    for (const struct command *c = commands; c->name; c++)
        if (!c->hidden && nearest_is(name, c->name, &best))
            found = c;
    return found;
}
