/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * A message's shape as text, in the notation of protocol/README.md: of one version, or of all with
 * the versions of each field. */
#include "protocol/base/error.h"
#include "protocol/codec_internal.h"
#include "protocol/public_arena.h"

#include <inttypes.h>

#define NAME_COLUMNS 32
#define TYPE_COLUMNS 12

typedef struct printer {
    kb_buf *out;
    const kp_message *message;
    int16_t version; /* -1: all */
} printer;

static const char *const type_names[] = {
    [KP_BOOL] = "bool",     [KP_I8] = "int8",     [KP_I16] = "int16",       [KP_U16] = "uint16",
    [KP_I32] = "int32",     [KP_I64] = "int64",   [KP_F64] = "float64",     [KP_UUID] = "uuid",
    [KP_STRING] = "string", [KP_BYTES] = "bytes", [KP_RECORDS] = "records", [KP_STRUCT] = "{}",
};

/** Spaces up to a column; one at least. */
static void pad(kb_buf *out, size_t begin, size_t columns)
{
    do
        kb_buf_put_byte(out, ' ');
    while (out->err == KC_OK && out->len - begin < columns);
}

static void print_type(const printer *p, const kp_field_desc *field)
{
    bool is_array = field->flags & KP_F_ARRAY;
    bool is_struct_array = is_array && field->type == KP_STRUCT;
    const char *name = field->flags & KP_F_STR16 ? "string16" : type_names[field->type];
    kb_buf_printf(p->out, "%s%s", is_array ? "[]" : "", is_struct_array ? "" : name);
    if (field->nullable_from < 0 || (p->version >= 0 && p->version < field->nullable_from))
        return;
    kb_buf_put_byte(p->out, '?');
    if (p->version < 0 && field->nullable_from > field->min)
        kb_buf_printf(p->out, "%d+", field->nullable_from);
}

static void print_range(const printer *p, int16_t min, int16_t max)
{
    if (max == min)
        kb_buf_printf(p->out, " %d", min);
    else if (max >= p->message->max)
        kb_buf_printf(p->out, " %d+", min);
    else
        kb_buf_printf(p->out, " %d-%d", min, max);
}

static void print_default(const printer *p, const kp_field_desc *field)
{
    if (field->flags & KP_F_DEFAULT_NULL)
        kb_buf_printf(p->out, " = null");
    else if (field->flags & KP_F_ARRAY || field->type >= KP_F64 || field->default_value == 0)
        return;
    else if (field->type == KP_BOOL)
        kb_buf_printf(p->out, " = true");
    else
        kb_buf_printf(p->out, " = %" PRId64, field->default_value);
}

static void print_struct(const printer *p, const kp_struct_desc *desc, int depth);

static void print_field(const printer *p, const kp_field_desc *field, int depth)
{
    size_t begin = p->out->len;
    for (int i = 0; i < depth; i++)
        kb_buf_printf(p->out, "  ");
    kb_buf_printf(p->out, "%s", field->name);
    pad(p->out, begin, NAME_COLUMNS);
    print_type(p, field);
    size_t type_end = p->out->len;
    pad(p->out, begin, NAME_COLUMNS + TYPE_COLUMNS - 1);
    size_t facts = p->out->len;
    bool is_always = field->min <= p->message->min && field->max >= p->message->max;
    if (p->version < 0 && !is_always)
        print_range(p, field->min, field->max);
    if (field->tag >= 0 && (p->version < 0 || kp_field_is_tagged(field, p->version)))
        kb_buf_printf(p->out, " @%d", field->tag);
    print_default(p, field);
    if (field->flags & KP_F_MAP_KEY)
        kb_buf_printf(p->out, " key");
    if (p->version < 0 && field->flags & KP_F_IGNORABLE)
        kb_buf_printf(p->out, " ignorable");
    if (p->out->err == KC_OK && p->out->len == facts)
        p->out->len = type_end; /* no blanks at the end of a line */
    kb_buf_put_byte(p->out, '\n');
    if (field->type == KP_STRUCT)
        print_struct(p, field->sub, depth + 1);
}

static void print_struct(const printer *p, const kp_struct_desc *desc, int depth)
{
    for (uint16_t i = 0; i < desc->field_count; i++)
        if (p->version < 0 || kp_field_is_in(&desc->fields[i], p->version))
            print_field(p, &desc->fields[i], depth);
}

kc_err kc_schema_print(const kc_schema *schema, int16_t version, kc_arena *arena,
                       kc_bytes *text_out)
{
    if (version != -1 && (version < schema->min || version > schema->max))
        return KC_ERR_VERSION;
    kb_buf_reset(&arena->scratch);
    printer p = {&arena->scratch, schema, version};
    print_struct(&p, schema->root, 0);
    *text_out = p.out->err == KC_OK ? kb_arena_copy(&arena->arena, kb_buf_bytes(p.out)) : KC_NULL;
    return text_out->ptr ? KC_OK : KC_ERR_NOMEM;
}
