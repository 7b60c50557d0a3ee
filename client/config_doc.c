/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Prints docs/configuration.md from the property table. */
#include "client/config_table.h"

static const struct {
    const char *scope;
    const char *title;
    const char *intro;
} sections[] = {
    {"client", "Client",
     "Connections, times and memory, shared by all that is opened on a client."},
    {"producer", "Producer", "Given to the client, or to one producer by kc_producer_open()."},
    {"consumer", "Consumer", "Given to the client, or to one consumer by kc_consumer_open()."},
};

/** A bar would end the cell of a Markdown table. */
static void put_cell(kb_buf *out, const char *text)
{
    for (; *text; text++) {
        if (*text == '|')
            kb_buf_put_byte(out, '\\');
        kb_buf_put_byte(out, (uint8_t)*text);
    }
    kb_buf_put(out, " | ", 3);
}

static void put_row(kb_buf *out, const kc_property *property)
{
    const char *fallback = property->default_value;
    kb_buf_printf(out, "| `%s` | %s | ", property->name, property->type);
    if (fallback && fallback[0])
        kb_buf_printf(out, "`%s` | ", fallback);
    else
        put_cell(out, fallback ? "empty" : "none");
    put_cell(out, property->allowed[0] ? property->allowed : "any");
    kb_buf_put_bytes(out, kc_str(property->doc));
    kb_buf_put(out, " |\n", 3);
}

void kc_config_print_docs(kb_buf *out)
{
    kb_buf_put_bytes(out, kc_str("# Configuration\n\n"
                                 "Names, meanings and defaults are those of the Java client of "
                                 "Apache Kafka 4.3, where it has them. Set them by "
                                 "`kc_config_set()` or from a file by `kc_config_load()`. A name "
                                 "that is not here and a value that is not allowed are errors.\n\n"
                                 "Printed from the table in `client/config_table.c`; a test "
                                 "compares.\n"));
    for (size_t i = 0; i < sizeof sections / sizeof sections[0]; i++) {
        kb_buf_printf(out, "\n## %s\n\n%s\n\n", sections[i].title, sections[i].intro);
        kb_buf_put_bytes(out, kc_str("| name | type | default | allowed | meaning |\n"
                                     "|---|---|---|---|---|\n"));
        for (size_t row = 0; row < kc_config_row_count; row++)
            if (strcmp(kc_config_rows[row].property.scope, sections[i].scope) == 0)
                put_row(out, &kc_config_rows[row].property);
    }
}
