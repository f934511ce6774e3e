/* filter_parse.c - the grammar of the filter language, see filter.h.
 *
 *     call  := NAME "(" argument { "," argument } ")"
 *
 * Which arguments there are depends on the operator, so each has a function that
 * reads them.  Those that name an attribute are in filter_term.c.
 */
#include <string.h>

#include "base/arena.h"
#include "run/filter.h"
#include "run/filter_entry.h"
#include "run/filter_parser.h"

static int read_call(struct filter_parser *p, int depth, struct filter **result);

/* --- the steps of every operator -------------------------------------------- */

int filter_make(struct filter_parser *p, enum filter_kind kind, struct filter **result)
{
    if (p->nodes++ == FILTER_NODES_MAX)
        return filter_lex_wrong(&p->lex, p->lex.token.at, "more than %d conditions",
                                FILTER_NODES_MAX);
    struct filter *node = arena_make(p->lex.arena, struct filter, 1);
    node->kind = kind;
    node->attribute = FILTER_ATTRIBUTES;
    *result = node;
    return 0;
}

bool filter_at(const struct filter_parser *p, char mark)
{
    return filter_token_is(&p->lex.token, mark);
}

int filter_wrong_count(const struct filter_parser *p, const struct filter_call *call)
{
    return filter_lex_wrong(&p->lex, p->lex.token.at, "%.*s takes %s", STR_FMT(call->word->name),
                            call->word->takes);
}

/* An argument has ended: go past the comma before the next one. */
int filter_take_comma(struct filter_parser *p, const struct filter_call *call)
{
    if (filter_at(p, ')'))
        return filter_wrong_count(p, call);
    if (!filter_at(p, ','))
        return filter_lex_expected(&p->lex, "a comma");
    return filter_lex_next(&p->lex);
}

/* The last argument has ended. */
int filter_check_end(const struct filter_parser *p, const struct filter_call *call)
{
    if (filter_at(p, ','))
        return filter_wrong_count(p, call);
    if (!filter_at(p, ')'))
        return filter_lex_expected(&p->lex, "a closing parenthesis");
    return 0;
}

/* --- and, or, not ----------------------------------------------------------- */

/* Put what is in a node of the same kind in its place. */
static void flatten(struct filter *node)
{
    for (struct filter **link = &node->first; *link;) {
        struct filter *inner = *link;
        if (inner->kind != node->kind) {
            link = &inner->next;
            continue;
        }
        struct filter *after = inner->next;
        *link = inner->first;
        while (*link)
            link = &(*link)->next;
        *link = after;
    }
}

static int read_several(struct filter_parser *p, const struct filter_call *call,
                        struct filter **result)
{
    if (filter_at(p, ')'))
        return filter_wrong_count(p, call);
    struct filter *node = NULL;
    int r = filter_make(p, call->word->kind, &node);
    if (r)
        return r;
    for (struct filter **link = &node->first;; link = &(*link)->next) {
        r = read_call(p, call->depth + 1, link);
        if (r)
            return r;
        if (filter_at(p, ')'))
            break;
        if (!filter_at(p, ','))
            return filter_lex_expected(&p->lex, "a comma or a closing parenthesis");
        r = filter_lex_next(&p->lex);
        if (r)
            return r;
    }

    if (node->kind == FILTER_AND)
        filter_entry_join(node, p->lex.arena);
    flatten(node);
    for (struct filter *f = node->first; f; f = f->next)
        f->loose = false;
    *result = node->first->next ? node : node->first;
    return 0;
}

static int read_not(struct filter_parser *p, const struct filter_call *call, struct filter **result)
{
    if (filter_at(p, ')'))
        return filter_wrong_count(p, call);
    struct filter *node = NULL;
    int r = filter_make(p, FILTER_NOT, &node);
    if (r)
        return r;
    *result = node;
    r = read_call(p, call->depth + 1, &node->first);
    if (r)
        return r;
    node->first->loose = false;
    return filter_check_end(p, call);
}

/* --- calls ------------------------------------------------------------------ */

#define CONDITIONS "one condition or more"
#define VALUE "an attribute and a value"
#define LIST "an attribute and a list"

static const struct filter_word words[] = {
    {{"and", 3}, read_several, CONDITIONS, .kind = FILTER_AND},
    {{"or", 2}, read_several, CONDITIONS, .kind = FILTER_OR},
    {{"not", 3}, read_not, "one condition", .kind = FILTER_NOT},
    {{"eq", 2}, filter_read_compare, VALUE, .op = FILTER_EQ},
    {{"neq", 3}, filter_read_compare, VALUE, .op = FILTER_NEQ},
    {{"gt", 2}, filter_read_compare, VALUE, .op = FILTER_GT},
    {{"gte", 3}, filter_read_compare, VALUE, .op = FILTER_GTE},
    {{"lt", 2}, filter_read_compare, VALUE, .op = FILTER_LT},
    {{"lte", 3}, filter_read_compare, VALUE, .op = FILTER_LTE},
    {{"in", 2}, filter_read_in, LIST, .op = FILTER_IN},
    {{"nin", 3}, filter_read_in, LIST, .op = FILTER_NIN},
    {{"has", 3}, filter_read_has, "tags and a tag, or metadata and a key or JSON object", .op = 0},
    {{"exists", 6}, filter_read_exists, "metadata and a key", .op = 0},
    {{"search", 6},
     filter_read_search,
     "a text, or an attribute and a text",
     .kind = FILTER_SEARCH},
    {{"matches", 7},
     filter_read_search,
     "a regular expression, or an attribute and one",
     .kind = FILTER_MATCHES},
};

static int find_word(const struct filter_parser *p, const struct filter_word **result)
{
    const struct filter_token *token = &p->lex.token;
    if (token->kind != FILTER_TOKEN_NAME)
        return filter_lex_expected(&p->lex, "a condition such as eq(name, \"x\")");
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (filter_token_is_word(token, words[i].name)) {
            *result = &words[i];
            return 0;
        }
    char shown[FILTER_SHOWN_MAX + 1];
    return filter_lex_wrong(&p->lex, token->at,
                            "no operator \"%s\"; there are and, or, not, eq, neq, gt, gte, lt, "
                            "lte, in, nin, has, exists, search, matches",
                            filter_shown(token->text, shown));
}

static int read_call(struct filter_parser *p, int depth, struct filter **result)
{
    struct filter_call call = {.at = p->lex.token.at, .depth = depth};
    int r = find_word(p, &call.word);
    if (r)
        return r;
    if (depth > FILTER_DEPTH_MAX)
        return filter_lex_wrong(&p->lex, call.at, "more than %d calls in each other",
                                FILTER_DEPTH_MAX);
    r = filter_lex_next(&p->lex);
    if (r)
        return r;
    if (!filter_at(p, '('))
        return filter_lex_expected(&p->lex, "an opening parenthesis");
    r = filter_lex_next(&p->lex);
    if (!r)
        r = call.word->read(p, &call, result);
    if (!r)
        r = filter_lex_next(&p->lex);
    return r;
}

int filter_parse(struct str text, struct arena *arena, const struct filter **result,
                 struct err *err)
{
    struct filter_parser p = {.nodes = 0};
    struct filter *root = NULL;
    int r = filter_lex_start(&p.lex, text, arena, err);
    if (!r)
        r = read_call(&p, 1, &root);
    if (r)
        return r;
    if (p.lex.token.kind != FILTER_TOKEN_END)
        return filter_lex_expected(&p.lex, "the end");
    root->loose = false;
    *result = root;
    return 0;
}
