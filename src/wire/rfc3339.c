/* rfc3339.c - see rfc3339.h.
 *
 * Dates are those of the Gregorian calendar, also before it was in use.  To
 * count days, a year is taken to begin on 1 March: then the leap day is its
 * last, and the months before it have lengths that repeat every five.
 */
#include "wire/rfc3339.h"

#include <assert.h>
#include <stddef.h>
#include <stdio.h>

enum {
    DAYS_PER_ERA = 146097, /* 400 years */
    DAYS_TO_1970 = 719468, /* from 1 March of the year 0 */
    SECONDS_PER_DAY = 86400,
    US_PER_SECOND = 1000000
};

/* 0001-01-01T00:00:00Z, and the first second after the year 9999. */
static const int64_t first_second = INT64_C(-62135596800);
static const int64_t end_second = INT64_C(253402300800);

static bool is_leap(int year)
{
    return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

static int days_in_month(int year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    return month == 2 && is_leap(year) ? 29 : days[month - 1];
}

/* Days from 1970-01-01 to that day. */
static int64_t days_of_date(int year, int month, int day)
{
    int march_year = month > 2 ? year : year - 1;
    int march_month = month > 2 ? month - 3 : month + 9;
    int era = march_year / 400;
    int year_of_era = march_year % 400;
    int day_of_year = (153 * march_month + 2) / 5 + day - 1;
    int day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return (int64_t)era * DAYS_PER_ERA + day_of_era - DAYS_TO_1970;
}

static void date_of_days(int64_t days, int *year, int *month, int *day)
{
    int64_t since_march = days + DAYS_TO_1970;
    int era = (int)(since_march / DAYS_PER_ERA);
    int day_of_era = (int)(since_march % DAYS_PER_ERA);
    /* Take out the leap days that came before, and what is left are years of 365. */
    int year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / (DAYS_PER_ERA - 1)) /
        365;
    int day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int march_month = (5 * day_of_year + 2) / 153;
    *day = day_of_year - (153 * march_month + 2) / 5 + 1;
    *month = march_month < 10 ? march_month + 3 : march_month - 9;
    *year = era * 400 + year_of_era + (*month <= 2 ? 1 : 0);
}

/* The steps below take something off the front of `text`. */

static bool take_digits(struct str *text, size_t count, int *result)
{
    if (text->len < count)
        return false;
    int value = 0;
    for (size_t i = 0; i < count; i++) {
        char c = text->at[i];
        if (c < '0' || c > '9')
            return false;
        value = value * 10 + (c - '0');
    }
    text->at += count;
    text->len -= count;
    *result = value;
    return true;
}

static bool take_one_of(struct str *text, const char *set, char *found)
{
    if (text->len == 0 || text->at[0] == '\0' || !strchr(set, text->at[0]))
        return false;
    *found = text->at[0];
    text->at++;
    text->len--;
    return true;
}

static bool take_date(struct str *text, int64_t *days)
{
    int year, month, day;
    char c;
    if (!take_digits(text, 4, &year) || !take_one_of(text, "-", &c) ||
        !take_digits(text, 2, &month) || !take_one_of(text, "-", &c) || !take_digits(text, 2, &day))
        return false;
    if (year < 1 || month < 1 || month > 12 || day < 1 || day > days_in_month(year, month))
        return false;
    *days = days_of_date(year, month, day);
    return true;
}

static bool take_time(struct str *text, int *seconds)
{
    int hour, minute, second;
    char c;
    if (!take_digits(text, 2, &hour) || !take_one_of(text, ":", &c) ||
        !take_digits(text, 2, &minute) || !take_one_of(text, ":", &c) ||
        !take_digits(text, 2, &second))
        return false;
    if (hour > 23 || minute > 59 || second > 60)
        return false;
    *seconds = (hour * 60 + minute) * 60 + second;
    return true;
}

/* Nothing, or a point and 1 to 9 digits. */
static bool take_fraction(struct str *text, int *us)
{
    char c;
    *us = 0;
    if (!take_one_of(text, ".", &c))
        return true;
    int digit, count = 0;
    for (; take_digits(text, 1, &digit); count++) {
        if (count == 9)
            return false;
        if (count < 6)
            *us = *us * 10 + digit;
    }
    for (int i = count; i < 6; i++)
        *us *= 10;
    return count > 0;
}

/* Nothing, a Z, or how far local time is ahead of UTC. */
static bool take_zone(struct str *text, int *ahead_seconds)
{
    char sign, c;
    int hour, minute;
    *ahead_seconds = 0;
    if (text->len == 0 || take_one_of(text, "Zz", &c))
        return true;
    if (!take_one_of(text, "+-", &sign) || !take_digits(text, 2, &hour) ||
        !take_one_of(text, ":", &c) || !take_digits(text, 2, &minute) || hour > 23 || minute > 59)
        return false;
    *ahead_seconds = (hour * 60 + minute) * 60;
    if (sign == '-')
        *ahead_seconds = -*ahead_seconds;
    return true;
}

bool rfc3339_parse(struct str text, int64_t *us)
{
    int64_t days;
    int seconds, fraction_us, ahead_seconds;
    char separator;
    if (!take_date(&text, &days) || !take_one_of(&text, "Tt ", &separator) ||
        !take_time(&text, &seconds) || !take_fraction(&text, &fraction_us) ||
        !take_zone(&text, &ahead_seconds) || text.len > 0)
        return false;

    int64_t second = days * SECONDS_PER_DAY + seconds - ahead_seconds;
    if (second < first_second || second >= end_second)
        return false;
    *us = second * US_PER_SECOND + fraction_us;
    return true;
}

bool rfc3339_parse_ms(struct str number, int64_t *us)
{
    enum { MS_PER_SECOND = 1000, US_PER_MS = 1000, DIGITS_MAX = 18 };
    char sign;
    bool negative = take_one_of(&number, "-", &sign);
    if (number.len == 0 || number.len > DIGITS_MAX)
        return false;
    int64_t ms = 0;
    int digit;
    while (take_digits(&number, 1, &digit))
        ms = ms * 10 + digit;
    ms = negative ? -ms : ms;
    if (number.len > 0 || ms < first_second * MS_PER_SECOND || ms >= end_second * MS_PER_SECOND)
        return false;
    *us = ms * US_PER_MS;
    return true;
}

struct str rfc3339_write(int64_t us, char out[RFC3339_SIZE])
{
    assert(us >= first_second * US_PER_SECOND && us < end_second * US_PER_SECOND);
    /* Counted from the first second there is, nothing is negative. */
    int64_t since_first = us - first_second * US_PER_SECOND;
    int fraction_us = (int)(since_first % US_PER_SECOND);
    int64_t seconds = since_first / US_PER_SECOND;
    int in_day = (int)(seconds % SECONDS_PER_DAY);
    int year, month, day;
    date_of_days((seconds + first_second - in_day) / SECONDS_PER_DAY, &year, &month, &day);

    int len = snprintf(out, RFC3339_SIZE, "%04d-%02d-%02dT%02d:%02d:%02d.%06dZ", year, month, day,
                       in_day / 3600, in_day / 60 % 60, in_day % 60, fraction_us);
    assert(len == RFC3339_SIZE - 1);
    return (struct str){out, (size_t)len};
}
