/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * x. */
#include <check.h>
START_TEST(placeholder)
{
}
END_TEST
