/* links.c - see links.h. */
#include "serve/links.h"

#include <stdio.h>

#include "base/text.h"
#include "run/facts.h"
#include "wire/json_string.h"

void links_open(struct links *links, struct str secret)
{
    blake2s(STR("rundlet attachments"), secret, links->key);
}

static void sign(const struct links *links, enum links_of of, struct uuid id, struct str name,
                 char out[LINKS_SIGNATURE + 1])
{
    struct text text = {0};
    uint8_t hash[BLAKE2S];
    text_add_char(&text, (char)of);
    text_add(&text, (struct str){(const char *)id.byte, sizeof id.byte});
    text_add(&text, name);
    blake2s((struct str){(const char *)links->key, sizeof links->key}, text_str(&text), hash);
    text_free(&text);
    for (size_t i = 0; i < LINKS_SIGNATURE / 2; i++)
        snprintf(out + 2 * i, 3, "%02x", hash[i]);
}

static void add_escaped(struct text *text, struct str plain)
{
    for (size_t i = 0; i < plain.len; i++) {
        unsigned char c = (unsigned char)plain.at[i];
        bool letter = (c | 0x20) >= 'a' && (c | 0x20) <= 'z';
        if (letter || (c >= '0' && c <= '9') || (c && strchr("-._~", c)))
            text_add_char(text, (char)c);
        else
            text_addf(text, "%%%02X", c);
    }
}

void links_write(const struct links *links, enum links_of of, struct uuid id, struct str name,
                 struct text *text)
{
    char room[UUID_TEXT], signature[LINKS_SIGNATURE + 1];
    uuid_write(id, room);
    sign(links, of, id, name, signature);
    text_addf(text, "/public/download?%s=%.*s&name=", of == LINKS_RUN ? "run" : "example",
              UUID_TEXT, room);
    add_escaped(text, name);
    text_addf(text, "&signature=%s", signature);
}

bool links_check(const struct links *links, enum links_of of, struct uuid id, struct str name,
                 struct str signature)
{
    char right[LINKS_SIGNATURE + 1];
    unsigned char differ = 0;
    sign(links, of, id, name, right);
    if (signature.len != LINKS_SIGNATURE)
        return false;
    for (size_t i = 0; i < LINKS_SIGNATURE; i++) /* in a time that tells nothing */
        differ |= (unsigned char)(right[i] ^ signature.at[i]);
    return differ == 0;
}

static void show(const struct links *links, struct uuid run,
                 const struct facts_attachment *attachment, struct text *text)
{
    struct text word = {0};
    text_add(&word, STR("attachment."));
    text_add(&word, attachment->name);
    json_string_write(text, text_str(&word));
    text_add(text, STR(":{\"presigned_url\":"));
    word.len = 0;
    links_write(links, LINKS_RUN, run, attachment->name, &word);
    json_string_write(text, text_str(&word));
    text_add(text, STR(",\"mime_type\":"));
    json_string_write(text, attachment->type);
    text_add(text, STR(",\"s3_url\":"));
    json_string_write(text, attachment->name);
    text_add_char(text, '}');
    text_free(&word);
}

void links_show(const struct links *links, struct uuid run, const struct facts *facts,
                struct text *text)
{
    text_add_char(text, '{');
    for (size_t i = 0; i < facts->attachment_count; i++) {
        if (i > 0)
            text_add_char(text, ',');
        show(links, run, &facts->attachments[i], text);
    }
    text_add_char(text, '}');
}
