/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * A program that uses the installed libraries. */
#include <kafkac/error.h>

#include <stdio.h>

int main(void)
{
    puts(kc_err_name(KC_ERR_TIMEOUT));
    return 0;
}
