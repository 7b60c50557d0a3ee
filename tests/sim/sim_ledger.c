/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Records that say who they are, and logs read to see what became of them. */
#include "protocol/base/text.h"
#include "tests/sim/sim.h"

#define STAMP_MAGIC UINT32_C(0x51a3b00c)

static uint8_t fill_byte(const sim_stamp *stamp, size_t at)
{
    return (uint8_t)((size_t)stamp->producer * 31 + (size_t)stamp->number * 7 + at / 5);
}

void sim_stamp_write(uint8_t *value, size_t len, const sim_stamp *stamp)
{
    uint32_t magic = STAMP_MAGIC;
    uint32_t size = (uint32_t)len;
    memset(value, 0, SIM_STAMP_BYTES);
    memcpy(value, &magic, 4);
    memcpy(value + 4, &size, 4);
    memcpy(value + 8, &stamp->producer, 4);
    memcpy(value + 16, &stamp->number, 8);
    for (size_t i = SIM_STAMP_BYTES; i < len; i++)
        value[i] = fill_byte(stamp, i);
}

bool sim_stamp_read(kc_bytes value, sim_stamp *stamp_out)
{
    uint32_t magic, size;
    if (value.len < SIM_STAMP_BYTES)
        return false;
    memcpy(&magic, value.ptr, 4);
    memcpy(&size, value.ptr + 4, 4);
    memcpy(&stamp_out->producer, value.ptr + 8, 4);
    memcpy(&stamp_out->number, value.ptr + 16, 8);
    if (magic != STAMP_MAGIC || size != value.len)
        return false;
    for (size_t i = SIM_STAMP_BYTES; i < value.len; i++)
        if (value.ptr[i] != fill_byte(stamp_out, i))
            return false;
    return true;
}

uint64_t sim_record_hash(int64_t offset, kc_bytes key, kc_bytes value)
{
    uint64_t hash = kb_hash(value) ^ (key.ptr ? kb_hash(key) * 31 : 17) ^ (value.ptr ? 0 : 5);
    return (hash ^ (uint64_t)offset * UINT64_C(0x9e3779b97f4a7c15)) | 1;
}

static void walk_batch(sim_world *sim, const kp_batch *batch, sim_record_fn fn, void *user)
{
    kb_buf plain;
    kc_bytes records;
    kp_record_iter iter;
    kp_record record;
    kb_buf_init(&plain, &sim->mem, 0);
    if (kp_batch_plain(batch, &plain, &records) == KC_OK) {
        kp_record_iter_init(&iter, batch, records);
        while (kp_record_next(&iter, &record) == KC_OK)
            fn(user, &record);
    } else {
        sim_fail(sim, "a batch at %lld can't be read", (long long)batch->base_offset);
    }
    kb_buf_cleanup(&plain);
}

int64_t sim_log_walk_from(sim_world *sim, const km_partition *partition, int64_t from,
                          sim_record_fn fn, void *user)
{
    const km_log *log = &partition->log;
    for (size_t i = km_log_find(log, from); i < log->entry_count; i++) {
        kc_bytes bytes = km_log_entry_bytes(log, &log->entries[i]);
        kp_batch batch;
        if (log->entries[i].next_offset > log->high_watermark)
            break;
        if (kp_batch_next(&bytes, true, &batch))
            sim_fail(sim, "the log has a broken batch at %lld",
                     (long long)log->entries[i].base_offset);
        else if (!(batch.attributes & KP_ATTR_CONTROL))
            walk_batch(sim, &batch, fn, user);
        from = log->entries[i].next_offset;
    }
    return from;
}

void sim_log_walk(sim_world *sim, const km_partition *partition, sim_record_fn fn, void *user)
{
    (void)sim_log_walk_from(sim, partition, 0, fn, user);
}
