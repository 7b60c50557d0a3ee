/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * RFC 3339 times to and from milliseconds since 1970, without the C library: its calendar functions
 * depend on the environment and are not all thread-safe. */
#include "protocol/base/text.h"

#define MS_PER_DAY   INT64_C(86400000)
#define DAY_SECONDS  86400
#define DAYS_PER_ERA 146097                   // 400 years
#define DAYS_TO_1970 719468                   // from 0000-03-01
#define MS_MIN       INT64_C(-62167219200000) // 0000-01-01
#define MS_MAX       INT64_C(253402300799999) // the end of 9999

/** Days from 1970-01-01, years starting in March so that the leap day is the last (proleptic
 * Gregorian). */
static int64_t days_from_date(int64_t year, int64_t month, int64_t day)
{
    if (month <= 2)
        year--;
    int64_t era = (year >= 0 ? year : year - 399) / 400;
    int64_t year_of_era = year - era * 400;
    int64_t day_of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * DAYS_PER_ERA + day_of_era - DAYS_TO_1970;
}

static void date_from_days(int64_t days, int64_t *year, int64_t *month, int64_t *day)
{
    days += DAYS_TO_1970;
    int64_t era = (days >= 0 ? days : days - (DAYS_PER_ERA - 1)) / DAYS_PER_ERA;
    int64_t day_of_era = days - era * DAYS_PER_ERA;
    int64_t year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t shifted_month = (5 * day_of_year + 2) / 153;
    *day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    *month = shifted_month < 10 ? shifted_month + 3 : shifted_month - 9;
    *year = year_of_era + era * 400 + (*month <= 2);
}

static char *put_digits(char *to, int64_t value, int width)
{
    for (int i = width - 1; i >= 0; i--, value /= 10)
        to[i] = (char)('0' + value % 10);
    return to + width;
}

void kb_time_format(int64_t ms, char out[25])
{
    if (ms < MS_MIN)
        ms = MS_MIN;
    if (ms > MS_MAX)
        ms = MS_MAX;
    int64_t days = (ms >= 0 ? ms : ms - (MS_PER_DAY - 1)) / MS_PER_DAY;
    int64_t in_day = ms - days * MS_PER_DAY;
    int64_t year;
    int64_t month;
    int64_t day;
    date_from_days(days, &year, &month, &day);
    out = put_digits(out, year, 4);
    *out++ = '-';
    out = put_digits(out, month, 2);
    *out++ = '-';
    out = put_digits(out, day, 2);
    *out++ = 'T';
    out = put_digits(out, in_day / 3600000, 2);
    *out++ = ':';
    out = put_digits(out, in_day / 60000 % 60, 2);
    *out++ = ':';
    out = put_digits(out, in_day / 1000 % 60, 2);
    *out++ = '.';
    out = put_digits(out, in_day % 1000, 3);
    *out++ = 'Z';
    *out = 0;
}

/** What is left to parse; sticks once wrong. */
typedef struct scanner {
    kc_bytes rest;
    bool is_wrong;
} scanner;

static uint8_t peek(const scanner *in)
{
    return in->rest.len > 0 ? in->rest.ptr[0] : 0;
}

static uint8_t take(scanner *in)
{
    uint8_t byte = peek(in);
    if (in->rest.len > 0)
        in->rest = kc_span(in->rest.ptr + 1, in->rest.len - 1);
    else
        in->is_wrong = true;
    return byte;
}

static void expect(scanner *in, char byte)
{
    if (take(in) != (uint8_t)byte)
        in->is_wrong = true;
}

static bool next_is_digit(const scanner *in)
{
    return peek(in) >= '0' && peek(in) <= '9';
}

/** Exactly `width` digits, a number in [min, max]. */
static int64_t number(scanner *in, int width, int64_t min, int64_t max)
{
    int64_t value = 0;
    for (int i = 0; i < width; i++) {
        if (!next_is_digit(in))
            in->is_wrong = true;
        value = value * 10 + (take(in) - '0');
    }
    if (value < min || value > max)
        in->is_wrong = true;
    return in->is_wrong ? min : value;
}

static int64_t days_in_month(int64_t year, int64_t month)
{
    static const uint8_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool is_leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return days[month - 1] + (month == 2 && is_leap);
}

/** The optional fraction, cut to milliseconds. */
static int64_t fraction_ms(scanner *in)
{
    if (peek(in) != '.')
        return 0;
    take(in);
    if (!next_is_digit(in))
        in->is_wrong = true;
    int64_t ms = 0;
    for (int64_t unit = 100; next_is_digit(in); unit /= 10)
        ms += (take(in) - '0') * unit;
    return ms;
}

static int64_t offset_seconds(scanner *in)
{
    uint8_t sign = take(in);
    if (sign == 'Z' || sign == 'z')
        return 0;
    if (sign != '+' && sign != '-')
        in->is_wrong = true;
    int64_t seconds = number(in, 2, 0, 23) * 3600;
    expect(in, ':');
    seconds += number(in, 2, 0, 59) * 60;
    return sign == '-' ? -seconds : seconds;
}

bool kb_time_parse(kc_bytes text, int64_t *ms_out)
{
    scanner in = {.rest = text};
    int64_t year = number(&in, 4, 0, 9999);
    expect(&in, '-');
    int64_t month = number(&in, 2, 1, 12);
    expect(&in, '-');
    int64_t day = number(&in, 2, 1, days_in_month(year, month));
    uint8_t separator = take(&in);
    if (separator != 'T' && separator != 't')
        in.is_wrong = true;
    int64_t seconds = number(&in, 2, 0, 23) * 3600;
    expect(&in, ':');
    seconds += number(&in, 2, 0, 59) * 60;
    expect(&in, ':');
    int64_t second = number(&in, 2, 0, 60);
    int64_t ms = fraction_ms(&in);
    seconds += second - offset_seconds(&in);
    if (in.is_wrong || in.rest.len > 0)
        return false;
    seconds += days_from_date(year, month, day) * DAY_SECONDS;
    if (second == 60 && seconds % DAY_SECONDS != 0)
        return false;
    *ms_out = seconds * 1000 + ms;
    return true;
}
