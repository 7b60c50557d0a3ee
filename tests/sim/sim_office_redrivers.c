/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Redrivers: processes with a DLQ handler. What a letter's notices say has come about, and none follows that one which
 * it stands below: nobody is told that a letter was redriven after having been told what became of that. */
#include "tests/sim/sim_office_hosts.h"

/** After what this handler told of the letter; a memory that ran out may have taken what it knew. */
static void check_order(office_redriver *redriver, const office_copy *copy,
                        const of_dlq_notice *notice)
{
    const sim_host *host = redriver->base.host;
    int32_t resolved = copy->resolved_told[redriver->base.slot];
    int32_t released = notice->letter->redrives;
    bool is_late = notice->kind == OF_DLQ_REDRIVEN ? released <= resolved : released < resolved;
    if (resolved > 0 && is_late && host->alloc.calls <= host->alloc.fail_at)
        sim_fail(redriver->base.sim,
                 "event %u: notice %d of redrive %d after that %d was handled was told",
                 copy->number, notice->kind, released, resolved);
}

static bool is_true(const of_dlq_notice *notice, const office_copy *copy)
{
    int32_t redrives = notice->letter->redrives;
    switch (notice->kind) {
    case OF_DLQ_SCHEDULED:
    case OF_DLQ_CANARY:
    case OF_DLQ_DUPLICATE:
        return copy->deaths > redrives;
    case OF_DLQ_REDRIVEN:
        return copy->releases >= redrives;
    case OF_DLQ_RESOLVED:
        return copy->is_answered_ok && copy->releases >= redrives;
    case OF_DLQ_QUARANTINED:
        return copy->is_quarantined;
    case OF_DLQ_LEFT_TO_OPERATOR:
        return copy->is_left;
    default:
        return false;
    }
}

static void on_dlq_notice(const of_dlq_notice *notice, void *user)
{
    office_redriver *redriver = user;
    sim_world *sim = redriver->base.sim;
    office_ledger *ledger = &((office_state *)sim->state)->ledger;
    if (notice->kind == OF_DLQ_ERROR) {
        sim_note(sim, "redriver %d: %s: %s", redriver->base.slot, notice->reason,
                 notice->error ? notice->error->text : "");
        return;
    }
    office_look(sim, ledger);
    office_copy *copy = office_copy_by_id(sim, ledger, notice->letter->id);
    sim_note(sim, "redriver %d: event %d: notice %d, redrive %d: %s", redriver->base.slot,
             copy ? (int)copy->number : -1, notice->kind, notice->letter->redrives, notice->reason);
    if (!copy || !is_true(notice, copy)) {
        sim_fail(sim, "redriver %d: notice %d of letter %s, redrive %d, is not true",
                 redriver->base.slot, notice->kind, notice->letter->id, notice->letter->redrives);
        return;
    }
    if (notice->kind == OF_DLQ_RESOLVED)
        copy->resolved_told[redriver->base.slot] = notice->letter->redrives;
    else if (notice->kind == OF_DLQ_SCHEDULED || notice->kind == OF_DLQ_REDRIVEN)
        check_order(redriver, copy, notice);
}

void office_redriver_begin(sim_world *sim, int slot)
{
    office_state *state = sim->state;
    office_redriver *redriver = &state->redrivers[slot];
    of_dlq_options options;
    kc_error err = {0};
    *redriver = (office_redriver){0};
    if (!office_host_begin(sim, &redriver->base, slot))
        return;
    of_dlq_options_init(&options);
    options.on_notice = on_dlq_notice;
    options.user = redriver;
    options.canary_above = (int32_t)sim_between(sim, 0, 10);
    options.redrive_rate = (double)sim_between(sim, 5, 50);
    if (of_dlq_open(redriver->base.platform, &options, &redriver->dlq, &err) ||
        of_dlq_start(redriver->dlq, &err))
        sim_fail(sim, "a DLQ handler can't be started: %s", err.text);
    sim_note(sim, "redriver %d begins on host %d", slot, redriver->base.host->index);
}

static void forget_told(sim_world *sim, office_ledger *ledger, int slot)
{
    for (int t = 0; t < sim->topic_count; t++)
        for (int32_t p = 0; ledger->roles[t] == ROLE_EVENTS && p < sim->topics[t].partitions; p++)
            for (int64_t i = 0; i < ledger->logs[t][p].until; i++)
                ledger->logs[t][p].copies[i].resolved_told[slot] = 0;
}

void office_redriver_end(office_redriver *redriver)
{
    sim_world *sim = redriver->base.sim;
    int slot = redriver->base.slot;
    sim_note(sim, "redriver %d ends", slot);
    office_host_end(&redriver->base);
    forget_told(sim, &((office_state *)sim->state)->ledger, slot);
    *redriver = (office_redriver){.base = {.sim = sim, .slot = slot}};
}
