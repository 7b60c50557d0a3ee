/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Prints docs/configuration.md: `config_doc > docs/configuration.md`. */
#include "client/settings.h"

#include <stdio.h>

int main(void)
{
    kb_mem mem;
    kb_buf text;
    kb_mem_init(&mem, NULL, 0);
    kb_buf_init(&text, &mem, 0);
    kc_config_print_docs(&text);
    bool is_good = text.err == KC_OK && fwrite(text.data, 1, text.len, stdout) == text.len &&
                   fflush(stdout) == 0;
    kb_buf_cleanup(&text);
    return is_good ? 0 : 1;
}
