/* blake2s_test.c - hashes that another implementation made. */
#include "base/blake2s.h"

#include "lib/check.h"

/* Keys are 0, 1, 2, ...; messages likewise, modulo 251. */
TEST(hashes_are_those_of_the_rfc)
{
    static const struct {
        size_t key, message;
        const char *hash;
    } cases[] = {
        {0, 0, "69217a3079908094e11121d042354a7c1f55b6482ca1a51e1b250dfd1ed0eef9"},
        {0, 64, "56f34e8b96557e90c1f24b52d0c89d51086acf1b00f634cf1dde9233b8eaaa3e"},
        {0, 65, "1b53ee94aaf34e4b159d48de352c7f0661d0a40edff95a0b1639b4090e974472"},
        {0, 128, "1fa877de67259d19863a2a34bcc6962a2b25fcbf5cbecd7ede8f1fa36688a796"},
        {0, 300, "203d6441349213c6b2b727d0ac6beb365f32938cef2cd0677f2a6b7f8cb02dd7"},
        {32, 0, "48a8997da407876b3d79c0d92325ad3b89cbb754d86ab71aee047ad345fd2c49"},
        {32, 64, "8975b0577fd35566d750b362b0897a26c399136df07bababbde6203ff2954ed4"},
        {5, 200, "c180416bd06f9d82231d10cb37a3f0813d8b25e067cc9d8391c526ed588a9a4f"},
    };
    char key[BLAKE2S], message[300];
    for (size_t i = 0; i < sizeof key; i++)
        key[i] = (char)i;
    for (size_t i = 0; i < sizeof message; i++)
        message[i] = (char)(i % 251);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint8_t hash[BLAKE2S];
        char text[2 * BLAKE2S + 1];
        blake2s((struct str){key, cases[i].key}, (struct str){message, cases[i].message}, hash);
        for (size_t k = 0; k < BLAKE2S; k++)
            snprintf(text + 2 * k, 3, "%02x", hash[k]);
        CHECK(strcmp(text, cases[i].hash) == 0);
    }
}

TEST(abc)
{
    static const uint8_t begin[4] = {0x50, 0x8c, 0x5e, 0x8c};
    uint8_t hash[BLAKE2S];
    blake2s((struct str){0}, STR("abc"), hash);
    CHECK(memcmp(hash, begin, sizeof begin) == 0);
}
