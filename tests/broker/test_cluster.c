/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * The fixture with three brokers: one dies and comes back where it was. */
#include "tests/broker/broker.h"

#include <check.h>
#include <stdio.h>
#include <string.h>

START_TEST(killed_broker_comes_back_at_its_port)
{
    static const char *const status[] = {"status", NULL};
    static const char *const kill_second[] = {"kill", "-9", "2", NULL};
    static const char *const restart_second[] = {"restart", "2", NULL};
    char output[4096];
    const char *list = broker_list();
    ck_assert_int_eq(broker_count(), 3);
    ck_assert_int_eq(broker_command(NULL, 0, kill_second), 0);
    ck_assert_int_eq(broker_command(output, sizeof(output), status), 0);
    ck_assert_ptr_nonnull(strstr(output, " down"));
    ck_assert_int_eq(broker_command(output, sizeof(output), restart_second), 0);
    ck_assert_int_eq(broker_command(output, sizeof(output), status), 0);
    ck_assert_ptr_null(strstr(output, " down"));
    const char *second = strchr(list, ',') + 1;
    char expected[64];
    snprintf(expected, sizeof(expected), "2 %.*s up", (int)strcspn(second, ","), second);
    ck_assert_ptr_nonnull(strstr(output, expected));
}
END_TEST
